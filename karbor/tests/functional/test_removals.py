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

"""Jobs that remove some of a checkpoint: broken off at each write, failing, parked, and at once."""

import contextlib
import copy
import shutil
import unittest
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import sqlalchemy as sa
from keystoneauth1 import session as ks_session
from sqlalchemy import event, orm

from karbor import db, exception
from karbor.cmd import job_kinds
from karbor.db import jobs as job_rows
from karbor.db import models
from karbor.services.jobs import admin
from karbor.services.protection.bank_plugins import file_system_bank_plugin
from karbor.services.schedules import retention_jobs, retention_looks
from karbor.testing.fake_cinder import Fault
from karbor.tests.base import DATABASE
from karbor.tests.functional import base, test_retention

_WRITES = ('POST', 'PUT', 'DELETE')


class Killed(BaseException):
    """Ends a job as the end of its process would."""


class Death:
    """The end of the process behind one of its writes to the database, the bank or Cinder.

    :param number: of the write, from 1.
    """

    def __init__(self, number: int) -> None:
        self._left = number

    @property
    def has_come(self) -> bool:
        return self._left <= 0

    def check(self, *_: Any) -> None:
        """A process that is dead writes nothing."""
        if self.has_come:
            raise Killed

    def count(self, *_: Any) -> None:
        self._left -= 1
        self.check()

    def _around(self, write: Callable[..., Any], is_one: Callable[..., bool]) -> Callable[..., Any]:
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            if not is_one(*args):
                return write(*args, **kwargs)
            self.check()
            result = write(*args, **kwargs)
            self.count()
            return result

        return wrapped

    @contextlib.contextmanager
    def near(self) -> Iterator[None]:
        """What is done within may end before its end."""
        bank = file_system_bank_plugin.FileSystemBankPlugin
        with contextlib.ExitStack() as stack:
            for place, name, is_one in (
                (bank, 'update_object', lambda *_: True),
                (bank, 'delete_object', lambda *_: True),
                (ks_session.Session, 'request', lambda _session, _url, method: method in _WRITES),
            ):
                wrapped = self._around(getattr(place, name), is_one)
                stack.enter_context(mock.patch.object(place, name, wrapped))
            for moment, react in (('before_commit', self.check), ('after_commit', self.count)):
                event.listen(orm.Session, moment, react)
                stack.callback(event.remove, orm.Session, moment, react)
            with contextlib.suppress(Killed):
                yield


class RemovalTestCase(test_retention.RetentionTestCase):
    """Of the first checkpoint, ``a`` and ``c`` are to go, and ``b`` is to stay.

    Jobs wait until the test runs them; the run after which that is so is over.
    """

    max_concurrent_resources = 1

    def setUp(self) -> None:
        super().setUp()
        self.c = self.volume(name='c')
        self.plan = self.create_plan(self.a, self.b, self.c)
        self.operation = self.create_operation(keep_last=1)
        (self.first,) = self.runs(1)
        self.set_status(self.b, 'error')
        self.board.end()
        self.run_next()

    def run_next(self) -> None:
        """A run of the operation, whose retention waits."""
        self.fire()
        self.runner.run(self.pending('protect'))
        self.second = self.logs()[-1]['checkpoint_id']

    def pending(self, kind: str) -> str:
        """The id of the one job that waits, which is of that kind."""
        (job,) = [row for row in self.rows(models.Job) if row.state == 'pending']
        self.assertEqual(kind, job.kind)
        return str(job.id)

    def run_all(self) -> None:
        """Every job that waits, and what follows it."""
        with db.writer() as session:
            job_rows.take_up_again(session)
        while pending := [row.id for row in self.rows(models.Job) if row.state == 'pending']:
            for job_id in pending:
                self.runner.run(job_id)

    def run_retention(self) -> str:
        """The id of the removal that it asks for."""
        self.runner.run(self.pending('retention'))
        return self.pending('remove')

    def removal(self, removal_id: str) -> tuple[str, str, str | None]:
        """The state of a job, and what its log tells."""
        with db.reader() as session:
            job = session.get_one(models.Job, removal_id)
            log = session.get_one(models.OperationLog, removal_id)
        self.assertEqual('remove', log.operation_type)
        return job.state, log.status, log.error_info

    def assert_removed(self) -> None:
        self.assertEqual({self.second: 'good'}, self.points(self.a))
        self.assertEqual({self.second: 'good'}, self.points(self.c))
        self.assertEqual({self.first: 'good', self.second: 'failed'}, self.points(self.b))
        shown = self.shown(self.first)
        self.assertEqual(
            ('available', '2 recovery points were removed by retention', 1, 1, 0),
            tuple(
                shown[name]
                for name in (
                    'status',
                    'status_reason',
                    'resources_total',
                    'resources_done',
                    'resources_failed',
                )
            ),
        )
        self.assert_in_step()


