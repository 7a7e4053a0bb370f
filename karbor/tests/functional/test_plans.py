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

import io
import json
from typing import Any

import fixtures
import jsonschema
from falcon import testing

from karbor.db import models
from karbor.services.jobs import hooks
from karbor.services.protection import provider
from karbor.services.protection.protection_plugins.volume import (
    cinder_snapshot_plugin_schemas as schemas,
)
from karbor.tests.base import OTHER_PROJECT_ID, PROJECT_ID, PROVIDER_ID, new_id
from karbor.tests.functional import base
from karbor.tests.functional.base import OPTIONS, VOLUME, resource

VOLUME_ID = '9e2c5d18-4c30-4f8f-b6a0-5a55d2b1c7aa'
COMPLETED = {'snapshot_name': 'nightly', 'description': '', 'force': False}


def _options(**changes: Any) -> dict[str, Any]:
    """Parameters of a plan that fit, with changes to the volume's."""
    return {VOLUME: {**OPTIONS, **changes}}


#: parameters that do not fit -> what the message must name
BAD_PARAMETERS = [
    (_options(snapshot_nam='x'), (VOLUME, 'snapshot_nam', 'snapshot_name')),
    (_options(force='perhaps'), (VOLUME, 'force', "'perhaps'", 'boolean')),
    (_options(force=2), (VOLUME, 'force', '2')),
    ({VOLUME: None}, (VOLUME, 'None')),
    ({VOLUME: {'snapshot_nam': None}}, (VOLUME, 'snapshot_nam', 'snapshot_name')),
    ({VOLUME: {'force': 'perhaps'}}, (VOLUME, 'force', "'perhaps'", 'boolean')),
    ({VOLUME: {**OPTIONS, 'snapshot_name': ['x']}}, (VOLUME, 'snapshot_name', 'x')),
    ({VOLUME: {**OPTIONS, 'snapshot_name': {'x': 1}}}, (VOLUME, 'snapshot_name', 'x')),
    (_options(snapshot_name='x' * 256), (VOLUME, 'snapshot_name has 256 characters', '255')),
    (_options(description='ä' * 256), (VOLUME, 'description has 256 characters', '255')),
    (
        {**_options(), f'{VOLUME}#{VOLUME_ID}': {'snapshot_name': 'x' * 300}},
        (f'{VOLUME}#{VOLUME_ID}', 'snapshot_name has 300'),
    ),
    ({**_options(), f'{VOLUME}#{VOLUME_ID}#x': {}}, ('#x',)),
    ({**_options(), f'{VOLUME}#no-uuid': {}}, (VOLUME, 'no-uuid')),
    ({**_options(), f'{VOLUME}#': {}}, (VOLUME,)),
    ({**_options(), f'{VOLUME}#{VOLUME_ID}': {'force': 'x'}}, (VOLUME_ID, 'force', "'x'")),
    ({**_options(), f'{VOLUME}#{VOLUME_ID}': {'colour': 'red'}}, (VOLUME_ID, 'colour')),
    ({**_options(), 'OS::No::Such': {}}, ('OS::No::Such',)),
    ({**_options(), '#': {}}, ('type',)),
    ({**_options(), 'a/b': {}}, ('a/b',)),
    ({**_options(), '': {}}, ("''",)),
    ({**_options(), 'x\n': {}}, ('x\\n',)),
    ([], ('parameters',)),
    (None, ('parameters',)),
    ('x', ('parameters',)),
]

#: parameters with something missing, of a plan called nightly -> what they are completed to
LACKING: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {VOLUME: COMPLETED}),
    ({VOLUME: {}}, {VOLUME: COMPLETED}),
    ({VOLUME: dict.fromkeys(OPTIONS)}, {VOLUME: COMPLETED}),
    (
        {VOLUME: {'snapshot_name': 'x', 'force': 'True'}},
        {VOLUME: {'snapshot_name': 'x', 'description': '', 'force': True}},
    ),
    ({VOLUME: {'description': 'x'}}, {VOLUME: {**COMPLETED, 'description': 'x'}}),
    (_options(force=None), {VOLUME: OPTIONS}),
    ({f'{VOLUME}#{VOLUME_ID}': OPTIONS}, {f'{VOLUME}#{VOLUME_ID}': OPTIONS}),
    (
        {f'{VOLUME}#{VOLUME_ID}': {'force': True}},
        {
            VOLUME: {'snapshot_name': 'nightly', 'description': ''},
            f'{VOLUME}#{VOLUME_ID}': {'force': True},
        },
    ),
]

