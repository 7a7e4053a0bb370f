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

"""The judgement on orphans, case by case; what is done about it is in the functional tests."""

import dataclasses
import datetime
import itertools
from typing import Any
from unittest import mock

from oslo_utils import timeutils

from karbor import db
from karbor.db import batches, models
from karbor.db import inventory as rows
from karbor.services.protection import graph, provider
from karbor.services.recovery import orphan_rules
from karbor.services.recovery.inventory import Item
from karbor.tests import base, inventories
from karbor.tests.base import PROJECT_ID, PROVIDER_ID, new_id

PLAN = {'id': new_id(), 'name': 'p', 'provider_id': PROVIDER_ID, 'resources': [], 'parameters': {}}


class JudgeTestCase(base.TestCase):
    def setUp(self) -> None:
        super().setUp()
        registry = provider.ProviderRegistry(self.provider_dir())
        self.provider = registry.get(PROVIDER_ID)
        self.now = timeutils.utcnow()

    def add(self, model: Any, **fields: Any) -> str:
        with db.writer() as session:
            row = model(**{'project_id': PROJECT_ID, 'provider_id': PROVIDER_ID, **fields})
            session.add(row)
            session.flush()
            return row.id

    def checkpoint(
        self, status: str | None, in_bank: str | None, cloud_id: str | None = None
    ) -> str:
        """A checkpoint with a status in the database and one in the bank, or in neither.

        Its job was at work from one and a half to half a day ago.
        """
        checkpoint_id = new_id()
        if status is not None:
            self.add(
                models.Checkpoint,
                id=checkpoint_id,
                plan_id=PLAN['id'],
                status=status,
                protection_plan=PLAN,
                resource_graph=graph.serialize([]),
                resources_total=0,
                extra_info={},
                created_at=self.now - datetime.timedelta(days=1.5),
            )
            self.add(
                models.RecoveryPoint,
                checkpoint_id=checkpoint_id,
                plan_id=PLAN['id'],
                resource_type='OS::Cinder::Volume',
                resource_id='v',
                resource_name='',
                state='good',
                cloud_id=cloud_id,
            )
            self.add(
                models.Job,
                kind='protect',
                subject_id=checkpoint_id,
                checkpoint_id=checkpoint_id,
                state='done',
                updated_at=self.now - datetime.timedelta(days=0.5),
            )
        if in_bank is not None:
            self.provider.checkpoints.create(
                checkpoint_id,
                PLAN,
                project_id=PROJECT_ID,
                resource_graph='[{}, []]',
                extra_info=None,
                created_at=self.now,
                status=in_bank,
            )
        return checkpoint_id

    def item(self, days: float = 1, **marks: str | None) -> Item:
        return Item(
            id=new_id(),
            name='s',
            status='available',
            created_at=self.now - datetime.timedelta(days=days),
            size=1,
            volume_id='v',
            project_id=PROJECT_ID,
            metadata=inventories.marks(**{'provider': PROVIDER_ID, 'resource': 'v', **marks}),
        )

    def judged(self, *items: Item) -> list[bool]:
        """Whether they are orphans, of those that there is a doubt about."""
        return [verdict.is_orphan for verdict in orphan_rules.Judge(self.provider).snapshots(items)]


