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

"""Each operation of the API has a call, which sends what the OpenAPI document says."""

import dataclasses
import json
from collections.abc import Callable
from typing import Any
from urllib import parse

import jsonschema
from openstack import resource

from karbor.api import media
from karbor.client.checkpoints import Checkpoint
from karbor.client.plans import Plan
from karbor.client.proxy import Proxy
from karbor.tests.base import PROJECT_ID, new_id
from karbor.tests.unit.client import answers, base

FIRST, SECOND = new_id(), new_id()
VOLUME = 'OS::Cinder::Volume'
PLAN = Plan.existing(id=FIRST, provider_id=SECOND)
CHECKPOINT = Checkpoint.existing(id=FIRST, provider_id=SECOND)
RESOURCES = [{'id': new_id(), 'type': VOLUME, 'name': 'db'}]
PROPERTIES = {'format': 'crontab', 'pattern': '0 2 * * *'}

_CHECKPOINTS = '/providers/{provider_id}/checkpoints'
_CHECKPOINT = _CHECKPOINTS + '/{checkpoint_id}'
_INSTANCES = '/protectables/{resource_type}/instances'
_OPERATION = '/scheduled_operations/{scheduled_operation_id}'

Call = Callable[[Proxy], Any]

#: what can be asked -> the calls that ask it
CALLS: dict[str, tuple[Call, ...]] = {
    'GET /providers': (lambda p: list(p.providers()),),
    'GET /providers/{provider_id}': (
        lambda p: p.get_provider(FIRST),
        lambda p: p.find_provider(FIRST),
    ),
    'GET /protectables': (lambda p: p.protectable_types(),),
    'GET /protectables/{resource_type}': (lambda p: p.get_protectable_type(VOLUME),),
    f'GET {_INSTANCES}': (
        lambda p: list(p.protectable_instances(VOLUME)),
        lambda p: list(p.protectable_instances(VOLUME, parameters={'a': 'b'})),
    ),
    f'GET {_INSTANCES}/{{resource_id}}': (
        lambda p: p.get_protectable_instance(VOLUME, FIRST),
        lambda p: p.get_protectable_instance(VOLUME, FIRST, {'a': 'b'}),
    ),
    'GET /plans': (lambda p: list(p.plans()),),
    'POST /plans': (
        lambda p: p.create_plan('nightly', FIRST, RESOURCES),
        lambda p: p.create_plan(
            'nightly', FIRST, RESOURCES, parameters={VOLUME: {'force': True}}, description='x'
        ),
    ),
    'GET /plans/{plan_id}': (lambda p: p.get_plan(PLAN), lambda p: p.find_plan(FIRST)),
    'PUT /plans/{plan_id}': (
        lambda p: p.update_plan(PLAN, name='x', description=None),
        lambda p: p.update_plan(FIRST, resources=RESOURCES, parameters={}, status='started'),
    ),
    'DELETE /plans/{plan_id}': (lambda p: p.delete_plan(PLAN),),
    'GET /plans/{plan_id}/resources': (lambda p: list(p.plan_resources(PLAN)),),
    'POST /plans/{plan_id}/retention': (
        lambda p: p.preview_plan_retention(PLAN, keep_daily=7, timezone='Europe/Berlin'),
    ),
    f'GET {_CHECKPOINTS}': (lambda p: list(p.checkpoints(FIRST)),),
    f'POST {_CHECKPOINTS}': (
        lambda p: p.create_checkpoint(PLAN),
        lambda p: p.create_checkpoint(PLAN, {'why': 'before the upgrade'}),
    ),
    f'POST {_CHECKPOINTS}/action': (lambda p: p.copy_checkpoints(PLAN, {VOLUME: {}}),),
    f'GET {_CHECKPOINT}': (
        lambda p: p.get_checkpoint(CHECKPOINT),
        lambda p: p.get_checkpoint(FIRST, SECOND),
    ),
    f'DELETE {_CHECKPOINT}': (lambda p: p.delete_checkpoint(CHECKPOINT),),
    f'PUT {_CHECKPOINT}': (lambda p: p.reset_checkpoint(CHECKPOINT, 'available'),),
    f'PUT {_CHECKPOINT}/pin': (lambda p: p.pin_checkpoint(CHECKPOINT),),
    f'DELETE {_CHECKPOINT}/pin': (lambda p: p.unpin_checkpoint(CHECKPOINT),),
    'GET /recovery_points': (lambda p: list(p.recovery_points()),),
    'GET /coverage': (lambda p: p.coverage(),),
    'GET /restores': (lambda p: list(p.restores()),),
    'POST /restores': (
        lambda p: p.create_restore(CHECKPOINT),
        lambda p: p.create_restore(
            CHECKPOINT,
            {VOLUME: {'restore_name': 'x'}},
            restore_target='http://cloud',
            restore_auth={'username': 'me'},
            resources=[{'type': VOLUME, 'id': FIRST, 'size': 2}],
            partial=True,
            name_suffix='-again',
            volume_type='fast',
            availability_zone='nova',
            size=3,
        ),
    ),
    'GET /restores/{restore_id}': (lambda p: p.get_restore(FIRST),),
    'POST /restore_groups': (
        lambda p: p.create_restore_group([{'type': VOLUME, 'id': FIRST}]),
        lambda p: p.create_restore_group(
            [{'type': VOLUME, 'id': FIRST, 'volume_type': 'fast'}],
            '2026-11-26',
            provider=SECOND,
            parameters={VOLUME: {'restore_name': 'x'}},
            name_suffix='-again',
            availability_zone='nova',
            size=3,
        ),
    ),
    'GET /restore_groups/{restore_group_id}': (lambda p: p.get_restore_group(FIRST),),
    'GET /verifications': (lambda p: list(p.verifications()),),
    'POST /verifications': (
        lambda p: p.create_verification(CHECKPOINT),
        lambda p: p.create_verification(CHECKPOINT, {VOLUME: {}}),
    ),
    'GET /verifications/{verification_id}': (lambda p: p.get_verification(FIRST),),
    'GET /triggers': (lambda p: list(p.triggers()),),
    'POST /triggers': (lambda p: p.create_trigger('nightly', PROPERTIES),),
    'GET /triggers/{trigger_id}': (
        lambda p: p.get_trigger(FIRST),
        lambda p: p.find_trigger(FIRST),
    ),
    'PUT /triggers/{trigger_id}': (
        lambda p: p.update_trigger(FIRST, name='x', properties={'end_time': None}),
    ),
    'DELETE /triggers/{trigger_id}': (lambda p: p.delete_trigger(FIRST),),
    'GET /scheduled_operations': (lambda p: list(p.scheduled_operations()),),
    'POST /scheduled_operations': (
        lambda p: p.create_scheduled_operation('nightly', PLAN, SECOND),
        lambda p: p.create_scheduled_operation(
            'nightly',
            PLAN,
            SECOND,
            definition={'keep_daily': 7},
            operation_type='protect',
            description='x',
        ),
    ),
    f'GET {_OPERATION}': (
        lambda p: p.get_scheduled_operation(FIRST),
        lambda p: p.find_scheduled_operation(FIRST),
    ),
    f'PUT {_OPERATION}': (
        lambda p: p.update_scheduled_operation(
            FIRST, name='x', description=None, trigger_id=SECOND, enabled=False
        ),
        lambda p: p.update_scheduled_operation(FIRST, operation_definition={'keep_last': 2}),
    ),
    f'DELETE {_OPERATION}': (lambda p: p.delete_scheduled_operation(FIRST),),
    f'POST {_OPERATION}/action': (lambda p: p.run_scheduled_operation(FIRST),),
    f'POST {_OPERATION}/retention': (
        lambda p: p.preview_scheduled_operation_retention(
            FIRST, keep_within='14d', retention_scope='plan'
        ),
    ),
    'GET /schedules': (lambda p: list(p.schedules()),),
    'POST /schedules': (
        lambda p: p.create_schedule('nightly', PLAN, '30 2 * * *'),
        lambda p: p.create_schedule(
            'weekly',
            FIRST,
            'BEGIN:VEVENT',
            format='calendar',
            timezone='Europe/Berlin',
            enabled=False,
            jitter=None,
            retention={'keep_weekly': 4, 'retention_scope': 'plan'},
        ),
    ),
    'POST /schedules/preview': (
        lambda p: p.preview_schedule('30 2 * * *'),
        lambda p: p.preview_schedule('x', PLAN, format='calendar', retention={'keep_last': 2}),
    ),
    'GET /schedules/{schedule_id}': (
        lambda p: p.get_schedule(FIRST),
        lambda p: p.find_schedule(FIRST),
    ),
    'PUT /schedules/{schedule_id}': (
        lambda p: p.update_schedule(FIRST, name='x', pattern='0 3 * * *', retention=None),
        lambda p: p.update_schedule(FIRST, enabled=False, plan_id=SECOND, overlap='queue'),
    ),
    'DELETE /schedules/{schedule_id}': (lambda p: p.delete_schedule(FIRST),),
    'GET /troubles': (lambda p: list(p.troubles()), lambda p: list(p.troubles(state='all'))),
    'GET /troubles/{trouble_id}': (lambda p: p.get_trouble(FIRST),),
    'GET /health': (lambda p: p.project_health(),),
    'GET /operation_logs': (lambda p: list(p.operation_logs()),),
    'GET /operation_logs/{operation_log_id}': (lambda p: p.get_operation_log(FIRST),),
    'GET /os-services': (
        lambda p: list(p.services()),
        lambda p: list(p.services(host='h', binary='karbor-protection')),
    ),
    'PUT /os-services/{service_id}': (
        lambda p: p.enable_service(7),
        lambda p: p.disable_service(7, 'it is to be upgraded'),
    ),
    'GET /quotas/{quota_project_id}': (
        lambda p: p.get_quota(),
        lambda p: p.get_quota(PROJECT_ID),
    ),
    'PUT /quotas/{quota_project_id}': (
        lambda p: p.update_quota(PROJECT_ID, plans=7, checkpoints=-1, schedules=3),
        lambda p: p.update_quota(PROJECT_ID, triggers=7, verifications=-1, jobs=3),
    ),
    'DELETE /quotas/{quota_project_id}': (lambda p: p.delete_quota(PROJECT_ID),),
    'GET /quotas/{quota_project_id}/detail': (lambda p: p.get_quota_detail(),),
    'GET /quotas/{quota_project_id}/defaults': (lambda p: p.get_quota_defaults(),),
    'GET /quota_classes/{class_name}': (lambda p: p.get_quota_class(),),
    'PUT /quota_classes/{class_name}': (lambda p: p.update_quota_class(plans=7),),
}

