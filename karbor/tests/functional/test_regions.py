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

"""The same cloud: what was made in another region is left alone, and not taken for gone."""

import contextlib
import json
from collections.abc import Iterator
from typing import Any
from unittest import mock

from karbor.db import models
from karbor.services.recovery import orphans
from karbor.testing import fake_cinder
from karbor.tests import inventories
from karbor.tests.base import PROJECT_ID, PROVIDER_ID
from karbor.tests.functional import base


@base.in_process_only('it acts in another region from one request to the next')
class RegionTestCase(base.CloudTestCase):
    """A Karbor in region A, which goes to another one."""

    def setUp(self) -> None:
        super().setUp()
        self.config.config(region_id='A', group='cinder_client')

    @contextlib.contextmanager
    def in_region(self, region: str | None) -> Iterator[None]:
        """Act in a region that has nothing of what was made before."""
        other = fake_cinder.FakeCinder(project_id=PROJECT_ID)
        here = self.config.conf.cinder_client.cinder_endpoint
        with other.serve() as url:
            self.config.config(region_id=region, cinder_endpoint=url, group='cinder_client')
            try:
                yield
            finally:
                self.config.config(region_id='A', cinder_endpoint=here, group='cinder_client')

    def shown(self, checkpoint: dict[str, Any]) -> dict[str, Any]:
        return self.get(self.checkpoints_path(checkpoint['id']))['checkpoint']

    def states(self, checkpoint: dict[str, Any]) -> set[str]:
        return {each['state'] for each in self.shown(checkpoint)['resources']}


class RecordedTest(RegionTestCase):
    def test_it_is_shown_and_in_the_bank(self) -> None:
        checkpoint = self.protected()
        self.assertEqual('A', self.shown(checkpoint)['region'])
        (listed,) = self.get(self.checkpoints_path())['checkpoints']
        self.assertEqual('A', listed['region'])
        bank = self.registry.get(PROVIDER_ID).checkpoints.get(checkpoint['id'])
        self.assertEqual('A', bank.region)

    def test_one_that_nothing_tells(self) -> None:
        self.config.config(region_id=None, group='cinder_client')
        checkpoint = self.protected()
        self.assertIsNone(self.shown(checkpoint)['region'])
        (index,) = (self.temp_dir / 'bank-provider').rglob('index.json')
        self.assertNotIn('region', json.loads(index.read_text()))

    def test_a_look_finds_it(self) -> None:
        self.config.config(region_id=None, group='cinder_client')
        checkpoint = self.protected()
        self.config.config(region_id='A', group='cinder_client')
        self.cinder.is_admin = True
        orphans.OrphanCheck(
            self.registry, lambda: inventories.inventory(self.cinder.url)
        ).check_orphans()
        self.assertEqual('A', self.shown(checkpoint)['region'])

    def test_a_look_that_does_not_find_it(self) -> None:
        """Nothing is known of what is lost there, and that is told."""
        self.config.config(region_id=None, group='cinder_client')
        checkpoint = self.protected(self.volume(), self.volume())
        self.config.config(region_id='A', group='cinder_client')
        self.cinder.is_admin = True
        self.cinder.snapshots.clear()
        check = orphans.OrphanCheck(self.registry, lambda: inventories.inventory(self.cinder.url))
        (report,) = check.reports(0, False)
        self.assertEqual({'good'}, self.states(checkpoint))
        told = '2 recovery points are not compared with the cloud'
        self.assertIn(told, ' '.join(report.points.lines()))
        (look,) = self.rows(models.ProjectLook)
        self.assertIn(told, look.remark)

    def test_a_look_in_another_region(self) -> None:
        """What it does not compare is told, in the place of what was told before."""
        self.protected(self.volume(), self.volume())
        self.config.config(region_id='B', group='cinder_client')
        self.cinder.is_admin = True
        orphans.OrphanCheck(
            self.registry, lambda: inventories.inventory(self.cinder.url)
        ).check_orphans()
        (look,) = self.rows(models.ProjectLook)
        self.assertIn('2 recovery points are not compared with the cloud', look.remark)
        self.assertIn('made in another region than B', look.remark)


