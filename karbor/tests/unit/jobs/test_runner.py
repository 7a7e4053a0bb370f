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

"""Jobs that meet others, break off, run again, or fail as a whole."""

import pathlib
import threading
from typing import Any
from unittest import mock

import fixtures
import sqlalchemy as sa

from karbor import db, exception
from karbor.db import checkpoints, job_resources, models, uses
from karbor.db import jobs as job_rows
from karbor.services.checkpoints import commands, queries, status_reset
from karbor.services.identity import trusts
from karbor.services.jobs import kinds
from karbor.services.jobs import runner as job_runner
from karbor.services.protection import provider
from karbor.tests import base, runners
from karbor.tests.unit.protection import contract_plugins, test_contract

SERVERS, VOLUMES, EVERYONE = (test_contract.SERVERS, test_contract.VOLUMES, test_contract.EVERYONE)


class Killed(BaseException):
    """Ends a job as the end of its process would, with nothing tidied up."""


class JobsTestCase(test_contract.ContractTestCase):
    """Jobs wait until a test runs them."""

    def setUp(self) -> None:
        self.posted: list[str] = []
        super().setUp()
        self.manager = commands.Commands(
            self.registry, self.protectables, self.posted.append, trusts.NoTrusts()
        )
        self.runner = self.new_runner(lambda _job: self.context)

    def environment(self, context_of: runners.ContextOf, **more: Any) -> kinds.Environment:
        return runners.environment(
            self.registry, self.protectables, self.posted.append, context_of, **more
        )

    def post_protect(self) -> tuple[str, str]:
        """:returns: the ids of a new checkpoint and its job, which has not begun."""
        row = self.manager.create_checkpoint(self.context, base.PROVIDER_ID, self.plan_id, {})
        return row.id, self.posted[-1]

    def post(self, kind: str, checkpoint_id: str) -> tuple[str, str]:
        """:returns: the ids of what the job is about and of the job, which has not begun."""
        if kind == 'delete':
            self.manager.delete_checkpoint(self.context, base.PROVIDER_ID, checkpoint_id)
            return checkpoint_id, self.posted[-1]
        create = {
            'restore': self.manager.create_restore,
            'verify': self.manager.create_verification,
        }[kind]
        made = create(
            self.context,
            {'provider_id': base.PROVIDER_ID, 'parameters': {}, 'checkpoint_id': checkpoint_id},
        )
        return made.id, self.posted[-1]

    def post_any(self, kind: str) -> tuple[str, str]:
        checkpoint_id, job_id = self.post_protect()
        if kind == 'protect':
            return checkpoint_id, job_id
        self.runner.run(job_id)
        return self.post(kind, checkpoint_id)

    def row(self, job_id: str) -> models.Job:
        with db.reader() as session:
            return session.get(models.Job, job_id)

    def subject(self, kind: str, subject_id: str) -> Any:
        model = {'restore': models.Restore, 'verify': models.Verification}.get(
            kind, models.Checkpoint
        )
        with db.reader() as session:
            return session.get(model, subject_id)

    def start_again(self) -> list[str]:
        with db.writer() as session:
            return list(job_rows.take_up_again(session))