#: what openstacksdk asks by itself, or nobody who uses it
_OF_NOBODY = {'GET /', 'GET /v1', 'GET /v1/openapi.json', 'GET /healthcheck'}
_HEALTH = 'GET /healthcheck/ready'
_FIRST = '/v1/{project_id}'


def _operations() -> dict[str, tuple[str, dict[str, Any]]]:
    return {
        f'{method.upper()} {path.removeprefix(_FIRST)}': (path, operation)
        for path, item in answers.DOCUMENT['paths'].items()
        for method, operation in item.items()
        if method != 'parameters'
    }


class CallsTest(base.ClientTestCase):
    def test_every_operation_has_a_call(self) -> None:
        self.assertEqual({*CALLS, _HEALTH, *_OF_NOBODY}, set(_operations()))

    def test_every_call_is_of_an_operation(self) -> None:
        """So that no public call is without a test here."""
        named = {
            name for calls in CALLS.values() for call in calls for name in call.__code__.co_names
        }
        own = {
            name
            for part in Proxy.__mro__
            if part.__module__.startswith('karbor.client')
            for name in vars(part)
            if not name.startswith('_')
        }
        others = {'api_version', 'skip_discovery', 'own_project_id', 'health'}
        self.assertEqual(set(), {name for name in own - named - others if 'wait_for' not in name})

    def test_what_is_sent_and_what_is_given(self) -> None:
        for asked, (template, operation) in _operations().items():
            for call in CALLS.get(asked, ()):
                body = self.body_of(operation)
                self.answer(body)
                result = call(self.protection)
                self.assert_sent(asked, template, operation)
                self.assert_given(asked, body, result)

    def body_of(self, operation: dict[str, Any]) -> Any:
        content = operation['responses']['200'].get('content')
        if content is None:
            return None
        schema = content['application/json']['schema']
        return {} if schema == {'type': 'object'} else answers.example(schema)

    def assert_sent(self, asked: str, template: str, operation: dict[str, Any]) -> None:
        """One request, which is like the document says."""
        (request,) = self.transport.requests
        url = parse.urlsplit(str(request.url))
        method, _, _ = asked.partition(' ')
        self.assertEqual(method, request.method, asked)
        self.assertEqual('token', request.headers['X-Auth-Token'])
        for place, part in zip(template.split('/'), url.path.split('/'), strict=True):
            if not place.startswith('{'):
                self.assertEqual(place, part, asked)
        known = {parameter['name'] for parameter in operation.get('parameters', ())}
        self.assertLessEqual(set(parse.parse_qs(url.query)), known, asked)
        if 'requestBody' not in operation:
            self.assertIsNone(request.body, asked)
            return
        schema = operation['requestBody']['content']['application/json']['schema']
        jsonschema.Draft202012Validator(
            {**schema, 'components': answers.DOCUMENT['components']}, format_checker=media.FORMATS
        ).validate(json.loads(request.body or b'null'))

    def assert_given(self, asked: str, body: Any, result: Any) -> None:
        """All that the API shows is there."""
        if not body:
            self.assertIsNone(result, asked)
            return
        if asked == 'GET /coverage':
            self.assertEqual(body['totals'], result.totals)
            self.assertEqual(body['look'], dataclasses.asdict(result.look))
            result = list(result.volumes)
        shown = next(iter(body.values()))
        if asked == 'GET /health':
            self.assertEqual(shown['look'], dataclasses.asdict(result.look))
            self.assertEqual(
                (shown['status'], shown['reasons'], shown['coverage']),
                (result.status, result.reasons, result.coverage),
            )
            shown, result = shown['troubles'], result.troubles
        if asked == 'GET /protectables':
            self.assertEqual(shown, result)
            return
        items = shown if isinstance(shown, list) else [shown]
        results = result if isinstance(result, list) else [result]
        for item, found in zip(items, results, strict=True):
            self.assertIsInstance(found, resource.Resource, asked)
            self.assertEqual(item, {name: getattr(found, name) for name in item}, asked)
            self.assertLessEqual(item.items(), {**found.to_dict(), **item}.items())


class HealthTest(base.ClientTestCase):
    def test_it_is_asked_for_beside_the_project(self) -> None:
        self.answer({'status': 'ok', 'checks': {'database': 'ok'}})
        health = self.protection.health()
        self.assertEqual(('ok', {'database': 'ok'}), (health.status, health.checks))
        (request,) = self.transport.requests
        self.assertEqual(f'{base.ROOT}/healthcheck/ready', request.url)
