# Licensed under the Apache License, Version 2.0 (the "License"); you may
# not use this file except in compliance with the License. You may obtain
# a copy of the License at
#
#      http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
# WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
# License for the specific language governing permissions and limitations
# under the License.

"""Resources and queries have all that the OpenAPI document has, and nothing else."""

import dataclasses

from oslotest import base

from karbor.client import (
    base as client_base,
)
from karbor.client import (
    checkpoints,
    coverage,
    operation_logs,
    plans,
    protectables,
    providers,
    quotas,
    recovery_points,
    retention,
    scheduled_operations,
    schedules,
    services,
    triggers,
    troubles,
    uses,
)
from karbor.services.schedules import retention as rules
from karbor.tests.unit.client import answers

RESOURCES: dict[str, type[client_base.Resource]] = {
    'Provider': providers.Provider,
    'ProtectableType': protectables.ProtectableType,
    'Instance': protectables.ProtectableInstance,
    'Plan': plans.Plan,
    'CoveredResource': plans.CoveredResource,
    'Checkpoint': checkpoints.Checkpoint,
    'RecoveryPoint': recovery_points.RecoveryPoint,
    'CoveredVolume': coverage.CoveredVolume,
    'Restore': uses.Restore,
    'RestoreGroup': uses.RestoreGroup,
    'Verification': uses.Verification,
    'DetailedTrigger': triggers.Trigger,
    'DetailedSchedule': schedules.Schedule,
    'SchedulePreview': schedules.SchedulePreview,
    'ScheduledOperation': scheduled_operations.ScheduledOperation,
    'OperationLog': operation_logs.OperationLog,
    'Trouble': troubles.Trouble,
    'Retention': retention.Retention,
    'Service': services.Service,
    'Quota': quotas.Quota,
    'QuotaClass': quotas.QuotaClass,
    'QuotaDetail': quotas.QuotaDetail,
}
#: shown inside of others, as mappings
_INSIDE = {
    'CoverageLook',
    'CoverageTotals',
    'CoveringPlan',
    'CoveringSchedule',
    'Dependent',
    'Fire',
    'ForecastMost',
    'ForecastWeek',
    'LastFailure',
    'LastRun',
    'Link',
    'PlanOfCheckpoint',
    'PlanResource',
    'ProjectHealth',
    'ProtectedPlan',
    'ProtectedResource',
    'QuotaUsage',
    'RestoreResult',
    'RetentionVerdict',
}
#: others have all that these have
_ELSEWHERE = {'Error', 'Fault', 'ListedCheckpoint', 'Schedule', 'Trigger'}

QUERIES = {
    '/providers': providers.ProviderQuery,
    '/protectables/{resource_type}/instances': protectables.InstanceQuery,
    '/plans': plans.PlanQuery,
    '/plans/{plan_id}/resources': client_base.Page,
    '/providers/{provider_id}/checkpoints': checkpoints.CheckpointQuery,
    '/recovery_points': recovery_points.RecoveryPointQuery,
    '/coverage': coverage.CoverageQuery,
    '/restores': uses.UseQuery,
    '/verifications': uses.UseQuery,
    '/triggers': triggers.TriggerQuery,
    '/schedules': schedules.ScheduleQuery,
    '/scheduled_operations': scheduled_operations.ScheduledOperationQuery,
    '/operation_logs': operation_logs.OperationLogQuery,
    '/troubles': troubles.TroubleQuery,
}
_FIRST = '/v1/{project_id}'


class ResourcesTest(base.BaseTestCase):
    def test_every_schema_is_of_a_resource(self) -> None:
        self.assertEqual(set(answers.SCHEMAS), {*RESOURCES, *_INSIDE, *_ELSEWHERE})

    def test_attributes(self) -> None:
        for name, resource_type in RESOURCES.items():
            shown = set(answers.SCHEMAS[name]['properties'])
            inherited = {'id', 'name'}
            found = set(resource_type._body_mapping())
            self.assertEqual(shown | inherited, found | inherited, name)
            annotated = {attribute for part in resource_type.__mro__ for attribute in vars(part)}
            self.assertLessEqual(shown, annotated, name)

    def test_what_is_kept_of_a_class_is_what_openstacksdk_finds(self) -> None:
        for resource_type in RESOURCES.values():
            found = resource_type._attributes_iterator()
            self.assertIs(found, resource_type._attributes_iterator())
            anew = super(client_base.Resource, resource_type)._attributes_iterator()
            self.assertEqual(tuple(anew), found)

    def test_project_health(self) -> None:
        self.assertEqual(
            set(answers.SCHEMAS['ProjectHealth']['properties']),
            {field.name for field in dataclasses.fields(troubles.ProjectHealth)},
        )

    def test_look(self) -> None:
        self.assertEqual(
            set(answers.SCHEMAS['CoverageLook']['properties']),
            {field.name for field in dataclasses.fields(coverage.Look)},
        )


class QueriesTest(base.BaseTestCase):
    def test_parameters(self) -> None:
        found = {
            path.removeprefix(_FIRST): {named['name'] for named in item['get']['parameters']}
            for path, item in answers.DOCUMENT['paths'].items()
            if 'parameters' in item.get('get', {})
        }
        self.assertEqual({'host', 'binary'}, found.pop('/os-services'))
        self.assertEqual(
            {'parameters'}, found.pop('/protectables/{resource_type}/instances/{resource_id}')
        )
        self.assertEqual(
            found, {path: set(query.__annotations__) for path, query in QUERIES.items()}
        )


class ChangesTest(base.BaseTestCase):
    def test_what_can_be_changed(self) -> None:
        for path, key, changes in (
            ('/plans/{plan_id}', 'plan', plans.PlanChanges),
            (
                '/scheduled_operations/{scheduled_operation_id}',
                'scheduled_operation',
                scheduled_operations.ScheduledOperationChanges,
            ),
            ('/schedules/{schedule_id}', 'schedule', schedules.ScheduleChanges),
            ('/quotas/{quota_project_id}', 'quota', quotas.Limits),
            ('/quota_classes/{class_name}', 'quota_class', quotas.Limits),
        ):
            self.assertEqual(self.fields('put', path, key), set(changes.__annotations__), path)
        of_trigger = self.fields('put', '/triggers/{trigger_id}', 'trigger_info')
        self.assertEqual(of_trigger, {*triggers.TriggerChanges.__annotations__, 'type'})

    def test_rules(self) -> None:
        self.assertEqual({*rules.RULES, 'timezone'}, set(retention.Rules.__annotations__))
        operation = '/scheduled_operations/{scheduled_operation_id}'
        for path, known in (
            ('/plans/{plan_id}', retention.Rules),
            (operation, retention.OperationRules),
        ):
            fields = self.fields('post', f'{path}/retention', 'retention')
            self.assertEqual(fields, set(known.__annotations__), path)

    def test_options_of_schedules(self) -> None:
        known = set(schedules.ScheduleOptions.__annotations__)
        made = self.fields('post', '/schedules', 'schedule')
        self.assertEqual(made, known | {'name', 'plan_id', 'format', 'pattern'})
        self.assertEqual(made, self.fields('post', '/schedules/preview', 'schedule'))

    def fields(self, method: str, path: str, key: str) -> set[str]:
        body = answers.DOCUMENT['paths'][_FIRST + path][method]['requestBody']
        schema = body['content']['application/json']['schema']
        return set(schema['properties'][key]['properties'])
