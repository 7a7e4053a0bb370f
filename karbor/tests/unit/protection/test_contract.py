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

"""The contract of plugins, from the request to the hooks and back to the database."""

import collections
import itertools
import json
import types
from typing import Any
from unittest import mock

from karbor import context as karbor_context
from karbor import db, exception
from karbor.db import models
from karbor.resource import Resource
from karbor.services.checkpoints import commands, plans, queries
from karbor.services.identity import trusts
from karbor.services.jobs import kinds
from karbor.services.jobs import runner as job_runner
from karbor.services.protection import protectables, provider
from karbor.tests import base, runners
from karbor.tests.unit.protection import contract_plugins

HOOKS = ('on_prepare_begin', 'on_prepare_finish', 'on_main', 'on_complete')
SERVER = 'OS::Nova::Server'
VOLUME = 'OS::Cinder::Volume'

SERVERS = [Resource(SERVER, base.new_id(), f'server {number}') for number in range(2)]
VOLUMES = [Resource(VOLUME, base.new_id(), f'volume {number}') for number in range(4)]
# The second volume is on both servers, the last one on none.
CHILDREN = {SERVERS[0].id: VOLUMES[:2], SERVERS[1].id: VOLUMES[1:3]}
EVERYONE = [*SERVERS, *VOLUMES]


class _Cloud:
    """A Cinder that the contract's plugins can do with; it is its own managers."""

    def __init__(self) -> None:
        self.volumes = types.SimpleNamespace(create=self._create_volume)
        self.volume_snapshots = types.SimpleNamespace(
            create=self._create_snapshot, get=self._get_snapshot, delete=self._delete_snapshot
        )
        self.asked: list[tuple[Any, ...]] = []
        self.snapshots: dict[str, list[str]] = {}
        self.servers: dict[str, list[str]] = {}
        self.restored: dict[str, tuple[str, str | None]] = {}

    def _create_snapshot(self, volume_id: str, **options: Any) -> Any:
        self.asked.append((volume_id, options))
        snapshot_id = f'snapshot-of-{volume_id}'
        self.snapshots[snapshot_id] = ['creating', 'available']
        return types.SimpleNamespace(id=snapshot_id)

    def _get_snapshot(self, snapshot_id: str) -> Any:
        statuses = self.snapshots[snapshot_id]
        return types.SimpleNamespace(status=statuses.pop(0) if len(statuses) > 1 else statuses[0])

    def _delete_snapshot(self, snapshot_id: str) -> None:
        del self.snapshots[snapshot_id]

    def _create_volume(self, snapshot_id: str, name: str | None) -> Any:
        volume_id = f'new-{len(self.restored)}'
        self.restored[volume_id] = (snapshot_id, name)
        return types.SimpleNamespace(id=volume_id)

    def boot(self, volume_ids: list[str]) -> str:
        server_id = f'new-server-{len(self.servers)}'
        self.servers[server_id] = volume_ids
        return server_id


