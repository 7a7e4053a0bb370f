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

import collections
import datetime
import json
from typing import Any

import sqlalchemy as sa
from falcon import inspect
from oslo_policy import policy as oslo_policy

from karbor import context as karbor_context
from karbor import db, policies, policy
from karbor.api import app, openapi
from karbor.db import models
from karbor.tests import personas
from karbor.tests.base import OTHER_PROJECT_ID, PROJECT_ID, PROVIDER_ID, new_id
from karbor.tests.functional import base

#: who may, by the least of them
WHO = {
    'reader': {'reader', 'member', 'manager', 'admin'},
    'member': {'member', 'manager', 'admin'},
    'manager': {'manager', 'admin'},
    'admin': {'admin'},
    'service': {'service', 'admin'},
}

_CHECKPOINTS = '/providers/{provider_id}/checkpoints'
_INSTANCES = '/protectables/{resource_type}/instances'

#: what can be asked -> the least of those who may
TABLE = {
    'GET /providers': 'reader',
    'GET /providers/{provider_id}': 'reader',
    'GET /protectables': 'reader',
    'GET /protectables/{resource_type}': 'reader',
    f'GET {_INSTANCES}': 'reader',
    f'GET {_INSTANCES}/{{resource_id}}': 'reader',
    'GET /plans': 'reader',
    'POST /plans': 'member',
    'GET /plans/{plan_id}': 'reader',
    'PUT /plans/{plan_id}': 'member',
    'DELETE /plans/{plan_id}': 'member',
    'GET /plans/{plan_id}/resources': 'reader',
    'POST /plans/{plan_id}/retention': 'reader',
    f'GET {_CHECKPOINTS}': 'reader',
    f'POST {_CHECKPOINTS}': 'member',
    f'POST {_CHECKPOINTS}/action': 'member',
    f'GET {_CHECKPOINTS}/{{checkpoint_id}}': 'reader',
    f'PUT {_CHECKPOINTS}/{{checkpoint_id}}': 'member',
    f'DELETE {_CHECKPOINTS}/{{checkpoint_id}}': 'member',
    f'PUT {_CHECKPOINTS}/{{checkpoint_id}}/pin': 'member',
    f'DELETE {_CHECKPOINTS}/{{checkpoint_id}}/pin': 'member',
    'GET /recovery_points': 'reader',
    'GET /coverage': 'reader',
    'GET /restores': 'reader',
    'POST /restores': 'member',
    'GET /restores/{restore_id}': 'reader',
    'POST /restore_groups': 'member',
    'GET /restore_groups/{restore_group_id}': 'reader',
    'GET /verifications': 'reader',
    'POST /verifications': 'member',
    'GET /verifications/{verification_id}': 'reader',
    'GET /triggers': 'reader',
    'POST /triggers': 'member',
    'GET /triggers/{trigger_id}': 'reader',
    'PUT /triggers/{trigger_id}': 'member',
    'DELETE /triggers/{trigger_id}': 'member',
    'GET /scheduled_operations': 'reader',
    'POST /scheduled_operations': 'member',
    'GET /scheduled_operations/{scheduled_operation_id}': 'reader',
    'PUT /scheduled_operations/{scheduled_operation_id}': 'member',
    'POST /scheduled_operations/{scheduled_operation_id}/action': 'member',
    'POST /scheduled_operations/{scheduled_operation_id}/retention': 'reader',
    'DELETE /scheduled_operations/{scheduled_operation_id}': 'member',
    'GET /schedules': 'reader',
    'POST /schedules': 'member',
    'POST /schedules/preview': 'reader',
    'GET /schedules/{schedule_id}': 'reader',
    'PUT /schedules/{schedule_id}': 'member',
    'DELETE /schedules/{schedule_id}': 'member',
    'GET /troubles': 'reader',
    'GET /troubles/{trouble_id}': 'reader',
    'GET /health': 'reader',
    'GET /operation_logs': 'reader',
    'GET /operation_logs/{operation_log_id}': 'reader',
    'GET /os-services': 'service',
    'PUT /os-services/{service_id}': 'admin',
    'GET /quotas/{quota_project_id}': 'reader',
    'PUT /quotas/{quota_project_id}': 'admin',
    'DELETE /quotas/{quota_project_id}': 'admin',
    'GET /quotas/{quota_project_id}/detail': 'reader',
    'GET /quotas/{quota_project_id}/defaults': 'reader',
    'GET /quota_classes/{class_name}': 'admin',
    'PUT /quota_classes/{class_name}': 'admin',
}

