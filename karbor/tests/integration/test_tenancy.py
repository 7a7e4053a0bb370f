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

"""Who may do what with whose things: every operation of the API, asked by everybody.

The table is in ``tenancy.csv``. Each row is a request and what each persona is answered:

* In the request, ``~`` is ``/v1/`` and the id of the project that all of them are in.
  ``own.plan`` is the id of a plan of that project, ``fresh.plan`` of one that may be changed
  for good, ``OTHER.plan`` of one of a project in which none of them has a role. The body is
  a right one of the operation, with what the last column says in its place.
* The personas from ``reader`` to ``stranger`` have a role in the project; Karbor does not know
  that of the stranger. The token of ``domain``, ``unscoped`` and ``system`` is an
  administrator's, but not one of a project. That of the others is not good at all.
* A number is the answer's status. ``own``, ``OTHER`` and ``all`` are lists, of that project's
  things or of both; ``nothing`` is an empty one.

Besides, the test holds for each request: one that is refused or only looks changes nothing, in
the database, in Cinder, in Keystone and in the bank; no answer tells anything of the other
project unless the table says so; and an id of the other project is answered like one that
nobody has.
"""

import csv
import dataclasses
import functools
import json
import pathlib
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import fixtures
import requests
from oslotest import base as oslo_base

from karbor.api import middleware
from karbor.tests.integration import callers, service, tenancy

_EVERY = 'EVERY /v1/OTHER.project/*'
_PLACEHOLDER = re.compile(r'\b(?:own|fresh|OTHER)\.[a-z_]+')
_LISTS = {'own', 'OTHER', 'all', 'nothing'}
# Sent with a body, and change nothing.
_LOOKS = {
    'POST ~/plans/{plan_id}/retention',
    'POST ~/scheduled_operations/{scheduled_operation_id}/retention',
    'POST ~/schedules/preview',
}
# The keys of lists that are not the names of their tables.
_TABLES = dict.fromkeys(('operations', 'schedules'), 'scheduled_operations')

# The answer to who may see the health of a project, which is not well.
_UNWELL = '503'

# Fields of paths that are no project's.
_COMMON_FIELDS = {'project_id', 'provider_id', 'resource_type', 'service_id', 'class_name'}


def _use(kind: str) -> Callable[..., Any]:
    def body(checkpoint_id: str = 'own.checkpoint', volume: str | None = None) -> Any:
        parameters = {f'OS::Cinder::Volume#{volume}': {'restore_name': 'x'}} if volume else {}
        return {
            kind: {
                'provider_id': service.PROVIDER_ID,
                'checkpoint_id': checkpoint_id,
                'parameters': parameters,
            }
        }

    return body


def _plan(volume: str = 'own.volume', project: str | None = None) -> Any:
    return (
        callers.plan_body([project], resource_type='OS::Keystone::Project')
        if project
        else callers.plan_body([volume])
    )


def _plan_change(volume: str | None = None) -> Any:
    return {
        'plan': {'resources': callers.plan_body([volume])['plan']['resources']}
        if volume
        else {'description': 'changed'}
    }


def _schedule(
    trigger_id: str = 'own.trigger', plan_id: str = 'own.plan', text_of_plan_id: str | None = None
) -> Any:
    return {
        'scheduled_operation': {
            'name': 'new',
            'operation_type': 'protect',
            'trigger_id': trigger_id,
            'operation_definition': _definition(plan_id, text_of_plan_id),
        }
    }


def _schedule_change(
    trigger_id: str | None = None, plan_id: str | None = None, text_of_plan_id: str | None = None
) -> Any:
    changes: dict[str, Any] = {'description': 'changed', 'enabled': True}
    if trigger_id:
        changes['trigger_id'] = trigger_id
    if plan_id or text_of_plan_id:
        changes['operation_definition'] = _definition(plan_id, text_of_plan_id)
    return {'scheduled_operation': changes}


def _schedule_as_one(plan_id: str = 'own.plan') -> Any:
    return {
        'schedule': {
            'name': 'new',
            'plan_id': plan_id,
            'format': 'crontab',
            'pattern': '0 3 * * *',
            'retention': {'keep_last': 1},
        }
    }