class ContractTestCase(base.TestCase):
    plugins: tuple[str, ...] = ('ParentPlugin', 'ChildPlugin')

    def setUp(self) -> None:
        super().setUp()
        contract_plugins.reset()
        self.addCleanup(contract_plugins.reset)
        contract_plugins.CHILDREN.update(CHILDREN)
        self.cloud = _Cloud()
        create = mock.patch(
            'karbor.services.protection.clients.cinder.create', return_value=self.cloud
        )
        create.start()
        self.addCleanup(create.stop)
        self.context = karbor_context.RequestContext(
            'user', base.PROJECT_ID, auth_token='t', overwrite=False
        )
        self._serve(self.plugins)
        self.plan_id = self._plan(EVERYONE[:2] + EVERYONE[-1:], self.parameters())

    def _serve(self, plugins: tuple[str, ...]) -> None:
        folder = self.provider_dir(
            plugins=tuple(f'{contract_plugins.HERE}.{plugin}' for plugin in plugins)
        )
        with (folder / 'provider.conf').open('a') as file:
            file.write('[child_plugin]\npoll_interval = 0.001\n')
        self.registry = provider.ProviderRegistry(folder)
        self.assertEqual({}, self.registry.failures)
        self.protectables = protectables.Protectables(
            [contract_plugins.ParentProtectable(), contract_plugins.ChildProtectable()]
        )
        self.manager = commands.Commands(
            self.registry, self.protectables, self.run_job, trusts.NoTrusts()
        )
        self.queries = queries.Queries(self.registry)
        self.runner = self.new_runner(lambda _job: self.context)
        self.bank = self.registry.get(base.PROVIDER_ID).bank

    def run_job(self, job_id: str) -> None:
        self.runner.run(job_id)

    def new_runner(self, context_of: runners.ContextOf) -> job_runner.JobRunner:
        return runners.runner(self.environment(context_of))

    def environment(self, context_of: runners.ContextOf, **more: Any) -> kinds.Environment:
        return runners.environment(
            self.registry, self.protectables, self.run_job, context_of, **more
        )

    def parameters(self) -> dict[str, Any]:
        return {
            VOLUME: {'name': 'nightly', 'force': 'True'},
            VOLUMES[1].key: {'name': 'shared', 'copies': '3'},
        }

    def _plan(self, resources: list[Resource], parameters: dict[str, Any]) -> str:
        return (
            plans.Plans(self.registry, self.protectables)
            .create(
                self.context,
                {
                    'name': 'plan',
                    'provider_id': base.PROVIDER_ID,
                    'parameters': parameters,
                    'resources': [
                        {'type': resource.type, 'id': resource.id, 'name': resource.name}
                        for resource in resources
                    ],
                },
            )
            .id
        )

    def run_protect(self) -> models.Checkpoint:
        row = self.manager.create_checkpoint(self.context, base.PROVIDER_ID, self.plan_id, {})
        return self.checkpoint(row.id)

    def checkpoint(self, checkpoint_id: str) -> models.Checkpoint:
        return self.queries.get_checkpoint(self.context, base.PROVIDER_ID, checkpoint_id).row

    def run_delete(self, checkpoint_id: str) -> models.Checkpoint:
        self.manager.delete_checkpoint(self.context, base.PROVIDER_ID, checkpoint_id)
        return self.checkpoint(checkpoint_id)

    def run_use(self, kind: str, checkpoint_id: str, parameters: Any = None) -> Any:
        """A restore or a verification."""
        model, create = {
            'restore': (models.Restore, self.manager.create_restore),
            'verify': (models.Verification, self.manager.create_verification),
        }[kind]
        made = create(
            self.context,
            {
                'provider_id': base.PROVIDER_ID,
                'checkpoint_id': checkpoint_id,
                'parameters': parameters or {},
            },
        )
        return self.queries.get_use(self.context, model, made.id)

    def run_operation(self, kind: str) -> tuple[str, Any]:
        """Does it after what it needs, of which the journal then says nothing.

        :returns: the id of what it is about, and that as it is now.
        """
        if kind == 'protect':
            contract_plugins.JOURNAL.clear()
            made = self.run_protect()
        else:
            checkpoint = self.run_protect()
            contract_plugins.JOURNAL.clear()
            made = (
                self.run_delete(checkpoint.id)
                if kind == 'delete'
                else self.run_use(kind, checkpoint.id)
            )
        return made.id, made

    def results(self, use_id: str) -> dict[str, tuple[str, str | None]]:
        return {
            f'{row.resource_type}#{row.resource_id}': (row.status, row.reason)
            for row in self.queries.results([use_id]).get(use_id, [])
        }

    def job(self, subject_id: str, kind: str) -> models.Job:
        with db.reader() as session:
            return session.query(models.Job).filter_by(subject_id=subject_id, kind=kind).one()

    @staticmethod
    def calls(resource: Resource) -> list[contract_plugins.Call]:
        return [call for call in contract_plugins.JOURNAL if call.resource == resource]


