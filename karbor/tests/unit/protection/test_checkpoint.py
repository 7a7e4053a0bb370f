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

"""Checkpoints in the bank: where they are, what is in them, how they go."""

import datetime
from typing import Any

from oslotest import base

from karbor import exception
from karbor.resource import Resource
from karbor.services.protection import bank_plugin, checkpoint, graph
from karbor.testing import memory_bank

CHECKPOINT_ID = '6d1f0c3e-58a7-4a0c-8f4c-0c9b9f7a2d44'
PROVIDER_ID = '3f9d2a10-8b41-4c52-9a11-6f1f0f3b7c20'
PROJECT_ID = '1f3c9a7be2d84c5f9b0d6e4a3c2b1a09'
PLAN_ID = 'c2a1f7d0-5c52-46ff-9a2c-6f4a7f7d1b11'
VOLUME_ID = '9e2c5d18-4c30-4f8f-b6a0-5a55d2b1c7aa'
PLAN = {
    'id': PLAN_ID,
    'name': 'nightly',
    'provider_id': PROVIDER_ID,
    'resources': [
        {'id': VOLUME_ID, 'type': 'OS::Cinder::Volume', 'name': 'data', 'extra_info': None}
    ],
}
GRAPH = f'[{{"0x0": ["OS::Cinder::Volume", "{VOLUME_ID}", "data", null]}}, []]'
EXTRA_INFO = '{"created_by": "manual"}'
# The moment of the example in the contract (section E.2); parts of a second are cut off.
CREATED_AT = datetime.datetime(2020, 11, 5, 10, 15, 2, 999999)

INDEX_KEY = f'/checkpoints/{CHECKPOINT_ID}/index.json'
INDICES = [
    f'/indices/by-date/2020-11-05/{PROJECT_ID}/1604571302@{CHECKPOINT_ID}',
    f'/indices/by-plan/{PLAN_ID}/{PROJECT_ID}/2020-11-05/1604571302@{CHECKPOINT_ID}',
    f'/indices/by-provider/{PROVIDER_ID}/{PROJECT_ID}/1604571302@{CHECKPOINT_ID}',
]


