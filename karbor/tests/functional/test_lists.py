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

import datetime
from typing import Any

from karbor.db import models
from karbor.tests.base import OTHER_PROJECT_ID, PROVIDER_ID
from karbor.tests.functional import base

_CHECKPOINTS = f'/providers/{PROVIDER_ID}/checkpoints'
LISTS = {
    '/plans': (models.Plan, 'plans'),
    _CHECKPOINTS: (models.Checkpoint, 'checkpoints'),
    '/restores': (models.Restore, 'restores'),
    '/verifications': (models.Verification, 'verifications'),
}
_BEGIN = datetime.datetime(2020, 11, 5, 10)


class ListsTest(base.ApiTestCase):
    """What all lists from the database have in common."""

    def fill(self, path: str, count: int, **fields: Any) -> list[str]:
        """Rows, of which every two have the same time; ids in the order of the list."""
        rows = [
            self.add_row(
                LISTS[path][0],
                **{'created_at': _BEGIN + datetime.timedelta(seconds=number // 2), **fields},
            )
            for number in range(count)
        ]
        return [
            row.id for row in sorted(rows, key=lambda row: (row.created_at, row.id), reverse=True)
        ]

    def ids(self, path: str, **query: Any) -> list[str]:
        return [item['id'] for item in self.get(path, params=query)[LISTS[path][1]]]

    def test_empty(self):
        for path, (_, collection) in LISTS.items():
            self.assertEqual({collection: []}, self.get(path))

    def test_newest_first(self):
        for path in LISTS:
            expected = self.fill(path, 5)
            self.assertEqual(expected, self.ids(path))
            self.assertEqual(expected[::-1], self.ids(path, sort='created_at:asc'))
            self.assertEqual(expected[::-1], self.ids(path, sort_dir='asc'))

    def test_links_lead_to_every_item_exactly_once(self):
        for path, (_, collection) in LISTS.items():
            expected = self.fill(path, 14)
            for query in (
                '?limit=1',
                '?limit=2',
                '?limit=7',
                '?limit=13',
                '?limit=14',
                '?limit=15',
                '?limit=3&sort=status:asc',
                '?limit=3&sort_dir=asc',
                '?limit=5&sort=id',
                '?sort=created_at:asc,id:desc&limit=4',
                '?limit=3&all_tenants=True&status=',
            ):
                pages = self.follow(path + query, collection)
                found = [item['id'] for page in pages for item in page]
                self.assertEqual(sorted(expected), sorted(found), f'{path}{query}')
                limit = int(query.partition('limit=')[2].partition('&')[0])
                self.assertEqual(-(-14 // limit), len(pages), f'{path}{query}')

    def test_links_after_an_offset(self):
        for path, (_, collection) in LISTS.items():
            expected = self.fill(path, 7)
            pages = self.follow(f'{path}?limit=2&offset=1', collection)
            self.assertEqual(expected[1:], [item['id'] for page in pages for item in page])

    def test_limit(self):
        for path in LISTS:
            expected = self.fill(path, 3)
            self.assertEqual(expected[:2], self.ids(path, limit=2))
            self.assertEqual(expected, self.ids(path, limit=2147483647))
            self.assertEqual(expected, self.ids(path, limit=''))

    def test_a_limit_above_the_largest_is_clipped(self):
        self.config.config(osapi_max_limit=2)
        for path, (_, collection) in LISTS.items():
            expected = self.fill(path, 3)
            for query in (
                '',
                '?limit=3',
                '?limit=1000',
                '?limit=2147483648',
                '?limit=99999999999999999999',
            ):
                document = self.get(path + query)
                self.assertEqual(expected[:2], [item['id'] for item in document[collection]])
                self.assertIn(f'{collection}_links', document)

    def test_marker_and_offset(self):
        for path in LISTS:
            expected = self.fill(path, 5)
            self.assertEqual(expected[2:], self.ids(path, marker=expected[1]))
            self.assertEqual([], self.ids(path, marker=expected[-1]))
            self.assertEqual(expected[3:], self.ids(path, offset=3))
            self.assertEqual(expected[3:4], self.ids(path, offset=1, limit=1, marker=expected[1]))
            self.assertEqual([], self.ids(path, offset=5))

    def test_sort(self):
        for path in LISTS:
            self.fill(path, 2, status='b')
            self.fill(path, 2, status='a')
            items = self.get(path, params={'sort': 'status:asc,created_at:desc'})
            statuses = [item['status'] for item in items[LISTS[path][1]]]
            self.assertEqual(['a', 'a', 'b', 'b'], statuses)
            self.assertEqual(
                self.ids(path, sort='status:desc'),
                self.ids(path, sort_key='status', sort_dir='desc'),
            )
            self.assertEqual(self.ids(path, sort='status'), self.ids(path, sort_key='status'))
            by_id = self.ids(path, sort='id:asc')
            self.assertEqual(sorted(by_id), by_id)

    def test_what_is_not_allowed(self):
        for path in LISTS:
            for query in (
                {'limit': 0},
                {'limit': -1},
                {'limit': 'x'},
                {'limit': '1.5'},
                {'limit': '9' * 5000},
                {'offset': -1},
                {'offset': 'x'},
                {'offset': 2147483648},
                {'sort': 'colour'},
                {'sort': 'project_id'},
                {'sort': 'status:up'},
                {'sort': ','},
                {'sort': 'status,'},
                {'sort': '__class__'},
                {'sort_key': 'metadata'},
                {'sort_dir': 'x'},
                {'sort': 'status', 'sort_key': 'id'},
                {'sort': 'id', 'sort_dir': 'asc'},
                {'marker': '\x00'},
                {'status': '\x00'},
                {'all_tenants': 'x'},
            ):
                message = self.get(path, 400, params=query)
                self.assertTrue(any(name.partition('_')[0] in message for name in query), message)

    def test_a_marker_of_another_project(self):
        for path in LISTS:
            theirs = self.add_row(LISTS[path][0], project_id=OTHER_PROJECT_ID)
            self.assertIn('marker', self.get(path, 404, params={'marker': theirs.id}))

    def test_a_marker_of_another_list(self):
        plan = self.add_row(models.Plan)
        for path in set(LISTS) - {'/plans'}:
            self.get(path, 404, params={'marker': plan.id})


class FiltersTest(base.ApiTestCase):
    def names(self, **query: str) -> set[str]:
        return {item['name'] for item in self.get('/plans', params=query)['plans']}

    def test_parts_of_names_are_taken_literally(self):
        names = ['100% sure', '100 sure', 'a_b', 'axb', 'a/b', 'a\\b', '[a-z]', 'x.*', 'Ünï', "'"]
        for name in names:
            self.add_row(models.Plan, name=name, description=f'd {name}')
        for text, expected in (
            ('%', {'100% sure'}),
            ('_', {'a_b'}),
            ('a_b', {'a_b'}),
            ('/', {'a/b'}),
            ('\\', {'a\\b'}),
            ('[', {'[a-z]'}),
            ('.*', {'x.*'}),
            ('nï', {'Ünï'}),
            ("'", {"'"}),
            ('0% s', {'100% sure'}),
            ('sure', {'100% sure', '100 sure'}),
            ('no such', set()),
            ('1', {'100% sure', '100 sure'}),
        ):
            self.assertEqual(expected, self.names(name=text), text)
            self.assertEqual(expected, self.names(name=text, description=f'd {text}'[2:]), text)

    def test_several_filters(self):
        self.add_row(models.Plan, name='a', status='suspended')
        self.add_row(models.Plan, name='b', status='started')
        self.assertEqual({'b'}, self.names(status='started'))
        self.assertEqual(set(), self.names(status='start'))
        self.assertEqual(set(), self.names(status='started', name='a'))
        self.assertEqual({'a', 'b'}, self.names(name='', status=''))
        for name in ('colour', 'id'):
            self.assertIn(name, self.get('/plans', 400, params={'status': 'started', name: 'x'}))

    def test_links_keep_filters(self):
        for number in range(5):
            self.add_row(models.Plan, name=f'50% & more #{number}?')
            self.add_row(models.Plan, name=f'50 more {number}')
        pages = self.follow('/plans?limit=2&name=50%25%20%26%20more%20%23', 'plans')
        names = [item['name'] for page in pages for item in page]
        self.assertEqual([f'50% & more #{number}?' for number in range(5)], sorted(names))

    def test_restores_and_verifications(self):
        for path in ('/restores', '/verifications'):
            model, collection = LISTS[path]
            good = self.add_row(model, status='success')
            bad = self.add_row(model, status='fail')
            for query, expected in (
                ({'status': 'fail'}, [bad.id]),
                ({'checkpoint_id': good.checkpoint_id}, [good.id]),
                ({'provider_id': PROVIDER_ID}, [bad.id, good.id]),
                ({'provider_id': OTHER_PROJECT_ID}, []),
                ({'status': 'FAIL '}, []),
            ):
                self.assertEqual(
                    expected, [item['id'] for item in self.get(path, params=query)[collection]]
                )
