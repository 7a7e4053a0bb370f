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

"""The database is lost, or the bank, or both; and snapshots that nobody knows.

``KARBOR_TEST_VOLUMES`` says how many volumes are protected.
"""

import contextlib
import os
import shutil
import sqlite3
import time
import uuid
from typing import Any

from karbor import exception
from karbor.services.recovery import inventory as cinder_inventory
from karbor.tests.integration import base, callers, cloud, service, service_case

_VOLUMES = int(os.environ.get('KARBOR_TEST_VOLUMES') or 6)
_DATA = b'before' * 1000
_GRACE = 3


class DisasterTestCase(service_case.ServiceTestCase):
    """A Karbor whose provider is nobody else's on this cloud."""

    options = {'protection': {'orphan_grace': _GRACE, 'orphan_check_interval': 1}}

    @classmethod
    def setUpClass(cls) -> None:
        provider_id = str(uuid.uuid4())
        for module, name, value in (
            (service, 'PROVIDER_ID', provider_id),
            (callers, 'CHECKPOINTS', f'/providers/{provider_id}/checkpoints'),
        ):
            # No mock.patch: each test stops all of these at its end.
            cls.addClassCleanup(setattr, module, name, getattr(module, name))
            setattr(module, name, value)
        super().setUpClass()

    def manage(self, *arguments: str, code: int = 0) -> str:
        begun = time.monotonic()
        done = self.service.manage(*arguments)
        print(  # noqa: T201
            f'karbor-manage {" ".join(arguments)}: '
            f'{time.monotonic() - begun:.1f} s: {done.stdout.splitlines()[0]}'
        )
        self.assertEqual(code, done.returncode, done.stdout)
        return done.stdout


class LossTest(DisasterTestCase):
    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.service.start_worker()

    def setUp(self) -> None:
        super().setUp()
        self.volume_ids = self.project.volumes(_VOLUMES)
        cloud.write(self.volume_ids[0], _DATA)
        plan_id = self.caller.plan(self.volume_ids)
        self.checkpoint_ids = [self.caller.protected(plan_id) for _ in range(2)]
        cloud.write(self.volume_ids[0], b'after!' * 1000)
        self.addCleanup(self.end_with_nothing)

    def end_with_nothing(self) -> None:
        """The checkpoints can be deleted, and then nothing of them is left in Cinder."""
        for checkpoint_id in self.checkpoint_ids:
            self.caller.call('DELETE', f'{callers.CHECKPOINTS}/{checkpoint_id}')
        for checkpoint_id in self.checkpoint_ids:
            self.caller.wait_for_checkpoint(checkpoint_id, 'deleted')
        self.assertEqual({}, self.project.snapshots())

    def lose_database(self) -> None:
        for path in self.folder.glob('karbor.db*'):
            path.unlink()
        self.assertEqual(0, self.service.manage('db', 'sync').returncode)

    def rebuild(self, source: str) -> None:
        """With a dry run before, and once more after it."""
        command = ('checkpoint', 'rebuild', '--from', source)
        self.assertIn('2 would be written, 0 known, 0 faulty', self.manage(*command, '--dry-run'))
        self.assertIn('2 written, 0 known, 0 faulty', self.manage(*command))
        self.assertIn('0 written, 2 known, 0 faulty', self.manage(*command))

    def shown(self) -> list[dict[str, Any]]:
        """The checkpoints, without what only the database knew, as parts of a second."""
        return [
            {
                **{name: value for name, value in checkpoint.items() if name != 'resources_done'},
                'created_at': checkpoint['created_at'].partition('.')[0],
            }
            for checkpoint in self.caller.call('GET', f'{callers.CHECKPOINTS}?sort=id:asc')
        ]

    def assert_restored(self) -> None:
        """The first volume has its bytes of then, and the others are there."""
        for checkpoint_id in self.checkpoint_ids:
            use_id = self.caller.use('verification', checkpoint_id)
            self.assertEqual('success', self.caller.wait_for_use('verification', use_id)['status'])
        begun = time.monotonic()
        use = self.caller.wait_for_use(
            'restore', self.caller.use('restore', self.checkpoint_ids[0])
        )
        self.assertEqual(('success', None), (use['status'], use['status_reason']))
        self.assertEqual(_VOLUMES, len(use['new_resources']))
        new_id = use['new_resources'][f'{base.VOLUME}#{self.volume_ids[0]}']
        self.assertEqual(cloud.sha256_of(_DATA), cloud.sha256(new_id, len(_DATA)))
        print(  # noqa: T201
            f'{_VOLUMES} volumes restored from a checkpoint that was '
            f'written again, in {time.monotonic() - begun:.1f} s'
        )

    def test_the_database(self) -> None:
        before = self.shown()
        self.service.stop()
        self.lose_database()
        self.rebuild('bank')
        self.service.start()
        self.assertEqual(before, self.shown())
        self.assert_restored()

    def test_the_bank(self) -> None:
        before = self.shown()
        self.service.stop()
        shutil.rmtree(self.folder / 'bank')
        self.rebuild('cinder')
        self.service.start()
        self.assertEqual(before, self.shown())
        self.assert_restored()

    def test_both(self) -> None:
        before = self.shown()
        self.service.stop()
        self.lose_database()
        shutil.rmtree(self.folder / 'bank')
        self.rebuild('cinder')
        self.service.start()
        known = ('id', 'status', 'project_id')
        self.assertEqual(
            [[row[name] for name in known] for row in before],
            [[row[name] for name in known] for row in self.shown()],
        )
        self.assert_restored()


