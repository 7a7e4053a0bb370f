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

"""Imports go one way, down; and how that is found out."""

import itertools
import pathlib
import subprocess
import sys
import textwrap

import fixtures
from oslotest import base

from karbor.tests import architecture, imports
from karbor.tests.imports import Import

CONTRACT = 'karbor.services.protection.bank_plugin'
PLUGIN = 'karbor.services.protection.bank_plugins.s3_bank_plugin'
CINDER = 'karbor.services.cinder.requests'


class KarborTest(base.BaseTestCase):
    def test_every_import_leads_down(self) -> None:
        wrong = {found for found in architecture.read() if not architecture.is_allowed(found)}

        self.assertEqual([], [str(found) for found in sorted(wrong - architecture.KNOWN)])

    def test_what_is_known_to_be_wrong_still_is(self) -> None:
        wrong = {found for found in architecture.read() if not architecture.is_allowed(found)}

        self.assertEqual([], [str(found) for found in sorted(architecture.KNOWN - wrong)])

    def test_no_modules_import_each_other_in_a_circle(self) -> None:
        self.assertEqual([], imports.circle(architecture.read()))

    def test_a_module_is_not_missed(self) -> None:
        found = architecture.read()

        self.assertIn(Import(PLUGIN, 'karbor.services.protection.bank_plugins.object_store'), found)
        self.assertIn(Import('karbor.policy', 'karbor.policies'), found)
        self.assertEqual(
            set(), {each.imported for each in found if each.imported.startswith('karbor.tests')}
        )


class ProcessesTest(base.BaseTestCase):
    """What a process never needs, it does not load: it would be memory in each of many workers."""

    def loaded(self, process: str) -> set[str]:
        loaded = _loaded_by(f'karbor.cmd.{process}')
        self.assertIn('sqlalchemy', loaded)
        return loaded

    def test_workers_and_engines_serve_nothing(self) -> None:
        unneeded = {'karbor.api', 'falcon', 'webob', 'keystonemiddleware', 'alembic'}
        for process in ('protection', 'operationengine'):
            self.assertEqual(set(), unneeded & self.loaded(process), process)

    def test_standalone_asks_no_keystone_about_tokens(self) -> None:
        """It also seldom has anything to migrate."""
        unneeded = {'alembic', 'boto3', 'keystonemiddleware', 'oslo_middleware', 'swiftclient'}
        self.assertEqual(set(), unneeded & self.loaded('standalone'))


class ClientTest(base.BaseTestCase):
    """Who only calls the API needs nothing of what answers it."""

    def test_it_loads_openstacksdk_and_itself(self) -> None:
        loaded = _loaded_by('karbor.client')
        self.assertIn('openstack', loaded)
        unneeded = {'sqlalchemy', 'falcon', 'alembic', 'oslo_config', 'oslo_db', 'osc_lib'}
        self.assertEqual(set(), unneeded & loaded)
        self.assertEqual(
            {'karbor', 'karbor.local'},
            {
                name
                for name in loaded
                if name.partition('.')[0] == 'karbor' and not name.startswith('karbor.client')
            },
        )


