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

"""Many thousand requests that make no sense, and some that do, by everybody.

No answer may be an error of the server, tell of the program's insides or of another project,
or take long; whatever was asked, the database must make sense afterwards.

The environment variable ``KARBOR_FUZZ_REQUESTS`` says how many requests are sent, 3,000 if it
is not set, and ``KARBOR_FUZZ_SEED`` which; without it they are always the same, so that a change
is not blamed for what was there before. To see the figures, and to send many others::

    KARBOR_FUZZ_REQUESTS=50000 KARBOR_FUZZ_SEED=$RANDOM \\
        python -m unittest karbor.tests.functional.test_fuzz

The same seed makes the same choices, but ids and the moments at which jobs end differ. Where
it is said what was found, it is shown with its request.
"""

import contextlib
import dataclasses
import itertools
import json
import logging
import os
import random
import re
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import fixtures
import hypothesis
import schemathesis
import sqlalchemy as sa
from falcon import testing as falcon_testing
from hypothesis import strategies as st
from keystoneauth1 import fixture as ks_fixture
from keystoneauth1 import session, token_endpoint
from keystonemiddleware import fixture as keystone_fixture
from keystonemiddleware import opts as auth_token_options
from oslo_config import cfg
from oslo_utils import timeutils
from schemathesis import checks

from karbor import db
from karbor.api import app, middleware, pipeline
from karbor.api.services import Services
from karbor.db import jobs as job_rows
from karbor.db import models
from karbor.services.identity import trusts
from karbor.services.protection import client_factory, protectables
from karbor.testing import fake_cinder
from karbor.tests import personas
from karbor.tests.base import OTHER_PROJECT_ID, PROJECT_ID, PROVIDER_ID, new_id
from karbor.tests.functional import (
    base,
    fuzz_chains,
    fuzz_requests,
    fuzz_rows,
    fuzz_wire,
    fuzzing,
)

REQUESTS = int(os.environ.get('KARBOR_FUZZ_REQUESTS') or 3000)
SEED = int(os.environ.get('KARBOR_FUZZ_SEED') or 1)

_BATCH = 500
# The share of each kind of request; what is left is that of chains.
_FROM_DOCUMENT, _ODD, _WIRE = 0.35, 0.27, 0.05
_LIMIT = 40  # of a page, and of what is kept from batch to batch
# Answered with 400, whatever is asked: no plugin copies.
_NEVER_DONE = 'POST /providers/{provider_id}/checkpoints/action'

_ROW_IDS = {
    'plan_id': models.Plan,
    'checkpoint_id': models.Checkpoint,
    'restore_id': models.Restore,
    'verification_id': models.Verification,
    'trigger_id': models.Trigger,
    'scheduled_operation_id': models.ScheduledOperation,
    'schedule_id': models.ScheduledOperation,
    'operation_log_id': models.OperationLog,
    'service_id': models.Service,
}

checks.load_all_checks()
_CHECKS = checks.CHECKS.get_by_names(
    (
        'not_a_server_error',
        'status_code_conformance',
        'content_type_conformance',
        'response_schema_conformance',
        'response_headers_conformance',
    )
)