class HappyTest(ContractTestCase):
    def test_protect(self) -> None:
        row = self.run_protect()

        self.assertEqual(
            ('available', None, 6), (row.status, row.status_reason, row.resources_total)
        )
        self.assertEqual(queries.Progress(6, 0), self.queries.progress([row.id])[row.id])
        self.assertEqual(
            'available', self.bank.get_object(f'/checkpoints/{row.id}/index.json')['status']
        )
        for resource in VOLUMES:
            section = f'/checkpoints/{row.id}/resource-data/{resource.id}'
            self.assertEqual('available', self.bank.get_object(f'{section}/status'))
            self.assertEqual(
                {'snapshot_id': f'snapshot-of-{resource.id}'},
                self.bank.get_object(f'{section}/metadata'),
            )
        self.assertEqual(
            {
                resource.id: {
                    'name': 'shared' if resource == VOLUMES[1] else 'nightly',
                    'force': True,
                }
                for resource in VOLUMES
            },
            dict(self.cloud.asked),
        )

    def test_restore(self) -> None:
        checkpoint = self.run_protect()

        restore = self.run_use('restore', checkpoint.id, {VOLUME: {'restore_name': 'back'}})

        self.assertEqual(('success', None), (restore.status, restore.status_reason))
        new_resources = contract_plugins.JOURNAL[-1].keywords['new_resources']
        self.assertEqual({resource.id for resource in EVERYONE}, set(new_resources))
        self.assertEqual(
            {(f'snapshot-of-{volume.id}', 'back') for volume in VOLUMES},
            set(self.cloud.restored.values()),
        )
        # What servers were booted with are the new ids that their volumes have told.
        self.assertEqual(
            sorted(
                [new_resources[child.id] for child in children] for children in CHILDREN.values()
            ),
            sorted(self.cloud.servers.values()),
        )
        self.assertEqual(
            {
                f'{resource.type}#{new_resources[resource.id]}': ('available', None)
                for resource in EVERYONE
            },
            self.results(restore.id),
        )
        self.assertEqual('available', self.checkpoint(checkpoint.id).status)

    def test_verify(self) -> None:
        checkpoint = self.run_protect()

        verification = self.run_use('verify', checkpoint.id, {VOLUME: {'deep': 'yes'}})

        self.assertEqual(('success', None), (verification.status, verification.status_reason))
        self.assertEqual(
            {volume.key: ('available', 'as the bank says') for volume in VOLUMES},
            self.results(verification.id),
        )

    def test_delete(self) -> None:
        checkpoint = self.run_protect()

        row = self.run_delete(checkpoint.id)

        self.assertEqual(('deleted', None), (row.status, row.status_reason))
        self.assertEqual({}, self.cloud.snapshots)
        self.assertEqual(
            [],
            [
                key
                for key in self.bank.list_objects()
                if 'metadata' in key or key.startswith('/indices')
            ],
        )

    def test_order_of_hooks(self) -> None:
        for kind in ('protect', 'restore', 'verify'):
            self.run_operation(kind)

            order = {
                (call.resource, call.hook): number
                for number, call in enumerate(contract_plugins.JOURNAL)
            }
            self.assertEqual(set(itertools.product(EVERYONE, HOOKS)), set(order))
            self.assertEqual(len(order), len(contract_plugins.JOURNAL))
            for server in SERVERS:
                for child in CHILDREN[server.id]:
                    self.assertLess(order[server, HOOKS[0]], order[child, HOOKS[0]])
                    self.assertLess(order[child, HOOKS[1]], order[server, HOOKS[1]])
                    self.assertLess(order[child, HOOKS[3]], order[server, HOOKS[3]])
            for resource in EVERYONE:
                self.assertEqual(list(HOOKS), [call.hook for call in self.calls(resource)])

    def test_hooks_that_an_operation_does_not_have_are_nothing(self) -> None:
        self.run_operation('delete')

        for resource in SERVERS:
            self.assertEqual(['on_main'], [call.hook for call in self.calls(resource)])
        for resource in VOLUMES:
            self.assertEqual(list(HOOKS), [call.hook for call in self.calls(resource)])

    def test_keywords(self) -> None:
        for kind, names in (
            ('protect', set()),
            ('delete', set()),
            ('restore', {'restore', 'new_resources'}),
            ('verify', {'verify', 'new_resources'}),
        ):
            subject_id, _ = self.run_operation(kind)

            self.assertEqual({kind}, {call.kind for call in contract_plugins.JOURNAL})
            for call in contract_plugins.JOURNAL:
                self.assertEqual(names | {'operation_log'}, set(call.keywords))
                self.assertEqual(kind, call.keywords['operation_log']['operation_type'])
                self.assertIs(self.context, call.context)
            for name in names:
                # One object for the whole job, so that plugins can tell each other.
                self.assertEqual(
                    1, len({id(call.keywords[name]) for call in contract_plugins.JOURNAL})
                )
            if kind in names:
                self.assertEqual(subject_id, contract_plugins.JOURNAL[0].keywords[kind]['id'])

    def test_new_resources_of_two_restores_are_two(self) -> None:
        checkpoint = self.run_protect()
        first, second = (
            (
                self.run_use('restore', checkpoint.id).status,
                contract_plugins.JOURNAL[-1].keywords['new_resources'],
            )
            for _ in range(2)
        )

        self.assertEqual(('success', 'success'), (first[0], second[0]))
        self.assertEqual(set(), set(first[1].values()) & set(second[1].values()))

    def test_a_restore_record_is_a_mapping(self) -> None:
        checkpoint = self.run_protect()

        self.run_use('restore', checkpoint.id, {VOLUME: {'restore_name': 'back'}})

        record = contract_plugins.JOURNAL[-1].keywords['restore']
        self.assertEqual({VOLUME: {'restore_name': 'back'}}, record['parameters'])
        self.assertEqual(checkpoint.id, record.get('checkpoint_id'))

    def test_parameters_are_typed_merged_and_completed(self) -> None:
        plain = {'name': 'nightly', 'force': True, 'copies': 1}
        restored = {'restore_name': 'back', 'bootable': True}
        checkpoint = self.run_protect()
        self.run_use(
            'restore',
            checkpoint.id,
            {
                VOLUME: {'bootable': 'yes'},
                VOLUMES[0].key: {'restore_name': 'back'},
                SERVER: {'any': 'True'},
            },
        )
        self.run_use('verify', checkpoint.id)
        self.run_delete(checkpoint.id)

        expected = {
            ('protect', SERVER): {},
            ('protect', VOLUMES[0].key): plain,
            ('protect', VOLUMES[1].key): {**plain, 'name': 'shared', 'copies': 3},
            ('restore', SERVER): {'any': 'True'},
            ('restore', VOLUMES[0].key): restored,
            ('restore', VOLUMES[1].key): {'bootable': True},
            ('verify', SERVER): {},
            ('verify', VOLUMES[0].key): {'deep': False},
            ('delete', SERVER): {},
            ('delete', VOLUMES[0].key): {},
        }
        seen = collections.defaultdict(list)
        for call in contract_plugins.JOURNAL:
            for name in (call.resource.type, call.resource.key):
                seen[call.kind, name].append(call.parameters)
        for where, values in expected.items():
            self.assertNotEqual([], seen[where])
            for given in seen[where]:
                self.assertEqual(
                    json.dumps(values, sort_keys=True), json.dumps(given, sort_keys=True), where
                )

    def test_a_plugin_is_made_anew_for_every_job_once_a_type(self) -> None:
        checkpoint = self.run_protect()
        for work in (
            lambda: self.run_use('restore', checkpoint.id),
            lambda: self.run_use('verify', checkpoint.id),
            lambda: self.run_delete(checkpoint.id),
        ):
            contract_plugins.JOURNAL.clear()
            contract_plugins.MADE.clear()

            work()

            self.assertEqual(
                {contract_plugins.ParentPlugin: 1, contract_plugins.ChildPlugin: 1},
                collections.Counter(map(type, contract_plugins.MADE)),
            )
            self.assertEqual(
                set(map(id, contract_plugins.MADE)),
                {id(call.operation.plugin) for call in contract_plugins.JOURNAL},
            )

    def test_one_operation_a_resource_a_job(self) -> None:
        operations: dict[int, Any] = {}
        for _ in range(2):
            self.run_operation('protect')
            for resource in EVERYONE:
                found = {id(call.operation): call.operation for call in self.calls(resource)}
                self.assertEqual(1, len(found))
                operations.update(found)
        self.assertEqual(2 * len(EVERYONE), len(operations))

    def test_options_are_those_of_the_provider_file(self) -> None:
        self.run_protect()

        self.assertEqual(
            {'ChildPlugin': 0.001, 'ParentPlugin': 15},
            {type(plugin).__name__: plugin.poll_interval for plugin in contract_plugins.MADE},
        )


