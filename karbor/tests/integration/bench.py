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

"""Counts the requests to a real Cinder that protecting, restoring and deleting cost.

Run it by ``tools/bench requests``. It prints, for each number of volumes, how many requests of each
kind Karbor sent, how many that is a volume, and how many volumes a second were done.
"""

import collections
import pathlib
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

from karbor.testing import fault_proxy
from karbor.tests.integration import base, cloud

_DEFAULT_COUNTS = (1, 20, 200)


def main(counts: list[int]) -> None:
    print(f'{"job":8} {"volumes":>7} {"requests":>8} {"a volume":>8} {"volumes/s":>9}  by kind')
    for count in counts:
        with tempfile.TemporaryDirectory() as folder:
            _measure(count, pathlib.Path(folder))


def _measure(count: int, folder: pathlib.Path) -> None:
    project = cloud.Project()
    volume_ids = project.volumes(count)
    proxy = fault_proxy.FaultProxy(cloud.settings()['cinder_url'].removesuffix('/v3'))
    proxy.start()
    karbor = base.Standalone(project, folder, {}, f'{proxy.url}/v3')
    karbor.start()
    try:
        plan_id = karbor.plan(volume_ids)
        proxy.reset()
        checkpoint = _timed(
            proxy,
            'protect',
            count,
            lambda: karbor.wait_for_checkpoint(
                karbor.protect(plan_id), 'available', 'error', seconds=600
            ),
        )
        assert checkpoint['status'] == 'available', checkpoint['status_reason']
        restore = _timed(
            proxy,
            'restore',
            count,
            lambda: karbor.wait_for_use(
                'restore', karbor.use('restore', checkpoint['id']), seconds=600
            ),
        )
        assert restore['status'] == 'success', restore['status_reason']
        verification = _timed(
            proxy,
            'verify',
            count,
            lambda: karbor.wait_for_use(
                'verification', karbor.use('verification', checkpoint['id']), seconds=600
            ),
        )
        assert verification['status'] == 'success', verification['status_reason']
        deleted = _timed(
            proxy, 'delete', count, lambda: karbor.delete(checkpoint['id'], seconds=600)
        )
        assert deleted['status'] == 'deleted', deleted['status_reason']
        assert project.snapshots() == {}
    finally:
        karbor.stop()
        proxy.stop()


def _timed(proxy: fault_proxy.FaultProxy, job: str, count: int, run: Callable[[], Any]) -> Any:
    begun = time.monotonic()
    result = run()
    seconds = time.monotonic() - begun
    requests: collections.Counter[tuple[str, str]] = collections.Counter(proxy.requests)
    kinds = ', '.join(
        f'{method} {path} {number}' for (method, path), number in sorted(requests.items())
    )
    total = requests.total()
    print(
        f'{job:8} {count:7} {total:8} {total / count:8.2f} {count / seconds:9.1f}  {kinds}',
        flush=True,
    )
    proxy.reset()
    return result


if __name__ == '__main__':
    main([int(argument) for argument in sys.argv[1:]] or list(_DEFAULT_COUNTS))