BAD_FIELDS = [
    ({'name': ''}, 'name'),
    ({'name': ' '}, 'name'),
    ({'name': '   ' * 9}, 'name'),
    ({'name': None}, 'name'),
    ({'name': 'n' * 256}, 'name'),
    ({'name': 'a\nb'}, 'name'),
    ({'name': 'a\n'}, 'name'),
    ({'name': '\na'}, 'name'),
    ({'name': '\x7f'}, 'name'),
    ({'name': '\x1b[31m'}, 'name'),
    ({'name': 1}, 'name'),
    ({'name': ['x']}, 'name'),
    ({'description': 'd' * 256}, 'description'),
    ({'description': 'a\x01'}, 'description'),
    ({'description': 'a\n'}, 'description'),
    ({'description': 1}, 'description'),
    ({'provider_id': 'x'}, 'provider_id'),
    ({'provider_id': None}, 'provider_id'),
    ({'provider_id': new_id()}, 'Provider'),
    ({'resources': []}, 'resources'),
    ({'resources': {}}, 'resources'),
    ({'resources': None}, 'resources'),
    ({'resources': ['x']}, 'resources'),
    ({'resources': [{'id': VOLUME_ID, 'type': VOLUME}]}, 'name'),
    ({'resources': [{'id': VOLUME_ID, 'name': 'x'}]}, 'type'),
    ({'resources': [{'type': VOLUME, 'name': 'x'}]}, 'id'),
    ({'resources': [resource(name=None)]}, 'name'),
    ({'resources': [resource(resource_type='')]}, 'type'),
    ({'resources': [resource(resource_type='OS::Nova::Server')]}, 'OS::Nova::Server'),
    ({'resources': [resource(resource_type='no type')]}, 'no type'),
    ({'status': 'started'}, 'status'),
    ({'id': new_id()}, 'id'),
    ({'project_id': OTHER_PROJECT_ID}, 'project_id'),
    ({'colour': 'red'}, 'colour'),
]

BAD_RESOURCE_IDS = ['..', '.', '.x', 'a/b', '../x', 'a\\b', 'a b', 'a\n', 'ü', 'a' * 256, '%2e']

#: bodies that are no document at all
BAD_BODIES = [
    b'',
    b' ',
    b'{',
    b'nonsense',
    b'{"plan": NaN}',
    b'{"plan": -Infinity}',
    b'[]',
    b'null',
    b'1',
    b'"plan"',
    b'[{"plan": {}}]',
    b'\xff\xfe',
    b'\xef\xbb\xbf{}',
    b'{"plan": "\xff"}',
    b'{"plan":' * 100_000,
    b'[' * 100_000,
    b'[' * 100_000 + b']' * 100_000,
    b'{"a":' * 100_000 + b'1' + b'}' * 100_000,
    b'{"plan": ' + b'[' * 60 + b']' * 60 + b'}',
    b'{"plan": ' + b'9' * 5000 + b'}',
]