class FailureTest(ContractTestCase):
    """Every hook of every operation, of a parent and of a child, with either error."""

    END = {'protect': 'error', 'delete': 'error-deleting', 'restore': 'fail', 'verify': 'fail'}
    ERRORS = {
        'protect': exception.CreateResourceFailed,
        'restore': exception.RestoreResourceFailed,
        'delete': exception.DeleteResourceFailed,
        'verify': exception.VerifyResourceFailed,
    }

    def _fail(self, kind: str, resource: Resource, hook: str, error: Exception) -> str:
        """Have one hook fail and look at everything that should tell of it."""
        contract_plugins.FAULTS.clear()
        contract_plugins.FAULTS[kind, resource.id, hook] = error
        subject_id, subject = self.run_operation(kind)

        self.assertEqual(self.END[kind], subject.status)
        self.assertIn(f'1 of 6 resources failed: {resource.key}', subject.status_reason)
        self.assertEqual(
            ('done', subject.status_reason),
            (self.job(subject_id, kind).state, self.job(subject_id, kind).error),
        )
        self.assertEqual(queries.Progress(5, 1), self.queries.progress([subject_id])[subject_id])
        (reason,) = self.queries.failures(subject_id).values()
        self.assertEqual([resource.key], list(self.queries.failures(subject_id)))
        self.assertIn(reason, subject.status_reason)
        if kind in ('restore', 'verify'):
            self.assertEqual(('error', reason), self.results(subject_id)[resource.key])
        for other in EVERYONE:
            hooks = ['on_main'] if kind == 'delete' and other.type == SERVER else list(HOOKS)
            expected = hooks[: hooks.index(hook) + 1] if other == resource else hooks
            self.assertEqual(expected, [call.hook for call in self.calls(other)])
        return reason

    def _test_operation(self, kind: str) -> None:
        for resource, hook in itertools.product((SERVERS[0], VOLUMES[2]), HOOKS):
            if kind == 'delete' and resource.type == SERVER and hook != 'on_main':
                continue  # the parent's delete has no other
            failed = self.ERRORS[kind](
                name='Snapshot',
                reason='no quota',
                resource_id=resource.id,
                resource_type=resource.type,
            )
            self.assertEqual('no quota', self._fail(kind, resource, hook, failed))

    def test_protect(self) -> None:
        self._test_operation('protect')

    def test_restore(self) -> None:
        # A parent fails, too, whose child did not tell it a new id; here only its own hooks do.
        contract_plugins.CHILDREN[SERVERS[1].id] = VOLUMES[:2]
        contract_plugins.CHILDREN[SERVERS[0].id] = VOLUMES[:1]
        self.plan_id = self._plan(EVERYONE, self.parameters())
        self._test_operation('restore')

    def test_verify(self) -> None:
        self._test_operation('verify')

    def test_delete(self) -> None:
        self._test_operation('delete')

    def test_other_errors(self) -> None:
        for error, reason in (
            (ValueError('no such thing'), 'ValueError: no such thing'),
            (KeyError('snapshot_id'), "KeyError: 'snapshot_id'"),
            (
                exception.BankGetObjectFailed(key='k', reason='away'),
                'Reading k from the bank failed: away',
            ),
            (exception.CreateResourceFailed(reason='four are missing'), 'four are missing'),
            (exception.CreateResourceFailed('in one text'), 'in one text'),
        ):
            self.assertEqual(reason, self._fail('protect', VOLUMES[2], 'on_main', error))

    def test_an_error_without_words_is_an_error_too(self) -> None:
        for error in (
            exception.KarborException(''),
            ValueError(),
            exception.CreateResourceFailed(''),
        ):
            self._fail('protect', VOLUMES[2], 'on_main', error)

    def test_several_failures(self) -> None:
        for resource in (SERVERS[0], VOLUMES[0], VOLUMES[3]):
            contract_plugins.FAULTS['protect', resource.id, 'on_main'] = ValueError('no')

        subject_id, row = self.run_operation('protect')

        self.assertIn('3 of 6 resources failed', row.status_reason)
        self.assertIn('and 2 more', row.status_reason)
        self.assertEqual(
            {SERVERS[0].key, VOLUMES[0].key, VOLUMES[3].key}, set(self.queries.failures(subject_id))
        )

    def test_what_a_failed_protect_made_is_deleted(self) -> None:
        contract_plugins.FAULTS['protect', VOLUMES[0].id, 'on_main'] = ValueError('no')
        checkpoint = self.run_protect()
        self.assertEqual(3, len(self.cloud.snapshots))

        row = self.run_delete(checkpoint.id)

        self.assertEqual(('deleted', {}), (row.status, self.cloud.snapshots))

    def test_a_failed_delete_can_be_repeated(self) -> None:
        contract_plugins.FAULTS['delete', VOLUMES[0].id, 'on_main'] = ValueError('busy')
        checkpoint_id, row = self.run_operation('delete')
        self.assertEqual(('error-deleting', 1), (row.status, len(self.cloud.snapshots)))

        contract_plugins.FAULTS.clear()
        row = self.run_delete(checkpoint_id)

        self.assertEqual(
            ('deleted', None, {}), (row.status, row.status_reason, self.cloud.snapshots)
        )

    def test_a_parent_whose_child_failed(self) -> None:
        contract_plugins.FAULTS['restore', VOLUMES[0].id, 'on_main'] = (
            exception.RestoreResourceFailed(
                name='n', reason='no quota', resource_id='r', resource_type='t'
            )
        )

        subject_id, restore = self.run_operation('restore')

        self.assertEqual('fail', restore.status)
        self.assertEqual({VOLUMES[0].key, SERVERS[0].key}, set(self.queries.failures(subject_id)))
        self.assertIn('no quota', restore.status_reason)
        self.assertEqual(1, len(self.cloud.servers))

    def test_a_checkpoint_in_error_is_not_restored(self) -> None:
        contract_plugins.FAULTS['protect', VOLUMES[0].id, 'on_main'] = ValueError('no')
        checkpoint = self.run_protect()
        contract_plugins.JOURNAL.clear()

        for kind in ('restore', 'verify'):
            use = self.run_use(kind, checkpoint.id)
            self.assertEqual('fail', use.status)
            self.assertIn('status error', use.status_reason)
        self.assertEqual([], contract_plugins.JOURNAL)


