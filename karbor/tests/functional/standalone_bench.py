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

"""Shows what karbor-standalone takes: to start, when it is idle, and for protects.

Run it by ``tools/bench standalone``. Keystone is a fake, and Cinder a stub in a process of its own,
of which each answer takes 20 ms and each snapshot half a second. Protects are asked for through the
API, and compared with those of a bare script, in turn.
"""

import argparse
import contextlib
import functools
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import Any

import requests
from keystoneauth1 import token_endpoint

from karbor.common import constants
from karbor.testing import fake_keystone
from karbor.tests import bare_script
from karbor.tests.base import PROJECT_ID
from karbor.tests.functional import bench_ground

_COUNTS = (1, 100, 1_000)
_ROUNDS = {1: 7, 100: 5}  # of more volumes, three
_STARTS = 7
_SETTLES, _IDLE = 3, 20  # seconds
_LONGEST = 600  # seconds


class Standalone:
    """A karbor-standalone, to be started again and again.

    :param folder: where its state, its clouds.yaml and its log are.
    :param keystone_url: of Keystone, with the version.
    :param cinder_url: of Cinder, up to the version.
    """

    def __init__(self, folder: pathlib.Path, keystone_url: str, cinder_url: str) -> None:
        self._state = folder / 'state'
        self._log = folder / 'log'
        clouds = folder / 'clouds.yaml'
        clouds.write_text(json.dumps({'clouds': {'test': _cloud(keystone_url, cinder_url)}}))
        self._environment = {**os.environ, 'OS_CLIENT_CONFIG_FILE': str(clouds)}
        # As an installed one, it need not compile what it is made of.
        self._environment.pop('PYTHONDONTWRITEBYTECODE', None)
        self._caller = requests.Session()
        self._url = ''
        self._group = 0

    @contextlib.contextmanager
    def running(self) -> Iterator[bench_ground.Figures]:
        """Meanwhile it runs, and is ready; gives what that took."""
        (self._state / 'openrc').unlink(missing_ok=True)
        command = [sys.executable, '-m', 'karbor.cmd.standalone', '--os-cloud', 'test']
        command += ['--state-dir', str(self._state), '--port', '0']
        begun = time.monotonic()
        with self._log.open('wb') as log:
            process = subprocess.Popen(
                command, env=self._environment, stdout=log, stderr=log, start_new_session=True
            )
        try:
            while not self._is_ready():
                assert process.poll() is None, self._log.read_text()
                time.sleep(0.01)
            seconds = time.monotonic() - begun
            self._group = process.pid
            yield {'start': seconds, 'start cpu': self._cpu()}
        finally:
            process.terminate()
            process.wait()

    def _is_ready(self) -> bool:
        try:
            openrc = (self._state / 'openrc').read_text()
        except FileNotFoundError:
            return False
        values = dict(
            line.removeprefix('export ').split('=', 1)
            for line in openrc.splitlines()
            if line.startswith('export ')
        )
        self._url = values['KARBOR_URL']
        self._caller.headers['X-Auth-Token'] = values['OS_AUTH_TOKEN']
        root = self._url.partition('/v1')[0]
        return requests.get(f'{root}/healthcheck/ready', timeout=_LONGEST).ok

    @property
    def memory(self) -> float:
        """What it has of the memory, in MiB."""
        return bench_ground.memory_of_group(self._group)

    def idle(self) -> float:
        """What it takes of a core while nobody wants anything, in per cent."""
        time.sleep(_SETTLES)
        used = self._cpu()
        time.sleep(_IDLE)
        return 100 * (self._cpu() - used) / _IDLE

    def measure(self, volume_ids: list[str]) -> bench_ground.Figures:
        """What a protect takes."""
        (provider,) = self._call('GET', '/providers')
        plan = {
            'name': 'p',
            'provider_id': provider['id'],
            'resources': [
                {'type': constants.VOLUME_RESOURCE_TYPE, 'id': volume_id, 'name': 'v'}
                for volume_id in volume_ids
            ],
            'parameters': {
                constants.VOLUME_RESOURCE_TYPE: {'snapshot_name': 's', 'description': ''}
            },
        }
        plan_id = self._call('POST', '/plans', {'plan': plan})['id']
        checkpoints = f'/providers/{provider["id"]}/checkpoints'
        figures: bench_ground.Figures = {}
        with bench_ground.measured(figures, 'protect', self._cpu):
            self._call('POST', checkpoints, {'checkpoint': {'plan_id': plan_id}})
            end = time.monotonic() + _LONGEST
            while (log := self._newest_log())['ended_at'] is None:
                assert time.monotonic() < end, 'it does not come to an end'
                time.sleep(0.05)
        assert log['error_info'] is None, log
        return figures

    def _newest_log(self) -> Any:
        (log,) = self._call('GET', '/operation_logs?sort=created_at:desc&limit=1')
        return log

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        answer = self._caller.request(method, self._url + path, json=body, timeout=_LONGEST)
        assert answer.ok, f'{method} {path}: {answer.text}'
        document = answer.json()
        return document[next(iter(document))]

    def _cpu(self) -> float:
        return bench_ground.cpu_of_group(self._group)