def _change_as_one(plan_id: str | None = None) -> Any:
    changes = {'description': 'changed', 'enabled': True}
    return {'schedule': {**changes, 'plan_id': plan_id} if plan_id else changes}


def _definition(plan_id: str | None, text_of_plan_id: str | None) -> Any:
    if text_of_plan_id:
        return f'provider_id={service.PROVIDER_ID},plan_id={text_of_plan_id}'
    return {'provider_id': service.PROVIDER_ID, 'plan_id': plan_id}


_BODIES: Mapping[str, Callable[..., Any]] = {
    'POST ~/plans': _plan,
    'PUT ~/plans/{plan_id}': _plan_change,
    'POST ~/plans/{plan_id}/retention': lambda: {'retention': {'keep_last': 1}},
    'POST ~/providers/{provider_id}/checkpoints': lambda plan_id: {
        'checkpoint': {'plan_id': plan_id}
    },
    'PUT ~/providers/{provider_id}/checkpoints/{checkpoint_id}': lambda: {
        'os-resetState': {'state': 'available'}
    },
    'POST ~/providers/{provider_id}/checkpoints/action': lambda plan_id: {
        'copy': {'plan_id': plan_id}
    },
    'POST ~/restores': _use('restore'),
    'POST ~/restore_groups': lambda volume: {
        'restore_group': {'resources': [{'type': 'OS::Cinder::Volume', 'id': volume}]}
    },
    'POST ~/verifications': _use('verification'),
    'POST ~/triggers': lambda: {
        'trigger_info': {
            'name': 'new',
            'type': 'time',
            'properties': {'format': 'crontab', 'pattern': '0 3 * * *'},
        }
    },
    'PUT ~/triggers/{trigger_id}': lambda: {'trigger_info': {'name': 'changed'}},
    'POST ~/scheduled_operations': _schedule,
    'PUT ~/scheduled_operations/{scheduled_operation_id}': _schedule_change,
    'POST ~/scheduled_operations/{scheduled_operation_id}/action': lambda: {'run': None},
    'POST ~/scheduled_operations/{scheduled_operation_id}/retention': lambda: {
        'retention': {'keep_last': 1}
    },
    'POST ~/schedules': _schedule_as_one,
    'POST ~/schedules/preview': _schedule_as_one,
    'PUT ~/schedules/{schedule_id}': _change_as_one,
    'PUT ~/os-services/{service_id}': lambda: {'status': 'enabled'},
    'PUT ~/quotas/{quota_project_id}': lambda: {'quota': {'plans': 77}},
    'PUT ~/quota_classes/{class_name}': lambda: {'quota_class': {'plans': 50}},
}


@dataclasses.dataclass(frozen=True)
class Request:
    """A request of the table, with placeholders for ids.

    :param operation: method and path of the OpenAPI document, with ``~``; None if it has none.
    :param body: what is special about the body, by name.
    """

    method: str
    path: str
    operation: str | None
    body: Mapping[str, str]

    @property
    def text(self) -> str:
        """The path and the body."""
        document = _BODIES[self.operation](**self.body) if self.operation in _BODIES else None
        return f'{self.path} {json.dumps(document)}'

    def placeholders(self) -> set[str]:
        return set(_PLACEHOLDER.findall(self.text))

    def __str__(self) -> str:
        return f'{self.method} {self.path} {dict(self.body) or ""}'


@dataclasses.dataclass(frozen=True)
class Row:
    """A request and what each persona is answered."""

    request: Request
    answers: Mapping[str, str]


def _rows(operations: Sequence[str]) -> list[Row]:
    """The table, with the row of every operation written out.

    :param operations: those of the OpenAPI document.
    """
    with pathlib.Path(__file__).with_name('tenancy.csv').open(newline='') as text:
        lines = list(csv.DictReader(text, skipinitialspace=True))
    rows: list[Row] = []
    for line in lines:
        told, body = line.pop('request'), line.pop('body')
        if told == _EVERY:
            everywhere = line
        else:
            method, _, path = told.partition(' ')
            rows.append(
                Row(
                    Request(
                        method,
                        path,
                        _operation(told, operations),
                        dict([body.split('=')] if body else ()),
                    ),
                    line,
                )
            )
    first = {row.request.operation: row for row in reversed(rows) if '~' in row.request.path}
    return [
        *rows,
        *(
            Row(
                dataclasses.replace(
                    row.request,
                    path=row.request.path.replace('~', '/v1/OTHER.project').replace(
                        'fresh.', 'own.'
                    ),
                ),
                everywhere,
            )
            for row in first.values()
        ),
    ]


