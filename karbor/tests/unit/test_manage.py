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

import contextlib
import datetime
import io
import json
import pathlib
from unittest import mock

from oslo_config import cfg
from oslo_db import exception as db_exc
from oslo_utils import timeutils

from karbor import db, exception
from karbor.cmd import assembly, manage, standalone
from karbor.common import state_dir
from karbor.db import job_counts, models
from karbor.services import processes
from karbor.services.identity import trusts
from karbor.services.jobs import admin as job_admin
from karbor.services.jobs import boards
from karbor.tests import base, runners
from karbor.tests.base import PROVIDER_ID, new_id


class ManageTestCase(base.TestCase):
    def setUp(self) -> None:
        super().setUp()
        # The options and the database are those of the test.
        self.enterContext(mock.patch.object(assembly, 'configure'))

    def run_manage(self, *arguments: str, code: int = 0) -> str:
        """What is printed, to whichever of the two."""
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            found = manage.main(arguments)
        self.assertEqual(code, found, printed.getvalue())
        return printed.getvalue()

    def job(self, state: str) -> str:
        @db.transaction
        def write(session: object) -> str:
            return runners.create_job(
                session,
                subject_id=new_id(),
                checkpoint_id=new_id(),
                provider_id=PROVIDER_ID,
                state=state,
            ).id

        return write()


class ManageTest(ManageTestCase):
    def test_jobs(self):
        parked, pending = self.job('parked'), self.job('pending')
        listed = self.run_manage('job', 'list')
        self.assertEqual(listed, self.run_manage('jobs', 'list'))
        self.assertIn(parked, listed)
        self.assertIn(pending, listed)
        self.assertNotIn(pending, self.run_manage('job', 'list', '--state', 'parked'))
        self.assertEqual('parked', json.loads(self.run_manage('job', 'show', parked))['state'])
        self.run_manage('job', 'retry', parked)
        self.assertIn('is pending', self.run_manage('job', 'retry', parked, code=1))
        self.run_manage('job', 'cancel', pending)
        self.assertEqual('failed', json.loads(self.run_manage('job', 'show', pending))['state'])
        self.assertIn('could not be found', self.run_manage('job', 'show', 'x', code=1))

    def test_purge(self):
        self.assertIn('operation_logs: 0', self.run_manage('db', 'purge', '--days', '30'))
        self.assertIn('checkpoints: 0', self.run_manage('db', 'purge', '--days', '30', '--dry-run'))
        for wrong in ('0', '-1', 'x', '1000000'):
            with contextlib.redirect_stderr(io.StringIO()):
                self.assertRaises(SystemExit, self.run_manage, 'db', 'purge', '--days', wrong)

    def test_services(self):
        processes.report(processes.PROTECTION)
        self.assertIn('karbor-protection', self.run_manage('service', 'list'))

    def test_sync(self):
        self.assertIn('nothing to do', self.run_manage('db', 'sync'))
        self.assertEqual([], self.rows())

    @staticmethod
    def rows() -> list[models.Job]:
        with db.reader() as session:
            return session.query(models.Job).all()