class SignatureTest(ContractTestCase):
    def test_a_hook_that_takes_only_the_four_arguments(self) -> None:
        called = []

        def on_main(
            _self: Any, checkpoint: Any, resource: Any, context: Any, parameters: Any
        ) -> None:
            called.append(resource)

        with mock.patch.object(contract_plugins.ChildProtect, 'on_main', on_main):
            self.assertEqual('available', self.run_protect().status)
        self.assertEqual(set(VOLUMES), set(called))

    def test_a_hook_that_names_what_it_wants(self) -> None:
        told = []

        def on_main(
            _self: Any,
            checkpoint: Any,
            resource: Any,
            context: Any,
            parameters: Any,
            operation_log: Any,
        ) -> None:
            told.append(operation_log['operation_type'])

        with mock.patch.object(contract_plugins.ChildProtect, 'on_main', on_main):
            self.run_protect()
        self.assertEqual(['protect'] * len(VOLUMES), told)


class ExitTest(ContractTestCase):
    def test_a_hook_that_exits_fails_its_resource_only(self) -> None:
        contract_plugins.FAULTS['protect', VOLUMES[0].id, 'on_main'] = SystemExit(3)
        checkpoint = self.run_protect()
        self.assertEqual('error', checkpoint.status)
        self.assertEqual([VOLUMES[0].key], list(self.queries.failures(checkpoint.id)))


