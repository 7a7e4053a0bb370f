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

"""Shows what answers of the API cost, beside the least that they could.

Run it by ``tools/bench api``. The API is two processes of gunicorn, as an operator runs them, with
a real database server, a fake of Keystone, 10,000 plans, and 200 checkpoints of three volumes. The
token is checked by keystonemiddleware with what it has by default: each process keeps what Keystone
has said of a token, for five minutes. The floor is a bare function behind the same gunicorn that
makes one select of the same rows, or one insert, and JSON of it. Both are asked in turn, by 32
clients in two processes, and medians are shown; the ratio is that of the processor's time, without
that of the database. KARBOR_TEST_DATABASE says which database, mariadb or postgresql.
"""

import argparse
import contextlib
import dataclasses
import datetime
import json
import logging
import os
import pathlib
import signal
import socket
import subprocess
import sys
from typing import Any

import sqlalchemy as sa
import webob
from sqlalchemy import orm

from karbor import context as karbor_context
from karbor import db
from karbor.cmd import application, assembly
from karbor.db import jobs as job_rows
from karbor.db import models
from karbor.services import quotas
from karbor.services.checkpoints import plans
from karbor.services.protection import graph
from karbor.tests.base import PROJECT_ID, PROVIDER_ID, new_id
from karbor.tests.functional import asking, bench_ground, lists
from karbor.tests.functional.base import OPTIONS, VOLUME, resource

_PLANS, _CHECKPOINTS, _VOLUMES = 10_000, 200, 3
_GUNICORN = ('--workers', '2', '--threads', '4')
_PROCESSES = 2  # of clients
_REQUESTS = 1_600
_ROUNDS = 5
_TOKEN = 'token-of-a-member'
_HEADERS = {'X-Auth-Token': _TOKEN, 'Content-Type': 'application/json'}
_BELOW = f'/v1/{PROJECT_ID}'
_SERVICES = ('identity', 'compute', 'volumev3', 'image', 'network', 'placement', 'data-protect')