class CreatePlanTest(base.ApiTestCase):
    def refused(self, body: Any, *parts: str, code: int = 400) -> None:
        """The body is answered with 400, whose message names the parts."""
        message = self.post('/plans', body, code)
        for part in parts:
            self.assertIn(part, message)
        self.assertEqual([], self.rows(models.Plan))

    def test_the_longest_texts_that_cinder_takes(self):
        self.create_plan(parameters=_options(snapshot_name='ä' * 255, description='x' * 255))

    def test_a_text_that_is_too_long_though_no_volume_is_known_yet(self):
        project = resource(PROJECT_ID, 'OS::Keystone::Project')
        for key in (VOLUME, f'{VOLUME}#{new_id()}'):
            parameters = {**_options(), key: {**OPTIONS, 'snapshot_name': 'x' * 256}}
            self.refused(self.plan_body(project, parameters=parameters), key, '256 characters')

    def test_ids_that_no_volume_has(self):
        for resource_id, fault in (
            ('db', "'db' is not a UUID"),
            (VOLUME_ID.upper(), f'is to be written {VOLUME_ID}'),
            (VOLUME_ID.replace('-', ''), f'is to be written {VOLUME_ID}'),
        ):
            body = self.plan_body(resource(), resource(resource_id))
            self.refused(body, f'{VOLUME}#{resource_id}', fault)
        plan = self.create_plan()
        path = f'/plans/{plan["id"]}'
        changes = {'plan': {'resources': [resource('db')]}}
        self.assertIn(f'{VOLUME}#db', self.put(path, changes, 400))

    def test_what_is_sent_is_shown(self):
        body = self.plan_body(description='of databases')['plan']
        plan = self.post('/plans', {'plan': body})['plan']
        self.assertEqual(
            {**body, 'id': plan['id'], 'project_id': PROJECT_ID, 'status': 'suspended'}, plan
        )
        self.assertEqual({'plan': plan}, self.get(f'/plans/{plan["id"]}'))
        self.assertEqual({'plans': [plan]}, self.get('/plans'))
        self.assertEqual(PROJECT_ID, self.rows(models.Plan)[0].project_id)

    def test_as_deep_as_it_is_taken_it_is_stored(self):
        """MariaDB refuses to store what is nested deeper than 32."""
        codes = set()
        for depth in range(20, 60, 2):
            extra_info: Any = 1
            for _ in range(depth):
                extra_info = [extra_info]
            body = self.plan_body(base.resource(extra_info=extra_info))
            result = self.client.simulate_post(
                f'/v1/{PROJECT_ID}/plans',
                body=json.dumps(body),
                headers={'X-Auth-Token': base.TOKEN, 'Content-Type': 'application/json'},
            )
            codes.add(result.status_code)
        self.assertEqual({200, 400}, codes)

    def test_without_description(self):
        self.assertIsNone(self.create_plan()['description'])
        self.assertIsNone(self.create_plan(description=None)['description'])

    def test_text_becomes_what_the_schema_asks_for(self):
        for text, value in (
            ('True', True),
            ('true', True),
            ('1', True),
            (' yes ', True),
            ('False', False),
            ('0', False),
            ('off', False),
            (True, True),
        ):
            plan = self.create_plan(parameters=_options(force=text))
            self.assertIs(value, plan['parameters'][VOLUME]['force'], text)
        for value, text in ((5, '5'), (True, 'True'), (1.5, '1.5'), ('', ''), (' x ', ' x ')):
            plan = self.create_plan(parameters=_options(snapshot_name=value))
            self.assertEqual(text, plan['parameters'][VOLUME]['snapshot_name'])

    def test_parameters_that_do_not_fit(self):
        for parameters, parts in BAD_PARAMETERS:
            self.refused(self.plan_body(resource(VOLUME_ID), parameters=parameters), *parts)

    def test_what_one_volume_lacks_its_own_parameters_may_give(self):
        own = {f'{VOLUME}#{VOLUME_ID}': {'snapshot_name': 'db', 'force': 'true'}}
        parameters = {VOLUME: {'description': 'd', 'force': 'false'}, **own}
        plan = self.create_plan(resource(VOLUME_ID), parameters=parameters)
        self.assertEqual(
            {
                VOLUME: {'description': 'd', 'force': False},
                f'{VOLUME}#{VOLUME_ID}': {'snapshot_name': 'db', 'force': True},
            },
            plan['parameters'],
        )

    def test_what_is_missing_is_completed(self):
        for parameters, completed in LACKING:
            plan = self.create_plan(resource(VOLUME_ID), parameters=parameters)
            self.assertEqual(completed, plan['parameters'], parameters)
            self.assertEqual(plan, self.get(f'/plans/{plan["id"]}')['plan'])

    def test_another_volume_may_lack_what_one_has(self):
        own = {f'{VOLUME}#{VOLUME_ID}': dict(OPTIONS)}
        plan = self.create_plan(resource(VOLUME_ID), resource(), parameters=own)
        self.assertEqual({**own, VOLUME: COMPLETED}, plan['parameters'])

    def test_braces_in_the_name_of_a_plan_stand_for_nothing(self):
        for name in ('{time}', 'all {of} it'):
            plan = self.create_plan(name=name, parameters={})
            self.assertEqual('{plan_name}', plan['parameters'][VOLUME]['snapshot_name'])

    def test_a_known_type_that_the_plan_does_not_have(self):
        parameters = {**_options(), 'OS::Nova::Server': {'any': 'thing'}}
        self.assertEqual(parameters, self.create_plan(parameters=parameters)['parameters'])

    def test_parameters_of_the_volumes_to_come(self):
        project = resource(PROJECT_ID, base.PROJECT)
        self.refused(
            self.plan_body(project, parameters={**_options(), base.PROJECT: {'x': 'y'}}),
            base.PROJECT,
            'x',
        )
        self.create_plan(project)
        plan = self.create_plan(project, parameters={})
        self.assertEqual({VOLUME: COMPLETED}, plan['parameters'])

    def test_fields_that_are_not_allowed(self):
        for fields, part in BAD_FIELDS:
            self.refused(self.plan_body(**fields), part)

    def test_fields_that_are_missing(self):
        for name in ('name', 'provider_id', 'resources', 'parameters'):
            body = self.plan_body()
            del body['plan'][name]
            self.refused(body, name, 'required')

    def test_names_at_the_edge_of_what_is_allowed(self):
        for name in (
            'n' * 255,
            ' x',
            'x ',
            'ü',
            '\U0001f4be',
            "'; DROP TABLE plans; --",
            '0',
            '<script>',
            '%s',
            '\\',
        ):
            plan = self.create_plan(name=name, description=name)
            shown = self.get(f'/plans/{plan["id"]}')['plan']
            self.assertEqual((name, name), (shown['name'], shown['description']))

    def test_resource_ids_that_could_leave_their_place(self):
        for resource_id in BAD_RESOURCE_IDS:
            self.refused(self.plan_body(resource(resource_id)), 'resource')

    def test_extra_info_of_a_resource(self):
        for given in ({'availability_zone': 'nova'}, ['x', {'y': None}], 'text', 5):
            plan = self.create_plan(resource(VOLUME_ID, extra_info=given))
            self.assertEqual(given, plan['resources'][0]['extra_info'])
        for given in (None, {}, ''):
            plan = self.create_plan(resource(VOLUME_ID, extra_info=given))
            self.assertEqual([{'id': VOLUME_ID, 'type': VOLUME, 'name': 'data'}], plan['resources'])

    def test_so_much_extra_info_that_a_checkpoint_could_not_be_written(self):
        most = resource(VOLUME_ID, extra_info='x' * (256 * 1024 - 2))  # and two quotation marks
        self.refused(self.plan_body(most, resource(new_id(), extra_info='x')), 'extra_info')
        self.create_plan(most)

    def test_other_keys_of_a_resource_are_dropped(self):
        plan = self.create_plan(resource(VOLUME_ID, colour='red'))
        self.assertEqual([{'id': VOLUME_ID, 'type': VOLUME, 'name': 'data'}], plan['resources'])

    def test_a_provider_without_the_plugin(self):
        folder = self.provider_dir(plugins=('karbor-project-protection-plugin',))
        self.build(provider.ProviderRegistry(folder))
        self.refused(self.plan_body(), VOLUME)

    def test_keys_around_the_plan(self):
        body = self.plan_body()
        self.refused({**body, 'type': 'x'}, 'type')
        self.refused({'Plan': body['plan']}, 'plan')
        self.refused({}, 'plan')
        self.refused(body['plan'])
        for inner in ([], None, 'x', [body['plan']]):
            self.refused({'plan': inner})

    def test_bodies_that_are_no_document(self):
        for body in BAD_BODIES:
            for content_type in ('application/json', 'application/json; charset=UTF-8'):
                self.request(
                    'POST',
                    '/plans',
                    400,
                    body=body,
                    headers={'X-Auth-Token': base.TOKEN, 'Content-Type': content_type},
                )

    def test_numbers_that_are_not_finite(self):
        text = json.dumps(self.plan_body(resource(extra_info='HERE')))
        for number in ('1e999', '-1e999', 'NaN', 'Infinity'):
            self.request('POST', '/plans', 400, body=text.replace('"HERE"', number))

    def test_characters_that_no_database_can_hold(self):
        for bad in ('a\x00b', '\ud800', 'x\udfffy'):
            self.refused(self.plan_body(name=bad))
            self.refused(self.plan_body(description=bad))
            self.refused(self.plan_body(resource(name=bad)))
            self.refused(self.plan_body(resource(extra_info={'a': [bad]})))
            self.refused(self.plan_body(resource(extra_info={bad: 1})))
            self.refused(self.plan_body(parameters=_options(snapshot_name=bad)))

    def test_content_types(self):
        for content_type in (
            'text/plain',
            'application/xml',
            'nonsense',
            'application/x-www-form-urlencoded',
            'multipart/form-data',
            'multipart/form-data; boundary=b',
        ):
            self.request(
                'POST',
                '/plans',
                415,
                body=json.dumps(self.plan_body()),
                headers={'X-Auth-Token': base.TOKEN, 'Content-Type': content_type},
            )

    def test_a_body_that_is_too_large(self):
        self.config.config(osapi_max_request_body_size=1024)
        body = json.dumps(self.plan_body()).encode()
        self.request('POST', '/plans', 413, body=body + b' ' * (1025 - len(body)))
        self.assertEqual([], self.rows(models.Plan))
        self.request('POST', '/plans', 200, body=body + b' ' * (1024 - len(body)))

    @base.in_process_only('the body is made to stall inside the process')
    def test_a_body_that_stalls(self):
        class Stalled(io.RawIOBase):
            def read(self, size=-1):
                raise TimeoutError('timed out')

        environ = testing.create_environ(
            f'/v1/{PROJECT_ID}/plans',
            method='POST',
            headers={'X-Auth-Token': base.TOKEN, 'Content-Type': 'application/json'},
        )
        environ |= {'CONTENT_LENGTH': '100', 'wsgi.input': Stalled()}
        answer = testing.StartResponseMock()
        body = b''.join(self.client.app(environ, answer))
        self.assertEqual('400 Bad Request', answer.status)
        self.assertIn('did not arrive', json.loads(body)['badRequest']['message'])

    @base.in_process_only('gunicorn itself refuses such a length')
    def test_a_length_that_is_none(self):
        for length in ('-1', 'x'):
            environ = testing.create_environ(
                f'/v1/{PROJECT_ID}/plans', method='POST', headers={'X-Auth-Token': base.TOKEN}
            )
            environ['CONTENT_LENGTH'] = length
            answer = testing.StartResponseMock()
            body = b''.join(self.client.app(environ, answer))
            self.assertEqual('400 Bad Request', answer.status)
            self.assertEqual(400, json.loads(body)['badRequest']['code'])

    def test_an_error_does_not_send_the_whole_body_back(self):
        message = self.post('/plans', self.plan_body(name=['x' * 100_000]), 400)
        self.assertLessEqual(len(message), 2000)

    def test_a_long_bad_name_is_refused_in_no_time(self):
        """Matching takes no more than linear time; else this would take minutes."""
        self.refused(self.plan_body(name='n' * 300_000 + '\x01'), 'name')