def _cloud(keystone_url: str, cinder_url: str) -> Any:
    """An entry of clouds.yaml."""
    return {
        'auth': {
            'auth_url': keystone_url,
            'username': fake_keystone.ME,
            'password': fake_keystone.PASSWORD,
            'user_domain_id': 'default',
            'project_id': PROJECT_ID,
        },
        'block_storage_endpoint_override': f'{cinder_url}/{PROJECT_ID}',
    }


def _floor(script: bare_script.BareScript, volume_ids: list[str]) -> bench_ground.Figures:
    """What the bare script takes for the same."""
    figures: bench_ground.Figures = {}
    with bench_ground.measured(figures, 'protect', time.process_time):
        script.protect(volume_ids)
    return figures


def _start(standalone: Standalone) -> bench_ground.Figures:
    with standalone.running() as figures:
        return figures


def _line(count: int, floor: list[bench_ground.Figures], karbor: list[bench_ground.Figures]) -> str:
    seconds, least = (bench_ground.median(rounds, 'protect') for rounds in (karbor, floor))
    cpu = 1000 * bench_ground.median(karbor, 'protect cpu') / count
    return f'{count:7} {seconds / least:6.2f} {seconds:9.2f} {least:9.2f} {cpu:9.2f}'


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('counts', nargs='*', type=int, default=_COUNTS, metavar='N')
    parser.add_argument('--starts', type=int, default=_STARTS)
    parser.add_argument('--rounds', type=int, help='default: more of few volumes')
    parser.add_argument('--json', type=pathlib.Path, help='keep all figures there')
    arguments = parser.parse_args()
    kept: dict[str, Any] = {}
    with contextlib.ExitStack() as ends:
        folder = pathlib.Path(ends.enter_context(tempfile.TemporaryDirectory()))
        cinder_url = ends.enter_context(bench_ground.stub_of_cinder()).url
        keystone_url = ends.enter_context(fake_keystone.FakeKeystone().serve())
        standalone = Standalone(folder, keystone_url, cinder_url)
        script = bare_script.BareScript(token_endpoint.Token(f'{cinder_url}/{PROJECT_ID}', 'token'))
        kept['first start'] = _start(standalone)
        kept['starts'] = [_start(standalone) for _ in range(arguments.starts)]
        seconds, cpu = (
            bench_ground.median(kept['starts'], name) for name in ('start', 'start cpu')
        )
        bench_ground.say(
            f'{os.cpu_count()} cores\n'
            f'ready after {seconds:.2f} s (less than 1.5 s is wanted), {cpu:.2f} s of CPU; '
            f'after {kept["first start"]["start"]:.2f} s with a new folder'
        )
        ends.enter_context(standalone.running())
        kept['idle %'], kept['idle MiB'] = standalone.idle(), standalone.memory
        bench_ground.say(
            f'idle: {kept["idle %"]:.2f} % of a core (less than 0.3 % is wanted), '
            f'{kept["idle MiB"]:.0f} MiB (at most 100 MiB are wanted)\n'
            f'{"protect":>7} {"ratio":>6} {"Karbor s":>9} {"floor s":>9} {"ms CPU":>9}   a volume'
        )
        for count in arguments.counts:
            volume_ids = bench_ground.new_ids(count)
            rounds = arguments.rounds or _ROUNDS.get(count, 3)
            floors, karbors = bench_ground.in_turn(
                functools.partial(_floor, script, volume_ids),
                functools.partial(standalone.measure, volume_ids),
                rounds,
            )
            bench_ground.say(_line(count, floors, karbors))
            kept[str(count)] = {'floor': floors, 'karbor': karbors}
        kept['MiB after'] = standalone.memory
        bench_ground.say(f'{kept["MiB after"]:.0f} MiB afterwards')
    if arguments.json:
        arguments.json.write_text(json.dumps(kept, indent=1))


if __name__ == '__main__':
    main()