class ClaimTest(JobsTestCase):
    def test_two_workers_and_one_job(self) -> None:
        checkpoint_id, job_id = self.post_protect()
        start = threading.Barrier(2)

        def work() -> None:
            start.wait(10)
            self.runner.run(job_id)

        threads = [threading.Thread(target=work) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        self.assertEqual(4 * len(EVERYONE), len(contract_plugins.JOURNAL))
        self.assertEqual(('done', 1), (self.row(job_id).state, self.row(job_id).attempts))
        self.assertEqual('available', self.checkpoint(checkpoint_id).status)

    def test_what_is_over_is_left_alone(self) -> None:
        _, job_id = self.post_protect()
        self.runner.run(job_id)
        contract_plugins.JOURNAL.clear()

        self.runner.run(job_id)
        self.runner.run('none')

        self.assertEqual([], contract_plugins.JOURNAL)
        self.assertEqual(1, self.row(job_id).attempts)

    def test_a_checkpoint_waits_for_its_jobs(self) -> None:
        checkpoint_id, job_id = self.post_protect()
        self.assertRaises(exception.CheckpointNotBeDeleted, self.post, 'delete', checkpoint_id)
        self.runner.run(job_id)
        _, restore_job = self.post('restore', checkpoint_id)

        error = self.assertRaises(
            exception.CheckpointNotBeDeleted, self.post, 'delete', checkpoint_id
        )
        self.assertIn('restore', error.msg)
        self.runner.run(restore_job)
        self.post('delete', checkpoint_id)
        self.assertEqual(
            'fail', self.subject('restore', self.post('restore', checkpoint_id)[0]).status
        )


class BreakTest(JobsTestCase):
    def _break(self, job_id: str, kind: str, resource: Any, hook: str) -> set[str]:
        """Have a job killed in a hook.

        :returns: keys of the resources that it has done by then.
        """
        contract_plugins.FAULTS[kind, resource.id, hook] = Killed()
        self.assertRaises(Killed, self.runner.run, job_id)
        contract_plugins.FAULTS.clear()
        contract_plugins.JOURNAL.clear()
        self.assertEqual('running', self.row(job_id).state)
        with db.reader() as session:
            return {
                f'{row.resource_type}#{row.resource_id}'
                for row in job_resources.of_job(session, job_id)
                if row.is_done
            }

    def test_attempts_are_counted(self) -> None:
        _, job_id = self.post_protect()
        for attempts in (1, 2, 3):
            self._break(job_id, 'protect', VOLUMES[0], 'on_main')
            self.assertEqual(attempts, self.row(job_id).attempts)
            self.assertEqual([job_id], self.start_again())

        self.runner.run(job_id)

        self.assertEqual((4, 'done'), (self.row(job_id).attempts, self.row(job_id).state))

    def test_what_is_done_is_left_out(self) -> None:
        for kind, status in (
            ('protect', 'available'),
            ('restore', 'success'),
            ('verify', 'success'),
            ('delete', 'deleted'),
        ):
            subject_id, job_id = self.post_any(kind)
            hook = 'on_main' if kind == 'delete' else 'on_complete'
            done = self._break(job_id, kind, SERVERS[1], hook)
            self.start_again()

            self.runner.run(job_id)

            called = {call.resource.key for call in contract_plugins.JOURNAL}
            self.assertEqual({resource.key for resource in EVERYONE} - done, called)
            self.assertEqual(status, self.subject(kind, subject_id).status)
            self.assertEqual(
                queries.Progress(6, 0), self.queries.progress([subject_id])[subject_id]
            )

    def test_parents_are_given_what_children_told_before_the_break(self) -> None:
        self.useFixture(fixtures.MonkeyPatch('karbor.services.jobs.walker._TELL_AFTER', 0))
        _, job_id = self.post_any('restore')
        done = self._break(job_id, 'restore', SERVERS[1], 'on_complete')
        self.assertLessEqual({volume.key for volume in VOLUMES[1:3]}, done)
        self.start_again()

        self.runner.run(job_id)

        # Its volumes were not made again, and the server has them.
        made = [
            [
                new
                for new, (snapshot, _) in self.cloud.restored.items()
                if snapshot == f'snapshot-of-{volume.id}'
            ]
            for volume in VOLUMES[1:3]
        ]
        self.assertEqual([1, 1], [len(new_ids) for new_ids in made])
        self.assertIn([new_ids[0] for new_ids in made], self.cloud.servers.values())

    def test_what_failed_is_not_taken_for_done(self) -> None:
        _, job_id = self.post_protect()
        contract_plugins.FAULTS['protect', VOLUMES[1].id, 'on_main'] = ValueError('no')
        done = self._break(job_id, 'protect', SERVERS[1], 'on_complete')
        self.assertNotIn(VOLUMES[1].key, done)
        self.start_again()

        self.runner.run(job_id)

        self.assertIn(VOLUMES[1], [call.resource for call in contract_plugins.JOURNAL])
        self.assertEqual('done', self.row(job_id).state)
        self.assertEqual({}, self.queries.failures(self.row(job_id).subject_id))

    def test_a_failure_before_the_break_is_forgotten(self) -> None:
        restore_id, job_id = self.post_any('restore')
        contract_plugins.FAULTS['restore', VOLUMES[1].id, 'on_main'] = ValueError('no')
        with mock.patch.object(job_rows, 'finish', side_effect=Killed):
            self.assertRaises(Killed, self.runner.run, job_id)
        contract_plugins.FAULTS.clear()
        self.start_again()

        self.runner.run(job_id)

        self.assertEqual('success', self.subject('restore', restore_id).status)
        self.assertEqual(
            [],
            [
                item.reason
                for item in self.queries.results([restore_id]).get(restore_id, [])
                if item.status == 'error'
            ],
        )

    def test_a_delete_whose_end_was_not_written(self) -> None:
        checkpoint_id, job_id = self.post_any('delete')
        with mock.patch.object(job_rows, 'finish', side_effect=Killed):
            self.assertRaises(Killed, self.runner.run, job_id)
        self.start_again()

        self.runner.run(job_id)

        self.assertEqual('deleted', self.subject('delete', checkpoint_id).status)
        self.assertEqual([], self.bank.list_objects())

    def test_an_end_is_written_whole_or_not_at_all(self) -> None:
        for kind, before in (
            ('protect', 'protecting'),
            ('restore', 'in_progress'),
            ('verify', 'in_progress'),
            ('delete', 'deleting'),
        ):
            subject_id, job_id = self.post_any(kind)
            statuses = uses if kind in ('restore', 'verify') else checkpoints
            # One of the two is the second write, whichever comes first in the code.
            for module, name in ((job_rows, 'finish'), (statuses, 'set_status')):
                with mock.patch.object(module, name, side_effect=Killed):
                    self.assertRaises(Killed, self.runner.run, job_id)
                self.assertEqual(
                    (before, 'running'),
                    (self.subject(kind, subject_id).status, self.row(job_id).state),
                )
                self.start_again()
            self.runner.run(job_id)
            self.assertEqual('done', self.row(job_id).state)
            self.assertNotEqual(before, self.subject(kind, subject_id).status)


class FailedJobTest(JobsTestCase):
    ENDS = (
        ('protect', 'error'),
        ('restore', 'fail'),
        ('verify', 'fail'),
        ('delete', 'error-deleting'),
    )

    def _assert_failed(
        self, kind: str, status: str, runner: job_runner.JobRunner, words: str
    ) -> None:
        subject_id, job_id = self.post_any(kind)
        contract_plugins.JOURNAL.clear()

        runner.run(job_id)

        row, subject = self.row(job_id), self.subject(kind, subject_id)
        self.assertEqual(('failed', status), (row.state, subject.status))
        self.assertEqual(row.error, subject.status_reason)
        self.assertIn(words.format(job_id=job_id), subject.status_reason)
        for trace in ('Traceback', '.py', 'line '):
            self.assertNotIn(trace, subject.status_reason)
        self.assertEqual([], contract_plugins.JOURNAL)

    def test_an_unexpected_error(self) -> None:
        def context_of(_job: models.Job) -> Any:
            raise LookupError('password=secret')

        for kind, status in self.ENDS:
            self._assert_failed(
                kind,
                status,
                self.new_runner(context_of),
                'an unexpected LookupError happened; see the log for job {job_id}',
            )
            self.assertNotIn('secret', self.row(self.posted[-1]).error)

    def test_an_expected_error_is_told_in_its_own_words(self) -> None:
        def context_of(_job: models.Job) -> Any:
            raise exception.KarborException('The trust is gone.')

        for kind, status in self.ENDS:
            self._assert_failed(kind, status, self.new_runner(context_of), 'The trust is gone.')

    def test_a_provider_that_is_missing(self) -> None:
        empty = pathlib.Path(self.temp_dir, 'none.d')
        empty.mkdir()
        runner = runners.runner(
            runners.environment(
                provider.ProviderRegistry(empty),
                self.protectables,
                self.posted.append,
                lambda _: self.context,
            )
        )

        for kind, _ in self.ENDS:
            _, job_id = self.post_any(kind)

            runner.run(job_id)

            # The next start may have it again: nothing is lost, nothing is called failed.
            self.assertEqual(('pending', 0), (self.row(job_id).state, self.row(job_id).attempts))

    def test_a_checkpoint_that_the_bank_has_lost(self) -> None:
        for kind in ('restore', 'verify'):
            subject_id, job_id = self.post_any(kind)
            checkpoint_id = self.row(job_id).checkpoint_id
            self.bank.delete_object(f'/checkpoints/{checkpoint_id}/index.json')

            self.runner.run(job_id)

            self.assertEqual('fail', self.subject(kind, subject_id).status)
            self.assertIn(checkpoint_id, self.subject(kind, subject_id).status_reason)

    def test_a_checkpoint_that_the_bank_has_lost_can_be_deleted(self) -> None:
        checkpoint_id, job_id = self.post_any('delete')
        for key in self.bank.list_objects():
            self.bank.delete_object(key)

        self.runner.run(job_id)

        self.assertEqual('deleted', self.subject('delete', checkpoint_id).status)

    def test_what_a_failed_job_left_can_be_deleted(self) -> None:
        checkpoint_id, job_id = self.post_protect()
        self.new_runner(mock.Mock(side_effect=LookupError)).run(job_id)
        self.assertEqual('error', self.checkpoint(checkpoint_id).status)

        self.runner.run(self.post('delete', checkpoint_id)[1])

        self.assertEqual('deleted', self.checkpoint(checkpoint_id).status)

    def test_a_reset_that_the_bank_refuses_changes_nothing(self) -> None:
        checkpoint_id, job_id = self.post_protect()
        with mock.patch.object(
            self.bank._plugin,
            'update_object',
            side_effect=exception.BankUpdateObjectFailed(key='k', reason='No space left on device'),
        ):
            self.runner.run(job_id)
            self.assertIn('No space left', self.checkpoint(checkpoint_id).status_reason)

            self.assertRaises(
                exception.BankUpdateObjectFailed,
                self.manager.reset_checkpoint,
                self.context,
                base.PROVIDER_ID,
                checkpoint_id,
                'available',
            )

        # What cannot be reset is as it was: nothing says 'available' that nobody has.
        self.assertEqual('error', self.checkpoint(checkpoint_id).status)
        self.assertEqual([('reset', 'pending')], self.resets())
        with db.writer() as session:
            (job_id,) = job_rows.take_up_again(session)
        self.runner.run(job_id)
        self.assertEqual([('reset', 'done')], self.resets())
        self.assertEqual('error', self.checkpoint(checkpoint_id).status)

    def test_nothing_begins_while_a_reset_writes_to_the_bank(self) -> None:
        checkpoint_id, job_id = self.post_protect()
        self.runner.run(job_id)
        refused: list[Exception] = []

        def write(*_: object) -> None:
            for begin in (
                lambda: self.manager.delete_checkpoint(
                    self.context, base.PROVIDER_ID, checkpoint_id
                ),
                lambda: self.manager.reset_checkpoint(
                    self.context, base.PROVIDER_ID, checkpoint_id, 'available'
                ),
            ):
                try:
                    begin()
                except exception.KarborException as exc:
                    refused.append(exc)

        with mock.patch.object(status_reset.plugin_records, 'write_checkpoint', side_effect=write):
            self.manager.reset_checkpoint(self.context, base.PROVIDER_ID, checkpoint_id, 'error')

        self.assertEqual(2, len(refused), refused)
        for exc in refused:
            self.assertIn('reset of it is not finished', str(exc))
        shown = self.checkpoint(checkpoint_id)
        self.assertEqual(
            ('error', 'The status was set by hand.'), (shown.status, shown.status_reason)
        )
        self.assertEqual([('reset', 'done')], self.resets())

    def test_a_reset_that_a_killed_process_left_is_ended_by_a_worker(self) -> None:
        checkpoint_id, job_id = self.post_protect()
        self.runner.run(job_id)
        with mock.patch.object(status_reset.plugin_records, 'write_checkpoint', side_effect=Killed):
            self.assertRaises(
                Killed,
                self.manager.reset_checkpoint,
                self.context,
                base.PROVIDER_ID,
                checkpoint_id,
                'error',
            )
        self.assertEqual([('reset', 'running')], self.resets())
        found = self.registry.get(base.PROVIDER_ID).checkpoints.get(checkpoint_id)
        found.status = 'error'
        found.commit()

        with db.writer() as session:
            (job_id,) = job_rows.take_up_again(session)
        self.runner.run(job_id)

        self.assertEqual([('reset', 'done')], self.resets())
        self.assertEqual('available', self.checkpoint(checkpoint_id).status)
        found = self.registry.get(base.PROVIDER_ID).checkpoints.get(checkpoint_id)
        self.assertEqual('available', found.status)

    def resets(self) -> list[tuple[str, str]]:
        with db.reader() as session:
            return [
                (job.kind, job.state)
                for job in session.scalars(sa.select(models.Job).where(models.Job.kind == 'reset'))
            ]
