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

"""Which code may work on which schema, and how schemas are upgraded."""

import concurrent.futures
import contextlib
import io
import os
import subprocess
import sys
from unittest import mock

import sqlalchemy as sa
from oslo_config import cfg
from oslo_db import exception as db_exc

from karbor import db
from karbor.cmd import assembly, manage
from karbor.db import migration, migration_scripts, models, schema_gate
from karbor.services import processes
from karbor.tests import base

_KNOWN = ('0001', '0002', '0003')
_HEAD = schema_gate.known()[-1]
_BEFORE = schema_gate.known()[-2]


class RuleTest(base.TestCase):
    def refusal(self, revision: str | None, oldest_code: str | None) -> str | None:
        return schema_gate.Schema(revision=revision, oldest_code=oldest_code).refusal(_KNOWN)

    def test_what_is_needed_is_there(self) -> None:
        for oldest_code in (None, '0001', '0003'):
            self.assertIsNone(self.refusal('0003', oldest_code))

    def test_a_newer_schema_that_lets_this_code_work(self) -> None:
        for oldest_code in ('0001', '0003'):
            self.assertIsNone(self.refusal('0007', oldest_code))

    def test_code_that_is_too_old(self) -> None:
        for revision, oldest_code in (
            ('0007', '0006'),
            ('0007', '0007'),
            # A migration goes on.
            ('0003', '0004'),
            ('0002', '0004'),
        ):
            said = str(self.refusal(revision, oldest_code))
            self.assertIn(f'is {revision}, which needs code of {oldest_code} or newer', said)
            self.assertIn('this code is of 0003: upgrade Karbor', said)

    def test_a_newer_schema_that_does_not_say_who_may(self) -> None:
        self.assertIn('needs code of 0007 or newer', str(self.refusal('0007', None)))

    def test_an_older_schema(self) -> None:
        for oldest_code in (None, '0001'):
            said = str(self.refusal('0002', oldest_code))
            self.assertIn('is 0002, and this code needs 0003: run "karbor-manage db sync"', said)

    def test_no_schema(self) -> None:
        said = str(self.refusal(None, None))
        self.assertIn('no tables, and this code needs schema 0003: run "karbor-manage', said)

    def test_each_reason_is_one_line(self) -> None:
        for found in ((None, None), ('0002', None), ('0007', '0006')):
            self.assertNotIn('\n', str(self.refusal(*found)))


class MigrationsTest(base.TestCase):
    """What each migration says of who may work on what it makes."""

    def test_all_are_known_in_their_order(self) -> None:
        scripts = reversed(list(migration_scripts.directory().walk_revisions()))
        self.assertEqual([script.revision for script in scripts], list(schema_gate.known()))

    def test_each_since_the_gate_says_who_may(self) -> None:
        known = schema_gate.known()
        said = [migration_scripts.oldest_code(revision) for revision in known]
        since = known.index('0005')
        self.assertEqual([None] * since, said[:since])
        for revision, oldest_code in zip(known[since:], said[since:], strict=True):
            self.assertIn(oldest_code, known[: known.index(revision) + 1])
        self.assertEqual(sorted(said[since:]), said[since:], 'nobody is let in again')
        with db.reader() as session:
            self.assertEqual(
                [said[-1]], session.scalars(sa.select(models.SchemaGate.oldest_code)).all()
            )


class GateTestCase(base.TestCase):
    changes_schema = True

    def set_schema(self, revision: str, oldest_code: str) -> None:
        with db.writer() as session:
            session.execute(
                sa.text('UPDATE alembic_version SET version_num = :it'), {'it': revision}
            )
            session.execute(sa.update(models.SchemaGate).values(oldest_code=oldest_code))

    def assert_refused(self, *command: str, code: int, name: str, says: str) -> None:
        """A process ends at once, and what it says last is one line."""
        config = self.temp_dir / 'karbor.conf'
        config.write_text(f'[database]\nconnection = {cfg.CONF.database.connection}\n')
        arguments = () if 'gunicorn' in command else ('--config-file', str(config))
        ended = subprocess.run(
            [sys.executable, '-m', *command, *arguments],
            check=False,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=60,
            env={**os.environ, 'OS_KARBOR_CONFIG_FILE': str(config)},
        )
        self.assertEqual(code, ended.returncode, ended.stdout)
        [line] = [line for line in ended.stdout.splitlines() if line.startswith(f'{name}: ')]
        self.assertIn(says, line)
        self.assertNotIn('Traceback', ended.stdout)