class StandaloneTest(base.IntegrationTestCase):
    """karbor-standalone loses both; the rights of its one project are enough."""

    def test_both(self) -> None:
        karbor = self.standalone()
        volume_ids = self.project.volumes(2)
        cloud.write(volume_ids[0], _DATA)
        checkpoint_id = karbor.protect(karbor.plan(volume_ids))
        karbor.wait_for_checkpoint(checkpoint_id, 'available')
        self.assertIn('Another karbor-standalone', karbor.manage('job', 'list').stdout)
        karbor.stop()
        for path in karbor.state.glob('karbor.db*'):
            path.unlink()
        shutil.rmtree(karbor.state / 'bank')

        done = karbor.manage('checkpoint', 'rebuild', '--from', 'cinder')

        self.assertIn('1 written, 0 known, 0 faulty', done.stdout)
        self.assertIn(
            '2 snapshots and 0 restored volumes: 0 orphans',
            karbor.manage('reconcile', 'now').stdout,
        )
        karbor.start()
        use = karbor.wait_for_use('restore', karbor.use('restore', checkpoint_id))
        self.assertEqual('success', use['status'])
        new_id = use['new_resources'][f'{base.VOLUME}#{volume_ids[0]}']
        self.assertEqual(cloud.sha256_of(_DATA), cloud.sha256(new_id, len(_DATA)))
        self.assertEqual('deleted', karbor.delete(checkpoint_id)['status'])
        self.assertEqual({}, self.project.snapshots())


class OrphansTest(DisasterTestCase):
    def test_orphans(self) -> None:
        volume_ids = self.project.volumes(4)
        worker = self.service.start_worker()
        checkpoint_id = self.caller.protected(self.caller.plan(volume_ids))
        good = self.project.snapshots()
        deleted_id = self.caller.protected(self.caller.plan(volume_ids[:1]))
        self.caller.call('DELETE', f'{callers.CHECKPOINTS}/{deleted_id}')
        self.caller.wait_for_checkpoint(deleted_id, 'deleted')
        self.age_database()
        orphan = self.orphan(volume_ids[0], deleted_id)
        self.wait_for_log(f'young orphan: snapshot {orphan} of project {self.project.id}')
        self.wait_for_log(f'  orphan: snapshot {orphan} of project {self.project.id}')
        self.assertEqual(5, sum(map(len, self.project.snapshots().values())))

        self.assertIn('0 removed', self.manage('reconcile', 'now', '--dry-run', '--remove-orphans'))
        self.assertIn('1 orphans', self.manage('reconcile', 'now'))
        self.assertEqual(5, sum(map(len, self.project.snapshots().values())))
        self.assertIn('1 removed', self.manage('reconcile', 'now', '--remove-orphans'))
        self.assertEqual(good, self.project.snapshots())

        second = self.orphan(volume_ids[0], deleted_id)
        worker.terminate()
        worker.wait(20)
        self.allow_removal()
        self.service.start_worker()
        cloud.wait_until(lambda: self.project.snapshots() == good, f'the end of {second}')
        self.wait_for_log('1 removed')
        self.assertEqual('available', self.caller.checkpoint(checkpoint_id)['status'])
        self.service.stop()

    def test_a_user_who_is_no_administrator(self) -> None:
        """Cinder lists the own project without a word, so it is asked for something else."""
        (volume_id,) = self.project.volumes(1)
        mine = self.orphan(volume_id, str(uuid.uuid4()))
        other = cloud.Project()
        found = cinder_inventory.Inventory(other.session, is_whole_cloud=True)
        self.assertEqual([], found.snapshots(service.PROVIDER_ID))
        error = self.assertRaises(exception.InventoryFailed, found.check)
        for words in (other.user_id, other.id, 'role admin', '403'):
            self.assertIn(words, error.msg)
        found = cinder_inventory.Inventory(cloud.admin().session, is_whole_cloud=True)
        found.check()
        self.assertIn(
            (mine, self.project.id),
            [(item.id, item.project_id) for item in found.snapshots(service.PROVIDER_ID)],
        )
        self.project.cinder.volume_snapshots.delete(mine)
        cloud.wait_until(lambda: not self.project.snapshots(), f'the end of {mine}')

    def orphan(self, volume_id: str, checkpoint_id: str) -> str:
        """A snapshot as the job of a checkpoint would make it, of which nothing knows."""
        return self.project.cinder.volume_snapshots.create(
            volume_id,
            metadata={
                'karbor_checkpoint_id': checkpoint_id,
                'karbor_plan_id': str(uuid.uuid4()),
                'karbor_provider_id': service.PROVIDER_ID,
                'karbor_resource_id': volume_id,
            },
        ).id

    def age_database(self) -> None:
        """A database that was begun today may have been lost: let this be an older one."""
        with contextlib.closing(sqlite3.connect(self.folder / 'karbor.db', timeout=60)) as rows:
            rows.execute("UPDATE plans SET created_at = datetime(created_at, '-1 day')")
            rows.commit()

    def wait_for_log(self, text: str) -> None:
        cloud.wait_until(lambda: text in self.log(), f'{text!r} in the log')

    def allow_removal(self) -> None:
        """Set the option that a worker reads when it starts."""
        path = self.folder / 'karbor.conf'
        path.write_text(
            path.read_text().replace('[protection]\n', '[protection]\nremove_orphans = True\n')
        )