class OddPluginTest(ContractTestCase):
    def test_a_plugin_without_verify(self) -> None:
        self._serve(('ParentWithoutVerify', 'ChildPlugin'))
        checkpoint = self.run_protect()
        contract_plugins.JOURNAL.clear()

        verification = self.run_use('verify', checkpoint.id)

        self.assertEqual('fail', verification.status)
        self.assertIn(SERVER, verification.status_reason)
        self.assertIn('verify', verification.status_reason)
        self.assertNotIn('unexpected', verification.status_reason)
        self.assertEqual([], contract_plugins.JOURNAL)
        self.assertEqual('available', self.checkpoint(checkpoint.id).status)

    def test_objects_that_a_plugin_leaves_do_not_keep_a_checkpoint(self) -> None:
        self._serve(('ParentThatLeavesObjects', 'ChildPlugin'))
        checkpoint = self.run_protect()

        row = self.run_delete(checkpoint.id)

        self.assertEqual(('deleted', None), (row.status, row.status_reason))
        self.assertEqual(
            'deleted', self.bank.get_object(f'/checkpoints/{checkpoint.id}/index.json')['status']
        )
        self.assertEqual([], self.bank.list_objects('/indices'))

    def test_a_plugin_that_fails_without_words_is_no_success(self) -> None:
        self._serve(('ParentThatFailsToBegin', 'ChildPlugin'))

        row = self.run_protect()

        self.assertEqual('error', row.status)
        self.assertIn(SERVER, row.status_reason)
        self.assertEqual('done', self.job(row.id, 'protect').state)

    def test_a_type_that_lost_its_plugin(self) -> None:
        checkpoint = self.run_protect()
        self._serve(('ChildPlugin',))

        row = self.run_delete(checkpoint.id)

        self.assertEqual('error-deleting', row.status)
        self.assertIn(SERVER, row.status_reason)
        self._serve(('ParentPlugin', 'ChildPlugin'))
        self.assertEqual('deleted', self.run_delete(checkpoint.id).status)
