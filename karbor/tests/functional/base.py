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

"""The API in front of real services and a database.

It answers in the process of the tests. With ``KARBOR_TEST_WORKERS=4``, it is four processes
of gunicorn; jobs are still worked on in the tests' process, which finds them in the
database, as on many hosts.
"""

import functools
import json
import os
import pathlib
import threading
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import sqlalchemy as sa
from falcon import testing
from keystoneauth1 import session as ks_session
from keystoneauth1 import token_endpoint
from testtools import content

from karbor import context as karbor_context
from karbor import db
from karbor.api import app
from karbor.api.services import Services
from karbor.common import constants
from karbor.db import jobs as job_rows
from karbor.db import models
from karbor.services.checkpoints import plans
from karbor.services.identity import trusts
from karbor.services.jobs import boards, pool
from karbor.services.protection import client_factory, graph, protectables, provider
from karbor.testing import fake_cinder, fake_glance
from karbor.tests import base, personas, runners
from karbor.tests.base import PROJECT_ID, PROVIDER_ID, new_id
from karbor.tests.functional import api_server, documented

Test = TypeVar('Test', bound=Callable[..., Any])

WORKERS = int(os.environ.get('KARBOR_TEST_WORKERS') or 0)
TOKEN = personas.token('manager', PROJECT_ID)
VOLUME = constants.VOLUME_RESOURCE_TYPE
PROJECT = constants.PROJECT_RESOURCE_TYPE
TRIGGER_PROPERTIES = {
    'format': 'crontab',
    'pattern': '0 3 * * *',
    'start_time': '2020-11-05 00:00:00',
    'window': 900,
}
OPTIONS = {'snapshot_name': 'nightly', 'description': 'of a test', 'force': False}

_KEYS = {
    400: 'badRequest',
    401: 'unauthorized',
    403: 'forbidden',
    404: 'itemNotFound',
    405: 'badMethod',
    409: 'conflictingRequest',
    413: 'overLimit',
    415: 'badMediaType',
    503: 'serviceUnavailable',
}
_UNFINISHED = ('protecting', 'deleting', 'in_progress')


def in_process_only(reason: str) -> Callable[[Test], Test]:
    """Marks a test, or a class of tests, whose API is always in process.

    It has the same database as all others.

    :param reason: why it cannot be otherwise.
    """

    def mark(test: Test) -> Test:
        test.in_process_only = reason  # type: ignore[attr-defined]
        return test

    return mark