class CheckpointTestCase(base.BaseTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.plugin = memory_bank.MemoryBankPlugin()
        self.bank = bank_plugin.Bank(self.plugin)
        self.collection = checkpoint.CheckpointCollection(self.bank)
        self.checkpoint = self._create()

    def _create(self, **changes: Any) -> checkpoint.Checkpoint:
        return self.collection.create(
            **{
                'checkpoint_id': CHECKPOINT_ID,
                'plan': PLAN,
                'project_id': PROJECT_ID,
                'resource_graph': GRAPH,
                'extra_info': EXTRA_INFO,
                'created_at': CREATED_AT,
                **changes,
            }
        )

    def _stored(self) -> Any:
        return self.bank.get_object(INDEX_KEY)


class CreateTest(CheckpointTestCase):
    def test_keys(self) -> None:
        self.assertEqual([INDEX_KEY, *INDICES], self.bank.list_objects())
        for key in INDICES:
            self.assertEqual(CHECKPOINT_ID, self.bank.get_object(key))

    def test_index_object(self) -> None:
        self.assertEqual(
            {
                'version': '0.9',
                'id': CHECKPOINT_ID,
                'status': 'protecting',
                'owner_id': self.bank.get_owner_id(),
                'provider_id': PROVIDER_ID,
                'project_id': PROJECT_ID,
                'protection_plan': PLAN,
                'extra_info': EXTRA_INFO,
                'created_at': '2020-11-05',
                'timestamp': 1604571302,
                'resource_graph': GRAPH,
            },
            self._stored(),
        )

    def test_the_day_is_that_of_utc_wherever_the_process_is(self) -> None:
        made = self._create(
            checkpoint_id='other', created_at=datetime.datetime(2024, 2, 29, 23, 59, 59)
        )

        self.assertEqual('2024-02-29', made.created_at)
        self.assertEqual(1709251199, made._index['timestamp'])

    def test_again_with_the_same_id_is_the_same_one(self) -> None:
        section = self.checkpoint.get_resource_bank_section(VOLUME_ID)
        section.update_object('status', 'available')

        again = self._create()

        self.assertEqual(
            'available', again.get_resource_bank_section(VOLUME_ID).get_object('status')
        )
        self.assertEqual(5, len(self.bank.list_objects()))

    def test_two_checkpoints_do_not_meet(self) -> None:
        other = self._create(checkpoint_id=CHECKPOINT_ID[:-1])
        other.get_resource_bank_section(VOLUME_ID).update_object('status', 'available')

        self.assertEqual(['index.json'], self.checkpoint.checkpoint_section.list_objects())

    def test_a_checkpoint_id_that_could_escape(self) -> None:
        for checkpoint_id in ('..', '../..', 'a/../../b', '', '.'):
            self.assertRaises(
                exception.InvalidParameterValue, self._create, checkpoint_id=checkpoint_id
            )


class MembersTest(CheckpointTestCase):
    def test_properties(self) -> None:
        self.assertEqual(
            (
                CHECKPOINT_ID,
                PROVIDER_ID,
                PROJECT_ID,
                self.bank.get_owner_id(),
                '2020-11-05',
                'protecting',
                EXTRA_INFO,
                PLAN,
            ),
            (
                self.checkpoint.id,
                self.checkpoint.provider_id,
                self.checkpoint.project_id,
                self.checkpoint.owner_id,
                self.checkpoint.created_at,
                self.checkpoint.status,
                self.checkpoint.extra_info,
                self.checkpoint.protection_plan,
            ),
        )
        self.assertEqual(
            [graph.GraphNode(Resource('OS::Cinder::Volume', VOLUME_ID, 'data'))],
            self.checkpoint.resource_graph,
        )

    def test_what_is_read_only(self) -> None:
        for name in ('id', 'provider_id', 'project_id', 'owner_id', 'created_at'):
            self.assertRaises(AttributeError, setattr, self.checkpoint, name, 'x')

    def test_versions(self) -> None:
        self.assertEqual('0.9', self.checkpoint.VERSION)
        self.assertEqual(['0.9'], list(self.checkpoint.SUPPORTED_VERSIONS))

    def test_to_dict(self) -> None:
        self.assertEqual(
            {
                'id': CHECKPOINT_ID,
                'status': 'protecting',
                'protection_plan': PLAN,
                'extra_info': EXTRA_INFO,
                'project_id': PROJECT_ID,
                'resource_graph': GRAPH,
                'created_at': '2020-11-05',
            },
            self.checkpoint.to_dict(),
        )

    def test_resource_section(self) -> None:
        section = self.checkpoint.get_resource_bank_section(VOLUME_ID)
        section.update_object('metadata', {'snapshot_id': 's'})

        self.assertEqual(
            {'snapshot_id': 's'},
            self.bank.get_object(
                f'/checkpoints/{CHECKPOINT_ID}/resource-data/{VOLUME_ID}/metadata'
            ),
        )

    def test_resource_ids_that_are_one_part_of_a_key(self) -> None:
        for resource_id in (VOLUME_ID, PROJECT_ID, 'a', 'A_b.c@d-1', '-', '@', 'a..b', 'x' * 255):
            self.checkpoint.get_resource_bank_section(resource_id).update_object('s', 1)

    def test_resource_ids_that_could_escape(self) -> None:
        for resource_id in (
            '',
            '.',
            '..',
            '../x',
            'a/b',
            '/a',
            'a/',
            '.hidden',
            '..a',
            'a b',
            'a\n',
            '\n',
            'a~',
            'ä',
            'a\x00',
            'x' * 256,
            None,
            5,
            b'a',
        ):
            self.assertRaises(
                exception.InvalidParameterValue,
                self.checkpoint.get_resource_bank_section,
                resource_id,
            )


class CommitTest(CheckpointTestCase):
    def test_setting_changes_this_object_only(self) -> None:
        self.checkpoint.status = 'available'
        self.checkpoint.extra_info = '{}'
        self.checkpoint.resource_graph = []

        self.assertEqual(
            ('protecting', EXTRA_INFO, GRAPH),
            tuple(self._stored()[key] for key in ('status', 'extra_info', 'resource_graph')),
        )

    def test_commit_writes_it(self) -> None:
        volume = graph.GraphNode(Resource('OS::Cinder::Volume', 'v', 'other', {'a': 1}))
        self.checkpoint.status = 'available'
        self.checkpoint.extra_info = None
        self.checkpoint.resource_graph = [volume]

        self.checkpoint.commit()

        again = self.collection.get(CHECKPOINT_ID)
        self.assertEqual(
            ('available', None, [volume]), (again.status, again.extra_info, again.resource_graph)
        )

    def test_reload_forgets_what_was_not_committed(self) -> None:
        self.checkpoint.status = 'error'

        self.checkpoint.reload_meta_data()

        self.assertEqual('protecting', self.checkpoint.status)

    def test_reload_sees_what_another_has_written(self) -> None:
        other = self.collection.get(CHECKPOINT_ID)
        other.status = 'available'
        other.commit()

        self.checkpoint.reload_meta_data()

        self.assertEqual('available', self.checkpoint.status)

    def test_what_is_not_there(self) -> None:
        self.bank.delete_object(INDEX_KEY)

        self.assertRaises(exception.CheckpointNotFound, self.checkpoint.reload_meta_data)
        error = self.assertRaises(exception.CheckpointNotFound, self.collection.get, CHECKPOINT_ID)
        self.assertIn(CHECKPOINT_ID, error.msg)

    def test_a_version_that_is_not_known(self) -> None:
        for version in ('1.0', '0.8', None, 0.9):
            self.bank.update_object(INDEX_KEY, {**self._stored(), 'version': version})

            for read in (
                self.checkpoint.reload_meta_data,
                lambda: self.collection.get(CHECKPOINT_ID),
            ):
                error = self.assertRaises(RuntimeError, read)
                self.assertIn(str(version), str(error))

    def test_an_index_that_is_no_index(self) -> None:
        for value in ('protecting', b'\x00', [], 12, {}):
            self.bank.update_object(INDEX_KEY, value)

            self.assertRaises(RuntimeError, self.collection.get, CHECKPOINT_ID)

    def test_a_checkpoint_of_another_karbor(self) -> None:
        stored = self._stored()
        del stored['resource_graph'], stored['extra_info']  # both are added later there
        self.bank.update_object(INDEX_KEY, stored)

        found = self.collection.get(CHECKPOINT_ID)

        self.assertIsNone(found.resource_graph)
        self.assertIsNone(found.extra_info)


class GoneTest(CheckpointTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.section = self.checkpoint.get_resource_bank_section(VOLUME_ID)
        self.status_key = f'/checkpoints/{CHECKPOINT_ID}/resource-data/{VOLUME_ID}/status'

    def test_delete_keeps_the_record_and_removes_the_indices(self) -> None:
        self.section.update_object('status', 'deleted')

        self.checkpoint.delete()

        self.assertEqual([INDEX_KEY, self.status_key], self.bank.list_objects())
        self.assertEqual('deleted', self._stored()['status'])
        self.assertEqual('deleted', self.checkpoint.status)

    def test_delete_can_be_repeated(self) -> None:
        for _ in range(2):
            self.checkpoint.delete()

        self.assertEqual([INDEX_KEY], self.bank.list_objects())

    def test_purge_removes_everything(self) -> None:
        self.section.update_object('status', 'deleted')

        self.checkpoint.purge()

        self.assertEqual([], self.bank.list_objects())

    def test_purge_can_be_repeated(self) -> None:
        for _ in range(2):
            self.checkpoint.purge()

        self.assertEqual([], self.bank.list_objects())

    def test_purge_refuses_while_resources_have_objects(self) -> None:
        self.section.update_object('status', 'deleted')
        self.section.update_object('metadata', {'snapshot_id': 's'})
        before = self.bank.list_objects()

        self.assertRaises(RuntimeError, self.checkpoint.purge)

        self.assertEqual(before, self.bank.list_objects())

    def test_others_are_left_alone(self) -> None:
        self._create(checkpoint_id=f'{CHECKPOINT_ID}2')
        others = [key for key in self.bank.list_objects() if f'{CHECKPOINT_ID}2' in key]

        self.checkpoint.delete()
        self.checkpoint.purge()

        self.assertEqual(4, len(others))
        self.assertEqual(others, self.bank.list_objects())
