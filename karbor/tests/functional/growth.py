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

"""Shows how the cost of a job grows with the number of volumes, on a fake Cinder.

Run it by ``tools/bench growth``. Cinder is a fake that settles everything at once, so this
shows what Karbor itself costs, in process: the ratios say whether it grows in line.
"""

import logging
import sys
import time
import unittest
from collections.abc import Callable
from typing import Any

from karbor.services.cinder import watcher
from karbor.services.protection import client_factory, provider
from karbor.tests.functional import base

_COUNTS = (100, 1_000, 10_000)


class Growth(base.CloudTestCase):
    """Not a test: the set-up of one, for each number of volumes."""

    count = 0
    max_concurrent_resources = 32

    def runTest(self) -> None:
        logging.disable(logging.INFO)
        # The fake settles at the second look; what is measured is not the wait for it.
        self.patch(watcher, 'FIRST_INTERVAL', 0.02)
        # No HTTP to the fake, whose cost would hide that of Karbor.
        client_factory.use_sessions(lambda _context: self.cinder.session())
        self.cinder.looks_until_settled = 1
        resources = [self.volume() for _ in range(self.count)]
        plan = self._timed('plan', lambda: self.create_plan(*resources))
        checkpoint = self._timed('protect', lambda: self._ended(self.create_checkpoint(plan)))
        self.assertEqual('available', checkpoint['status'], checkpoint['status_reason'])
        self._timed('show', lambda: self.get(self.checkpoints_path(checkpoint['id'])))
        verification = self._timed('verify', lambda: self._use('verification', checkpoint))
        self.assertEqual('success', verification['status'])
        restore = self._timed('restore', lambda: self._use('restore', checkpoint))
        self.assertEqual(self.count, len(restore['resources_status']))
        self.delete(self.checkpoints_path(checkpoint['id']))
        self._timed('delete', lambda: self._ended(checkpoint))
        self.assertEqual({}, self.cinder.snapshots)

    def build(self, registry: provider.ProviderRegistry) -> None:
        """With time for many volumes."""
        super().build(
            provider.ProviderRegistry(
                self.provider_dir(
                    poll_interval=15, snapshot_timeout=600, restore_timeout=600, delete_timeout=600
                )
            )
        )

    def ended(self, path: str, key: str) -> Any:
        def look() -> Any:
            time.sleep(0.2)  # an answer has the whole graph: asking often would cost most
            shown = self.get(path)[key]
            return None if shown['status'] in ('protecting', 'deleting', 'in_progress') else shown

        return self.wait_until(look, f'the end of {path}', 1200)

    def _ended(self, checkpoint: Any) -> Any:
        return self.ended(self.checkpoints_path(checkpoint['id']), 'checkpoint')

    def _use(self, kind: str, checkpoint: Any) -> Any:
        made = self.post(
            f'/{kind}s',
            {
                kind: {
                    'provider_id': base.PROVIDER_ID,
                    'checkpoint_id': checkpoint['id'],
                    'parameters': {},
                }
            },
        )[kind]
        return self.ended(f'/{kind}s/{made["id"]}', kind)

    def _timed(self, what: str, run: Callable[[], Any]) -> Any:
        self.cinder.requests.clear()
        begun = time.monotonic()
        result = run()
        seconds = time.monotonic() - begun
        requests = sum(self.cinder.requests.values())
        print(
            f'{what:8} {self.count:7} {seconds:9.2f} {1000 * seconds / self.count:12.2f} '
            f'{requests:9} {requests / self.count:9.2f}',
            flush=True,
        )
        return result


def main(counts: list[int]) -> bool:
    print(
        f'{"call":8} {"volumes":>7} {"seconds":>9} {"ms a volume":>12} {"requests":>9} '
        f'{"a volume":>9}'
    )
    for count in counts:
        Growth.count = count
        if not unittest.TextTestRunner(verbosity=0).run(Growth()).wasSuccessful():
            return False
    return True


if __name__ == '__main__':
    sys.exit(not main([int(argument) for argument in sys.argv[1:]] or list(_COUNTS)))