class ApiTestCase(base.TestCase):
    """The API without a cloud. Jobs are kept until :meth:`work` is called."""

    max_concurrent_resources = 8
    client: testing.TestClient | None = None

    def setUp(self) -> None:
        super().setUp()
        self._set_options = self.config.config
        self.config.config = self.configure
        self.build(provider.ProviderRegistry(self.provider_dir()))

    def build(self, registry: provider.ProviderRegistry) -> None:
        """Everything that a Karbor process consists of, on the providers given."""
        self.registry = registry
        workers = 0 if self._is_in_process() else WORKERS
        self.board = _Board(looks=workers > 0)
        self.addCleanup(self.board.end)
        board = boards.DatabaseBoard() if workers else self.board
        protectable_plugins = protectables.load()
        services = Services.on(registry, protectable_plugins, trusts.NoTrusts(), board)
        self.manager = services.commands
        self.queries = services.queries
        self.environment = runners.environment(
            registry,
            protectable_plugins,
            board.post,
            context_of,
            max_concurrent_resources=self.max_concurrent_resources,
        )
        self.runner = runners.runner(self.environment)
        self._serve(workers, app.create_app(services, self.authentication()))

    def authentication(self) -> Any:
        """What finds out who asks."""
        return personas.Authentication()

    def _is_in_process(self) -> bool:
        return any(
            hasattr(marked, 'in_process_only')
            for marked in (getattr(self, self._testMethodName), type(self))
        )

    def _serve(self, workers: int, application: Any) -> None:
        self.end_api()
        if not workers:
            self.client = testing.TestClient(application)
            return
        log = self.temp_dir / 'api.log'
        self.client = api_server.HttpClient(application, workers, log, self.board.looking)
        self.addCleanup(self.client.stop)
        self.addOnException(lambda _: self._show(log))

    def end_api(self) -> None:
        """Have the next request begin the processes of the API anew, if it has its own.

        They are as the tests' process is at that moment, so this is for a test that patches
        something between two requests.
        """
        if isinstance(self.client, api_server.HttpClient):
            self.client.stop()

    def configure(self, **options: Any) -> None:
        """Change options, which a process of the API reads when it starts."""
        self._set_options(**options)
        self.end_api()

    def _show(self, log: pathlib.Path) -> None:
        if log.exists():
            self.addDetail('API', content.text_content(log.read_text(errors='replace')))

    def work(self) -> None:
        """Begin with the jobs that were posted, and go on with those to come."""
        self.board.start(self.runner.run)

    def request(
        self,
        method: str,
        path: str,
        code: int = 200,
        project_id: str = PROJECT_ID,
        persona: str = 'manager',
        **kwargs: Any,
    ) -> Any:
        """The body of the answer to a request with the token, checked for its status.

        :param path: what follows the project in the URL.
        :param persona: who asks, unless ``headers`` say it.
        :param code: the status that is expected; for an error, its message is returned.
        """
        kwargs.setdefault('headers', {'X-Auth-Token': personas.token(persona, PROJECT_ID)})
        if 'json' in kwargs:  # in ASCII, which can carry any character, good or bad
            kwargs['body'] = json.dumps(kwargs.pop('json')).encode()
        result = self.client.simulate_request(method, f'/v1/{project_id}{path}', **kwargs)
        self.assertEqual(code, result.status_code, f'{method} {path}: {result.text[:2000]}')
        documented.check(method, f'/v1/{project_id}{path}', kwargs.get('body'), result)
        return result.json if code < 400 and result.content else self.error_of(result)

    def error_of(self, result: testing.Result) -> str | None:
        """The message of an error, whose form is checked; None of an empty answer."""
        if result.status_code < 400:
            return None
        self.assertTrue(result.headers['Content-Type'].startswith('application/json'))
        self.assertEqual([_KEYS[result.status_code]], list(result.json))
        body = result.json[_KEYS[result.status_code]]
        more = {'retryAfter': '0'} if result.status_code == 413 else {}
        self.assertEqual({'code': result.status_code, 'message': body['message'], **more}, body)
        self.assertTrue(body['message'].strip())
        return body['message']

    def get(self, path: str, code: int = 200, **kwargs: Any) -> Any:
        return self.request('GET', path, code, **kwargs)

    def post(self, path: str, body: Any, code: int = 200, **kwargs: Any) -> Any:
        return self.request('POST', path, code, json=body, **kwargs)

    def put(self, path: str, body: Any, code: int = 200, **kwargs: Any) -> Any:
        return self.request('PUT', path, code, json=body, **kwargs)

    def delete(self, path: str, code: int = 200, **kwargs: Any) -> Any:
        return self.request('DELETE', path, code, **kwargs)

    def follow(
        self, path: str, collection: str, persona: str = 'manager'
    ) -> list[list[dict[str, Any]]]:
        """Every page of a list, found by nothing but the links."""
        pages = []
        document = self.get(path, persona=persona)
        while True:
            pages.append(document[collection])
            links = document.get(f'{collection}_links')
            if links is None:
                return pages
            self.assertEqual(['next'], [link['rel'] for link in links])
            self.assertLess(len(pages), 100, 'the links lead in a circle')
            prefix = f'http://falconframework.org/v1/{PROJECT_ID}'
            self.assertTrue(links[0]['href'].startswith(prefix), links)
            document = self.get(links[0]['href'].removeprefix(prefix), persona=persona)

    @staticmethod
    def plan_body(*resources: dict[str, Any], **fields: Any) -> dict[str, Any]:
        """A body that makes a plan; of a volume nobody looked for, when none is given."""
        return {
            'plan': {
                'name': 'nightly',
                'provider_id': PROVIDER_ID,
                'resources': list(resources) or [resource()],
                'parameters': {VOLUME: dict(OPTIONS)},
                **fields,
            }
        }

    def create_plan(self, *resources: dict[str, Any], **fields: Any) -> dict[str, Any]:
        return self.post('/plans', self.plan_body(*resources, **fields))['plan']

    def checkpoints_path(self, checkpoint_id: str = '', provider_id: str = PROVIDER_ID) -> str:
        return f'/providers/{provider_id}/checkpoints' + (checkpoint_id and f'/{checkpoint_id}')

    def create_checkpoint(self, plan: dict[str, Any]) -> dict[str, Any]:
        return self.post(self.checkpoints_path(), {'checkpoint': {'plan_id': plan['id']}})[
            'checkpoint'
        ]

    def ended(self, path: str, key: str) -> dict[str, Any]:
        """A checkpoint, restore or verification once no job works on it."""

        def look() -> dict[str, Any] | None:
            shown = self.get(path)[key]
            return None if shown['status'] in _UNFINISHED else shown

        return self.wait_until(look, f'the end of {path}')

    def ended_checkpoint(self, checkpoint: dict[str, Any]) -> dict[str, Any]:
        return self.ended(self.checkpoints_path(checkpoint['id']), 'checkpoint')

    def add_row(self, model: Any, **fields: Any) -> Any:
        """Put a row into the database behind the API's back."""
        row = model(**{**fields_of(model), **fields})
        with db.writer() as session:
            session.add(row)
        return row

    def rows(self, model: Any) -> list[Any]:
        with db.reader() as session:
            return session.query(model).all()


