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

"""A worker stands still until another has taken its job over and done it; then it goes on.

The first attempt is a process of its own, stopped by SIGSTOP while it waits for an answer of
Cinder; the second is a worker in the process of the tests. Once the first goes on, nothing may
change any more: neither in Cinder nor in the bank nor in any row.
"""

import contextlib
import itertools
import os
import queue
import threading
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import sqlalchemy as sa
from testtools import content

from karbor import db
from karbor.common import constants
from karbor.db import models
from karbor.services import periodic
from karbor.services.checkpoints import plugin_records
from karbor.services.identity import trusts
from karbor.services.jobs import boards, worker
from karbor.services.jobs import runner as job_runner
from karbor.services.protection import provider as providers
from karbor.services.recovery import orphans, reconciling
from karbor.services.schedules import retention
from karbor.testing.fake_cinder import Fault
from karbor.tests import lost_leases, processes, runners
from karbor.tests.functional import base, test_orphans, test_schedules

# In seconds; the least that [protection] job_lease may be.
_LEASE = 1.0
# Deadlines of the first attempt's waits, in seconds, which are over when it goes on.
_SHORT = {'snapshot_timeout': 1, 'restore_timeout': 1}
_LONGEST = 20
# They tell of processes, and each of them writes there when it likes.
_OTHER_TABLES = (models.Service.__tablename__,)


@base.in_process_only('a worker is forked from the process of the tests')
class LostLeasesTestCase(base.CloudTestCase):
    """Jobs of one kind are left to attempts; all others are done at once."""

    held: str

    def setUp(self) -> None:
        self.held_jobs: queue.SimpleQueue[str] = queue.SimpleQueue()
        self.stopped = threading.Event()
        self._stopping = threading.Lock()
        super().setUp()
        self.config.config(job_lease=_LEASE, job_poll_interval=0.1, group='protection')
        self.log = self.temp_dir / 'first.log'
        self.log.touch()
        self.addOnException(
            lambda _: self.addDetail('attempt 1', content.text_content(self.log.read_text()))
        )

    def work(self) -> None:
        self.board.start(self._run_unless_held)

    def _run_unless_held(self, job_id: str) -> None:
        with db.reader() as session:
            kind = session.get_one(models.Job, job_id).kind
        if kind == self.held:
            self.held_jobs.put(job_id)
        else:
            self.runner.run(job_id)

    def attempt_runner(self, at_once: int, **options: Any) -> job_runner.JobRunner:
        """What does a job by a lease.

        :param at_once: how many resources it works on at once.
        :param options: of ``[volume_snapshot_plugin]``.
        """
        return runners.runner(
            runners.environment(
                providers.ProviderRegistry(self.provider_dir(**options)),
                self.environment.protectables,
                self.environment.post,
                base.context_of,
                max_concurrent_resources=at_once,
            ),
            lease=_LEASE,
        )

    def stop_first_at(
        self, method: str, path: str, when: Callable[[], bool] = lambda: True
    ) -> None:
        """Stop the first attempt by a request of it, which is answered all the same.

        :param when: whether it is time; else a later request does it.
        """

        def stop() -> None:
            if not self.stopped.is_set() and when():
                self.stop_first()

        self.cinder.faults.append(Fault(method, path, hook=stop))

    def stop_first_with_a_late(self, path: str, items: dict[str, Any], number: int) -> None:
        """Stop the first attempt by its first POST, which is served with a later one.

        :param path: of the POSTs.
        :param items: in which there is one more when it is served.
        :param number: of that later POST, counted from the first.
        """
        numbers, is_due = itertools.count(1), threading.Event()
        self.addCleanup(is_due.set)

        def come() -> None:
            this, there = next(numbers), len(items)
            if this == 1:
                self.stop_first()
                is_due.wait(_LONGEST)
            elif this == number:
                is_due.set()
                self.wait_until(lambda: len(items) > there, 'what was asked for first')

        self.cinder.faults.append(Fault('POST', f'^{path}$', hook=come))

    def stop_first(self) -> None:
        """Stop the first attempt, unless it is, while it holds no lock of the database."""
        with self._stopping:
            if self.stopped.is_set():
                return
            with db.writer() as session:
                session.get_one(models.Job, self.job_id, with_for_update=True)
                self.first.stand_still()
            self.stopped.set()

    def begin_first(self, at_once: int) -> None:
        """Have the job that is held done by a worker.

        :param at_once: how many resources it works on at once.
        """
        self.job_id = self.held_jobs.get(timeout=_LONGEST)
        runner = self.attempt_runner(at_once, **_SHORT)

        def act() -> None:
            periodic.Duty(_LEASE / 3, runner.renew_claims).begin(threading.Event())
            runner.run(self.job_id)

        db.dispose()  # a fork must not use its parent's connections
        with self._stopping:
            self.first = processes.Fork(act, self.log)
        self.addCleanup(self.first.kill)

    def wait_for_stop(self) -> None:
        self.assertTrue(self.stopped.wait(_LONGEST), 'attempt 1 was not stopped')

    @contextlib.contextmanager
    def second(self, at_once: int = 8) -> Iterator[None]:
        """Another worker, which has begun the job; at the end it has come to its end.

        :param at_once: how many resources it works on at once.
        """
        self.wait_for_stop()
        working = worker.Worker(
            self.attempt_runner(at_once),
            trusts.NoTrusts(),
            boards.DatabaseBoard(),
        )
        working.start()
        try:
            self.wait_until(lambda: self.job().attempts > 1, 'the second attempt')
            yield
            self.wait_until(lambda: self.job().state == 'done', 'the end of the second attempt')
        finally:
            working.stop(_LONGEST)

    def job(self) -> models.Job:
        with db.reader() as session:
            return session.get_one(models.Job, self.job_id)

    def assert_first_does_nothing(self) -> None:
        """The first attempt goes on to its end, and nothing changes."""
        before = self._everything()
        self.first.go_on()
        self.assertTrue(self.first.wait(_LONGEST), 'attempt 1 does not end')
        after = self._everything()
        changes = [
            f'{name}: {before.get(name)!s:.80} -> {after.get(name)!s:.200}'
            for name in sorted({*before, *after})
            if before.get(name) != after.get(name)
        ]
        self.assertEqual([], changes)
        self.assertEqual(
            [(self.job_id, '1')], sorted(set(lost_leases.LOST.findall(self.log.read_text())))
        )

    def _everything(self) -> dict[str, Any]:
        """All that an attempt could change, by a name for each thing."""
        return {**self._cloud(), **self.bank(), **_rows()}

    def _cloud(self) -> dict[str, Any]:
        things = {
            f'{kind} {item["id"]}': item['status']
            for kind, items in (
                ('volume', self.cinder.volumes),
                ('snapshot', self.cinder.snapshots),
            )
            for item in items.values()
        }
        requests = {
            ' '.join(request): count
            for request, count in self.cinder.requests.items()
            if request[0] != 'GET'
        }
        return {**things, **requests}

    def bank(self, part: str = '') -> dict[str, Any]:
        """Its objects, with the time at which they were written.

        :param part: which is in their keys.
        """
        return {
            f'bank {path.relative_to(self.temp_dir)}': (path.stat().st_mtime_ns, path.read_text())
            for path in (self.temp_dir / 'bank-provider').rglob('*')
            # A file that is being written is no object yet.
            if path.is_file() and part in str(path) and path.suffix != '.partial~'
        }