def _operation(told: str, operations: Sequence[str]) -> str | None:
    request = told.partition('?')[0].removesuffix('.json')
    # A field can be anything, so `checkpoints/action` fits two of them.
    fitting = [
        operation
        for operation in operations
        if re.fullmatch(re.sub('{[a-z_]+}', '[^/]+', operation), request)
    ]
    return min(fitting, key=lambda operation: operation.count('{'), default=None)


class TenancyTest(oslo_base.BaseTestCase):
    world: tenancy.World

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.world = tenancy.World(pathlib.Path(folder.name))
        cls.addClassCleanup(cls.world.service.stop)
        cls.world.build()
        cls.session = requests.Session()
        cls.document = cls.session.get(f'{cls.world.service.url}/v1/openapi.json').json()
        cls.operations = {
            f'{method.upper()} {path.replace("/v1/{project_id}", "~")}': described
            for path, methods in cls.document['paths'].items()
            for method, described in methods.items()
            if method != 'parameters'
        }
        cls.rows = _rows(list(cls.operations))

    def setUp(self) -> None:
        self.useFixture(fixtures.EnvironmentVariable('OS_TEST_TIMEOUT', '1200'))
        super().setUp()
        self._done = {'PUT ~/os-services/1 {"status": "enabled"}'}  # as it is

    def test_nothing_is_missing_in_the_table(self) -> None:
        asked: dict[str, str] = {}
        for row in self.rows:
            name = row.request.operation or f'GET {row.request.path}'
            asked[name] = f'{asked.get(name, "")} {row.request.path} {_said(row.request.body)}'
        public = {f'GET {path}' for path in middleware.PUBLIC_PATHS if path.strip('/')} | {'GET /'}
        self.assertEqual({*self.operations, *public} - {'GET /v1/'}, set(asked))
        for operation, described in self.operations.items():
            for way in _ways_to_others(operation, described):
                self.assertRegex(asked[operation], way, operation)
        for row in self.rows:
            self.assertEqual(set(self.world.tokens), set(row.answers))
            for answer in row.answers.values():
                self.assertTrue(answer in _LISTS or answer.isdigit(), row)

    def test_everybody_asks_for_everything(self) -> None:
        view = self.world.other.view()
        before = self.world.outside()
        wrong: list[str] = []
        for row in self.rows:
            for persona, expected in row.answers.items():
                wrong += [
                    f'{row.request} by {persona}: {what}'
                    for what in self._faults(row.request, persona, expected)
                ]
            if _writes(row.request):
                after = self.world.outside()
                watched = ['other'] if '200' in row.answers.values() else after
                wrong += [
                    f'{row.request}: {what} is changed'
                    for what in tenancy.differences(before, after)
                    if what in watched
                ]
                before = after
        wrong += [
            f'{path} of the other project is changed'
            for path in tenancy.differences(view, self.world.other.view())
        ]
        self.assertEqual([], wrong, '\n'.join(wrong))

    def _faults(self, request: Request, persona: str, expected: str) -> Iterator[str]:
        """What is wrong with the answer and its effects."""
        values = {name: self.world.value(name) for name in request.placeholders()}
        before = self.world.rows()
        answer = self._ask(request, persona, values)
        after = self.world.rows()
        told = f'{answer.status_code} {answer.text[:200]}'
        if not self._is_as_expected(
            answer, expected, is_part='_id=' in request.path or 'name=' in request.path
        ):
            yield f'{expected} is expected, not {told}'
        # A look at coverage, which comes every five minutes, may open troubles meanwhile.
        changed = [name for name in tenancy.differences(before, after) if name != 'troubles']
        if answer.ok and _writes(request):
            self.world.use_up_fresh()
            self.world.settle()
            self.world.told.update(values.values())
            # What somebody before has changed to the same needs no change.
            asked = f'{request.method} {request.text}'
            if not changed and asked not in self._done:
                yield f'nothing is done: {told}'
            self._done.add(asked)
            if not _is_about_other_limits(request):
                changed = [
                    table
                    for table in changed
                    if self._of_other(before, table) != self._of_other(self.world.rows(), table)
                ]
                if changed:
                    yield f'rows of the other project are changed: {changed}'
        elif changed:
            yield f'rows are changed: {changed}'
        leaks = self._leaks(request, answer, values, expected)
        if leaks:
            yield f'{leaks} is told: {told}'
        if expected in ('404', 'nothing') and 'OTHER.' in request.text:
            yield from self._differences_to_unknown(request, persona, values, answer)

    def _ask(self, request: Request, persona: str, values: Mapping[str, str]) -> requests.Response:
        path, _, body = _filled(request.text, values).partition(' ')
        path = path.replace('~', f'/v1/{self.world.own.project.id}').replace(
            'PROVIDER', service.PROVIDER_ID
        )
        token = self.world.tokens[persona]
        return self.session.request(
            request.method,
            self.world.service.url + path,
            json=json.loads(body),
            timeout=60,
            headers={'X-Auth-Token': token} if token else {},
        )

    def _is_as_expected(self, answer: requests.Response, expected: str, is_part: bool) -> bool:
        if expected not in _LISTS:
            return answer.status_code == int(expected)
        if not answer.ok:
            return False
        [collection] = [
            key
            for key, value in answer.json().items()
            if isinstance(value, list) and not key.endswith('_links')
        ]
        listed = {item['id'] for item in answer.json()[collection]}
        everything = self._listable(collection, expected, answer)
        return (
            bool(listed) and listed <= everything
            if is_part and expected == 'OTHER'
            else listed == everything
        )

    def _listable(self, collection: str, whose: str, answer: requests.Response) -> set[str]:
        if whose == 'nothing':
            return set()
        if collection in ('instances', 'coverage'):
            return (
                {self.world.own.project.id}
                if 'Keystone' in answer.url
                else {volume.id for volume in self.world.own.project.cinder.volumes.list()}
            )
        wanted = {
            'own': [self.world.own],
            'OTHER': [self.world.other],
            'all': [self.world.own, self.world.other],
        }[whose]
        return {
            row['id']
            for row in self.world.rows()[_TABLES.get(collection, collection)]
            if row['project_id'] in [side.project.id for side in wanted]
            and (collection != 'checkpoints' or row['status'] != 'deleted')
        }

    def _of_other(self, rows: tenancy.Rows, table: str) -> list[dict[str, Any]]:
        return [row for row in rows[table] if row.get('project_id') == self.world.other.project.id]

    def _leaks(
        self, request: Request, answer: requests.Response, values: Mapping[str, str], expected: str
    ) -> list[str]:
        """What is in an answer and should not be: of the other project, or, where the caller
        is refused, of any."""
        secrets: set[str] = set()
        may_see_other = expected in ('OTHER', 'all') or (
            expected == '200' and ('all_tenants' in request.path or 'quotas/OTHER' in request.path)
        )
        if not may_see_other:
            secrets |= self.world.secrets[self.world.other]
        if not answer.ok and expected != _UNWELL:
            secrets |= self.world.secrets[self.world.own]
        text = f'{answer.text} {dict(answer.headers)}'
        return [
            secret for secret in secrets - {*values.values(), *self.world.told} if secret in text
        ]

    def _differences_to_unknown(
        self, request: Request, persona: str, values: Mapping[str, str], answer: requests.Response
    ) -> Iterator[str]:
        unknown = {
            name: self.world.unknown(name) if name.startswith('OTHER.') else value
            for name, value in values.items()
        }
        other = self._ask(request, persona, unknown)
        told, expected = _anonymous(answer, values), _anonymous(other, unknown)
        if told != expected:
            yield f'what exists is told from what does not: {told}, {expected}'

    def test_headers_do_not_say_who_asks(self) -> None:
        lies = {
            'X-Project-Id': self.world.other.project.id,
            'X-Tenant-Id': self.world.other.project.id,
            'X-Roles': 'admin',
            'X-Role': 'admin',
            'X-User-Id': self.world.other.project.user_id,
            'X-Identity-Status': 'Confirmed',
            'X-Is-Admin-Project': 'True',
            'OpenStack-System-Scope': 'all',
        }
        paths = {
            'own': f'/v1/{self.world.own.project.id}/plans?all_tenants=1',
            'OTHER': f'/v1/{self.world.other.project.id}/plans',
        }
        for persona, whose, status in (
            ('member', 'own', 200),
            ('member', 'OTHER', 400),
            ('stranger', 'own', 403),
            ('none', 'own', 401),
            ('invalid', 'OTHER', 401),
        ):
            token = self.world.tokens[persona]
            answer = self.session.get(
                self.world.service.url + paths[whose],
                headers={**lies, **({'X-Auth-Token': token} if token else {})},
            )
            self.assertEqual(status, answer.status_code, answer.text)
            self.assertNotIn(self.world.other.values['plan'], answer.text)
            self.assertNotIn(self.world.other.mark, answer.text)

    def test_a_volume_of_another_project_is_not_protected(self) -> None:
        """Nor is it told from one that is not there, not even to an administrator."""
        before = self.world.outside()
        for persona in ('member', 'admin'):
            caller = callers.Caller(
                self.world.service.url, self.world.own.project.id, self.world.tokens[persona]
            )
            told = [
                self._reasons(caller, volume_id)
                for volume_id in (
                    self.world.other.values['volume'],
                    self.world.unknown('OTHER.volume'),
                )
            ]
            self.assertEqual(*told)
            self.assertIn('1 of 1 resources is gone: OS::Cinder::Volume#VOLUME', told[0])
        after = self.world.outside()
        self.assertEqual(['bank'], tenancy.differences(before, after))

    def _reasons(self, caller: callers.Caller, volume_id: str) -> str:
        self.world.told.add(volume_id)
        checkpoint_id = caller.protect(caller.plan([volume_id]))
        checkpoint = caller.wait_for_checkpoint(checkpoint_id, 'available', 'error')
        self.assertEqual('error', checkpoint['status'])
        self.world.settle()
        reasons = json.dumps([checkpoint['status_reason'], checkpoint['resources_reason']])
        for secret in self.world.secrets[self.world.other] - {volume_id}:
            self.assertNotIn(secret, reasons)
        return re.sub('req-[0-9a-f-]{36}', 'REQUEST', reasons.replace(volume_id, 'VOLUME'))