#: the rules that say more of an operation than whether it may be asked for -> which those are
MORE = {
    'all_tenants:get': {
        f'GET {path}'
        for path in (
            '/plans',
            _CHECKPOINTS,
            '/recovery_points',
            '/restores',
            '/verifications',
            '/triggers',
            '/scheduled_operations',
            '/schedules',
            '/operation_logs',
            '/troubles',
        )
    },
    'quota:get_all_tenants': {
        f'GET /quotas/{{quota_project_id}}{part}' for part in ('', '/detail', '/defaults')
    },
}

#: what is sent with a body and changes nothing -> how it is answered
LOOKS = {
    f'POST {_CHECKPOINTS}/action': 400,  # nobody can copy
    'POST /plans/{plan_id}/retention': 200,
    'POST /scheduled_operations/{scheduled_operation_id}/retention': 200,
    'POST /schedules/preview': 200,
}

_FIRST = '/v1/{project_id}'


def operations() -> dict[str, str]:
    """Everything that can be asked below a project, and the rule for it."""
    return {
        f'{method.upper()} {path.removeprefix(_FIRST)}': told.rule
        for path, method, told in openapi.operations(app.ROUTES)
    }


class RulesTest(base.ApiTestCase):
    def test_the_table_has_every_operation(self):
        self.assertEqual(set(TABLE), set(operations()))

    def test_every_route_is_such_an_operation(self):
        found = set()
        for route in inspect.inspect_app(self.client.app).routes:
            found |= {
                f'{method.method} {route.path.removeprefix(_FIRST)}'
                for method in route.methods
                if route.path.startswith(_FIRST) and not method.internal
            }
        self.assertEqual(set(TABLE), found)

    def test_every_rule_is_documented_as_it_is_used(self):
        used = collections.defaultdict(set)
        for asked, name in operations().items():
            used[name].add(asked)
        documented = {
            rule.name: {
                f'{item["method"]} {item["path"].removeprefix(_FIRST)}' for item in rule.operations
            }
            for rule in policies.list_rules()
            if isinstance(rule, oslo_policy.DocumentedRuleDefault)
        }
        self.assertEqual({**used, **MORE}, documented)

    def test_every_rule_is_of_a_project(self):
        rules = policies.list_rules()
        self.assertEqual(len(rules), len({rule.name for rule in rules}))
        for rule in rules:
            self.assertTrue(rule.description)
            if isinstance(rule, oslo_policy.DocumentedRuleDefault):
                self.assertEqual(['project'], rule.scope_types, rule.name)

    def test_a_token_of_the_whole_cloud_may_nothing(self):
        everywhere = karbor_context.RequestContext(
            'u', None, roles=['admin'], system_scope='all', overwrite=False
        )
        for name in {*operations().values(), *MORE}:
            self.assertFalse(policy.may(everywhere, name), name)

    def test_what_another_project_has_is_not_the_callers(self):
        """Where a rule is asked about an object of another project."""
        for persona, roles in personas.ROLES.items():
            caller = karbor_context.RequestContext('u', PROJECT_ID, roles=roles, overwrite=False)
            theirs = {'project_id': OTHER_PROJECT_ID, 'user_id': 'u'}
            for name in set(operations().values()):
                self.assertEqual(
                    persona == 'admin' or (persona, name) == ('service', 'service:get_all'),
                    policy.may(caller, name, theirs),
                    f'{persona} {name}',
                )