def _rows() -> dict[str, Any]:
    found = {}
    with db.reader() as session:
        for table in models.Base.metadata.sorted_tables:
            if table.name in _OTHER_TABLES:
                continue
            for row in session.execute(sa.select(table)).mappings():
                key = ' '.join(str(row[column.name]) for column in table.primary_key)
                found.update({f'row {table.name} {key} {name}': row[name] for name in row})
    return found


class RestoreTest(LostLeasesTestCase):
    held = constants.OperationType.RESTORE

    def test_volumes_of_the_attempt_that_went_well_stay(self) -> None:
        """The first stands still with ten volumes asked for, until its waits are over."""
        checkpoint = self.protected(*(self.volume() for _ in range(10)))
        self.cinder.settle_to['volume'] = None
        self.stop_first_at(
            'GET', '/volumes/detail', lambda: self.cinder.requests['POST', '/volumes'] == 10
        )
        restore = self.use('restore', checkpoint)
        self.begin_first(at_once=10)
        with self.second():
            self.cinder.settle_to['volume'] = 'available'
        restore = self.ended_use('restore', restore)
        self.assertEqual(('success', 10), (restore['status'], len(restore['new_resources'])))
        self.assertLessEqual(set(restore['new_resources'].values()), set(self.cinder.volumes))
        self.assertEqual(20, len(self.cinder.volumes))

        self.assert_first_does_nothing()
        self.assertEqual(restore, self.get(f'/restores/{restore["id"]}')['restore'])

    def test_a_request_that_is_served_late(self) -> None:
        """What the first has asked for is made when the second has looked for it."""
        checkpoint = self.protected(*(self.volume() for _ in range(3)))
        self.stop_first_with_a_late('/volumes', self.cinder.volumes, 4)
        restore = self.use('restore', checkpoint)
        self.begin_first(at_once=1)
        with self.second(at_once=1):
            pass
        restore = self.ended_use('restore', restore)
        self.assertEqual('success', restore['status'])
        self.assertEqual(
            sorted(restore['new_resources'].values()),
            sorted(
                item['id']
                for item in self.cinder.volumes.values()
                if item['metadata'].get('karbor_restore_id') == restore['id']
            ),
        )
        self.assert_first_does_nothing()