class ShowAndDeletePlanTest(base.ApiTestCase):
    def test_unknown(self):
        for method in ('GET', 'DELETE'):
            missing = new_id()
            self.assertIn(missing, self.request(method, f'/plans/{missing}', 404))
        self.put(f'/plans/{new_id()}', {'plan': {'name': 'x'}}, 404)

    def test_no_uuid(self):
        for name in ('nightly', '%00', '..', '1', "' OR 1=1"):
            for method in ('GET', 'DELETE'):
                self.request(method, f'/plans/{name}', 400)
            self.put(f'/plans/{name}', {'plan': {'name': 'x'}}, 400)

    def test_delete(self):
        plan, kept = self.create_plan(), self.create_plan()
        result = self.client.simulate_delete(
            f'/v1/{PROJECT_ID}/plans/{plan["id"]}', headers={'X-Auth-Token': base.TOKEN}
        )
        self.assertEqual((200, b''), (result.status_code, result.content))
        self.get(f'/plans/{plan["id"]}', 404)
        self.delete(f'/plans/{plan["id"]}', 404)
        self.assertEqual({'plans': [kept]}, self.get('/plans'))


class UpdatePlanTest(base.ApiTestCase):
    def setUp(self):
        super().setUp()
        self.plan = self.create_plan(description='old')
        self.path = f'/plans/{self.plan["id"]}'

    def test_each_field_alone(self):
        other = resource(name='other')
        for name, value in (
            ('name', 'new'),
            ('description', 'new'),
            ('description', None),
            ('status', 'started'),
            ('status', 'suspended'),
            ('resources', [other]),
            ('parameters', _options(snapshot_name='new')),
        ):
            before = self.get(self.path)['plan']
            after = self.put(self.path, {'plan': {name: value}})['plan']
            self.assertEqual({**before, name: value}, after)
            self.assertEqual({'plan': after}, self.get(self.path))

    def test_all_fields_at_once(self):
        changes = {
            'name': 'n',
            'description': 'd',
            'status': 'started',
            'resources': [resource()],
            'parameters': _options(force=True),
        }
        self.assertEqual({**self.plan, **changes}, self.put(self.path, {'plan': changes})['plan'])

    def test_a_started_plan_can_be_changed(self):
        self.put(self.path, {'plan': {'status': 'started'}})
        self.assertEqual('new', self.put(self.path, {'plan': {'name': 'new'}})['plan']['name'])

    def test_what_is_not_allowed(self):
        for changes in (
            {},
            {'name': ''},
            {'name': None},
            {'name': 'a\n'},
            {'status': 'x'},
            {'status': None},
            {'status': 'STARTED'},
            {'resources': []},
            {'resources': None},
            {'description': 5},
            {'parameters': None},
            {'provider_id': PROVIDER_ID},
            {'id': new_id()},
            {'name': 'new', 'colour': 'red'},
            {'resources': [resource(resource_type='OS::Nova::Server')]},
            {'name': 'new', 'resources': [resource(), resource('../x')]},
        ):
            self.put(self.path, {'plan': changes}, 400)
        self.put(self.path, {'plan': []}, 400)
        self.put(self.path, {'name': 'new'}, 400)
        self.assertEqual({'plan': self.plan}, self.get(self.path))

    def test_what_is_missing_is_completed_by_the_name_that_it_has_then(self):
        changed = self.put(self.path, {'plan': {'name': 'new', 'parameters': {}}})['plan']
        self.assertEqual({VOLUME: {**COMPLETED, 'snapshot_name': 'new'}}, changed['parameters'])
        changed = self.put(self.path, {'plan': {'name': 'newer'}})['plan']
        self.assertEqual('new', changed['parameters'][VOLUME]['snapshot_name'])

    def test_parameters_that_do_not_fit(self):
        self.put(self.path, {'plan': {'resources': [resource(VOLUME_ID)]}})
        before = self.get(self.path)
        for values, parts in BAD_PARAMETERS:
            message = self.put(self.path, {'plan': {'name': 'new', 'parameters': values}}, 400)
            for part in parts:
                self.assertIn(part, message)
        self.assertEqual(before, self.get(self.path))

    def test_parameters_take_the_place_of_all_earlier_ones(self):
        own = {f'{VOLUME}#{VOLUME_ID}': {'snapshot_name': 'db'}}
        for values in ({**_options(), **own}, _options(force='yes')):
            self.put(self.path, {'plan': {'parameters': values}})
        self.assertEqual(_options(force=True), self.get(self.path)['plan']['parameters'])

    def test_resources_and_parameters_together(self):
        own = {f'{VOLUME}#{VOLUME_ID}': dict(OPTIONS)}
        changes = {'resources': [resource(VOLUME_ID)], 'parameters': own}
        self.assertEqual({**self.plan, **changes}, self.put(self.path, {'plan': changes})['plan'])

    def test_an_old_choice_that_is_wrong_keeps_no_parameters_from_being_changed(self):
        """It has no effect, as before there were choices."""
        project = resource(PROJECT_ID, base.PROJECT, extra_info={'include': 5})
        row = self.add_row(models.Plan, resources=[project], parameters=_options())
        path, values = f'/plans/{row.id}', _options(force=True)
        for changes in ({'parameters': values}, {'resources': [project]}):
            shown = self.put(path, {'plan': changes})['plan']
            self.assertEqual((values, [project]), (shown['parameters'], shown['resources']))
        other = {**project, 'name': 'other'}
        self.assertIn('include', self.put(path, {'plan': {'resources': [other]}}, 400))

    def test_no_quota_is_taken(self):
        self.config.config(quota_plans=1)
        self.put(self.path, {'plan': {'parameters': _options(force=True), 'name': 'new'}})
        detail = self.get(f'/quotas/{PROJECT_ID}/detail')['quota']['plans']
        self.assertEqual((1, 1), (detail['limit'], detail['in_use']))

    def test_a_plan_whose_provider_is_gone(self):
        self.build(provider.ProviderRegistry(self.temp_dir))
        self.put(self.path, {'plan': {'name': 'new'}})
        self.put(self.path, {'plan': {'resources': [resource()]}}, 400)
        self.put(self.path, {'plan': {'parameters': _options()}}, 400)
        self.delete(self.path)