class ObjectsTestCase(base.CloudTestCase):
    """Everything can be asked, of objects that are there, with bodies that fit."""

    def setUp(self):
        super().setUp()
        self.board.end()  # jobs are posted and wait
        self.build(self.registry)
        self.resource = self.volume()

    def everything(self) -> list[Any]:
        """All that the database, the bank and the cloud have.

        But not what was seen of the cloud, which is written again when somebody asks.
        """
        with db.reader() as session:
            found: list[Any] = [
                session.execute(sa.text(f'SELECT * FROM {table}')).all()
                for table in models.Base.metadata.tables.keys() - {'volumes', 'project_looks'}
            ]
        return [
            found,
            self.registry.get(PROVIDER_ID).bank.list_objects('/'),
            str(self.cinder.volumes),
            str(self.cinder.snapshots),
        ]

    def fields(self) -> dict[str, str]:
        """New objects, by the fields of the paths."""
        plan = self.add_row(models.Plan, resources=[self.resource])
        unused = self.add_row(models.Plan)
        trigger, free = self.add_row(models.Trigger), self.add_row(models.Trigger)
        operation = self.add_row(models.ScheduledOperation, plan_id=plan.id, trigger_id=trigger.id)
        self.number = getattr(self, 'number', 0) + 1
        service = self.add_row(
            models.Service,
            host=f'h{self.number}',
            binary='karbor-protection',
            reported_at=datetime.datetime(2020, 11, 5),
        )
        return {
            'provider_id': PROVIDER_ID,
            'resource_type': base.VOLUME,
            'resource_id': self.resource['id'],
            'plan_id': unused.id,
            'trigger_id': free.id,
            'scheduled_operation_id': operation.id,
            'schedule_id': operation.id,
            'service_id': str(service.id),
            'quota_project_id': PROJECT_ID,
            'class_name': 'gold',
            'used_plan': plan.id,
            'good_resource': self._good_resource(),
            'pinned_id': self.add_row(models.Checkpoint, pinned=True).id,
            'restore_group_id': self.add_row(models.Restore, group_id=new_id()).group_id,
            'trouble_id': self.add_row(
                models.Trouble,
                kind='run_failed',
                subject_id=operation.id,
                subject_name='keep',
                reason='it broke',
                count=1,
                closed_at=datetime.datetime(2020, 11, 5),  # else the project would not be well
            ).id,
            **{
                f'{name}_id': self.add_row(model).id
                for name, model in (
                    ('checkpoint', models.Checkpoint),
                    ('restore', models.Restore),
                    ('verification', models.Verification),
                    ('operation_log', models.OperationLog),
                )
            },
        }

    def _good_resource(self) -> str:
        """The id of a resource that has a good recovery point."""
        checkpoint = self.add_row(models.Checkpoint)
        resource_id = checkpoint.protection_plan['resources'][0]['id']
        self.add_row(
            models.RecoveryPoint,
            checkpoint_id=checkpoint.id,
            resource_type=base.VOLUME,
            resource_id=resource_id,
            resource_name='data',
            state='good',
        )
        return resource_id

    def body(self, asked: str, fields: dict[str, str]) -> Any:
        use = {
            'provider_id': PROVIDER_ID,
            'checkpoint_id': fields['checkpoint_id'],
            'parameters': {},
        }
        operation = {
            'name': 's',
            'trigger_id': fields['trigger_id'],
            'operation_definition': {'provider_id': PROVIDER_ID, 'plan_id': fields['used_plan']},
        }
        return {
            'POST /plans': self.plan_body(self.resource),
            'PUT /plans/{plan_id}': {'plan': {'name': 'new'}},
            'POST /plans/{plan_id}/retention': {
                'retention': {'keep_daily': 7, 'timezone': 'Europe/Berlin'}
            },
            f'POST {_CHECKPOINTS}': {'checkpoint': {'plan_id': fields['used_plan']}},
            f'POST {_CHECKPOINTS}/action': {'copy': {'plan_id': fields['used_plan']}},
            f'PUT {_CHECKPOINTS}/{{checkpoint_id}}': {'os-resetState': {'state': 'error'}},
            'POST /restores': {'restore': use},
            'POST /restore_groups': {
                'restore_group': {
                    'resources': [{'type': base.VOLUME, 'id': fields['good_resource']}]
                }
            },
            'POST /verifications': {'verification': use},
            'POST /triggers': {
                'trigger_info': {'name': 't', 'type': 'time', 'properties': base.TRIGGER_PROPERTIES}
            },
            'PUT /triggers/{trigger_id}': {'trigger_info': {'name': 'new'}},
            'POST /scheduled_operations': {
                'scheduled_operation': {'operation_type': 'protect', **operation}
            },
            'PUT /scheduled_operations/{scheduled_operation_id}': {
                'scheduled_operation': {'enabled': False, **operation}
            },
            'POST /scheduled_operations/{scheduled_operation_id}/action': {'run': {}},
            'POST /scheduled_operations/{scheduled_operation_id}/retention': {'retention': {}},
            'POST /schedules': {
                'schedule': {
                    'name': 's',
                    'plan_id': fields['used_plan'],
                    'format': 'crontab',
                    'pattern': '30 2 * * *',
                    'retention': {'keep_daily': 7},
                }
            },
            'PUT /schedules/{schedule_id}': {'schedule': {'pattern': '30 3 * * *'}},
            'POST /schedules/preview': {
                'schedule': {
                    'plan_id': fields['used_plan'],
                    'format': 'crontab',
                    'pattern': '30 2 * * *',
                    'retention': {'keep_daily': 7},
                }
            },
            'PUT /os-services/{service_id}': {'status': 'disabled'},
            'PUT /quotas/{quota_project_id}': {'quota': {'plans': 1000}},
            'PUT /quota_classes/{class_name}': {'quota_class': {'plans': 1000}},
        }.get(asked)

    def ask(self, asked: str, code: int, fields: dict[str, str], **kwargs: Any) -> Any:
        method, _, path = asked.partition(' ')
        if method == 'DELETE' and path.endswith('/pin'):  # of what is pinned, else nothing changes
            fields = {**fields, 'checkpoint_id': fields['pinned_id']}
        body = self.body(asked, fields)
        more = {} if body is None else {'json': body}
        return self.request(method, path.format(**fields), code, **more, **kwargs)