@unittest.skipUnless(DATABASE == 'sqlite', 'the database is a file that is put back')
@base.in_process_only('the database is a file that is put back')
class BrokenOffTest(RemovalTestCase):
    """After a break behind any write, another try makes of it what one alone had made."""

    def save(self) -> None:
        """Note how all is now."""
        db.dispose()
        shutil.copy(self.temp_dir / 'karbor.db', self.temp_dir / 'saved.db')
        shutil.copytree(self.temp_dir / 'bank-provider', self.temp_dir / 'saved-bank')
        self.saved = copy.deepcopy(self.cinder.snapshots)

    def put_back(self) -> None:
        """Make all what it was."""
        db.dispose()
        for path in self.temp_dir.glob('karbor.db-*'):
            path.unlink()
        shutil.copy(self.temp_dir / 'saved.db', self.temp_dir / 'karbor.db')
        shutil.rmtree(self.temp_dir / 'bank-provider')
        shutil.copytree(self.temp_dir / 'saved-bank', self.temp_dir / 'bank-provider')
        with self.cinder.lock:
            self.cinder._pending.clear()
            self.cinder.snapshots.clear()
            self.cinder.snapshots.update(copy.deepcopy(self.saved))

    def breaks(self, job_id: str) -> Iterator[int]:
        """Each write behind which a job can be broken off, when it was and all is done then."""
        self.save()
        number = 0
        while True:
            number += 1
            self.put_back()
            death = Death(number)
            with death.near():
                self.runner.run(job_id)
            if not death.has_come:
                break
            self.run_all()
            yield number
        self.assertGreater(number, 5)

    def test_a_removal(self):
        removal_id = self.run_retention()
        for number in self.breaks(removal_id):
            self.assertEqual(('done', 'success', None), self.removal(removal_id), number)
            self.assert_removed()

    def test_a_removal_that_fails_with_one(self):
        removal_id = self.run_retention()
        snapshot_id = self.snapshot_of(self.a, self.first)
        refusal = Fault('DELETE', snapshot_id, status=403)
        self.cinder.faults.append(refusal)
        for number in self.breaks(removal_id):
            state, status, reason = self.removal(removal_id)
            self.assertEqual(('done', 'fail'), (state, status), number)
            told = self.shown(self.first)['resources']
            self.assertIn('1 of 2 resources failed', str(reason), (number, told))
            self.assertEqual({self.first: 'failed', self.second: 'good'}, self.points(self.a))
            self.assertEqual({self.second: 'good'}, self.points(self.c))
            self.assertIn(snapshot_id, self.cinder.snapshots)

    def test_a_retention(self):
        retention_id = self.pending('retention')
        for number in self.breaks(retention_id):
            log = self.told()
            self.assertEqual(('success', None), (log['status'], log['error_info']), number)
            self.assertEqual(
                (2, 0, 2),
                tuple(
                    log['extra_info'][name]
                    for name in ('kept', 'removed', 'recovery_points_removed')
                ),
            )
            self.assert_removed()


class FailureTest(RemovalTestCase):
    def test_one_of_two(self):
        removal_id = self.run_retention()
        refusal = Fault('DELETE', self.snapshot_of(self.a, self.first), status=403)
        self.cinder.faults.append(refusal)
        self.runner.run(removal_id)
        state, status, reason = self.removal(removal_id)
        self.assertEqual(('done', 'fail'), (state, status))
        self.assertIn('1 of 2 resources failed', str(reason))
        self.assertEqual({self.first: 'failed', self.second: 'good'}, self.points(self.a))
        self.assertEqual({self.second: 'good'}, self.points(self.c))
        shown = self.shown(self.first)
        self.assertEqual(
            ('available', '1 recovery point was removed by retention', 2),
            (shown['status'], shown['status_reason'], shown['resources_total']),
        )
        (point,) = [item for item in shown['resources'] if item['id'] == self.a['id']]
        self.assertIn('403', point['reason'])

        self.cinder.faults.remove(refusal)
        self.run_next()
        self.run_all()
        self.assertEqual({self.second: 'good'}, self.points(self.a))
        self.assertEqual({self.first: 'good', self.second: 'failed'}, self.points(self.b))
        self.assertEqual(
            '2 recovery points were removed by retention',
            self.shown(self.first)['status_reason'],
        )
        self.assert_in_step()

    def test_parked(self):
        """It is not begun again by hand, as retention asks for it anew."""
        removal_id = self.run_retention()
        with db.writer() as session:
            session.get_one(models.Job, removal_id).tries = 10
        self.runner.run(removal_id)
        state, status, reason = self.removal(removal_id)
        self.assertEqual(('parked', 'fail'), (state, status))
        self.assertIn('it was tried 10 times', str(reason))
        error = self.assertRaises(
            exception.JobNotPossible, admin.retry, job_kinds.JOB_KINDS, removal_id
        )
        self.assertIn('retention asks for it anew after the next run', error.msg)
        self.assertEqual('failed', self.points(self.a)[self.first])
        self.assertEqual('available', self.shown(self.first)['status'])
        self.run_next()
        self.run_all()
        self.assert_removed()

    def test_cancelled(self):
        removal_id = self.run_retention()
        admin.cancel(job_kinds.JOB_KINDS, removal_id)
        self.assertEqual('failed', self.points(self.a)[self.first])
        self.run_next()
        self.run_all()
        self.assert_removed()

    def test_a_bank_that_fails(self):
        removal_id = self.run_retention()
        with mock.patch.object(
            file_system_bank_plugin.FileSystemBankPlugin,
            'update_object',
            side_effect=exception.BankUpdateObjectFailed(reason='no', key='x'),
        ):
            self.runner.run(removal_id)
        self.assertEqual(('failed', 'fail'), self.removal(removal_id)[:2])
        self.assertEqual('failed', self.points(self.a)[self.first])
        self.run_next()
        self.run_all()
        self.assert_removed()