class ReconcileTest(ManageTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.enterContext(mock.patch.object(assembly, 'providers', return_value=[]))
        self.inventory = self.enterContext(mock.patch.object(assembly.Surroundings, 'inventory'))
        self.trusts = self.enterContext(
            mock.patch.object(assembly.Surroundings, 'used_trusts')
        ).return_value
        self.trusts.survey.return_value = trusts.Survey(
            frozenset('a'), frozenset('b'), frozenset('c')
        )

    def expired_job(self) -> str:
        job_id = self.job('running')
        with db.writer() as session:
            session.get(models.Job, job_id).claimed_until = timeutils.utcnow() - datetime.timedelta(
                seconds=10
            )
        return job_id

    def test_a_dry_run_changes_nothing(self) -> None:
        job_id = self.expired_job()
        said = self.run_manage('reconcile', 'now', '--dry-run')
        self.assertIn('1 running, 0 parked; 1 whose workers are gone would be handed back', said)
        self.assertIn(
            '1 that nothing needs would be deleted, 1 that Keystone has no more, '
            '1 that no job knows',
            said,
        )
        self.trusts.sweep.assert_not_called()
        self.assertEqual('running', job_admin.get(job_id).state)

    def test_jobs_and_trusts(self) -> None:
        job_id = self.expired_job()
        self.trusts.survey.side_effect = [
            self.trusts.survey.return_value,
            trusts.Survey(frozenset(), frozenset('b'), frozenset('c')),
        ]
        said = self.run_manage('reconcile', 'now')
        self.assertIn('1 whose workers are gone were handed back', said)
        self.assertIn('job board: 0 jobs that it lost were posted again', said)
        self.assertIn('1 deleted, 0 could not be', said)
        self.trusts.retire.assert_called_once_with(frozenset('b'))
        self.assertEqual('pending', job_admin.get(job_id).state)

    def test_jobs_that_the_board_has_lost(self) -> None:
        self.trusts.survey.return_value = trusts.Survey(frozenset(), frozenset(), frozenset())
        board = mock.Mock(spec=boards.DatabaseBoard)
        board.lost.return_value = ['one', 'two']
        with mock.patch.object(assembly, 'job_board', return_value=board):
            said = self.run_manage('reconcile', 'now', '--dry-run')
            self.assertIn('2 jobs that it lost would be posted again', said)
            board.post_now.assert_not_called()
            self.run_manage('reconcile', 'now')
        self.assertEqual([mock.call('one'), mock.call('two')], board.post_now.mock_calls)
        board.tidy.assert_called_once_with()

    def test_one_that_fails_does_not_keep_the_others(self) -> None:
        self.inventory.return_value.check.side_effect = exception.InventoryFailed(reason='403')
        self.trusts.survey.side_effect = exception.IdentityUnavailable(reason='away')
        said = self.run_manage('reconcile', 'now', code=1)
        for words in (
            'jobs: 0 queued',
            'orphans are not looked for',
            '403',
            'trusts are not looked at',
            'away',
            'Not everything could be done.',
        ):
            self.assertIn(words, said)

    def test_the_database_fails_in_each(self) -> None:
        error = db_exc.DBError(RuntimeError('the server is gone\n[SQL: SELECT secrets]'))
        self.inventory.return_value.check.side_effect = error
        self.trusts.survey.side_effect = error
        board = mock.Mock(spec=boards.DatabaseBoard, **{'lost.side_effect': error})
        with (
            mock.patch.object(assembly, 'job_board', return_value=board),
            mock.patch.object(job_counts, 'by_state', side_effect=error),
        ):
            said = self.run_manage('reconcile', 'now', code=1)
        for words in ('jobs are', 'the job board is', 'orphans are', 'trusts are'):
            self.assertIn(words, said)
        self.assertEqual(4, said.count('the server is gone\n'))
        self.assertNotIn('SQL', said)

    def test_the_job_board_fails(self) -> None:
        board = mock.Mock(spec=boards.DatabaseBoard)
        board.lost.side_effect = exception.KarborException('no board')
        with mock.patch.object(assembly, 'job_board', return_value=board):
            said = self.run_manage('reconcile', 'now', code=1)
        self.assertIn('the job board is not looked at: no board', said)
        self.assertIn('1 that nothing needs', said)


class StandaloneTest(base.TestCase):
    """karbor-manage on the folder of a karbor-standalone."""

    def run_manage(self, folder: pathlib.Path, *arguments: str) -> tuple[int, str]:
        printed = io.StringIO()
        with (
            contextlib.redirect_stdout(printed),
            contextlib.redirect_stderr(printed),
            mock.patch.object(standalone, '_configure'),
        ):
            return manage.main(['--state-dir', str(folder), *arguments]), printed.getvalue()

    def test_a_folder_that_is_none(self) -> None:
        code, said = self.run_manage(self.temp_dir, 'job', 'list')
        self.assertEqual((1, True), (code, 'start that once' in said), said)

    def test_its_checkpoints(self) -> None:
        folder = self.temp_dir / 'state'
        state = state_dir.StateDirectory(folder)
        state.ensure_provider()
        code, said = self.run_manage(folder, 'job', 'list')
        self.assertEqual((1, True), (code, 'runs on' in said), said)
        state._lock.close()
        cfg.CONF.clear_default('connection', 'database')
        code, said = self.run_manage(folder, 'checkpoint', 'rebuild', '--from', 'bank')
        self.assertEqual((0, True), (code, '0 written, 0 known' in said), said)
        self.assertTrue((folder / 'karbor.db').exists())
