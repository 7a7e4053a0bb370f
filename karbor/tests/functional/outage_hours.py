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

"""What becomes of protects, restores, deletes and retention when the bank goes in their middle.

Run it by ``tools/outages half-hours``: banks in Swift and in S3, both fakes, are away for a minute
and for half an hour, by a clock of the test. Printed is what each outage has cost.
"""

import sys
import unittest
from typing import Any

from karbor.db import models
from karbor.testing.fake_cinder import Fault
from karbor.tests.base import PROVIDER_ID
from karbor.tests.functional import base, waiting

VOLUMES = 20
MINUTE, HALF_HOUR = 60, 1800

KINDS = ('protect', 'restore', 'delete', 'retention')


@base.in_process_only('jobs run in this process, by a clock of the test')
class BankTestCase(waiting.WaitingTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.volumes = [self.volume() for _ in range(VOLUMES)]
        self.plan = self.create_plan(*self.volumes)
        self.ids = sorted(volume['id'] for volume in self.volumes)

    def made(self) -> dict[str, Any]:
        """A checkpoint that is there before all."""
        checkpoint = self.create_checkpoint(self.plan)
        self.run_jobs()
        return checkpoint

    def shown(self, checkpoint: dict[str, Any]) -> dict[str, Any]:
        return self.get(self.checkpoints_path(checkpoint['id']))['checkpoint']

    def goes_with(self, method: str, path: str, after: int) -> None:
        """The bank goes when Cinder has got so many requests."""
        left = [after]

        def note() -> None:
            left[0] -= 1
            if left[0] == 0:
                self.bank_goes()

        self.cinder.faults = [Fault(method, path, hook=note)]

    def cinder_goes(self, **fault: Any) -> None:
        self.cinder.faults = [Fault(**fault)]

    def check_costs(self, seconds: float, figures: waiting.Figures) -> None:
        """No try is used up, one probe is sent in so many seconds, and all is over soon after."""
        self.assertEqual(1, figures.tries, figures)
        # Four tries of each write that was on its way: two of each volume.
        first = 4 * 2 * VOLUMES
        self.assertLessEqual(figures.asked, first + 2 * seconds / 10, figures)
        self.assertLessEqual(figures.back_after, max(seconds / 4, 5) + 3 * 5, figures)


class AllWorkTestCase(BankTestCase):
    """Of each kind of work, what becomes of it when the bank goes in its middle."""

    def check_protect(self, seconds: float) -> waiting.Figures:
        checkpoint = self.create_checkpoint(self.plan)
        self.goes_with('POST', '/snapshots', 5)
        self.pass_time(seconds)
        shown = self.shown(checkpoint)
        self.assertEqual('protecting', shown['status'])
        self.assertIn('waits for the bank, which has not answered since', shown['status_reason'])
        self.bank_returns()
        figures = self.until_all_is_done()
        shown = self.shown(checkpoint)
        self.assertEqual(('available', None), (shown['status'], shown['status_reason']))
        self.assertEqual(self.ids, self.snapshots())
        self.check_costs(seconds, figures)
        return figures

    def check_restore(self, seconds: float) -> waiting.Figures:
        checkpoint = self.made()
        before = set(self.cinder.volumes)
        restore = self.use('restore', checkpoint)
        self.goes_with('POST', '/volumes', 5)
        self.pass_time(seconds)
        shown = self.get(f'/restores/{restore["id"]}')['restore']
        self.assertEqual('in_progress', shown['status'])
        self.assertIn('waits for the bank', shown['status_reason'])
        self.bank_returns()
        figures = self.until_all_is_done()
        shown = self.get(f'/restores/{restore["id"]}')['restore']
        self.assertEqual(('success', None), (shown['status'], shown['status_reason']))
        self.assertEqual(VOLUMES, len(set(self.cinder.volumes) - before))
        self.check_costs(seconds, figures)
        return figures

    def check_delete(self, seconds: float) -> waiting.Figures:
        checkpoint = self.made()
        self.delete(self.checkpoints_path(checkpoint['id']))
        self.goes_with('DELETE', '/snapshots', 5)
        self.pass_time(seconds)
        shown = self.shown(checkpoint)
        self.assertEqual('deleting', shown['status'])
        self.assertIn('waits for the bank', shown['status_reason'])
        self.bank_returns()
        figures = self.until_all_is_done()
        self.assertEqual('deleted', self.shown(checkpoint)['status'])
        self.assertEqual([], self.snapshots())
        self.assertEqual([], self.registry.get(PROVIDER_ID).bank.list_objects())
        self.check_costs(seconds, figures)
        return figures

    def check_retention(self, seconds: float) -> waiting.Figures:
        operation = self.create_operation('retention_protect', max_backups=1)
        path = f'/scheduled_operations/{operation["id"]}/action'
        for _ in range(2):
            self.post(path, {'run': {}})
            self.run_jobs()
        self.assertEqual(1, len(self.available()))
        self.post(path, {'run': {}})
        self.goes_with('GET', '/snapshots/detail', 1)  # which is asked for when all are made
        self.pass_time(seconds)
        self.assertTrue(self.unfinished())
        self.bank_returns()
        figures = self.until_all_is_done()
        self.assertEqual(1, len(self.available()))
        self.assertEqual(self.ids, self.snapshots())
        self.assertEqual([None], list({row.error_info for row in self.rows(models.OperationLog)}))
        self.check_costs(seconds, figures)
        return figures


class Outages(AllWorkTestCase):
    """Not a test: one outage.

    :param kind: of the work that it meets.
    :param store: where the bank is.
    :param seconds: for how long it is away.
    """

    def __init__(self, kind: str, store: str, seconds: float) -> None:
        super().__init__('run_one')
        self.kind, self.store, self.seconds = kind, store, seconds

    def run_one(self) -> None:
        figures = getattr(self, f'check_{self.kind}')(self.seconds)
        print(  # noqa: T201
            f'{self.store:<6}{self.kind:<10}{self.seconds:>5} s away: {figures.jobs} jobs, '
            f'{figures.attempts} attempts, {figures.tries} try at most, {figures.asked} requests '
            f'to the bank meanwhile, all done {figures.back_after:.0f} s after',
            flush=True,
        )


def main() -> int:
    outages = unittest.TestSuite(
        Outages(kind, store, seconds)
        for store in waiting.STORES
        for seconds in (MINUTE, HALF_HOUR)
        for kind in KINDS
    )
    return 0 if unittest.TextTestRunner(verbosity=0).run(outages).wasSuccessful() else 1


if __name__ == '__main__':
    sys.exit(main())