class _PlanRunsTestCase(base.CloudTestCase):
    def snapshots(self) -> list[tuple[str, str]]:
        """Name and description of each, by its name."""
        return sorted(
            (snapshot['name'], snapshot['description'])
            for snapshot in self.cinder.snapshots.values()
        )

    def run_plan(self, plan: dict[str, Any]) -> dict[str, Any]:
        checkpoint = self.ended_checkpoint(self.create_checkpoint(plan))
        self.assertEqual('available', checkpoint['status'], checkpoint)
        return checkpoint


class CompletedRunsTest(_PlanRunsTestCase):
    """What reaches the hooks of the snapshot plugin fits its schema to the letter."""

    def setUp(self):
        super().setUp()
        self.given: list[dict[str, Any]] = []
        call = hooks.call

        def note(method: Any, four: dict[str, Any], keywords: dict[str, Any]) -> Any:
            self.given.append(four['parameters'])
            return call(method, four, keywords)

        self.useFixture(fixtures.MockPatch('karbor.services.jobs.hooks.call', note))

    def ran_with(self, plan: dict[str, Any]) -> Any:
        """What the hooks of the only volume of a plan were given."""
        self.given.clear()
        self.run_plan(plan)
        values = self.given[0]
        self.assertEqual([values] * len(self.given), self.given)
        jsonschema.validate(values, schemas.OPTIONS_SCHEMA)
        return values

    def test_a_plan_with_something_missing(self):
        for parameters, _ in LACKING:
            plan = self.create_plan(self.volume(), parameters=parameters)
            given = {**COMPLETED, **parameters.get(VOLUME, {})}
            wanted = {**COMPLETED, **{k: v for k, v in given.items() if v is not None}}
            self.assertEqual({**wanted, 'force': bool(wanted['force'])}, self.ran_with(plan))

    def test_a_plan_of_before_is_completed_when_it_is_used(self):
        for parameters, given in (
            ({}, COMPLETED),
            ({VOLUME: {'snapshot_name': 'x'}}, {**COMPLETED, 'snapshot_name': 'x'}),
        ):
            row = self.add_row(
                models.Plan, name='nightly', resources=[self.volume()], parameters=parameters
            )
            plan = self.get(f'/plans/{row.id}')['plan']
            self.assertEqual(parameters, plan['parameters'])
            self.assertEqual(given, self.ran_with(plan))

    def test_resources_of_which_the_parameters_say_nothing(self):
        own = {f'{VOLUME}#{VOLUME_ID}': dict(OPTIONS)}
        plan = self.create_plan(resource(VOLUME_ID), parameters=own)
        changes = {'resources': [self.volume()]}
        changed = self.put(f'/plans/{plan["id"]}', {'plan': changes})['plan']
        self.assertEqual(COMPLETED, self.ran_with(changed))