class ProtectTest(LostLeasesTestCase):
    held = constants.OperationType.PROTECT

    def begun(self, volumes: int) -> dict[str, Any]:
        """A checkpoint that is held."""
        return self.create_checkpoint(self.create_plan(*(self.volume() for _ in range(volumes))))

    def test_a_checkpoint_that_was_deleted_meanwhile(self) -> None:
        """The first stands still while it waits for six snapshots."""
        checkpoint = self.begun(6)
        self.cinder.looks_until_settled = 3
        looks = itertools.count()
        self.stop_first_at(
            'GET',
            '/snapshots/detail',
            lambda: len(self.cinder.snapshots) == 6 and next(looks) > 0,
        )
        self.begin_first(at_once=2)
        with self.second():
            pass
        self.assertEqual('available', self.ended_checkpoint(checkpoint)['status'])
        self.assertEqual(6, len(self.cinder.snapshots))
        self.delete(self.checkpoints_path(checkpoint['id']))
        self.assertEqual('deleted', self.ended_checkpoint(checkpoint)['status'])
        self.assertEqual(({}, {}), (self.cinder.snapshots, self.bank(checkpoint['id'])))

        self.assert_first_does_nothing()
        shown = self.get(self.checkpoints_path(checkpoint['id']))['checkpoint']
        self.assertEqual('deleted', shown['status'])

    def test_a_request_that_is_served_late(self) -> None:
        checkpoint = self.begun(3)
        self.stop_first_with_a_late('/snapshots', self.cinder.snapshots, 4)
        self.begin_first(at_once=1)
        with self.second(at_once=1):
            pass
        self.assertEqual('available', self.ended_checkpoint(checkpoint)['status'])
        self.assertEqual(
            sorted(item['id'] for item in checkpoint['protection_plan']['resources']),
            sorted(item['volume_id'] for item in self.cinder.snapshots.values()),
        )
        self.assert_first_does_nothing()


class DeleteTest(LostLeasesTestCase):
    """The first stands still with one of three snapshots being deleted."""

    held = constants.OperationType.DELETE

    def begin_to_delete(self) -> dict[str, Any]:
        """The checkpoint, with the first attempt at its delete stopped."""
        checkpoint = self.protected(*(self.volume() for _ in range(3)))
        self.stop_first_at('DELETE', '/snapshots/')
        self.delete(self.checkpoints_path(checkpoint['id']))
        self.begin_first(at_once=1)
        self.wait_for_stop()
        return checkpoint

    def test_a_delete_that_went_well(self) -> None:
        checkpoint = self.begin_to_delete()
        with self.second():
            pass
        self.assertEqual('deleted', self.ended_checkpoint(checkpoint)['status'])
        self.assertEqual(({}, {}), (self.cinder.snapshots, self.bank(checkpoint['id'])))
        self.assert_first_does_nothing()

    def test_a_checkpoint_that_was_reset_meanwhile(self) -> None:
        """The second failed; what the checkpoint still has is to be restored, and stays."""
        checkpoint = self.begin_to_delete()
        refusal = Fault('DELETE', '/snapshots/', status=403)
        self.cinder.faults.insert(0, refusal)
        with self.second():
            pass
        self.assertEqual('error-deleting', self.ended_checkpoint(checkpoint)['status'])
        self.put(self.checkpoints_path(checkpoint['id']), {'os-resetState': {'state': 'available'}})
        self.cinder.faults.remove(refusal)
        self.assertEqual(3, len(self.cinder.snapshots))  # of one the deletion has begun
        self.assert_first_does_nothing()


