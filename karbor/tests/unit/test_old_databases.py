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

"""Databases of a Karbor of old: given by mistake, or to be read."""

import contextlib
import io
import pathlib
from unittest import mock

import sqlalchemy as sa
from oslo_config import cfg

from karbor import exception
from karbor.cmd import assembly, manage, status
from karbor.db import migration, old_karbor, schema_gate
from karbor.tests import base, old_database
from karbor.tests.unit import test_schema_gate


class GivenByMistakeTest(test_schema_gate.GateTestCase):
    """Karbor's own database is one of the Karbor of old: nothing is written to it."""

    def setUp(self) -> None:
        super().setUp()
        self.open_new_database()
        self.old = old_database.OldDatabase(cfg.CONF.database.connection)
        self.addCleanup(self.old.close)
        self.old.operation(self.old.trigger(), self.old.plan())
        self.before = self.contents()

    def contents(self) -> object:
        """The file to its last byte, or the rows of all tables."""
        if base.DATABASE != 'sqlite':
            return self.old.contents()
        path = pathlib.Path(str(self.old.engine.url.database))
        return path.read_bytes(), sorted(each.name for each in path.parent.glob(f'{path.name}*'))

    def test_it_is_told_by_commands(self) -> None:
        error = self.assertRaises(schema_gate.SchemaError, migration.upgrade)
        said = str(error)
        self.assertIn('is one of the Karbor of old, as it has the table migrate_version', said)
        self.assertIn('karbor-manage import', said)
        for arguments in (['db', 'sync'], ['job', 'list'], ['import', '--from', self.old.url]):
            printed = io.StringIO()
            with (
                mock.patch.object(assembly, 'configure'),
                contextlib.redirect_stderr(printed),
            ):
                self.assertEqual(1, manage.main(arguments))
            self.assertEqual(f'karbor-manage: {said}\n', printed.getvalue())
        self.assertEqual(self.before, self.contents())

    def test_the_upgrade_check_fails(self) -> None:
        with mock.patch.object(status.db, 'configure'):
            result = status.Checks()._schema()
        self.assertEqual('FAILURE', result.code.name)
        self.assertIn('one of the Karbor of old', result.details)
        self.assertEqual(self.before, self.contents())

    def test_no_process_starts(self) -> None:
        says = 'is one of the Karbor of old'
        for name in ('api', 'protection', 'operationengine'):
            self.assert_refused(f'karbor.cmd.{name}', code=1, name=f'karbor-{name}', says=says)
        gunicorn = ('gunicorn', '--bind', '127.0.0.1:0', 'karbor.wsgi.api:application')
        self.assert_refused(*gunicorn, code=3, name='karbor-api', says=says)
        self.assertEqual(self.before, self.contents())


class OpeningTest(base.TestCase):
    def refusal(self, url: str) -> str:
        with contextlib.ExitStack() as stack:
            error = self.assertRaises(
                exception.KarborException, stack.enter_context, old_karbor.opened(url)
            )
        self.assertNotIn('\n', error.msg)
        return str(error.msg)

    def test_what_is_none_of_the_karbor_of_old(self) -> None:
        own = self.refusal(cfg.CONF.database.connection)
        self.assertIn('lacks the tables migrate_version', own)
        empty = sa.make_url(old_database.new_url(self.temp_dir))
        if base.DATABASE == 'sqlite':
            pathlib.Path(str(empty.database)).touch()
        said = self.refusal(empty.render_as_string(hide_password=False))
        self.assertIn('migrate_version, plans, resources, triggers, scheduled_operations', said)

    def test_what_cannot_be_opened(self) -> None:
        (self.temp_dir / 'my.cnf').write_text('password=SECRET\n')
        server = 'karbor:SECRET@127.0.0.1:1/karbor'
        for url, says in (
            ('karbor', 'is to be as mysql+pymysql://HOST/NAME'),
            ('mysql://karbor:x@SECRET?x@host/karbor', 'to be written %40'),
            ('postgresql://karbor:x@y?host=SECRET@host/karbor', 'to be written %40'),
            (f'mysql://host/karbor?read_default_file={self.temp_dir}/my.cnf', 'a file that one'),
            (f'mysql://{server}?nothing=1', 'an option of its URL is wrong'),
            (f'mysql://{server}?connect_timeout=soon', 'an option of its URL is wrong'),
            (f'mysql://{server}?ssl_ca={self.temp_dir}/none', 'an option of its URL is wrong'),
            (f'postgresql://{server}%00', 'cannot be read'),
            (f'sqlite:///{self.temp_dir}/{"x" * 300}', 'cannot be read'),
            ('mysql://karbor:SECRET@host:SECRET/karbor', 'is to be as'),
            ('oracle://karbor:SECRET@host/karbor', 'no database of oracle'),
            ('mysql+nothing://karbor:SECRET@host/karbor', 'nothing'),
            ('mysql+oursql://karbor:SECRET@host/karbor', 'oursql'),
            ('postgresql+pg8000://karbor:SECRET@host/karbor', 'the module pg8000 is needed'),
            ('mysql://karbor:x@SECRET@host/karbor', 'to be written %40'),
            ('mysql://karbor:x@SECRET/x@host/karbor', 'to be written %40'),
            ('mysql://karbor:SECRET@127.0.0.1:1/karbor', 'cannot be read'),
            ('postgresql://karbor:SECRET@127.0.0.1:1/karbor', 'cannot be read'),
            (f'sqlite:///{self.temp_dir}/none.db', 'There is no file'),
            (f'sqlite:///{self.temp_dir}', 'There is no file'),
            ('sqlite://', 'There is no file'),
        ):
            said = self.refusal(url)
            self.assertIn(says, said)
            self.assertNotIn('SECRET', said)
        self.assertFalse((self.temp_dir / 'none.db').exists())

    def test_nothing_can_be_written(self) -> None:
        old = old_database.OldDatabase(old_database.new_url(self.temp_dir))
        self.addCleanup(old.close)
        old.plan()
        with old_karbor.opened(old.url) as opened:
            connection = opened._connection
            for statement in (
                sa.update(old_database.PLANS).values(name='mine'),
                sa.delete(old_database.RESOURCES),
            ):
                error = self.assertRaises(sa.exc.DBAPIError, connection.execute, statement)
                self.assertRegex(str(error).lower(), 'read.?only')
                connection.rollback()

    def test_it_is_read_as_it_was_at_one_moment(self) -> None:
        if base.DATABASE == 'sqlite':
            self.skipTest('whoever writes there waits for the end, or does not get at it')
        old = old_database.OldDatabase(old_database.new_url(self.temp_dir))
        self.addCleanup(old.close)
        plan = old.plan()
        with old_karbor.opened(old.url) as opened:
            seen = [row.id for rows in opened.plans() for row in rows]
            old.plan()
            self.assertEqual(
                [[plan], [plan]], [seen, [row.id for rows in opened.plans() for row in rows]]
            )