class WordsInBracesTest(_PlanRunsTestCase):
    """What stands for something in the texts of snapshots."""

    def old_plan(self, volume: dict[str, Any], **options: str) -> dict[str, Any]:
        """A plan of the release before, which had nothing against any word."""
        row = self.add_row(models.Plan, resources=[volume], parameters=_options(**options))
        return self.get(f'/plans/{row.id}')['plan']

    def test_what_they_stand_for(self):
        volumes = [self.volume(name=name) for name in ('db {plan_name}', 'logs')]
        plan = self.create_plan(
            *volumes,
            name='all {time}',
            parameters=_options(
                snapshot_name='{volume_name} of {plan_name}, {time}',
                description='{volume_id} in {checkpoint_id}, { time }, {}',
            ),
        )
        checkpoint = self.run_plan(plan)
        (time,) = {name.rpartition(' ')[2] for name, _ in self.snapshots()}
        self.assertRegex(time, r'^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\Z')
        self.assertEqual(checkpoint['created_at'][:19], time[:19])
        self.assertEqual(
            [
                (
                    f'{volume["name"]} of all {{time}}, {time}',
                    f'{volume["id"]} in {checkpoint["id"]}, {{ time }}, {{}}',
                )
                for volume in volumes
            ],
            self.snapshots(),
        )

    def test_a_volume_of_a_project_and_parameters_of_one(self):
        volume = self.volume(name='db')
        plan = self.create_plan(
            resource(PROJECT_ID, base.PROJECT),
            parameters={
                **_options(snapshot_name='{volume_name}'),
                f'{VOLUME}#{volume["id"]}': {'description': '{volume_name}!'},
            },
        )
        self.run_plan(plan)
        self.assertEqual([('db', 'db!')], self.snapshots())

    def test_what_cinder_takes_in_no_description(self):
        plan = self.create_plan()
        for text in ('line 1\nline 2', 'a \N{GRINNING FACE}'):
            values = _options(description=text)
            for message in (
                self.post('/plans', self.plan_body(parameters=values), 400),
                self.put(f'/plans/{plan["id"]}', {'plan': {'parameters': values}}, 400),
            ):
                self.assertIn('description: Cinder takes no', message)

    def test_words_that_stand_for_nothing(self):
        plan = self.create_plan()
        for word in ('foo', 'Volume_Name', 'volume-name', 'volume_name.x', '0', 'größe'):
            for values in (
                _options(snapshot_name=f'a {{{word}}}'),
                _options(description=f'{{volume_id}} {{{word}}}'),
                {**_options(), f'{VOLUME}#{VOLUME_ID}': {'description': f'{{{word}}}'}},
            ):
                for message in (
                    self.post('/plans', self.plan_body(parameters=values), 400),
                    self.put(f'/plans/{plan["id"]}', {'plan': {'parameters': values}}, 400),
                ):
                    self.assertIn(f'{{{word}}} stands for nothing', message)
                    self.assertIn('{volume_name}, {volume_id}, {plan_name}, ', message)
        self.assertEqual([plan], self.get('/plans')['plans'])

    def test_in_a_plan_that_has_them_already_they_are_text(self):
        volume = self.volume(name='db')
        plan = self.old_plan(volume, snapshot_name='{foo} {volume_name}')
        path = f'/plans/{plan["id"]}'
        self.run_plan(plan)
        for changes in (
            {'name': 'new'},
            {'resources': [volume]},
            {'parameters': plan['parameters']},  # all of it, as it is shown
        ):
            self.put(path, {'plan': changes})
        self.run_plan(plan)
        self.assertEqual([('{foo} db', 'of a test')] * 2, self.snapshots())
        other = _options(snapshot_name='{foo}')
        self.assertIn('{foo}', self.put(path, {'plan': {'parameters': other}}, 400))


class RunsOfChangedPlansTest(_PlanRunsTestCase):
    """Checkpoints keep what they were made of; what begins later takes what there is then."""

    def test_the_next_checkpoint(self):
        old, new = self.volume(name='old'), self.volume(name='new')
        plan = self.create_plan(old, parameters=_options(snapshot_name='1 {volume_name}'))
        first = self.run_plan(plan)
        changes = {
            'name': 'changed',
            'resources': [new],
            'parameters': _options(snapshot_name='2 {volume_name}', description='{plan_name}'),
        }
        self.put(f'/plans/{plan["id"]}', {'plan': changes})
        second = self.run_plan(plan)
        self.assertEqual([('1 old', 'of a test'), ('2 new', 'changed')], self.snapshots())
        for checkpoint, fields, volume in ((first, plan, old), (second, changes, new)):
            kept = self.get(self.checkpoints_path(checkpoint['id']))['checkpoint']
            shown = kept['protection_plan']
            self.assertEqual(
                (fields['name'], fields['parameters'], [volume['id']]),
                (shown['name'], shown['parameters'], [each['id'] for each in shown['resources']]),
            )
        self.assertEqual('success', self.ended_use('restore', self.use('restore', first))['status'])