class OtherRegionTest(RegionTestCase):
    def test_deleting(self) -> None:
        checkpoint = self.protected(self.volume(), self.volume())
        with self.in_region('B'):
            said = self.delete(self.checkpoints_path(checkpoint['id']), 409)
        for part in ('region A', 'region B', 'nothing was changed'):
            self.assertIn(part, said)
        self.assertEqual('available', self.shown(checkpoint)['status'])
        self.assertEqual({'good'}, self.states(checkpoint))
        self.assertEqual(2, len(self.cinder.snapshots))
        self.delete(self.checkpoints_path(checkpoint['id']))
        self.assertEqual('deleted', self.ended_checkpoint(checkpoint)['status'])
        self.assertEqual({}, self.cinder.snapshots)

    def test_a_deletion_that_had_begun(self) -> None:
        """A worker of another region gets the job: nothing is said to be deleted."""
        checkpoint = self.protected()
        self._begin_deletion_in_b(checkpoint)
        shown = self.shown(checkpoint)
        self.assertEqual('error-deleting', shown['status'])
        self.assertIn('it was made in region A', shown['status_reason'])
        self.assertEqual({'failed'}, self.states(checkpoint))
        self.assertEqual(1, len(self.cinder.snapshots))
        self.delete(self.checkpoints_path(checkpoint['id']))
        self.assertEqual('deleted', self.ended_checkpoint(checkpoint)['status'])
        self.assertEqual({}, self.cinder.snapshots)

    def _begin_deletion_in_b(self, checkpoint: dict[str, Any]) -> None:
        """Have a worker of region B do what the API of region A has written."""
        posted: list[str] = []
        post = mock.patch.object(self.board, 'post', posted.append)
        commands = mock.patch.object(self.manager, '_post', posted.append)
        with post, commands:
            self.delete(self.checkpoints_path(checkpoint['id']))
        (job_id,) = posted
        with self.in_region('B'):
            self.runner.run(job_id)

    def test_restores_and_verifications(self) -> None:
        checkpoint = self.protected()
        with self.in_region('B'):
            for kind in ('restore', 'verification'):
                use = self.ended_use(kind, self.use(kind, checkpoint))
                self.assertEqual('fail', use['status'])
                self.assertIn('it was made in region A', use['status_reason'])
        self.assertEqual({'good'}, self.states(checkpoint))
        for kind in ('restore', 'verification'):
            use = self.ended_use(kind, self.use(kind, checkpoint))
            self.assertEqual('success', use['status'], use)

    def test_protecting_what_is_in_the_other_one(self) -> None:
        """It is not gone, so it fails; and nothing of what was good is touched by it."""
        volume, gone = self.volume(), self.volume()
        plan = self.create_plan(volume)
        first = self.ended_checkpoint(self.create_checkpoint(plan))
        both = self.create_plan(volume, gone)
        with self.in_region('B'):
            second = self.ended_checkpoint(self.create_checkpoint(both))
        self.assertEqual('error', second['status'])
        for part in (
            'it is not found in region B',
            'made in region A',
            '1 of 2 resources failed',
            f'1 of 2 resources is gone: {base.VOLUME}#{gone["id"]}',
        ):
            self.assertIn(part, second['status_reason'])
        (point,) = self.shown(second)['resources']
        self.assertEqual((volume['id'], 'failed'), (point['id'], point['state']))
        self.assertIn('it is not found in region B', point['reason'])
        self.assertEqual({'good'}, self.states(first))
        # What is gone there is gone.
        del self.cinder.volumes[volume['id']]
        third = self.ended_checkpoint(self.create_checkpoint(plan))
        self.assertIn('1 of 1 resources is gone', third['status_reason'])

    def test_a_region_that_nothing_tells(self) -> None:
        checkpoint = self.protected()
        with self.in_region(None):
            said = self.delete(self.checkpoints_path(checkpoint['id']), 409)
        self.assertIn('region_id', said)

    def test_another_endpoint_of_the_same_cloud(self) -> None:
        checkpoint = self.protected()
        with self.cinder.serve() as url:
            self.config.config(cinder_endpoint=url, interface='internal', group='cinder_client')
            use = self.ended_use('verification', self.use('verification', checkpoint))
            self.assertEqual('success', use['status'], use)
            self.delete(self.checkpoints_path(checkpoint['id']))
            self.assertEqual('deleted', self.ended_checkpoint(checkpoint)['status'])
        self.assertEqual({}, self.cinder.snapshots)

    def test_a_look(self) -> None:
        checkpoint = self.protected()
        with self.in_region('B'):
            other = inventories.inventory(
                self.config.conf.cinder_client.cinder_endpoint, is_whole_cloud=False
            )
            orphans.OrphanCheck(self.registry, lambda: other).check_orphans()
        self.assertEqual({'good'}, self.states(checkpoint))
        (look,) = self.rows(models.ProjectLook)
        self.assertIn('1 recovery point is not compared with the cloud: it was made', look.remark)