class UpgradeTest(GateTestCase):
    def test_what_was_done(self) -> None:
        self.open_new_database()
        self.assertEqual(schema_gate.Schema(revision=None, oldest_code=None), schema_gate.look())
        for revision, before, after in (
            ('0003', None, '0003'),
            (None, '0003', _HEAD),
            (None, _HEAD, _HEAD),
            ('0003', _HEAD, _HEAD),
        ):
            self.assertEqual(
                migration.Upgrade(before=before, after=after), migration.upgrade(revision)
            )
        self.assertIsNone(schema_gate.refusal())

    def test_nothing_is_taken_back(self) -> None:
        self.set_schema('9999', _BEFORE)
        self.assertEqual(migration.Upgrade(before='9999', after='9999'), migration.upgrade())
        self.set_schema('9999', '9998')
        error = self.assertRaises(schema_gate.SchemaError, migration.upgrade)
        self.assertIn('needs code of 9998', str(error))
        self.assertEqual('9999', schema_gate.look().revision)

    def test_the_gate_is_closed_before_something_changes(self) -> None:
        """A migration that breaks on a database that commits by itself leaves it closed."""
        self.open_new_database()
        migration.upgrade()
        with (
            mock.patch.object(migration_scripts, 'oldest_code', return_value=_HEAD),
            mock.patch.object(migration, '_missing', return_value=[_HEAD]),
            mock.patch('alembic.command.upgrade') as upgrade,
        ):
            upgrade.side_effect = lambda *_: self.assertEqual(_HEAD, self._seen(upgrade))
            migration.upgrade()
        self.assertEqual(_HEAD, schema_gate.look().oldest_code)

    @staticmethod
    def _seen(upgrade: mock.Mock) -> str | None:
        config = upgrade.call_args.args[0]
        return schema_gate.read(config.attributes['connection']).oldest_code

    def test_what_a_deadlock_undoes_is_done_again(self) -> None:
        """With a transaction of a Karbor at work: the database ends one of the two."""
        before = schema_gate.known()[-2]
        self.open_new_database()
        migration.upgrade(before)
        run, errors = migration_scripts.run, [db_exc.DBDeadlock(), db_exc.DBDeadlock()]

        def run_into_deadlock(connection: sa.Connection, revision: str) -> None:
            run(connection, revision)
            if errors:
                raise errors.pop()

        with mock.patch.object(migration_scripts, 'run', run_into_deadlock):
            done = migration.upgrade()
        self.assertEqual(migration.Upgrade(before=before, after=_HEAD), done)
        self.assertIsNone(schema_gate.refusal())

    def test_each_migration_has_a_transaction_of_its_own(self) -> None:
        if base.DATABASE == 'sqlite':
            self.skipTest('others wait for all of them, and there are no deadlocks')
        self.open_new_database()
        seen = []

        def run(connection: sa.Connection, revision: str) -> None:
            seen.append(schema_gate.look().revision)
            run_script(connection, revision)

        run_script = migration_scripts.run
        with mock.patch.object(migration_scripts, 'run', run):
            migration.upgrade()
        self.assertEqual([None, *schema_gate.known()[:-1]], seen)

    def test_of_many_at_once_one_does_it(self) -> None:
        self.open_new_database()
        self.config.config(group='database', connection=cfg.CONF.database.connection)
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            done = list(pool.map(lambda _: migration.upgrade(), range(4)))
        self.assertEqual(
            [None, *[_HEAD] * 3], sorted((found.before for found in done), key=lambda x: x or '')
        )
        self.assertEqual({_HEAD}, {found.after for found in done})

    def test_another_one_that_does_not_end(self) -> None:
        if base.DATABASE != 'mariadb':
            self.skipTest('the others wait for as long as it takes')
        self.enterContext(mock.patch.object(migration, '_LONGEST_WAIT', 0))
        with db.engine().connect() as connection, migration._alone(connection):
            error = self.assertRaises(schema_gate.SchemaError, migration.upgrade)
        self.assertIn('does not end', str(error))
        migration.upgrade()