def _loaded_by(module: str) -> set[str]:
    """What is loaded when a new process imports a module."""
    listing = subprocess.run(
        [sys.executable, '-c', f'import sys, {module}; print(*sys.modules)'],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(listing.stdout.split())


class RulesTest(base.BaseTestCase):
    def test_rooms(self) -> None:
        for module, name in (
            ('karbor.context', 'common'),
            ('karbor.common.constants', 'common'),
            ('karbor.api.v1.plans', 'api'),
            ('karbor.services', 'services'),
            ('karbor.services.quotas', 'services'),
            ('karbor.services.retrying', 'retrying'),
            (CONTRACT, 'services/protection'),
            (PLUGIN, 'plugins'),
        ):
            self.assertEqual(name, architecture.room_of(module).name)
        for module in ('karbor.new.module', 'karbor.services.new.module'):
            self.assertRaises(KeyError, architecture.room_of, module)

    def test_up_and_down(self) -> None:
        for importer, imported, is_allowed in (
            ('karbor.api.app', 'karbor.services.quotas', True),
            ('karbor.services.quotas', 'karbor.api.app', False),
            ('karbor.services.jobs.runner', 'karbor.services.schedules.runs', False),
            ('karbor.services.jobs.runner', 'karbor.services.recovery.orphans', False),
            ('karbor.db.jobs', 'karbor.services.quotas', False),
            ('karbor.services.jobs.runner', 'karbor.services.jobs.hooks', True),
            (PLUGIN, CONTRACT, True),
            (PLUGIN, CINDER, True),
            (PLUGIN, 'karbor.services.retrying', True),
            (PLUGIN, 'karbor.exception', True),
            (PLUGIN, 'karbor.services.quotas', False),
            (PLUGIN, 'karbor.db.jobs', False),
            (CONTRACT, PLUGIN, False),
            (CONTRACT, CINDER, False),
            (CONTRACT, 'karbor.db', False),
            ('karbor.services.cinder.job', CONTRACT, True),
            ('karbor.cmd.api', 'karbor.testing.clock', False),
            ('karbor.client.plans', 'karbor.client.base', True),
            ('karbor.client.plans', 'karbor.common.constants', False),
            ('karbor.client.standalone', 'karbor.local', True),
            ('karbor.local', 'karbor.common.constants', False),
            ('karbor.client.plans', 'karbor.api.v1.plans', False),
        ):
            found = Import(importer, imported)
            self.assertEqual(is_allowed, architecture.is_allowed(found), str(found))

    def test_no_room_may_import_one_above_it(self) -> None:
        """So that what it may import does not contradict the order."""
        names = [room.name for room in architecture.ROOMS]
        for room in architecture.ROOMS:
            for name in room.only or ():
                self.assertGreater(names.index(name), names.index(room.name))


class ReaderTest(base.BaseTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path, 'p')
        for name in ('__init__', 'a', 'b', 'q/__init__', 'q/c'):
            self.write(name, '')

    def write(self, name: str, text: str) -> None:
        path = self.folder / f'{name}.py'
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text(textwrap.dedent(text))

    def read(self) -> list[Import]:
        return imports.read(imports.modules(self.folder))

    def test_every_form(self) -> None:
        for text, imported in (
            ('import os, p.b', 'p.b'),
            ('from p import b', 'p.b'),
            ('from p.b import name', 'p.b'),
            ('from p import name', 'p'),
            ('from p import q', 'p.q'),
            ('from p.q import c as other', 'p.q.c'),
            ('from . import b', 'p.b'),
            ('from .q.c import name', 'p.q.c'),
            ('def work():\n    from p import b', 'p.b'),
            ('if TYPE_CHECKING:\n    import p.q.c', 'p.q.c'),
        ):
            self.write('a', text)
            self.assertEqual([Import('p.a', imported)], self.read(), text)

    def test_what_a_package_imports(self) -> None:
        self.write('q/__init__', 'from p.q.c import name\nfrom .. import a')
        self.write('q/c', 'from ..b import name')

        self.assertEqual(
            [Import('p.q', 'p.a'), Import('p.q', 'p.q.c'), Import('p.q.c', 'p.b')], self.read()
        )

    def test_other_packages_do_not_count(self) -> None:
        self.write('a', 'import os.path, pp.b\nfrom collections import abc')

        self.assertEqual([], self.read())

    def test_a_circle(self) -> None:
        self.write('a', 'from p import b')
        self.write('b', 'from p.q import c')
        self.assertEqual([], imports.circle(self.read()))

        self.write('q/c', 'def work():\n    import p.a')

        found = imports.circle(self.read())
        self.assertEqual({'p.a', 'p.b', 'p.q.c'}, set(found))
        for importer, imported in itertools.pairwise(found):
            self.assertIn(Import(importer, imported), self.read())
