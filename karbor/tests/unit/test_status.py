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
import io
from typing import Any
from unittest import mock

from oslo_config import cfg
from oslo_db import exception as db_exc
from oslo_upgradecheck import upgradecheck

from karbor import db, exception
from karbor.cmd import assembly, status
from karbor.db import jobs as job_rows
from karbor.db import migration, models, schema_gate
from karbor.services.protection.bank_plugins import file_system_bank_plugin
from karbor.tests import base, libraries

_Bank = file_system_bank_plugin.FileSystemBankPlugin
SUCCESS, WARNING, FAILURE = (
    upgradecheck.Code.SUCCESS,
    upgradecheck.Code.WARNING,
    upgradecheck.Code.FAILURE,
)


class UpgradeCheckTest(base.TestCase):
    changes_schema = True

    def setUp(self) -> None:
        super().setUp()
        self.config.config(provider_config_dir=str(self.provider_dir()))
        self.real_inventory = assembly.Surroundings.inventory
        self.inventory = mock.Mock(region='A')
        self.patch(assembly.Surroundings, 'inventory', lambda _: self.inventory)

    def check(self, **configure: Any) -> tuple[int, str]:
        """The code and what is printed."""
        text = io.StringIO()
        with contextlib.redirect_stdout(text), mock.patch.object(db, 'configure', **configure):
            code = status.Checks().check()
        return code, ' '.join(text.getvalue().replace('|', ' ').split())

    def test_all_is_well(self) -> None:
        code, text = self.check()
        self.assertEqual(SUCCESS, code)
        self.assertIn(f'this code is of {schema_gate.known()[-1]}.', text)

    def test_a_database_without_tables(self) -> None:
        self.open_new_database()
        code, text = self.check()
        self.assertEqual(FAILURE, code)
        self.assertIn('The database has no tables', text)
        self.assertIn('karbor-manage db sync', text)

    def test_a_database_that_lacks_a_migration(self) -> None:
        self.open_new_database()
        migration.upgrade('0002')
        code, text = self.check()
        self.assertEqual(FAILURE, code)
        self.assertIn('The schema of the database is 0002', text)

    def test_a_database_of_a_newer_karbor(self) -> None:
        with db.writer() as session:
            session.connection().exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
        code, text = self.check()
        self.assertEqual(SUCCESS, code)
        self.assertIn('The schema is 9999', text)
        with db.writer() as session:
            session.connection().exec_driver_sql("UPDATE schema_gate SET oldest_code = '9998'")
        code, text = self.check()
        self.assertEqual(FAILURE, code)
        self.assertIn('needs code of 9998 or newer', text)

    def test_no_database(self) -> None:
        with mock.patch.object(
            schema_gate.api, 'reader', side_effect=db_exc.DBConnectionError(LookupError('refused'))
        ):
            code, text = self.check()
        self.assertEqual(FAILURE, code)
        self.assertIn('The database does not answer', text)

    def test_parked_jobs(self) -> None:
        with db.writer() as session:
            session.add(
                models.Job(
                    kind='protect',
                    subject_id='s',
                    checkpoint_id='c',
                    provider_id='p',
                    project_id='x',
                    state=job_rows.JobState.PARKED,
                )
            )
        code, text = self.check()
        self.assertEqual(WARNING, code)
        self.assertIn('1 jobs wait for an administrator', text)

    def test_a_broken_provider_file(self) -> None:
        (self.temp_dir / 'providers.d/broken.conf').write_text('[provider]\nenabled = True\n')
        code, text = self.check()
        self.assertEqual(FAILURE, code)
        self.assertIn('broken.conf', text)

    def test_a_bank_that_is_away(self) -> None:
        with mock.patch.object(_Bank, 'get_object', side_effect=OSError('not mounted')):
            code, text = self.check()
        self.assertEqual(WARNING, code)
        self.assertIn(base.PROVIDER_ID, text)
        self.assertIn('not mounted', text)

    def test_no_provider(self) -> None:
        self.config.config(provider_config_dir=str(self.temp_dir / 'none'))
        code, text = self.check()
        self.assertEqual(WARNING, code)
        self.assertIn('no enabled provider', text)

    def test_a_board_that_does_not_answer(self) -> None:
        self.config.config(connection='etcd://127.0.0.1:1', group='jobboard')
        code, text = self.check()
        self.assertEqual(WARNING, code)
        self.assertIn('does not answer; jobs would go by their rows', text)

    def test_a_board_that_cannot_be_understood(self) -> None:
        self.config.config(connection='nonsense', group='jobboard')
        code, text = self.check()
        self.assertEqual(FAILURE, code)
        self.assertIn('[jobboard] connection', text)

    def test_what_needs_an_extra_that_is_not_installed(self) -> None:
        path = self.temp_dir / 'providers.d/away.conf'
        path.write_text(
            '[provider]\nenabled = True\nid = 8a0c4e57-9d3b-4f16-b2c8-7e5a1d0f6b34\n'
            'bank = karbor-swift-bank-plugin\n'
        )
        self.config.config(connection='redis://board', group='jobboard')
        for modules, what, extra in (
            (('webob',), 'the service of a cloud', 'service'),
            (('swiftclient',), 'karbor-swift-bank-plugin', 'swift'),
            (('taskflow',), '[jobboard] connection', 'redis'),
        ):
            with libraries.without(*modules):
                code, text = self.check()
            self.assertEqual(FAILURE, code)
            self.assertIn(f"{what} needs karbor[{extra}]: pip install 'karbor[{extra}]'", text)

    def test_a_database_that_needs_one(self) -> None:
        missing = exception.ExtraMissing(what='[database] connection', extra='mysql')
        code, text = self.check(side_effect=missing)
        self.assertEqual(FAILURE, code)
        self.assertIn(
            "[database] connection needs karbor[mysql]: pip install 'karbor[mysql]'", text
        )

    def test_extras_that_nobody_needs_are_named(self) -> None:
        with libraries.without('boto3', 'kazoo'):
            code, text = self.check()
        self.assertEqual(SUCCESS, code)
        self.assertIn('Not installed: s3 (karbor-s3-bank-plugin), zookeeper (', text)

    def test_regions(self) -> None:
        several = exception.RegionNotChosen(regions='A, B')
        for region, expected, told in (
            ('A', SUCCESS, 'acts in region A'),
            (None, WARNING, 'set [cinder_client] region_id'),
            (several, FAILURE, 'several regions (A, B)'),
            (exception.InventoryFailed(reason='away'), WARNING, 'cannot be told now'),
        ):
            found = mock.PropertyMock(side_effect=[region])
            with mock.patch.object(type(self.inventory), 'region', found, create=True):
                code, text = self.check()
            self.assertEqual(expected, code)
            self.assertIn(told, text)

    def test_credentials_that_are_none(self) -> None:
        with mock.patch.object(assembly.Surroundings, 'inventory', self.real_inventory):
            code, text = self.check()
        self.assertEqual(WARNING, code)
        self.assertIn('cannot be told now', text)

    def test_a_policy_file_in_json(self) -> None:
        (self.temp_dir / 'policy.json').write_text('{"a": "b"}')
        self.config.config(policy_file=str(self.temp_dir / 'policy.json'), group='oslo_policy')
        self.assertEqual(FAILURE, self.check()[0])


class CommandTest(base.TestCase):
    def test_a_broken_configuration_is_one_line(self) -> None:
        (self.temp_dir / 'karbor.conf').write_text('nonsense')
        text = io.StringIO()
        with contextlib.redirect_stderr(text), mock.patch.object(cfg, 'CONF', cfg.ConfigOpts()):
            code = status.main(
                ['--config-file', str(self.temp_dir / 'karbor.conf'), 'upgrade', 'check']
            )
        self.assertEqual(255, code)
        self.assertIn('karbor-status: ', text.getvalue())
        self.assertNotIn('Traceback', text.getvalue())
