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

"""What is understood of what plugins tell that they keep."""

import datetime
from typing import Any

from oslotest import base

from karbor.common import origins
from karbor.db.recovery_points import Saved
from karbor.services.checkpoints import saved_info

MOMENT = datetime.datetime(2026, 1, 2, 3, 4, 5, 678)
OPERATION_ID = '6a1f0f6e-93d4-4a4b-9d0e-2b6b7a9c5e10'


class SavedInfoTest(base.BaseTestCase):
    def test_of_known_plugins(self) -> None:
        for told, wanted in (
            (
                {
                    'volume_id': 'v',
                    'snapshot_id': 's',
                    'size': 3,
                    'created_at': '2026-01-02T03:04:05.000678',
                },
                Saved(cloud_id='s', size=3, taken_at=MOMENT),
            ),
            ({'volume_id': 'v', 'backup_id': 'b'}, Saved(cloud_id='b')),
            ({'volume_size': 0, 'image_metadata': {}}, Saved(size=0)),
            (
                {'created_at': '2026-01-02T04:04:05.000678+01:00'},
                Saved(taken_at=MOMENT),
            ),
        ):
            self.assertEqual(wanted, saved_info.read(told), told)

    def test_anything_else_is_not_known(self) -> None:
        odd: tuple[Any, ...] = (
            None,
            'text',
            [],
            7,
            {},
            {7: 8},
            {'snapshot_id': '', 'backup_id': None},
            {'snapshot_id': 7, 'size': '3', 'created_at': 'yesterday'},
            {'snapshot_id': 'x' * 256, 'size': True, 'created_at': 0},
            {'snapshot_id': 'a\x00', 'size': -1, 'created_at': '0001-01-01T00:00:00+14:00'},
            {'size': 2**31},
        )
        for told in odd:
            self.assertEqual(Saved(), saved_info.read(told), told)


class OriginTest(base.BaseTestCase):
    def test_who_made_a_checkpoint(self) -> None:
        made = {'created_by': 'operation-engine', 'scheduled_operation_id': OPERATION_ID}
        for info, wanted in (
            (made, OPERATION_ID),
            ({**made, 'created_by': 'manual'}, None),
            ({'scheduled_operation_id': OPERATION_ID}, None),
            ({'created_by': 'operation-engine'}, None),
            ({**made, 'scheduled_operation_id': 7}, None),
            ({**made, 'scheduled_operation_id': 'x' * 300}, None),
            (None, None),
            (7, None),
        ):
            self.assertEqual(wanted, origins.scheduled_operation_id(info), info)