class CloudTestCase(ApiTestCase):
    """The API with a fake Cinder; jobs are worked on at once."""

    def setUp(self) -> None:
        super().setUp()
        self.cinder = fake_cinder.FakeCinder(project_id=PROJECT_ID)
        serving = self.cinder.serve()
        url = serving.__enter__()
        self.addCleanup(serving.__exit__, None, None, None)
        # Jobs end before the cloud does: cleanups run in the opposite order.
        self.addCleanup(self.board.end)
        self.config.config(cinder_endpoint=url, group='cinder_client')
        client_factory.use_sessions(_sessions(url))
        self.addCleanup(client_factory.use_sessions, None)
        self.work()

    def with_glance(self) -> fake_glance.FakeGlance:
        """A fake Glance, which the cloud has from now on."""
        glance = fake_glance.FakeGlance()
        self.cinder.glance = glance
        serving = glance.serve()
        url = serving.__enter__()
        self.addCleanup(serving.__exit__, None, None, None)
        self.addCleanup(self.board.end)
        self.config.config(glance_endpoint=url, group='glance_client')
        return glance

    def volume(self, **fields: Any) -> dict[str, Any]:
        """A new volume, as a resource of a plan."""
        made = self.cinder.add_volume(**{'name': 'data', **fields})
        return resource(made['id'], name=made['name'])

    def protected(self, *volumes: dict[str, Any]) -> dict[str, Any]:
        """A checkpoint that is available, of volumes; of a new one when none is given."""
        plan = self.create_plan(*(volumes or [self.volume()]))
        checkpoint = self.ended_checkpoint(self.create_checkpoint(plan))
        self.assertEqual('available', checkpoint['status'], checkpoint)
        return checkpoint

    def use(self, kind: str, checkpoint: dict[str, Any], code: int = 200, **fields: Any) -> Any:
        """Ask for a restore or a verification; kind is 'restore' or 'verification'."""
        body = {
            'provider_id': PROVIDER_ID,
            'checkpoint_id': checkpoint['id'],
            'parameters': {},
            **fields,
        }
        made = self.post(f'/{kind}s', {kind: body}, code)
        return made[kind] if code == 200 else made

    def ended_use(self, kind: str, use: dict[str, Any]) -> dict[str, Any]:
        return self.ended(f'/{kind}s/{use["id"]}', kind)


