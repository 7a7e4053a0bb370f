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

"""Shows how many requests the limiter lets through, beside fixed numbers.

Run it by ``tools/bench limiter``. Cinder is a stub that answers in 50 ms while at most 16 requests
are open, takes longer the more there are beyond that, and refuses more than 64 with a 429. A
worker sends as a process of karbor-protection does, through its threads and python-cinderclient,
and always has more to send. Each of some fixed numbers has its turn, then the limiter, then two
workers with a limiter each.
"""

import argparse
import collections
import json
import pathlib
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import requests
from cinderclient import exceptions as cinder_exc
from keystoneauth1 import session as ks_session
from keystoneauth1 import token_endpoint
from oslo_config import cfg
from requests import adapters

from karbor import context as karbor_context
from karbor.services.cinder import limiter
from karbor.services.jobs import fair_pool
from karbor.services.protection.clients import cinder
from karbor.tests.base import PROJECT_ID, new_id
from karbor.tests.functional import bench_ground

_DELAY, _CAPACITY, _MOST = 0.05, 16, 64
_FIXED = (4, 8, 16, 24, 32, 48)
_LARGEST = 128
_SECONDS = 15
_LEARNS = 5  # seconds that the limiter may take
_QUEUED = 2 * _LARGEST


class Result(NamedTuple):
    """What a worker has counted.

    :ivar by_second: how many requests were answered in each second.
    """

    by_second: list[int]
    refused: int
    limit: int

    @property
    def rate(self) -> float:
        """Answers a second, when it has learnt."""
        return sum(self.by_second[_LEARNS:]) / (_SECONDS - _LEARNS)


class FixedLimiter:
    """Learns nothing."""

    def __init__(self, limit: int) -> None:
        self.limit = limit

    def answered(self, kind: str, seconds: float, in_flight: int) -> None:
        pass

    def refused(self) -> None:
        pass


class Sender:
    """One worker.

    :param url: of Cinder, up to the version.
    """

    def __init__(self, url: str, used_limiter: fair_pool.Limiter) -> None:
        self._limiter = used_limiter
        pool = fair_pool.FairPool(_LARGEST, used_limiter)
        self._lane = pool.lane(PROJECT_ID, 'job', lambda: None)
        connections = requests.Session()
        connections.mount('http://', adapters.HTTPAdapter(pool_maxsize=_LARGEST))
        session = ks_session.Session(
            auth=token_endpoint.Token(f'{url}/{PROJECT_ID}', 'token'), session=connections
        )
        context = karbor_context.RequestContext('u', PROJECT_ID, traffic=self._lane)
        self._client = cinder.create(context, cfg.ConfigOpts(), session=session)
        self._answered: collections.Counter[int] = collections.Counter()
        self._refused = 0
        self._begun = time.monotonic()

    def run(self) -> Result:
        """Send for a while."""
        waiting = collections.deque(self._lane.submit(self._send) for _ in range(_QUEUED))
        while time.monotonic() < self._begun + _SECONDS:
            waiting.popleft().result()
            waiting.append(self._lane.submit(self._send))
        self._lane.shutdown()
        by_second = [self._answered[second] for second in range(_SECONDS)]
        return Result(by_second, self._refused, self._limiter.limit)

    def _send(self) -> None:
        try:
            self._client.volume_snapshots.create(new_id())
        except cinder_exc.ClientException as exc:
            if exc.code != 429:
                raise
            self._refused += 1
        else:
            self._answered[int(time.monotonic() - self._begun)] += 1


def _results(count: int, *options: str) -> Iterator[Result]:
    """Of some workers that work side by side on one stub."""
    stub_options = ('--delay', str(_DELAY), '--capacity', str(_CAPACITY), '--most', str(_MOST))
    with bench_ground.stub_of_cinder(*stub_options) as stub:
        module = 'karbor.tests.functional.limiting'
        command = [sys.executable, '-m', module, '--url', stub.url, *options]
        workers = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(count)]
        for worker in workers:
            output, _ = worker.communicate()
            yield Result(*json.loads(output))


def _line(name: str, results: list[Result], best: float) -> str:
    rate = sum(result.rate for result in results)
    sent = sum(sum(result.by_second) + result.refused for result in results)
    refused = sum(result.refused for result in results)
    limits = ', '.join(str(result.limit) for result in results)
    return f'{name:16} {rate / best:6.2f} {rate:9.0f} {100 * refused / sent:9.2f}   {limits}'


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('--json', type=pathlib.Path, help='keep all figures there')
    parser.add_argument('--url', help=argparse.SUPPRESS)
    parser.add_argument('--fixed', type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.url:
        fixed = arguments.fixed
        used = FixedLimiter(fixed) if fixed else limiter.Limiter(_LARGEST)
        bench_ground.say(json.dumps(Sender(arguments.url, used).run()))
        return
    kept: dict[str, Any] = {}
    for number in _FIXED:
        kept[f'fixed {number}'] = list(_results(1, '--fixed', str(number)))
    kept['limiter'] = list(_results(1))
    kept['two limiters'] = list(_results(2))
    best = max(results[0].rate for name, results in kept.items() if name.startswith('fixed'))
    bench_ground.say(
        f'answers in {_DELAY * 1000:.0f} ms up to {_CAPACITY} open requests, 429 beyond {_MOST}; '
        f'rates after {_LEARNS} s\n{"":16} {"ratio":>6} {"a second":>9} {"% refused":>9}   limit'
    )
    for name, results in kept.items():
        bench_ground.say(_line(name, results, best))
    if arguments.json:
        arguments.json.write_text(json.dumps(kept, indent=1))


if __name__ == '__main__':
    main()
