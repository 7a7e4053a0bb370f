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

"""The marks on items and the bank objects of a volume, to the letter: old ones must be read."""

import datetime
import json
import types
from concurrent import futures
from typing import Any

import fixtures
from oslotest import base

from karbor import exception
from karbor.common import ids
from karbor.services.cinder import records
from karbor.services.cinder.marks import Marks

NOW = datetime.datetime(2026, 1, 2, 3, 4, 5, 678)
WHOLE = {
    'karbor_checkpoint_id': 'c',
    'karbor_provider_id': 'p',
    'karbor_plan_id': 'l',
    'karbor_resource_id': 'v',
}


class MarksTest(base.BaseTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.checkpoint = types.SimpleNamespace(
            id='c', provider_id='p', protection_plan={'id': 'l', 'name': 'nightly'}
        )

    def test_of_a_snapshot_and_of_a_restored_volume(self) -> None:
        made = Marks.of_resource(self.checkpoint, 'v')
        self.assertEqual(WHOLE, made.metadata())
        self.assertEqual({**WHOLE, 'karbor_restore_id': 'r'}, made.of_restore('r').metadata())

    def test_a_filter_has_what_is_given(self) -> None:
        self.assertEqual({'karbor_checkpoint_id': 'c'}, Marks(checkpoint_id='c').metadata())
        self.assertEqual({}, Marks().metadata())

    def test_of_a_run_of_a_scheduled_operation(self) -> None:
        operation_id = '6a1f0f6e-93d4-4a4b-9d0e-2b6b7a9c5e10'
        info = {'created_by': 'operation-engine', 'scheduled_operation_id': operation_id}
        self.checkpoint.extra_info = json.dumps(info)
        made = Marks.of_resource(self.checkpoint, 'v').of_run(self.checkpoint)
        self.assertEqual({**WHOLE, 'karbor_scheduled_operation_id': operation_id}, made.metadata())
        self.assertEqual(WHOLE, made.sought())
        self.assertEqual(made, Marks.read(made.metadata()))

    def test_of_no_run(self) -> None:
        for extra_info in (None, '', '{', '[]', '{"scheduled_operation_id": "x"}'):
            self.checkpoint.extra_info = extra_info
            made = Marks.of_resource(self.checkpoint, 'v')
            self.assertEqual(made, made.of_run(self.checkpoint), extra_info)

    def test_what_was_written_is_read(self) -> None:
        made = Marks.of_resource(self.checkpoint, 'v').of_restore('r')
        self.assertEqual(made, Marks.read({**made.metadata(), 'of': 'the tenant'}))

    def test_what_somebody_took_away_is_none(self) -> None:
        self.assertEqual(Marks(plan_id='l'), Marks.read({'karbor_plan_id': 'l'}))

    def test_ids(self) -> None:
        own = '6a1f0f6e-93d4-4a4b-9d0e-2b6b7a9c5e10'
        self.assertTrue(ids.is_own(own))
        made_up = (None, '', '../x', '6a1f0f6e', own.upper(), own + 40 * '-', f'{{{own}}}')
        for value in (*made_up, own.replace('-', '')):
            self.assertFalse(ids.is_own(value), value)


class Section(dict[str, Any]):
    """Enough of a section of the bank."""

    delete_object = dict.__delitem__

    def begin_update(self, key: str, value: Any) -> futures.Future[None]:
        self[key] = value
        written: futures.Future[None] = futures.Future()
        written.set_result(None)
        return written

    def list_objects(self) -> list[str]:
        return list(self)

    def get_object(self, key: str) -> Any:
        try:
            return self[key]
        except KeyError:
            raise exception.BankObjectNotFound(key=key, reason='there is none') from None


class RecordsTest(base.BaseTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.useFixture(fixtures.MockPatch('oslo_utils.timeutils.utcnow', return_value=NOW))
        self.section: Any = Section()
        self.snapshot = records.of_snapshot(self.section, 'v')
        self.restore = records.of_restore(self.section, 'r')

    def test_nothing_yet(self) -> None:
        self.assertIsNone(self.snapshot.read())
        self.assertIsNone(self.restore.read())
        self.assertIsNone(records.status(self.section))

    def test_a_snapshot(self) -> None:
        self.snapshot.begin_made(types.SimpleNamespace(id='s', size=3, name='x')).result()
        made = {'volume_id': 'v', 'size': 3, 'snapshot_id': 's'}
        self.assertEqual({'metadata': made}, self.section)
        self.assertIsNone(self.snapshot.read().created_at)
        self.assertEqual(
            records.SnapshotRecord(volume_id='v', size=3, snapshot_id='s'), self.snapshot.read()
        )
        self.assertEqual('s', self.snapshot.read().made_id)

    def test_when_a_snapshot_was_taken(self) -> None:
        for created_at in (
            '2026-01-02T03:04:05.000678',
            '2026-01-02T04:04:05.000678+01:00',
            NOW,
        ):
            self.snapshot.begin_made(
                types.SimpleNamespace(id='s', size=3, created_at=created_at)
            ).result()
            self.assertEqual('2026-01-02T03:04:05.000678', self.section['metadata']['created_at'])
            self.assertEqual(NOW, self.snapshot.read().created_at)

    def test_a_restore(self) -> None:
        self.restore.begin_blank().result()
        asked = {'asked_at': '2026-01-02T03:04:05.000678'}
        self.assertEqual({'restore-r': asked}, self.section)
        self.assertEqual(records.RestoreRecord(asked_at=NOW), self.restore.read())

        self.restore.begin_made(types.SimpleNamespace(id='w', size=3)).result()
        self.assertEqual({'restore-r': {**asked, 'volume_id': 'w'}}, self.section)
        self.assertEqual('w', self.restore.read().made_id)

    def test_of_older_karbors(self) -> None:
        for saved, made_id in (
            ({}, None),
            ({'volume_id': 'v'}, None),
            ({'volume_id': 'v', 'asked_at': 'x'}, None),
            ({'snapshot_id': 's', 'name': 'of another plugin'}, 's'),
        ):
            self.section['metadata'] = saved
            self.assertEqual(made_id, self.snapshot.read().made_id, saved)

    def test_what_is_no_record(self) -> None:
        self.section['metadata'] = 'text'
        self.assertRaises(AttributeError, self.snapshot.read)

    def test_only_the_status_stays(self) -> None:
        self.snapshot.begin_made(types.SimpleNamespace(id='s', size=3)).result()
        self.restore.begin_blank().result()
        records.begin_status(self.section, 'deleting').result()
        records.remove(self.section)
        self.assertEqual({'status': 'deleting'}, self.section)
        self.assertEqual('deleting', records.status(self.section))