class _Board(pool.WorkerPool):
    """The board of a process, which a test can take down.

    :param looks: whether it looks for the jobs that other processes leave in the database.
    """

    _WORKERS = 2
    _INTERVAL = 0.02

    def __init__(self, looks: bool) -> None:
        super().__init__(self._WORKERS)
        self._looks = looks
        #: held while it looks
        self.looking = threading.Lock()

    def start(self, run: Callable[[str], None]) -> None:
        super().start(run)
        if self._looks:
            looker = threading.Thread(target=self._look, name='looks for jobs', daemon=True)
            looker.start()
            self._threads.append(looker)

    def _look(self) -> None:
        known: set[str] = set()
        while not self._stopping.wait(self._INTERVAL):
            with self.looking, db.reader() as session:
                found = session.scalars(
                    sa.select(models.Job.id).where(models.Job.state == job_rows.JobState.PENDING)
                ).all()
            for job_id in found:
                if job_id not in known:
                    self.post(job_id)
            known.update(found)

    def end(self) -> None:
        """Let running jobs end, and see every worker gone."""
        self._stopping.set()
        for _ in self._threads:
            self.post('wake up and see that it is over')
        for thread in self._threads:
            thread.join(20)
            if thread.is_alive():
                raise AssertionError(f'{thread.name} still works 20 s after its test')


def _sessions(url: str) -> client_factory.SessionLoader:
    """One keystoneauth session a process: a fork must not use its parent's connections."""

    @functools.cache
    def session_of_process(_process_id: int) -> ks_session.Session:
        return ks_session.Session(auth=token_endpoint.Token(url, 'token'))

    return lambda _context: session_of_process(os.getpid())


def resource(
    resource_id: str | None = None, resource_type: str = VOLUME, name: str = 'data', **fields: Any
) -> dict[str, Any]:
    return {'id': resource_id or new_id(), 'type': resource_type, 'name': name, **fields}


def at_once(*calls: Any) -> list[Any]:
    """What calls return that begin at the same moment, each in its own thread."""
    barrier = threading.Barrier(len(calls))
    results: list[Any] = [None] * len(calls)

    def run(number: int) -> None:
        barrier.wait(10)
        results[number] = calls[number]()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    return results


def context_of(job: models.Job) -> karbor_context.RequestContext:
    return karbor_context.RequestContext(job.user_id, job.project_id, overwrite=False)


def fields_of(model: Any) -> dict[str, Any]:
    """Fields of a row that is like one the API would make."""
    return {key: value for key, value in _row_fields() if key in model.__table__.columns.keys()}  # noqa: SIM118 - no mapping


def _row_fields() -> Iterator[tuple[str, Any]]:
    plan_id, fields = new_id(), resource()
    node = graph.GraphNode(plans.as_resource(fields))
    yield from {
        'project_id': PROJECT_ID,
        'provider_id': PROVIDER_ID,
        'plan_id': plan_id,
        'checkpoint_id': new_id(),
        'name': 'row',
        'status': 'available',
        'resources': [fields],
        'parameters': {VOLUME: dict(OPTIONS)},
        'protection_plan': {
            'id': plan_id,
            'name': 'row',
            'provider_id': PROVIDER_ID,
            'resources': [fields],
            'parameters': {VOLUME: dict(OPTIONS)},
        },
        'resource_graph': graph.serialize([node]),
        'resources_total': 1,
        'extra_info': {},
        'type': 'time',
        'properties': dict(TRIGGER_PROPERTIES),
        'operation_type': 'protect',
        'operation_definition': {'provider_id': PROVIDER_ID, 'plan_id': plan_id},
        'trigger_id': new_id(),
    }.items()
