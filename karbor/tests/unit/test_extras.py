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

"""What the default installation lacks, and who says so."""

import configparser
import importlib
import importlib.metadata
import pathlib
import re
import subprocess
import sys

import fixtures
import testtools
from oslo_config import cfg
from oslotest import base
from packaging import requirements

import karbor
from karbor import db, exception
from karbor.common import extras
from karbor.services.protection import provider
from karbor.tests import base as karbor_base
from karbor.tests import libraries

_ROOT = pathlib.Path(karbor.__file__).parents[1]
_BANKS = 'karbor.services.protection.bank_plugins'


def _names(lines: str) -> set[str]:
    """Of the packages in lines of requirements."""
    wanted = (line.partition('#')[0].strip() for line in lines.splitlines())
    return {_plain(requirements.Requirement(line).name) for line in wanted if line}


def _plain(name: str) -> str:
    return re.sub('[-_.]+', '-', name).lower()


class TableTest(base.BaseTestCase):
    def setUp(self) -> None:
        super().setUp()
        setup = configparser.ConfigParser()
        setup.read(_ROOT / 'setup.cfg')
        self.installed = dict(setup['extras'])

    def test_it_has_what_is_installed(self) -> None:
        packages = importlib.metadata.packages_distributions()
        self.assertEqual(
            {name: _names(lines) for name, lines in self.installed.items()},
            {
                extra.name: {_plain(packages[module][0]) for module in extra.modules}
                for extra in extras.EXTRAS.values()
            },
        )

    def test_the_default_has_none_of_it(self) -> None:
        default = _names((_ROOT / 'requirements.txt').read_text())
        for name, lines in self.installed.items():
            self.assertEqual(set(), default & _names(lines), name)

    def test_tests_are_run_with_all_of_it(self) -> None:
        everything = ','.join(extras.EXTRAS)
        self.assertIn(f".[{everything}]'", (_ROOT / 'tools/common.sh').read_text())
        self.assertIn(f'\nextras = {everything}\n', (_ROOT / 'tox.ini').read_text())

    def test_who_installs_karbor_reads_of_each(self) -> None:
        page = (_ROOT / 'doc/source/installation.rst').read_text()
        for extra in extras.EXTRAS.values():
            self.assertIn(f'``{extra.name}``', page)
            self.assertIn(extra.use.rpartition('= ')[2], page)


class ProcessTest(base.BaseTestCase):
    """Processes of an installation without extras."""

    def setUp(self) -> None:
        super().setUp()
        folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.environment = libraries.environment_without(folder, *libraries.OF_EXTRAS)

    def ended(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *arguments],
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
            env=self.environment,
        )

    def test_commands_of_the_service_say_what_they_need(self) -> None:
        for name in ('api', 'operationengine', 'protection'):
            said = self.ended(
                '-c', f'import sys; from karbor.cmd import service; sys.exit(service.{name}())'
            )
            self.assertEqual(
                (
                    1,
                    f'karbor-{name}: The process needs karbor[service]: '
                    "pip install 'karbor[service]'\n",
                ),
                (said.returncode, said.stderr),
            )

    def test_so_does_the_api_below_a_server(self) -> None:
        said = self.ended('-m', 'karbor.wsgi.api')
        self.assertEqual(
            (3, "karbor-api: The API needs karbor[service]: pip install 'karbor[service]'\n"),
            (said.returncode, said.stderr),
        )

    def test_others_work(self) -> None:
        commands = (
            'import importlib.metadata as found\n'
            'for group in ("openstack.cli.extension", "openstack.protection.v1"):\n'
            '    for entry in found.entry_points(group=group):\n'
            '        if entry.value.startswith("karbor."): entry.load()\n'
        )
        for arguments in (
            ('-m', 'karbor.cmd.standalone', '--help'),
            ('-m', 'karbor.cmd.manage', '--help'),
            ('-m', 'karbor.cmd.status', '--help'),
            ('-c', commands),
        ):
            said = self.ended(*arguments)
            self.assertEqual((0, ''), (said.returncode, said.stderr), arguments)


class ExplainingTest(base.BaseTestCase):
    def test_a_part_that_is_missing_is_no_extra(self) -> None:
        for name in ('boto3.absent', 'oslo_policy_absent'):
            with testtools.ExpectedException(ModuleNotFoundError), extras.explaining('x'):
                importlib.import_module(name)


class PackagesTest(base.BaseTestCase):
    def test_what_is_installed_without_git_is_all_of_it(self) -> None:
        package = pathlib.Path(karbor.__file__).parent
        folders = {path.parent for path in package.rglob('*.py')}
        self.assertIn(package / 'db/migrations/versions', folders)
        lost = [folder for folder in folders if not (folder / '__init__.py').exists()]
        self.assertEqual(
            [], [folder for folder in lost if not folder.is_relative_to(package / 'tests')]
        )


class DatabaseTest(karbor_base.TestCase):
    def test_a_driver_that_is_missing(self) -> None:
        for url, extra, module in (
            ('mysql+pymysql://u@h/karbor', 'mysql', 'pymysql'),
            ('mariadb+pymysql://u@h/karbor', 'mysql', 'pymysql'),
            ('postgresql+psycopg2://u@h/karbor', 'postgresql', 'psycopg2'),
        ):
            cfg.CONF.set_override('connection', url, 'database')
            with libraries.without(module):
                error = self.assertRaises(exception.ExtraMissing, db.configure)
            self.assertEqual(
                f"[database] connection needs karbor[{extra}]: pip install 'karbor[{extra}]'",
                error.msg,
            )

    def test_a_driver_that_no_extra_brings(self) -> None:
        cfg.CONF.set_override('connection', 'mysql+cymysql://u@h/karbor', 'database')
        with libraries.without('cymysql'):
            self.assertRaises(ModuleNotFoundError, db.configure)


class BankTest(karbor_base.TestCase):
    def test_the_provider_is_left_out_and_others_go_on(self) -> None:
        good = self.provider_dir()
        for bank, extra, module in (
            ('karbor-swift-bank-plugin', 'swift', 'swiftclient'),
            (f'{_BANKS}.swift_bank_plugin.SwiftBankPlugin', 'swift', 'swiftclient'),
            ('karbor-s3-bank-plugin', 's3', 'boto3'),
            (f'{_BANKS}.s3_bank_plugin:S3BankPlugin', 's3', 'boto3'),
        ):
            (good / 'lacking.conf').write_text(
                '[provider]\nid = 8a0c4e57-9d3b-4f16-b2c8-7e5a1d0f6b34\nname = lacking\n'
                f'bank = {bank}\nenabled = True\n'
            )
            log = self.useFixture(fixtures.FakeLogger())
            with libraries.without(module):
                registry = provider.ProviderRegistry(good)
            reason = f"{bank} needs karbor[{extra}]: pip install 'karbor[{extra}]'"
            self.assertEqual({'lacking.conf': f'ExtraMissing: {reason}'}, registry.failures)
            self.assertIn(f'lacking.conf is left out: ExtraMissing: {reason}', log.output)
            self.assertEqual(1, len(list(registry)))