class SnapshotsTest(JudgeTestCase):
    def test_what_the_database_and_the_bank_know(self) -> None:
        live = ('protecting', 'available', 'error', 'deleting', 'error-deleting')
        for status, in_bank in itertools.product(
            (None, 'deleted', *live), (None, 'deleted', *live)
        ):
            # That a row says deleted outweighs what the bank says.
            expected = [] if status in live else [status == 'deleted']
            with self.subTest(status=status, in_bank=in_bank):
                self.assertEqual(
                    expected, self.judged(self.item(checkpoint=self.checkpoint(status, in_bank)))
                )

    def test_jobs(self) -> None:
        for state, is_known in (
            ('queued', True),
            ('pending', True),
            ('running', True),
            ('parked', True),
            ('done', False),
            ('failed', False),
        ):
            checkpoint_id = new_id()
            self.add(
                models.Job,
                kind='protect',
                subject_id=checkpoint_id,
                state=state,
                checkpoint_id=checkpoint_id,
            )
            with self.subTest(state=state):
                self.assertEqual(
                    [] if is_known else [False], self.judged(self.item(checkpoint=checkpoint_id))
                )

    def test_owner_volume_and_time(self) -> None:
        """What is not recorded agrees in all of them, and what is recorded in the first two."""
        id_ = new_id()
        for changes, is_recorded, expected in (
            ({}, False, True),
            ({'created_at': self.now - datetime.timedelta(days=2)}, False, False),
            ({'created_at': self.now}, False, False),
            ({'created_at': self.now}, True, True),
            ({'project_id': 'other'}, False, False),
            ({'project_id': 'other'}, True, False),
            ({'volume_id': 'w'}, True, False),
            ({'name': 'edited'}, False, True),
        ):
            checkpoint_id = self.checkpoint('deleted', None, id_ if is_recorded else None)
            item = dataclasses.replace(self.item(checkpoint=checkpoint_id), id=id_, **changes)
            with self.subTest(changes=changes, is_recorded=is_recorded):
                self.assertEqual([expected], self.judged(item))

    def test_a_volume_that_is_none_of_the_checkpoint(self) -> None:
        checkpoint_id = self.checkpoint('deleted', None)
        item = self.item(checkpoint=checkpoint_id, resource='w')
        self.assertEqual([False], self.judged(dataclasses.replace(item, volume_id='w')))

    def test_a_bank_that_contradicts_the_rows(self) -> None:
        """Who writes to the bank does not choose which snapshot of two is removed."""
        first, second = new_id(), new_id()
        checkpoint_id = self.checkpoint('available', 'available', first)
        items = [
            dataclasses.replace(self.item(checkpoint=checkpoint_id), id=each)
            for each in (first, second)
        ]
        section = self.provider.checkpoints.get(checkpoint_id).get_resource_bank_section('v')
        for named, expected in ((first, [True]), (second, [False, False])):
            section.update_object('metadata', {'snapshot_id': named})
            self.assertEqual(expected, self.judged(*items))

    def test_the_record_of_the_bank(self) -> None:
        checkpoint_id = self.checkpoint('available', 'available')
        first, second, other = (
            self.item(checkpoint=checkpoint_id, resource=resource) for resource in ('v', 'v', 'w')
        )
        section = self.provider.checkpoints.get(checkpoint_id).get_resource_bank_section('v')
        for record, expected in (
            (None, [False, False]),
            ({'volume_id': 'v', 'asked_at': 'x'}, [False, False]),
            ({'snapshot_id': 'gone'}, [False, False]),
            ({'snapshot_id': other.id}, [False, False]),
            ({'snapshot_id': first.id}, [True]),
        ):
            if record is not None:
                section.update_object('metadata', record)
            with self.subTest(record=record):
                self.assertEqual(expected, self.judged(first, second, other))

    def test_the_record_names_one_of_another_volume(self) -> None:
        checkpoint_id = self.checkpoint('available', 'available')
        named, other = (self.item(checkpoint=checkpoint_id) for _ in range(2))
        named = dataclasses.replace(named, volume_id='w')
        self.provider.checkpoints.get(checkpoint_id).get_resource_bank_section('v').update_object(
            'metadata', {'snapshot_id': named.id}
        )
        self.assertEqual([False, False], self.judged(named, other))

    def test_where_cinder_does_not_tell_the_project(self) -> None:
        checkpoint_id = self.checkpoint('available', 'available')
        first, second = (
            dataclasses.replace(self.item(checkpoint=checkpoint_id), project_id=None)
            for _ in range(2)
        )
        self.provider.checkpoints.get(checkpoint_id).get_resource_bank_section('v').update_object(
            'metadata', {'snapshot_id': first.id}
        )
        self.assertEqual([True], self.judged(first, second))

    def test_a_record_that_is_none(self) -> None:
        checkpoint_id = self.checkpoint('available', 'available')
        items = [self.item(checkpoint=checkpoint_id) for _ in range(2)]
        section = self.provider.checkpoints.get(checkpoint_id).get_resource_bank_section('v')
        for record in ('x', ['x'], 7):
            section.update_object('metadata', record)
            self.assertEqual([False, False], self.judged(*items))

    def test_no_statement_has_more_ids_than_a_batch(self) -> None:
        items = [self.item(checkpoint=new_id()) for _ in range(7)]
        with (
            mock.patch.object(batches, 'SIZE', 3),
            mock.patch.object(rows, 'busy_checkpoints', side_effect=rows.busy_checkpoints) as asked,
        ):
            self.assertEqual([False] * 7, self.judged(*items))
        self.assertEqual([3, 3, 1], [len(call.args[1]) for call in asked.call_args_list])