class RetentionTest(LostLeasesTestCase, test_schedules.SchedulesTestCase):
    """The first stands still when it has judged, and before it deletes."""

    held = constants.OperationType.RETENTION

    def test_a_policy_that_was_changed_meanwhile(self) -> None:
        for _ in range(2):
            self.ended_checkpoint(self.create_checkpoint(self.plan))
        operation = self.create_operation(keep_last=1)
        path = f'/scheduled_operations/{operation["id"]}'
        self.post(f'{path}/action', {'run': {}})
        with self._stopped_after_judgement():
            self.begin_first(at_once=1)
        definition = {**operation['operation_definition'], 'keep_last': 9}
        self.put(path, {'scheduled_operation': {'operation_definition': definition}})
        with self.second():
            pass
        self.assertEqual(3, len(self.available()))

        self.assert_first_does_nothing()
        self.assertEqual(3, len(self.available()))

    @contextlib.contextmanager
    def _stopped_after_judgement(self) -> Iterator[None]:
        """An attempt that begins within stops then."""
        judge = retention.judge
        (judged, tell_judged), (may_go_on, let_go_on) = os.pipe(), os.pipe()
        for end in (judged, tell_judged, may_go_on, let_go_on):
            self.addCleanup(os.close, end)

        def judge_and_wait(*args: Any, **kwargs: Any) -> Any:
            found = judge(*args, **kwargs)
            os.write(tell_judged, b'.')
            os.read(may_go_on, 1)
            return found

        with mock.patch.object(retention, 'judge', judge_and_wait):
            yield
        os.read(judged, 1)
        self.stop_first()
        os.write(let_go_on, b'.')


class LeftoverWithIndicesTest(test_orphans.OrphansTestCase):
    """What an attempt has written to the bank of a checkpoint after that was deleted.

    Fencing cannot keep every write from coming late, so what looks for orphans removes it.
    """

    def setUp(self) -> None:
        super().setUp()
        self.config.config(orphan_grace=0, group='protection')
        self.deleted = self.protected(self.volume())
        self.delete(self.checkpoints_path(self.deleted['id']))
        self.ended_checkpoint(self.deleted)
        self.lost = self.protected(self.volume())
        self.leave()

    has_indices = True

    def leave(self) -> None:
        """Write what a late attempt does: the index in error, and a snapshot that it has made."""
        with db.reader() as session:
            row = session.get_one(models.Checkpoint, self.deleted['id'])
        written = plugin_records.draft_checkpoint(row, self.provider().checkpoints)
        written.status = constants.CheckpointStatus.ERROR
        written.commit()
        if self.has_indices:
            written.add_indices()
        resource_id = self.deleted['protection_plan']['resources'][0]['id']
        self.late = self.snapshot(self.deleted['id'], resource_id)
        section = written.get_resource_bank_section(resource_id)
        section.update_object('status', constants.ResourceStatus.ERROR)
        section.update_object('metadata', {'volume_id': resource_id, 'snapshot_id': self.late})

    def objects(self, checkpoint: dict[str, Any]) -> dict[str, Any]:
        """What the bank has of a checkpoint, indices included."""
        bank = self.provider().bank
        return {key: bank.get_object(key) for key in bank.list_objects() if checkpoint['id'] in key}

    def reconcile(self, *, is_dry_run: bool = False) -> str:
        parts = reconciling.reconcile(
            self.registry,
            board=boards.DatabaseBoard(),
            scope=self.runner.scope,
            inventory=lambda: self.inventory,
            used_trusts=trusts.NoTrusts(),
            is_dry_run=is_dry_run,
            is_removing=True,
        )
        return '\n'.join(line for lines, _ in parts for line in lines)

    def test_what_is_left_of_a_deleted_checkpoint_is_removed(self) -> None:
        before = self.objects(self.deleted)
        self.assertNotEqual({}, before)
        self.reconcile(is_dry_run=True)
        self.assertEqual(before, self.objects(self.deleted))
        self.assertIn(self.late, self.cinder.snapshots)
        report = self.reconcile()
        self.assertEqual([], sorted(self.objects(self.deleted)), report)
        self.reconcile()  # if the bank had to be cleaned before
        self.assertNotIn(self.late, self.cinder.snapshots, report)

    def test_the_check_of_the_workers_removes_it_as_well(self) -> None:
        self.config.config(remove_orphans=True, group='protection')
        check = orphans.OrphanCheck(self.registry, lambda: self.inventory)
        check.check_orphans()
        self.assertEqual([], sorted(self.objects(self.deleted)))

    def test_a_checkpoint_without_a_row_is_not_touched(self) -> None:
        """Its row may be what was lost, and the bank all that knows of it."""
        before, snapshots = self.objects(self.lost), set(self.cinder.snapshots) - {self.late}
        self.forget(self.lost['id'])
        self.reconcile()
        self.assertEqual(before, self.objects(self.lost))
        self.assertLessEqual(snapshots, set(self.cinder.snapshots))


class LeftoverTest(LeftoverWithIndicesTest):
    """What a protect leaves that goes on when it has begun long ago: no index names it.

    It is looked for where a job has worked more than once.
    """

    has_indices = False

    def leave(self) -> None:
        super().leave()
        with db.writer() as session:
            session.execute(
                sa.update(models.Job)
                .where(models.Job.checkpoint_id == self.deleted['id'])
                .values(attempts=2)
            )