class FuzzTest(base.CloudTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.random = random.Random(SEED)
        self.config.config(osapi_max_limit=_LIMIT, quota_plans=100000, quota_schedules=100000)
        self.config.config(quota_triggers=-1, quota_verifications=-1, quota_jobs=-1)
        self.volumes = [self.cinder.add_volume(name='data')['id'] for _ in range(3)]
        self._serve_strangers()
        fuzz_rows.add_other_project(self.add_row, self.registry.get(PROVIDER_ID))
        self.frozen = self._theirs()
        self.watch = self._watch()
        self.ids: dict[str, list[Any]] = {}
        self.foreign = {
            name: [
                str(row.id)
                for row in self.rows(model)
                if hasattr(row, 'project_id') and row.project_id == OTHER_PROJECT_ID
            ]
            for name, model in _ROW_IDS.items()
        }
        self.foreign |= {'quota_project_id': [OTHER_PROJECT_ID], 'project_id': [OTHER_PROJECT_ID]}
        self._own_project()
        for binary in ('karbor-protection', 'karbor-operationengine', 'karbor-api'):
            self.add_row(models.Service, host='host', binary=binary, reported_at=timeutils.utcnow())
        self._refresh()
        self.watch.look_again()
        self.chains = fuzz_chains.Chains(self._ask, self.watch.add, self._quiet, self.volumes)
        self.wire = fuzz_wire.Wire(self.watch, lambda: self.watch.total, self.watch.add)

    @base.in_process_only('every answer is looked at where it is made')
    def test_fuzz(self):
        began = time.monotonic()
        try:
            with self.wire.serving():
                self._fuzz()
        finally:
            self._tell(time.monotonic() - began)
        self.assertEqual('', '\n'.join(map(str, self.watch.findings.values())))
        # What is drawn seldom may be missed by a short run.
        if REQUESTS >= 10_000:
            self.assertEqual([], self._done_less_than(5))
        elif REQUESTS >= 3000:
            self.assertLess(len(self._done_less_than(1)), 5)

    def _fuzz(self) -> None:
        self._document()
        self._large()
        operations = self._operations()
        seeds = itertools.count(SEED * 10**6)
        cases = self._cases(seeds)
        while self._sent() < REQUESTS:
            size = min(_BATCH, REQUESTS - self._sent())
            self._until(size * _FROM_DOCUMENT, lambda: next(cases))
            self._examples(
                next(seeds),
                int(size * _ODD),
                fuzz_requests.requests(operations, self.ids, self.foreign),
                self._odd,
            )
            self._examples(
                next(seeds),
                int(size * _WIRE),
                fuzz_wire.EXCHANGES,
                lambda exchange: self.wire.send(*exchange),
            )
            self.wire.look()
            self._until(
                size * (1 - _FROM_DOCUMENT - _ODD - _WIRE),
                lambda: self._examples(
                    next(seeds), 5, st.data(), lambda data: self.chains.run(data.draw)
                ),
            )
            self._quiet()
            self._check_rows()
            self._tidy()

    # What is sent

    def _document(self) -> None:
        for path in ('/', '/v1', '/v1/', '/v1.json', '/healthcheck', '/healthcheck/ready'):
            self.watch.send(fuzzing.Request('GET', path, []))

    def _cases(self, seeds: Iterator[int]) -> Iterator[None]:
        """Sends, whenever it is asked for the next, some cases of schemathesis."""
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            schema = schemathesis.openapi.from_wsgi('/v1/openapi.json', self.watch)
        found = [
            (result.ok(), mode)
            for result in schema.get_all_operations()
            for mode in (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE)
        ]
        count = min(max(10, REQUESTS // 1500), 50)
        while True:
            random.Random(next(seeds)).shuffle(found)
            for operation, mode in found:
                cases = operation.as_strategy(
                    generation_mode=mode, path_parameters={'project_id': PROJECT_ID}
                )
                self._examples(
                    next(seeds),
                    count,
                    st.tuples(
                        cases,
                        fuzz_requests.CALLERS,
                        st.booleans(),
                        st.lists(fuzz_requests.CHOICES, min_size=8, max_size=8),
                    ),
                    lambda given: self._case(*given),
                )
                yield

    def _case(
        self, case: schemathesis.Case, caller: str | None, is_left: bool, choices: list[int]
    ) -> None:
        """Send a case, as a rule with ids that there are."""
        if caller is not None and not caller.endswith(PROJECT_ID):
            case.path_parameters['project_id'] = caller.partition('@')[2] or PROJECT_ID
        if not is_left:
            numbers = itertools.cycle(choices)
            for name in case.path_parameters:
                if self.ids.get(name) and name != 'project_id':
                    case.path_parameters[name] = self._pick(name, next(numbers))
            self._replace_ids(case.body, numbers)
        headers = {} if caller is None else {'X-Auth-Token': caller}
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            try:
                response = case.call(headers=headers)
            except (ValueError, TypeError):  # no HTTP library could send it
                return
            try:
                case.validate_response(response, checks=_CHECKS)
            except (schemathesis.checks.Failure, schemathesis.checks.FailureGroup) as exc:
                self.watch.add(
                    f'schemathesis: {str(exc).splitlines()[0]}',
                    case.operation.label,
                    str(exc)[:2000],
                )

    def _replace_ids(self, value: Any, numbers: Iterator[int]) -> None:
        if isinstance(value, list):
            for item in value:
                self._replace_ids(item, numbers)
        elif isinstance(value, dict):
            for name, item in value.items():
                if name in self.ids and isinstance(item, str):
                    value[name] = self._pick(name, next(numbers))
                elif name == 'resources':
                    value[name] = [base.resource(self._pick('resource_id', next(numbers)))]
                elif name == 'parameters' and isinstance(item, dict):
                    value[name] = {base.VOLUME: dict(base.OPTIONS)} if next(numbers) % 2 else {}
                else:
                    self._replace_ids(item, numbers)

    def _pick(self, name: str, number: int) -> str:
        foreign = self.foreign.get(name)
        chosen = foreign if foreign and number % 8 == 0 else self.ids[name]
        return str(fuzz_requests.pick(chosen or [new_id()], number // 8))

    def _odd(self, request: fuzzing.Request) -> None:
        answer = self.watch.send(request)
        if len(request.body) > fuzz_requests.MEGABYTE and answer.status == 200:
            self._remove(request, answer)
        asked = request.target + request.body[:10000].decode('latin-1')
        used = [
            row_id
            for row_ids in self.foreign.values()
            for row_id in row_ids
            if len(row_id) > 30 and row_id in asked
        ]
        callers = [value for name, value in request.headers if name == 'X-Auth-Token']
        sees_all = 'admin' in str(callers) and (
            'quotas' in asked or 'all_tenants' in asked or 'project_id' in asked
        )
        if used and not sees_all and f'/v1/{OTHER_PROJECT_ID}' not in asked:
            self._compare(request, answer, used)

    def _large(self) -> None:
        """Bodies of many megabytes."""
        path = self._request('POST', '/plans', None, 'manager', PROJECT_ID)
        template = fuzz_requests.bodies(self.ids)['POST /plans'][0]
        for number in range(fuzz_requests.LARGE_BODIES):
            self._odd(dataclasses.replace(path, body=fuzz_requests.large_bodies(template, number)))

    def _remove(self, request: fuzzing.Request, answer: fuzzing.Answer) -> None:
        """Protect what has megabytes, and keep it out of all lists from now on."""
        if 'plan' in answer.json:
            plan = answer.json['plan']
            if len(plan['resources']) < 100:  # of more, the job would take too long
                made = self._ask(
                    'POST', self.checkpoints_path(), {'checkpoint': {'plan_id': plan['id']}}
                )
                self._quiet()
                if made:
                    self._ask('DELETE', self.checkpoints_path(made['checkpoint']['id']))
            path = request.target.partition('?')[0].removesuffix('.json').rstrip('/')
            self.watch.send(
                fuzzing.Request(
                    'DELETE',
                    f'{path.removesuffix("/" + plan["id"])}/{plan["id"]}',
                    [header for header in request.headers if header[0] == 'X-Auth-Token'],
                )
            )

    def _compare(self, request: fuzzing.Request, answer: fuzzing.Answer, used: list[str]) -> None:
        """What another project has looks as if it was not there."""
        target, body = request.target, request.body
        for row_id in used:
            other = new_id() if '-' in row_id else new_id().replace('-', '')
            target = target.replace(row_id, other)
            body = body.replace(row_id.encode(), other.encode())
        same = self.watch.send(fuzzing.Request(request.method, target, request.headers, body))
        if (answer.status, _without_ids(answer)) != (same.status, _without_ids(same)):
            self.watch.add(
                'another project can be told from none',
                request.method,
                (f'{request}\n-> {answer}\nbut for {target}\n-> {same}')[:4000],
            )

    def _ask(self, method: str, path: str, body: Any = None, caller: str = 'manager') -> Any:
        """A request of a chain; now and then a stranger tries the same."""
        request = self._request(method, path, body, caller, PROJECT_ID)
        if self.random.random() < 0.05:
            strange = self._request(method, path, body, 'manager', fuzzing.STRANGERS)
            used = [
                found
                for found in set(_UUID.findall(path + json.dumps(body)))
                if found != PROVIDER_ID
            ]
            if used:
                self._compare(strange, self.watch.send(strange), used)
        if self.random.random() < 0.05:
            self.watch.send(
                self._request(
                    method,
                    path,
                    body,
                    self.random.choice(('reader', 'nobody', 'service')),
                    PROJECT_ID,
                )
            )
        answer = self.watch.send(request)
        return (answer.json if answer.content else {}) if answer.status < 300 else None

    @staticmethod
    def _request(
        method: str, path: str, body: Any, caller: str, project_id: str
    ) -> fuzzing.Request:
        return fuzzing.Request(
            method,
            f'/v1/{project_id}{path}',
            [
                ('X-Auth-Token', personas.token(caller, project_id)),
                ('Content-Type', 'application/json'),
            ],
            b'' if body is None else json.dumps(body).encode(),
        )

    def _examples(
        self, seed: int, count: int, strategy: st.SearchStrategy[Any], act: Callable[[Any], None]
    ) -> None:
        if count < 1:
            return

        @hypothesis.seed(seed)
        @hypothesis.settings(
            max_examples=count,
            database=None,
            deadline=None,
            phases=(hypothesis.Phase.generate,),
            suppress_health_check=list(hypothesis.HealthCheck),
        )
        @hypothesis.given(strategy)
        def run(example: Any) -> None:
            act(example)

        with contextlib.suppress(hypothesis.errors.Unsatisfiable):  # not all can be wrong
            try:
                run()
            except (SystemError, hypothesis.errors.FlakyFailure) as exc:
                if not _is_of_the_interpreter(exc):
                    raise
                run()

    def _until(self, count: float, step: Callable[[], object]) -> None:
        end = self.watch.total + count
        while self.watch.total < end:
            step()

    def _sent(self) -> int:
        return self.watch.total + self.wire.unanswered

    # What it is sent to

    def _serve_strangers(self) -> None:
        """Each project has a cloud of its own."""
        theirs = self.useFixture(_Serving(fake_cinder.FakeCinder(fuzzing.STRANGERS))).url
        urls = {PROJECT_ID: self.config.conf.cinder_client.cinder_endpoint}
        self.config.config(cinder_endpoint=None, group='cinder_client')
        client_factory.use_sessions(
            lambda context: session.Session(
                auth=token_endpoint.Token(urls.get(context.project_id, theirs), 'token')
            )
        )

    def _watch(self) -> fuzzing.Watch:
        tokens = self.useFixture(keystone_fixture.AuthTokenFixture())
        for persona, roles in personas.ROLES.items():
            for project_id in fuzzing.PROJECTS:
                token = ks_fixture.V3Token(user_id=f'{persona}-of-the-test', project_id=project_id)
                for role in roles:
                    token.add_role(name=role)
                tokens.add_token(token, personas.token(persona, project_id))
        tokens.add_token(ks_fixture.V3Token(user_id='unscoped'), 'unscoped')
        application = app.create_app(
            Services.on(self.registry, protectables.load(), trusts.NoTrusts(), self.board),
            middleware.KeystoneAuth(),
        )
        for _, options in auth_token_options.list_auth_token_opts():
            self.config.register_opts(options, 'keystone_authtoken')
        self.config.config(group='keystone_authtoken', www_authenticate_uri='http://keystone')
        piped = pipeline.behind_keystone(application, cfg.CONF)
        document = json.loads(falcon_testing.simulate_get(application, '/v1/openapi.json').content)
        ids = [row['id'] for rows in self.frozen.values() for row in rows if 'id' in row]
        watch = fuzzing.Watch(
            piped, document, [*ids, OTHER_PROJECT_ID], [str(self.temp_dir)], fuzz_rows.counts
        )
        self.useFixture(fixtures.FakeLogger(level=logging.WARNING))
        logger = logging.getLogger('karbor')
        self.useFixture(fixtures.MonkeyPatch('logging.raiseExceptions', False))
        logger.addHandler(watch.errors)
        self.addCleanup(logger.removeHandler, watch.errors)
        logger.setLevel(logging.INFO)
        self.addCleanup(logger.setLevel, logging.NOTSET)
        logger.propagate = False
        self.addCleanup(setattr, logger, 'propagate', True)
        return watch

    def _operations(self) -> list[tuple[str, str, list[str]]]:
        document = self.watch.send(fuzzing.Request('GET', '/v1/openapi.json', [])).json
        return [
            (
                method,
                path.removeprefix('/v1/{project_id}'),
                [item['name'] for item in operation.get('parameters', ())],
            )
            for path, method, operation in fuzzing.operations(document)
            if '{project_id}' in path
        ]

    def _own_project(self) -> None:
        """One of everything, of which strangers may never see anything."""
        secret = fuzzing.OWN_SECRET
        self.secret_plan = self.create_plan(base.resource(self.volumes[0]), name=secret)
        checkpoint = self.ended_checkpoint(self.create_checkpoint(self.secret_plan))
        for kind in ('restore', 'verification'):
            self.ended_use(kind, self.use(kind, checkpoint))
        trigger = self.post(
            '/triggers',
            {
                'trigger_info': {
                    'name': secret,
                    'type': 'time',
                    'properties': {'format': 'crontab', 'pattern': '0 9 * * *'},
                }
            },
        )['trigger_info']
        self.post(
            '/scheduled_operations',
            {
                'scheduled_operation': {
                    'name': secret,
                    'operation_type': 'protect',
                    'trigger_id': trigger['id'],
                    'operation_definition': {
                        'provider_id': PROVIDER_ID,
                        'plan_id': self.secret_plan['id'],
                    },
                }
            },
        )

    # What must be so in between

    def _quiet(self) -> None:
        """Wait until every job has ended."""

        def look() -> bool:
            with db.reader() as session:
                return (
                    session.scalar(
                        sa.select(sa.func.count())
                        .select_from(models.Job)
                        .where(models.Job.state.in_(job_rows.UNFINISHED))
                    )
                    == 0
                )

        self.wait_until(look, 'the end of all jobs', 60)

    def _check_rows(self) -> None:
        for reason in fuzz_rows.faults(self.registry.get(PROVIDER_ID)):
            self.watch.add(reason[0], 'the database', reason[1][:2000])
        found = self._theirs()
        for table, rows in found.items():
            if rows != self.frozen[table]:
                self.watch.add(
                    'rows of another project have changed',
                    table,
                    f'{self.frozen[table]}\n-> {rows}'[:4000],
                )
        self.frozen = found

    def _theirs(self) -> fuzz_rows.Tables:
        return fuzz_rows.of_other_project(self.temp_dir / 'bank-provider')

    def _tidy(self) -> None:
        """Remove most of what was made, so that there is never more at the end."""
        for project_id in (PROJECT_ID, fuzzing.STRANGERS):
            for path, model, statuses in (
                ('/scheduled_operations', models.ScheduledOperation, None),
                ('/triggers', models.Trigger, None),
                ('/plans', models.Plan, None),
                (self.checkpoints_path(), models.Checkpoint, ('available', 'error')),
            ):
                for row in self._newest(model, project_id, statuses)[_LIMIT // 2 :]:
                    if row.id != self.secret_plan['id']:
                        self.client.simulate_delete(
                            f'/v1/{project_id}{path}/{row.id}',
                            headers={'X-Auth-Token': personas.token('manager', project_id)},
                        )
        self._quiet()
        for volume_id in [key for key in self.cinder.volumes if key not in self.volumes]:
            del self.cinder.volumes[volume_id]
        with db.writer() as session:
            session.execute(sa.delete(models.Quota))
            session.execute(sa.delete(models.QuotaClass))
        self._refresh()
        self.watch.look_again()

    def _refresh(self) -> None:
        for name, model in _ROW_IDS.items():
            self.ids[name] = [str(row.id) for row in self._newest(model, PROJECT_ID, None)[:20]]
        self.ids |= {
            'provider_id': [PROVIDER_ID],
            'project_id': [PROJECT_ID],
            'resource_type': [base.VOLUME, base.PROJECT],
            'quota_project_id': [PROJECT_ID],
            'resource_id': [*self.volumes, PROJECT_ID],
            'class_name': ['default', 'gold'],
        }
        self.ids['plan_id'].append(self.secret_plan['id'])

    @staticmethod
    def _newest(model: Any, project_id: str, statuses: tuple[str, ...] | None) -> list[Any]:
        query = sa.select(model)
        if hasattr(model, 'project_id'):
            query = query.where(model.project_id == project_id)
        if statuses:
            query = query.where(model.status.in_(statuses))
        with db.reader() as session:
            return list(session.scalars(query.order_by(model.created_at.desc()).limit(3000)))

    # What is told

    def _tell(self, seconds: float) -> None:
        lines = [
            f'seed {SEED}: {self.watch.total} requests, and {self.wire.unanswered} that the '
            f'web server answered, in {seconds:.0f} s; {self.watch.busy:.0f} s of them in the '
            f'API'
        ]
        for operation, statuses in sorted(self.watch.statuses.items()):
            done = sum(count for status, count in statuses.items() if status < 400)
            total = statuses.total()
            lines.append(
                f'{operation:70} {total:6} {100 * done // total:3}% done, '
                f'{dict(sorted(statuses.items()))}'
            )
        lines += [
            f'{took:.2f} s ({busy:.2f} s busy) {what}'
            for took, busy, what in sorted(self.watch.slowest, reverse=True)
        ]
        lines += [f'{taken} MiB {what}' for taken, what in sorted(self.watch.largest, reverse=True)]
        lines += [
            f'found: {found.kind} ({found.count} times) in {found.where}'
            for found in self.watch.findings.values()
        ]
        sys.stdout.write('\n'.join(lines) + '\n')

    def _done_less_than(self, times: int) -> list[str]:
        """Operations that did not succeed that often."""
        return [
            operation
            for operation, statuses in self.watch.statuses.items()
            if '/' in operation
            and operation != _NEVER_DONE
            and sum(count for status, count in statuses.items() if status < 400) < times
        ]


def _is_of_the_interpreter(error: BaseException) -> bool:
    """Whether two threads parsed Python at once, which Python 3.11 cannot (gh-106905).

    Hypothesis parses to show strategies, and a thread that logs a traceback does, too.
    """
    if isinstance(error, BaseExceptionGroup):
        return all(map(_is_of_the_interpreter, error.exceptions))
    return isinstance(error, SystemError) and 'AST constructor' in str(error)


class _Serving(fixtures.Fixture):
    def __init__(self, cinder: fake_cinder.FakeCinder) -> None:
        super().__init__()
        self._cinder = cinder

    def _setUp(self) -> None:
        serving = self._cinder.serve()
        self.url = serving.__enter__()
        self.addCleanup(serving.__exit__, None, None, None)


_UUID = re.compile(r'[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}')


def _without_ids(answer: fuzzing.Answer) -> bytes:
    """The body of an answer in which all ids, and moments, look the same."""
    text = answer.content.decode()
    return re.sub(r'[0-9a-f]{32}|[-\dT:.]{19,26}', 'x', _UUID.sub('x', text)).encode()