class AtOnceTest(RemovalTestCase):
    def test_two_retentions(self):
        retention_id = self.pending('retention')
        with db.writer() as session:
            run = session.scalars(
                sa.select(models.Job).where(models.Job.checkpoint_id == self.second)
            ).first()
            other = retention_jobs.begin(session, run)
        other_id = other.id
        base.at_once(
            lambda: self.runner.run(retention_id),
            lambda: self.runner.run(other_id),
        )
        self.pending('remove')
        self.run_all()
        self.assert_removed()

    def test_a_person_deletes_what_something_goes_of(self):
        """One of the two is told that the other is first."""
        retention_id = self.pending('retention')
        path = f'/v1/{base.PROJECT_ID}{self.checkpoints_path(self.first)}'
        headers = {'X-Auth-Token': base.TOKEN}
        _, answer = base.at_once(
            lambda: self.runner.run(retention_id),
            lambda: self.client.simulate_delete(path, headers=headers),
        )
        self.assertIn(answer.status_code, (200, 409))
        self.run_all()
        if answer.status_code == 409:
            self.assert_removed()
        else:
            self.assertEqual('deleted', self.shown(self.first)['status'])
            self.assert_in_step()


class ReliedOnTest(test_retention.RetentionTestCase):
    """Of two checkpoints the older is to go; a person deletes the newer, which is relied on."""

    def setUp(self) -> None:
        super().setUp()
        operation = self.create_operation(keep_last=2)
        self.first, self.second = self.runs(2)
        self.change(operation, keep_last=1)
        for volume in (self.a, self.b):
            self.set_status(volume, 'error')
        self.board.end()
        self.fire()
        self.runner.run(self.logs()[-1]['id'])
        (self.retention_id,) = self.pending()

    def pending(self) -> list[str]:
        return [row.id for row in self.rows(models.Job) if row.state == 'pending']

    def run_all(self) -> None:
        while pending := self.pending():
            for job_id in pending:
                self.runner.run(job_id)

    def delete_second(self) -> None:
        self.delete(self.checkpoints_path(self.second))

    def test_at_once(self):
        """What goes last is never removed by retention, whoever comes first."""
        base.at_once(lambda: self.runner.run(self.retention_id), self.delete_second)
        begun = {
            row.checkpoint_id: row.created_at
            for row in self.rows(models.Job)
            if row.kind == 'delete'
        }
        self.run_all()
        self.assertEqual('deleted', self.shown(self.second)['status'])
        if self.first in begun:
            self.assertLess(begun[self.first], begun[self.second])
        else:
            self.assertEqual([self.first], self.good(self.a))
        self.assert_in_step()

    def test_after_the_judgement(self):
        judge = retention_looks.judge

        def judge_and_delete(*args: Any) -> Any:
            judged = judge(*args)
            self.delete_second()
            return judged

        with mock.patch.object(retention_looks, 'judge', judge_and_delete):
            self.run_all()
        self.assertEqual(([self.first], [self.first]), (self.good(self.a), self.good(self.b)))
        self.assertIn('newer recovery points are lost meanwhile', self.told()['error_info'])
        self.assertEqual(0, self.told()['extra_info']['removed'])
        self.assert_in_step()

    def test_before_the_judgement(self):
        self.delete_second()
        self.run_all()
        self.assertEqual(([self.first], [self.first]), (self.good(self.a), self.good(self.b)))
        self.assertIsNone(self.told()['error_info'])
        self.assert_in_step()