class CompressionTest(GateTestCase):
    """Who writes what older code cannot read keeps that out."""

    def test_it_is_kept_out(self) -> None:
        before = schema_gate.look().oldest_code
        schema_gate.enter()
        self.assertEqual(before, schema_gate.look().oldest_code)
        self.config.config(compress_checkpoints=True)
        schema_gate.enter()
        self.assertEqual('0012', schema_gate.look().oldest_code)
        older = schema_gate.known()[: schema_gate.known().index('0012')]
        self.assertIn('needs code of 0012', schema_gate.look().refusal(older) or '')
        self.assertIsNone(schema_gate.refusal())

    def test_nobody_is_let_in_again(self) -> None:
        self.config.config(compress_checkpoints=True)
        self.set_schema(_BEFORE, _HEAD)
        with mock.patch.object(schema_gate, 'refusal', return_value=None):
            schema_gate.enter()
        self.assertEqual(_HEAD, schema_gate.look().oldest_code)

        self.open_new_database()
        migration.upgrade(_BEFORE)
        db.transaction(schema_gate.need_code)(_BEFORE)
        migration.upgrade()
        self.assertEqual(_BEFORE, schema_gate.look().oldest_code)


class ReporterTest(GateTestCase):
    def test_no_further_work_while_the_schema_is_too_new(self) -> None:
        reporter = processes.Reporter(processes.PROTECTION)
        reporter.report()
        self.assertEqual((True, True), (reporter.may_work, reporter.may_take_work))
        self.set_schema('9999', '9999')
        with self.assertLogs(processes.LOG.logger, 'INFO') as logs:
            for _ in range(3):
                reporter.report()
        self.assertEqual((False, False), (reporter.may_work, reporter.may_take_work))
        [record] = logs.records
        self.assertIn('No further work is taken. The schema', record.getMessage())
        self.set_schema('9999', _HEAD)
        with self.assertLogs(processes.LOG.logger, 'INFO') as logs:
            reporter.report()
        self.assertEqual((True, True), (reporter.may_work, reporter.may_take_work))
        self.assertEqual(1, len(logs.records))


class ManageTest(GateTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.enterContext(mock.patch.object(assembly, 'configure'))

    def run_manage(self, *arguments: str) -> tuple[int, str]:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            return manage.main(arguments), printed.getvalue()

    def test_what_touches_rows_is_refused(self) -> None:
        self.set_schema('9999', '9999')
        for arguments in (
            ('job', 'list'),
            ('db', 'purge', '--days', '9'),
            ('service', 'list'),
            ('reconcile', 'now'),
        ):
            code, said = self.run_manage(*arguments)
            self.assertEqual((1, 1), (code, said.count('\n')), said)
            self.assertIn('karbor-manage: The schema of the database is 9999', said)

    def test_sync_says_what_it_did(self) -> None:
        self.open_new_database()
        for said in (
            f'The database had no tables; its schema is {_HEAD} now.\n',
            f'The schema of the database is {_HEAD}; there is nothing to do.\n',
        ):
            self.assertEqual((0, said), self.run_manage('db', 'sync'))
        self.open_new_database()
        migration.upgrade('0003')
        said = f'The schema of the database was 0003, and is {_HEAD} now.\n'
        self.assertEqual((0, said), self.run_manage('db', 'sync'))
        self.set_schema('9999', '9998')
        code, said = self.run_manage('db', 'sync')
        self.assertEqual((1, 1), (code, said.count('\n')), said)
        self.assertIn('does not take a schema back', said)


class ProcessTest(GateTestCase):
    """The processes themselves, which need no more than the database to say no."""

    def test_each_refuses_a_schema_that_is_not_its_own(self) -> None:
        for revision, oldest_code, says in (
            (
                '9999',
                '9998',
                f'is 9999, which needs code of 9998 or newer, and this code is of {_HEAD}',
            ),
            (_BEFORE, _BEFORE, f'is {_BEFORE}, and this code needs {_HEAD}: run "karbor-manage db'),
        ):
            self.set_schema(revision, oldest_code)
            for name in ('api', 'protection', 'operationengine'):
                self.assert_refused(f'karbor.cmd.{name}', code=1, name=f'karbor-{name}', says=says)
            gunicorn = ('gunicorn', '--bind', '127.0.0.1:0', 'karbor.wsgi.api:application')
            self.assert_refused(*gunicorn, code=3, name='karbor-api', says=says)