def _said(body: Mapping[str, str]) -> str:
    return ' '.join(f'{name}={value}' for name, value in body.items())


def _ways_to_others(operation: str, described: Mapping[str, Any]) -> Iterator[str]:
    """Patterns of what the table must have of an operation, for others' things to be named."""
    path = operation.partition(' ')[2]
    if set(re.findall('{([a-z_]+)}', path)) - _COMMON_FIELDS:
        yield r'/OTHER\.'
    if path != '~/providers':
        for parameter in described.get('parameters', ()):
            name = parameter['name']
            if name == 'all_tenants':
                yield 'all_tenants=1'
            elif name in ('marker', 'project_id') or (
                name.endswith('_id') and name != 'provider_id'
            ):
                yield rf'{name}=OTHER\.'
    content = described.get('requestBody', {}).get('content', {})
    for name in set(re.findall('"([a-z]+_id)":', json.dumps(content))) - {'provider_id'}:
        yield rf'{name}=OTHER\.'


def _filled(text: str, values: Mapping[str, str]) -> str:
    return _PLACEHOLDER.sub(lambda found: values[found.group()], text)


def _anonymous(answer: requests.Response, values: Mapping[str, str]) -> tuple[int, str]:
    """The status and the text, but for what the request itself said."""
    text = functools.reduce(
        lambda text, name: text.replace(values[name], name), values, answer.text
    )
    return answer.status_code, re.sub('req-[0-9a-f-]{36}', 'REQUEST', text)


def _writes(request: Request) -> bool:
    return request.method != 'GET' and request.operation not in _LOOKS


def _is_about_other_limits(request: Request) -> bool:
    """Whether an administrator changes the limits of the other project."""
    return '/quotas/OTHER.' in request.path
