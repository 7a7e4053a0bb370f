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

"""How much one answer of a list may be, whatever is in the rows."""

import sqlalchemy as sa

from karbor import db
from karbor.api.v1 import checkpoints
from karbor.db import models, paging
from karbor.services.protection import graph
from karbor.tests.functional import base, lists
from karbor.tests.functional.base import VOLUME

_MEGABYTE = 1024 * 1024
_PLAN = {'id': 'p', 'name': 'nightly', 'provider_id': 'x', 'parameters': {}}


class ListSizeTest(lists.ListsTestCase):
    def fill_pages(self, which: lists.List, **fields: object) -> list[int]:
        """How many items there are on each page of a list of ten large rows."""
        ids = self.fill(which.model, 10, **fields)
        pages = self.follow(which.path, which.key)
        self.assertEqual(ids, [item['id'] for page in pages for item in page])
        return [len(page) for page in pages]

    def test_a_page_of_large_plans_is_short(self):
        resources = [{'id': 'x' * _MEGABYTE, 'type': VOLUME, 'name': ''}]
        self.assertEqual(
            [3, 3, 3, 1],
            self.fill_pages(lists.LISTS[0], resources=resources, parameters={'x': 'y' * _MEGABYTE}),
        )

    def test_a_page_has_one_item_whatever_its_size(self):
        parameters = {'x': 'y' * (paging._MOST_CHARACTERS + 1)}
        self.assertEqual([1] * 10, self.fill_pages(lists.LISTS[2], parameters=parameters))

    def test_what_is_told_of_the_resources_of_restores_counts(self):
        ids = self.fill(models.Restore, 10)
        with db.writer() as session:
            session.execute(
                sa.insert(models.ResourceResult),
                [
                    {
                        'subject_id': restore_id,
                        'resource_type': VOLUME,
                        'resource_id': f'{number}',
                        'status': 'error',
                        'reason': 'x' * (_MEGABYTE // 2),
                    }
                    for restore_id in ids
                    for number in range(4)
                ],
            )
        pages = self.follow('/restores', 'restores')
        self.assertEqual([3, 3, 3, 1], [len(page) for page in pages])

    def test_checkpoints_in_a_list_have_neither_graph_nor_plan(self):
        """40 checkpoints of a plan of 2 MB made an answer of 225 MB."""
        large = [{'id': 'x' * 2 * _MEGABYTE, 'type': VOLUME, 'name': ''}]
        ids = self.fill(
            models.Checkpoint,
            40,
            plan_name='nightly',
            protection_plan={**_PLAN, 'resources': large},
            resource_graph='x' * 5 * _MEGABYTE,
        )
        result = self.client.simulate_get(
            f'/v1/{base.PROJECT_ID}{self.checkpoints_path()}',
            headers={'X-Auth-Token': base.TOKEN},
        )
        self.assertLess(len(result.content), 40 * 1024)
        found = result.json['checkpoints']
        self.assertEqual(ids, [item['id'] for item in found])
        self.assertEqual(set(checkpoints.LISTED_CHECKPOINT['properties']), {*found[0]})
        self.assertEqual('nightly', found[0]['protection_plan']['name'])
        self.assertEqual(['id', 'name'], sorted(found[0]['protection_plan']))

    def test_the_plan_of_a_row_of_an_older_karbor_has_its_name(self):
        self.fill(
            models.Checkpoint,
            1,
            plan_name=None,
            protection_plan={**_PLAN, 'name': 'of old "\u00e9"', 'resources': []},
            resource_graph=graph.serialize([]),
        )
        (found,) = self.get(self.checkpoints_path())['checkpoints']
        self.assertEqual('of old "\u00e9"', found['protection_plan']['name'])