class PersonasTest(ObjectsTestCase):
    """Everything is asked by everybody."""

    def test_everybody_may_what_the_table_says(self):
        self.config.config(quota_plans=-1)
        rules = operations()
        fields = self.fields()
        before = self.everything()
        for asked, least in TABLE.items():
            code = LOOKS.get(asked, 200)
            changes = asked not in LOOKS and not asked.startswith('GET')
            for persona in personas.ROLES:
                if persona not in WHO[least]:
                    message = self.ask(asked, 403, fields, persona=persona)
                    self.assertIn(rules[asked], message)
                    self.assertEqual(before, self.everything(), f'{asked} {persona}')
                    continue
                self.ask(asked, code, fields, persona=persona)
                after = self.everything()
                self.assertEqual(changes, before != after, f'{asked} {persona}')
                if changes:
                    fields = self.fields()
                    after = self.everything()
                before = after

    def test_nobody_else_and_nowhere_else(self):
        fields = self.fields()
        before = self.everything()
        for asked in TABLE:
            for token in ('', 'stranger@' + PROJECT_ID, 'admin'):
                self.ask(
                    asked,
                    401 if '@' in token or not token else 400,
                    fields,
                    headers={'X-Auth-Token': token},
                )
            self.ask(asked, 401, fields, headers={})
            for persona in ('reader', 'admin', 'service'):
                message = self.ask(asked, 400, fields, persona=persona, project_id=OTHER_PROJECT_ID)
                self.assertIn(OTHER_PROJECT_ID, message)
        self.assertEqual(before, self.everything())

    def test_the_right_to_ask_is_looked_at_before_what_is_asked(self):
        """Who may not ask is not told what is wrong with the body, nor what there is."""
        fields = dict.fromkeys(self.fields(), '5b0f3a52-6c7e-4b0e-9d0c-0f6c7a1b2c3d')
        for bad in (fields, dict.fromkeys(fields, 'x')):
            for asked, least in TABLE.items():
                for persona in set(personas.ROLES) - WHO[least]:
                    method, _, path = asked.partition(' ')
                    self.request(
                        method, path.format(**bad), 403, persona=persona, body=b'{"nonsense": 1}'
                    )