class Server:
    """An application behind gunicorn.

    :param name: of its log.
    :param served: the application, as gunicorn takes it.
    :param config: karbor.conf; the log is beside it.
    :param ends: ends what is started.
    """

    def __init__(
        self, name: str, served: str, config: pathlib.Path, ends: contextlib.ExitStack
    ) -> None:
        listener = ends.enter_context(socket.create_server(('127.0.0.1', 0), backlog=128))
        self._address = f'127.0.0.1:{listener.getsockname()[1]}'
        bound = ('--bind', f'fd://{listener.fileno()}', '--no-control-socket')
        log = ends.enter_context(config.with_name(f'{name}.log').open('wb'))
        self._process = subprocess.Popen(
            [sys.executable, '-m', 'gunicorn', *bound, *_GUNICORN, served],
            stdout=log,
            stderr=log,
            pass_fds=[listener.fileno()],
            env={**os.environ, 'OS_KARBOR_CONFIG_FILE': str(config)},
            start_new_session=True,
        )
        ends.callback(self._process.wait)
        ends.callback(self._process.send_signal, signal.SIGTERM)

    def measure(self, question: asking.Question, count: int) -> bench_ground.Figures:
        """Requests a second, and ms of the processor for one: the server's, and the clients'."""
        command = [sys.executable, '-m', 'karbor.tests.functional.asking']
        command += [self._address, str(count // _PROCESSES)]
        cpu = bench_ground.cpu_of_group(self._process.pid)
        askers = [
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            for _ in range(_PROCESSES)
        ]
        for asker in askers:
            assert asker.stdin is not None
            asker.stdin.write(json.dumps(dataclasses.asdict(question)))
            asker.stdin.close()
        taken = [_taken(asker) for asker in askers]
        cpu = bench_ground.cpu_of_group(self._process.pid) - cpu
        return {
            'a second': sum(count / _PROCESSES / one.seconds for one in taken),
            'ms cpu': 1000 * cpu / count,
            'ms cpu of clients': 1000 * sum(one.cpu for one in taken) / count,
        }


def _taken(asker: subprocess.Popen[str]) -> asking.Taken:
    assert asker.stdout is not None
    text = asker.stdout.read()
    assert asker.wait() == 0, 'not all is answered'
    return asking.Taken(**json.loads(text))


def _token(endpoint_url: str) -> dict[str, Any]:
    """What Keystone tells of the token: with a catalog, as clouds have one."""
    domain = {'id': 'default', 'name': 'Default'}
    now = datetime.datetime.now(datetime.UTC)
    return {
        'methods': ['password'],
        'user': {'id': 'user', 'name': 'user', 'domain': domain},
        'project': {'id': PROJECT_ID, 'name': 'demo', 'domain': domain},
        'roles': [{'id': name, 'name': name} for name in ('member', 'reader')],
        'issued_at': now.isoformat(),
        'expires_at': (now + datetime.timedelta(days=1)).isoformat(),
        'catalog': [
            {
                'id': new_id(),
                'type': name,
                'name': name,
                'endpoints': [
                    {
                        'id': new_id(),
                        'interface': interface,
                        'region': 'RegionOne',
                        'region_id': 'RegionOne',
                        'url': endpoint_url,
                    }
                    for interface in ('public', 'internal', 'admin')
                ],
            }
            for name in _SERVICES
        ],
    }


class Ground:
    """What is asked for, and who is asked.

    :param ends: ends what is started.
    """

    def __init__(self, ends: contextlib.ExitStack) -> None:
        place = ends.enter_context(bench_ground.ground())
        place.keystone.valid[_TOKEN] = _token(place.cinder.url)
        plan_ids, checkpoint_ids = _fill()
        self.questions = _questions(plan_ids, checkpoint_ids)
        bare = f'karbor.tests.functional.bare_api:Api({assembly.CONF.database.connection!r})'
        self.floor = Server('floor', bare, place.config, ends)
        self.karbor = Server('karbor', 'karbor.wsgi.api:application', place.config, ends)
        self._here = application.create()

    def statements(self, question: asking.Question) -> int:
        """How many SQL statements a request takes, counted in this process."""

        def ask() -> None:
            request = webob.Request.blank(
                question.paths[0], method=question.method, headers=question.headers
            )
            if question.body is not None:
                request.json = question.body
            answer = request.get_response(self._here)
            assert answer.status_code == 200, answer.text

        ask()  # what is done once with a database
        with lists.cost() as found:
            ask()
        return len(found.statements)

    def pair(
        self, question: asking.Question, count: int
    ) -> tuple[bench_ground.Figures, bench_ground.Figures]:
        """The figures of the floor and of Karbor."""
        figures = self.floor.measure(question, count), self.karbor.measure(question, count)
        with db.writer() as session:
            session.execute(sa.delete(models.Plan).where(models.Plan.name == 'made'))
        return figures


def _questions(plan_ids: list[str], checkpoint_ids: list[str]) -> dict[str, asking.Question]:
    checkpoints = f'{_BELOW}/providers/{PROVIDER_ID}/checkpoints'
    made = {
        'name': 'made',
        'provider_id': PROVIDER_ID,
        'resources': [resource() for _ in range(_VOLUMES)],
        'parameters': {VOLUME: OPTIONS},
    }

    def get(*paths: str) -> asking.Question:
        return asking.Question('GET', list(paths), _HEADERS)

    return {
        '20 of 10,000 plans': get(f'{_BELOW}/plans?limit=20'),
        'a plan': get(*(f'{_BELOW}/plans/{plan_id}' for plan_id in plan_ids[:100])),
        'a checkpoint': get(*(f'{checkpoints}/{name}' for name in checkpoint_ids[:100])),
        '20 checkpoints': get(f'{checkpoints}?limit=20'),
        'POST of a plan': asking.Question('POST', [f'{_BELOW}/plans'], _HEADERS, {'plan': made}),
    }


def _fill() -> tuple[list[str], list[str]]:
    """Put plans and checkpoints into the database; returns their ids."""
    context = karbor_context.RequestContext('user', PROJECT_ID)
    quotas.Quotas().set_limits(context, PROJECT_ID, {quotas.PLANS: 1_000_000})
    with db.writer() as session:
        found = [_plan(number) for number in range(_PLANS)]
        session.execute(sa.insert(models.Plan), found)
        checkpoint_ids = [_add_checkpoint(session, plan) for plan in found[:_CHECKPOINTS]]
    return [plan['id'] for plan in found], checkpoint_ids


def _plan(number: int) -> dict[str, Any]:
    return {
        'id': new_id(),
        'created_at': lists.BEGIN + datetime.timedelta(seconds=number),
        'project_id': PROJECT_ID,
        'provider_id': PROVIDER_ID,
        'name': f'plan {number}',
        'description': 'of a bench',
        'status': 'suspended',
        'resources': [resource() for _ in range(_VOLUMES)],
        'parameters': {VOLUME: OPTIONS},
    }


def _add_checkpoint(session: orm.Session, plan: dict[str, Any]) -> str:
    """One of a plan, made by a job that is over."""
    shared = {name: plan[name] for name in ('project_id', 'provider_id', 'created_at')}
    nodes = [graph.GraphNode(plans.as_resource(fields)) for fields in plan['resources']]
    shown = ('id', 'name', 'provider_id', 'resources', 'parameters')
    checkpoint = models.Checkpoint(
        id=new_id(),
        status='available',
        plan_id=plan['id'],
        protection_plan={name: plan[name] for name in shown},
        resource_graph=graph.serialize(nodes),
        resources_total=_VOLUMES,
        extra_info={},
        **shared,
    )
    job = models.Job(
        id=new_id(),
        kind='protect',
        subject_id=checkpoint.id,
        checkpoint_id=checkpoint.id,
        state=job_rows.JobState.DONE,
        **shared,
    )
    points = [
        models.RecoveryPoint(
            checkpoint_id=checkpoint.id,
            plan_id=plan['id'],
            resource_type=VOLUME,
            resource_id=fields['id'],
            resource_name=fields['name'],
            state='good',
            taken_at=plan['created_at'],
            size=1,
            cloud_id=new_id(),
            **shared,
        )
        for fields in plan['resources']
    ]
    session.add_all([checkpoint, job, *points])
    session.flush()
    session.add_all(
        models.JobResource(
            job_id=job.id, resource_type=VOLUME, resource_id=fields['id'], is_done=True
        )
        for fields in plan['resources']
    )
    session.flush()
    return checkpoint.id


def _line(
    name: str,
    statements: int,
    floor: list[bench_ground.Figures],
    karbor: list[bench_ground.Figures],
) -> str:
    cpu, least = (bench_ground.median(rounds, 'ms cpu') for rounds in (karbor, floor))
    rate, most = (bench_ground.median(rounds, 'a second') for rounds in (karbor, floor))
    return (
        f'{name:18} {cpu / least:6.2f} {cpu:7.2f} {least:8.2f} {rate:9.0f} {most:8.0f} '
        f'{statements:10}'
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('--rounds', type=int, default=_ROUNDS)
    parser.add_argument('--requests', type=int, default=_REQUESTS, help='of each kind in a round')
    parser.add_argument('--json', type=pathlib.Path, help='keep all figures there')
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    kept: dict[str, Any] = {}
    with contextlib.ExitStack() as ends:
        ground = Ground(ends)
        bench_ground.say(
            f'{bench_ground.kind_of_database()}, gunicorn {" ".join(_GUNICORN)}, '
            f'{_PROCESSES * asking.CLIENTS} clients, {os.cpu_count()} cores\n{"":18} {"ratio":>6} '
            f'{"ms CPU":>7} {"of floor":>8} {"a second":>9} {"of floor":>8} {"statements":>10}'
        )
        for question in ground.questions.values():
            ground.pair(question, arguments.requests // 4)  # to warm up
        rounds = [
            {
                name: ground.pair(question, arguments.requests)
                for name, question in ground.questions.items()
            }
            for _ in range(arguments.rounds)
        ]
        for name, question in ground.questions.items():
            floors, karbors = ([one[name][number] for one in rounds] for number in (0, 1))
            statements = ground.statements(question)
            bench_ground.say(_line(name, statements, floors, karbors))
            kept[name] = {'floor': floors, 'karbor': karbors, 'statements': statements}
    if arguments.json:
        arguments.json.write_text(json.dumps(kept, indent=1))


if __name__ == '__main__':
    main()
