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

"""The API in process, in front of real services and a database file."""

import json
import threading
from collections.abc import Iterator
from typing import Any

from falcon import testing
from keystoneauth1 import session as ks_session
from keystoneauth1 import token_endpoint

from karbor import context as karbor_context
from karbor import db
from karbor.api import app
from karbor.common import constants
from karbor.db import models
from karbor.services import trusts
from karbor.services.protection import (
    client_factory,
    graph,
    jobboard,
    jobs,
    manager,
    plans,
    protectables,
    provider,
)
from karbor.tests import base, fake_cinder, personas
from karbor.tests.base import PROJECT_ID, PROVIDER_ID, new_id
from karbor.tests.functional import documented

TOKEN = personas.token('manager', PROJECT_ID)
VOLUME = constants.VOLUME_RESOURCE_TYPE
PROJECT = constants.PROJECT_RESOURCE_TYPE
TRIGGER_PROPERTIES = {'format': 'crontab', 'pattern': '0 3 * * *',
                      'start_time': '2020-11-05 00:00:00', 'window': 900}
OPTIONS = {'snapshot_name': 'nightly', 'description': 'of a test', 'force': False}

_KEYS = {400: 'badRequest', 401: 'unauthorized', 403: 'forbidden', 404: 'itemNotFound',
         405: 'badMethod', 409: 'conflictingRequest', 413: 'overLimit', 415: 'badMediaType',
         503: 'serviceUnavailable'}
_UNFINISHED = ('protecting', 'deleting', 'in_progress')


class ApiTestCase(base.TestCase):
    """The API without a cloud. Jobs are kept until :meth:`work` is called."""

    max_concurrent_resources = 8

    def setUp(self) -> None:
        super().setUp()
        self.build(provider.ProviderRegistry(self.provider_dir()))

    def build(self, registry: provider.ProviderRegistry) -> None:
        """Everything that a Karbor process consists of, on the providers given."""
        self.registry = registry
        self.runner = jobs.JobRunner(registry, _context_of, self.max_concurrent_resources,
                                     trusts.NoTrusts())
        self.board = _Board(self.runner)
        self.addCleanup(self.board.end)
        found = protectables.load()
        self.manager = manager.ProtectionManager(registry, found, self.board.post,
                                                 trusts.NoTrusts())
        self.client = testing.TestClient(app.create_app(
            app.Services(registry, found, plans.Plans(registry, found), self.manager,
                         self.board.check),
            self.authentication()))

    def authentication(self) -> Any:
        """What finds out who asks."""
        return personas.Authentication()

    def work(self) -> None:
        """Begin with the jobs that were posted, and go on with those to come."""
        self.board.start()

    def request(self, method: str, path: str, code: int = 200, project_id: str = PROJECT_ID,
                persona: str = 'manager', **kwargs: Any) -> Any:
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

    def follow(self, path: str, collection: str,
               persona: str = 'manager') -> list[list[dict[str, Any]]]:
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
        return {'plan': {
            'name': 'nightly', 'provider_id': PROVIDER_ID,
            'resources': list(resources) or [resource()],
            'parameters': {VOLUME: dict(OPTIONS)}, **fields}}

    def create_plan(self, *resources: dict[str, Any], **fields: Any) -> dict[str, Any]:
        return self.post('/plans', self.plan_body(*resources, **fields))['plan']

    def checkpoints_path(self, checkpoint_id: str = '', provider_id: str = PROVIDER_ID) -> str:
        return f'/providers/{provider_id}/checkpoints' + (checkpoint_id and f'/{checkpoint_id}')

    def create_checkpoint(self, plan: dict[str, Any]) -> dict[str, Any]:
        return self.post(self.checkpoints_path(),
                         {'checkpoint': {'plan_id': plan['id']}})['checkpoint']

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
        row = model(**{**_row(model), **fields})
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
        session = ks_session.Session(auth=token_endpoint.Token(url, 'token'))
        client_factory.use_sessions(lambda _context: session)
        self.addCleanup(client_factory.use_sessions, None)
        self.work()

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

    def use(self, kind: str, checkpoint: dict[str, Any], code: int = 200,
            **fields: Any) -> Any:
        """Ask for a restore or a verification; kind is 'restore' or 'verification'."""
        body = {'provider_id': PROVIDER_ID, 'checkpoint_id': checkpoint['id'],
                'parameters': {}, **fields}
        made = self.post(f'/{kind}s', {kind: body}, code)
        return made[kind] if code == 200 else made

    def ended_use(self, kind: str, use: dict[str, Any]) -> dict[str, Any]:
        return self.ended(f'/{kind}s/{use["id"]}', kind)


class _Board(jobboard.InProcessBoard):
    """The board of a process, which a test can take down."""

    _WORKERS = 2

    def __init__(self, runner: jobs.JobRunner) -> None:
        super().__init__(runner.run, self._WORKERS)
    def end(self) -> None:
        """Let running jobs end, and see every worker gone."""
        self._stopping.set()
        for _ in self._threads:
            self.post('wake up and see that it is over')
        for thread in self._threads:
            thread.join(20)
            if thread.is_alive():
                raise AssertionError(f'{thread.name} still works 20 s after its test')


def resource(resource_id: str | None = None, resource_type: str = VOLUME,
             name: str = 'data', **fields: Any) -> dict[str, Any]:
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


def _context_of(job: models.Job) -> karbor_context.RequestContext:
    return karbor_context.RequestContext(job.user_id, job.project_id, overwrite=False)


def _row(model: Any) -> dict[str, Any]:
    """Fields of a row that is like one the API would make."""
    return {key: value for key, value in _row_fields()
            if key in model.__table__.columns.keys()}  # noqa: SIM118 - no mapping


def _row_fields() -> Iterator[tuple[str, Any]]:
    plan_id, fields = new_id(), resource()
    node = graph.GraphNode(plans.as_resource(fields))
    yield from {
        'project_id': PROJECT_ID, 'provider_id': PROVIDER_ID, 'plan_id': plan_id,
        'checkpoint_id': new_id(), 'name': 'row', 'status': 'available',
        'resources': [fields], 'parameters': {VOLUME: dict(OPTIONS)},
        'protection_plan': {'id': plan_id, 'name': 'row', 'provider_id': PROVIDER_ID,
                            'resources': [fields], 'parameters': {VOLUME: dict(OPTIONS)}},
        'resource_graph': graph.serialize([node]), 'resources_total': 1, 'extra_info': {},
        'type': 'time', 'properties': dict(TRIGGER_PROPERTIES), 'operation_type': 'protect',
        'operation_definition': {'provider_id': PROVIDER_ID, 'plan_id': plan_id},
        'trigger_id': new_id(),
    }.items()