class OverrideTest(base.ApiTestCase):
    """What an operator writes to policy.yaml takes the place of a rule."""

    def write(self, **rules: str) -> None:
        policy.enforcer.cache_clear()
        self.addCleanup(policy.enforcer.cache_clear)
        policy.enforcer()  # its options are there now
        path = self.temp_dir / 'policy.yaml'
        path.write_text(json.dumps({name.replace('__', ':'): rule for name, rule in rules.items()}))
        self.config.config(policy_file=str(path), group='oslo_policy')
        policy.enforcer.cache_clear()

    @base.in_process_only('the rules change between two requests')
    def test_a_rule_that_lets_more_in(self):
        self.post('/plans', self.plan_body(), 403, persona='reader')
        self.write(plan__create='role:reader')
        self.post('/plans', self.plan_body(), persona='reader')
        self.post('/plans', self.plan_body(), 403, persona='service')
        (plan,) = self.rows(models.Plan)
        self.delete(f'/plans/{plan.id}', 403, persona='reader')

    def test_a_rule_that_lets_nobody_in(self):
        self.write(plan__get_all='!')
        for persona in personas.ROLES:
            self.get('/plans', 403, persona=persona)
        self.get('/triggers', persona='reader')

    def test_a_persona_that_means_something_else(self):
        self.write(
            project_manager='role:service', provider__checkpoint_update='rule:project_manager'
        )
        self.post('/plans', self.plan_body(), persona='service')
        row = self.add_row(models.Checkpoint)
        for persona, code in (('admin', 403), ('manager', 403), ('service', 200)):
            self.put(
                self.checkpoints_path(row.id),
                {'os-resetState': {'state': 'error'}},
                code,
                persona=persona,
            )

    def test_who_sees_other_projects(self):
        theirs = self.add_row(models.Plan, project_id=OTHER_PROJECT_ID)
        self.write(all_tenants__get='role:manager', quota__get_all_tenants='role:member')
        for query in ('?all_tenants=1', f'?project_id={OTHER_PROJECT_ID}'):
            self.assertEqual(
                [theirs.id], [item['id'] for item in self.get(f'/plans{query}')['plans']]
            )
        self.assertEqual([], self.get('/plans?all_tenants=1', persona='member')['plans'])
        self.get(f'/plans?project_id={OTHER_PROJECT_ID}', 404, persona='member')
        self.get(f'/plans/{theirs.id}', 404)
        self.get(f'/quotas/{OTHER_PROJECT_ID}', persona='member')
        self.get(f'/quotas/{OTHER_PROJECT_ID}', 404, persona='reader')

    def test_a_rule_may_ask_who_exactly(self):
        self.write(plan__delete='user_id:member-of-the-test')
        plan = self.create_plan()
        self.delete(f'/plans/{plan["id"]}', 403)
        self.delete(f'/plans/{plan["id"]}', persona='member')

    @base.in_process_only('the rules change between two requests')
    def test_what_is_forbidden_of_the_parts_is_so_of_the_whole(self):
        """A schedule is no way round the rules of triggers and scheduled operations."""
        plan = self.create_plan()
        body = {
            'schedule': {
                'name': 's',
                'plan_id': plan['id'],
                'format': 'crontab',
                'pattern': '0 3 * * *',
            }
        }
        for action, method, path, given in (
            ('create', 'POST', '/schedules', body),
            ('list', 'GET', '/schedules', None),
            ('get', 'GET', '/schedules/{}', None),
            ('update', 'PUT', '/schedules/{}', {'schedule': {'name': 'x'}}),
            ('delete', 'DELETE', '/schedules/{}', None),
        ):
            more = {} if given is None else {'json': given}
            for part in ('trigger', 'scheduled_operation'):
                self.write()
                made = self.post('/schedules', body)['schedule']
                self.write(**{f'{part}__{action}': 'role:admin'})
                self.request(method, path.format(made['id']), 403, persona='member', **more)
                self.request(method, path.format(made['id']), persona='admin', **more)

    def test_a_change_is_seen_without_a_restart(self):
        self.write(plan__get_all='!')
        self.get('/plans', 403)
        (self.temp_dir / 'policy.yaml').write_text('"plan:get_all": "@"\n"a": "b:c"\n')
        self.get('/plans', persona='nobody')
