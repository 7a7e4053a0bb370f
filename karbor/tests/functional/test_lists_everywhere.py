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

from typing import Any
from urllib import parse

from karbor.db import models
from karbor.services.protection import provider
from karbor.tests import personas
from karbor.tests.base import OTHER_PROJECT_ID, PROJECT_ID, PROVIDER_ID, new_id
from karbor.tests.functional import base, lists
from karbor.tests.functional.lists import LISTS, List

SECOND_ID = '00000000-8b41-4c52-9a11-6f1f0f3b7c20'
THIRD_ID = '10000000-8b41-4c52-9a11-6f1f0f3b7c20'
INSTANCES = f'/protectables/{base.VOLUME}/instances'

#: texts that a database, a regular expression or Python could take for something else
ODD_TEXTS = [
    '%',
    '_',
    '\\',
    '\\%',
    '.*',
    '[a-z]',
    '^x$',
    "'",
    '"',
    '--',
    ';',
    '(',
    '$1',
    '{0}',
    '%(x)s',
    "['a', 'b']",
    '1',
    'None',
    'True',
    'a,b',
    'a b',
    '/',
    '+',
    '&x=y',
    '#',
    'ü☃',
    '?',
]


class EveryListTest(lists.ListsTestCase):
    def ids(self, which: List, persona: str = 'manager', **query: Any) -> list[str]:
        return [
            item['id'] for item in self.get(which.path, params=query, persona=persona)[which.key]
        ]

    def followed(self, which: List, query: str, persona: str = 'manager') -> list[str]:
        """What all pages have; each has the number of items that was asked for."""
        pages = self.follow(f'{which.path}?{query}', which.key, persona)
        limit = int(parse.parse_qs(query)['limit'][0])
        self.assertEqual({limit}, {limit, *(len(page) for page in pages[:-1])})
        self.assertTrue(pages[-1] or len(pages) == 1, 'the last page is empty')
        return [item['id'] for page in pages for item in page]

    def test_newest_first_and_the_other_way(self):
        for which in LISTS:
            expected = self.fill(which.model, 5)
            self.assertEqual(expected, self.ids(which), which.path)
            for query in (
                {'sort': 'created_at:asc'},
                {'sort_dir': 'asc'},
                {'sort_key': 'created_at', 'sort_dir': 'asc'},
            ):
                self.assertEqual(expected[::-1], self.ids(which, **query), which.path)

    def test_limit_marker_and_offset(self):
        for which in LISTS:
            expected = self.fill(which.model, 5)
            for query, part in (
                ({'limit': 2}, expected[:2]),
                ({'marker': expected[1]}, expected[2:]),
                ({'marker': expected[4]}, []),
                ({'offset': 3}, expected[3:]),
                ({'offset': 5}, []),
                ({'offset': 2**31 - 1}, []),
                ({'limit': 1, 'offset': 1, 'marker': expected[1]}, expected[3:4]),
            ):
                self.assertEqual(part, self.ids(which, **query), f'{which.path} {query}')

    def test_every_sort_key(self):
        for which in LISTS:
            for number in (2, 3, 1):
                self.fill(
                    which.model,
                    2,
                    **{key: f'text {number}' for key in which.sort_keys if key != 'started_at'},
                )
            for key in which.sort_keys:
                for direction in ('asc', 'desc'):
                    found = self.ids(which, sort=f'{key}:{direction}')
                    self.assertEqual(found, self.ids(which, sort_key=key, sort_dir=direction))
                    self.assertEqual(
                        found,
                        self.followed(which, f'limit=4&sort={key}:{direction}'),
                        f'{which.path} {key}',
                    )
                    values = [
                        item[key]
                        for item in self.get(which.path, params={'sort': f'{key}:{direction}'})[
                            which.key
                        ]
                    ]
                    self.assertEqual(sorted(values, reverse=direction == 'desc'), values)
                self.assertEqual(self.ids(which, sort=key), self.ids(which, sort=f'{key}:desc'))

    def test_links_lead_to_every_item_once_and_in_order(self):
        for which in LISTS:
            expected = self.fill(which.model, 9)
            for limit in (1, 4, 9, 10):
                self.assertEqual(expected, self.followed(which, f'limit={limit}'))
            self.assertEqual(expected[::-1], self.followed(which, 'limit=4&sort_dir=asc'))
            self.assertEqual(sorted(expected), self.followed(which, 'limit=4&sort=id:asc'))
            self.assertEqual(expected[1:], self.followed(which, 'limit=3&offset=1'))
            mixed = 'created_at:asc,id:desc'
            self.assertEqual(
                self.ids(which, sort=mixed), self.followed(which, f'limit=3&sort={mixed}')
            )

    def test_links_keep_the_filters(self):
        for which in LISTS:
            for key in (*which.searched, *which.compared):
                text = new_id() if key.endswith('_id') else 'a %&=+#ü?/;\\'
                theirs = self._with_ids(which, key, text)
                expected = self.fill(which.model, 5, **theirs)
                self.fill(which.model, 5)
                self.assertEqual(
                    expected,
                    self.followed(which, f'limit=2&{key}={parse.quote_plus(text)}&sort_dir=desc'),
                    f'{which.path} {key}',
                )

    def _with_ids(self, which: List, key: str, text: str) -> dict[str, str]:
        """Fields of a row that a filter finds, with what a foreign key needs."""
        if which.model is models.ScheduledOperation and key == 'trigger_id':
            self.add_row(models.Trigger, id=text)
        return {key: text}

    def test_links_are_the_callers(self):
        for which in LISTS:
            self.fill(which.model, 2)
            result = self.client.simulate_get(
                f'/v1/{PROJECT_ID}{which.path}.json?limit=1',
                host='karbor.example',
                port=8799,
                headers={'X-Auth-Token': base.TOKEN},
            )
            (link,) = result.json[f'{which.key}_links']
            self.assertTrue(
                link['href'].startswith(f'http://karbor.example:8799/v1/{PROJECT_ID}{which.path}?'),
                link,
            )

    def test_filters_compare_the_whole_text(self):
        for which in LISTS:
            for key in which.compared:
                if key.endswith('_id'):
                    continue
                rows = {
                    text: self.add_row(which.model, **self._fields(which.model, {key: text}))
                    for text in ('%', '_x', '\\', '.*', "'", "['a']", 'a,b', '+ü', '1')
                }
                self.add_row(which.model, **self._fields(which.model, {key: 'x'}))
                for text, row in rows.items():
                    self.assertEqual(
                        [row.id], self.ids(which, **{key: text}), f'{which.path} {key} {text}'
                    )

    def test_filters_by_id(self):
        for which in LISTS:
            for key in which.compared:
                if not key.endswith('_id'):
                    continue
                text = new_id()
                expected = self.fill(which.model, 2, **self._with_ids(which, key, text))
                self.fill(which.model, 1)
                self.assertEqual(expected, self.ids(which, **{key: text}))
                for other in (text[:-1], f'%{text[1:]}', '%', '_' * 36, new_id(), 'x'):
                    self.assertEqual([], self.ids(which, **{key: other}), which.path)

    def test_filters_look_for_a_part_taken_literally(self):
        for which in LISTS:
            for key in which.searched:
                texts = [f'<{text}>' for text in ODD_TEXTS]
                rows = {
                    self.add_row(which.model, **self._fields(which.model, {key: text})).id: text
                    for text in texts
                }
                for text in (*ODD_TEXTS, 'no such', '<', 'B', '>'):
                    expected = {
                        row_id for row_id, whole in rows.items() if text.lower() in whole.lower()
                    }
                    found = set(self.ids(which, **{key: text})) & set(rows)
                    self.assertEqual(expected, found, f'{which.path} {key} {text}')

    def test_what_is_no_filter_is_refused(self):
        for which in LISTS:
            expected = self.fill(which.model, 2)
            for query in (
                {'colour': 'red'},
                {'id': 'x'},
                {'created_at': 'x'},
                {'resources': '['},
                {'__class__': 'x'},
                {'metadata': 'x'},
            ):
                message = self.get(which.path, 400, params=query)
                self.assertIn(repr(*query), message)
                for known in (*which.searched, *which.compared, 'marker', 'sort_dir'):
                    self.assertIn(known, message, which.path)
            empty = dict.fromkeys((*which.searched, *which.compared), '')
            self.assertEqual(expected, self.ids(which, **empty))

    def test_one_value_of_each_parameter(self):
        for which in LISTS:
            for name in ('marker', 'limit', *which.compared):
                message = self.get(f'{which.path}?{name}=a&{name}=b', 400)
                self.assertIn(f"'{name}' is given more than once", message)

    def test_a_marker_that_is_none(self):
        for which in LISTS:
            self.fill(which.model, 2)
            theirs = self.add_row(
                which.model, **self._fields(which.model, {'project_id': OTHER_PROJECT_ID})
            )
            other = models.Restore if which.model is models.Plan else models.Plan
            elsewhere = self.add_row(other).id
            for marker in (theirs.id, new_id(), elsewhere, 'x', "' OR 1=1", '%'):
                self.assertIn(marker, self.get(which.path, 404, params={'marker': marker}))
            self.get(which.path, 404, params={'marker': theirs.id}, persona='admin')
            self.assertIn('marker', self.get(which.path, 400, params={'marker': '\x00'}))

    def test_what_is_not_allowed(self):
        for which in LISTS:
            for query in (
                {'limit': 0},
                {'limit': 'x'},
                {'limit': '9' * 5000},
                {'offset': -1},
                {'offset': 2**31},
                {'sort': 'project_id'},
                {'sort': 'id:up'},
                {'sort': 'id:asc:desc'},
                {'sort': 'id,,id'},
                {'sort_key': '__class__'},
                {'sort': 'id', 'sort_dir': 'asc'},
                {'sort_dir': 'ASC'},
                *({key: 'a\x00'} for key in (*which.searched, *which.compared)),
            ):
                message = self.get(which.path, 400, params=query)
                self.assertTrue(any(name.partition('_')[0] in message for name in query), message)

    def test_long_texts(self):
        """SQLite does not look for a part that is longer than 50,000 bytes."""
        for which in LISTS:
            self.fill(which.model, 1)
            for key in (*which.searched, *which.compared, 'marker', 'project_id', 'sort', 'limit'):
                for text in ('x' * 60_000, '%' * 30_000):
                    result = self.client.simulate_get(
                        f'/v1/{PROJECT_ID}{which.path}',
                        params={key: text},
                        headers={'X-Auth-Token': base.TOKEN},
                    )
                    self.assertIn(result.status_code, (200, 400, 404), f'{which.path} {key}')
                    self.assertLess(len(result.text), 3_000)

    def test_the_suffix(self):
        for which in LISTS:
            one, two = self.fill(which.model, 2)
            self.assertEqual(self.get(which.path), self.get(f'{which.path}.json'))
            self.assertEqual(
                [two],
                [item['id'] for item in self.get(f'{which.path}.json?marker={one}')[which.key]],
            )
            for name in (one, two):
                self.assertEqual(
                    self.get(f'{which.path}/{name}'), self.get(f'{which.path}/{name}.json')
                )
            self.get(f'{which.path}/{new_id()}.json', 404)
            self.get(f'{which.path}/{one}.jso', 400)


class TenantsTest(lists.ListsTestCase):
    """An administrator may list what others have; others are not told whether there is any."""

    def setUp(self):
        super().setUp()
        self.third = new_id().replace('-', '')

    def filled(self, which: List) -> dict[str, set[str]]:
        return {
            project_id: set(self.fill(which.model, 3, project_id=project_id))
            for project_id in (PROJECT_ID, OTHER_PROJECT_ID, self.third)
        }

    def ids(self, which: List, persona: str, **query: str) -> set[str]:
        found = [
            item['id'] for item in self.get(which.path, params=query, persona=persona)[which.key]
        ]
        self.assertEqual(len(found), len(set(found)))
        return set(found)

    def test_an_administrator(self):
        for which in LISTS:
            ids = self.filled(which)
            everybody = set().union(*ids.values())
            for query, expected in (
                ({}, ids[PROJECT_ID]),
                ({'all_tenants': '1'}, everybody),
                ({'all_tenants': 'TRUE'}, everybody),
                ({'all_tenants': 'y'}, everybody),
                ({'all_tenants': 'no'}, ids[PROJECT_ID]),
                ({'all_tenants': '0'}, ids[PROJECT_ID]),
                ({'all_tenants': ''}, ids[PROJECT_ID]),
                ({'project_id': PROJECT_ID}, ids[PROJECT_ID]),
                ({'project_id': OTHER_PROJECT_ID}, ids[OTHER_PROJECT_ID]),
                ({'all_tenants': '1', 'project_id': self.third}, ids[self.third]),
                ({'all_tenants': '1', 'project_id': PROJECT_ID}, ids[PROJECT_ID]),
                ({'project_id': 'nobody'}, set()),
                ({'project_id': '%'}, set()),
            ):
                self.assertEqual(
                    expected, self.ids(which, 'admin', **query), f'{which.path} {query}'
                )

    def test_others(self):
        for which in LISTS:
            ids = self.filled(which)
            for persona in ('reader', 'member', 'manager'):
                for query in (
                    {},
                    {'all_tenants': '1'},
                    {'all_tenants': 'false'},
                    {'project_id': PROJECT_ID},
                    {'all_tenants': '1', 'project_id': PROJECT_ID},
                ):
                    self.assertEqual(
                        ids[PROJECT_ID], self.ids(which, persona, **query), f'{which.path} {query}'
                    )
                for project_id in (OTHER_PROJECT_ID, 'nobody', PROJECT_ID.upper(), '%'):
                    for more in ({}, {'all_tenants': '1'}):
                        message = self.get(
                            which.path,
                            404,
                            persona=persona,
                            params={'project_id': project_id, **more},
                        )
                        self.assertIn(project_id, message)

    def test_neither_true_nor_false(self):
        for which in LISTS:
            for text in ('perhaps', '2', '-1', 'truee', ' ', 'None', '\x00'):
                for persona in ('reader', 'admin'):
                    self.assertIn(
                        'all_tenants',
                        self.get(which.path, 400, params={'all_tenants': text}, persona=persona),
                    )

    def test_whose_an_item_is_can_be_seen(self):
        for which in LISTS:
            ids = self.filled(which)
            for item in self.get(which.path, params={'all_tenants': '1'}, persona='admin')[
                which.key
            ]:
                self.assertIn(item['id'], ids[item['project_id']])

    def test_links_keep_it(self):
        for which in LISTS:
            ids = self.filled(which)
            everybody = set().union(*ids.values())
            for query, expected in (
                ('all_tenants=1', everybody),
                ('all_tenants=true&sort=id:asc', everybody),
                (f'project_id={self.third}', ids[self.third]),
                (f'all_tenants=1&project_id={OTHER_PROJECT_ID}', ids[OTHER_PROJECT_ID]),
            ):
                pages = self.follow(f'{which.path}?limit=2&{query}', which.key, 'admin')
                found = [item['id'] for page in pages for item in page]
                self.assertEqual(sorted(expected), sorted(found), f'{which.path} {query}')
            pages = self.follow(f'{which.path}?limit=2&all_tenants=1', which.key, 'reader')
            self.assertEqual(
                sorted(ids[PROJECT_ID]), sorted(item['id'] for page in pages for item in page)
            )

    def test_a_marker_is_found_where_the_list_looks(self):
        for which in LISTS:
            theirs = sorted(self.filled(which)[OTHER_PROJECT_ID])[0]
            self.ids(which, 'admin', all_tenants='1', marker=theirs)
            self.ids(which, 'admin', project_id=OTHER_PROJECT_ID, marker=theirs)
            for query in ({}, {'project_id': self.third}):
                self.get(which.path, 404, persona='admin', params={'marker': theirs, **query})
            self.get(which.path, 404, params={'marker': theirs, 'all_tenants': '1'})

    def test_a_stranger_sees_nothing(self):
        for which in LISTS:
            for name in self.filled(which)[PROJECT_ID]:
                for persona in ('member', 'admin'):
                    theirs = {'project_id': new_id(), 'headers': {}}
                    theirs['headers']['X-Auth-Token'] = personas.token(
                        persona, theirs['project_id']
                    )
                    self.assertEqual([], self.get(which.path, **theirs)[which.key])
                    self.get(f'{which.path}/{name}', 404, **theirs)


class ProvidersListTest(base.ApiTestCase):
    def setUp(self):
        super().setUp()
        self.provider_dir(name='a.*', provider_id=SECOND_ID)
        self.build(provider.ProviderRegistry(self.provider_dir(name='ab', provider_id=THIRD_ID)))
        self.all = sorted((PROVIDER_ID, SECOND_ID, THIRD_ID))

    def ids(self, query: str = '', persona: str = 'reader') -> list[str]:
        return [item['id'] for item in self.get(f'/providers{query}', persona=persona)['providers']]

    def test_pages(self):
        for limit in (1, 2, 3, 4):
            for more in ('', '&sort=y%26', '&name='):
                pages = self.follow(f'/providers?limit={limit}{more}', 'providers')
                self.assertEqual(self.all, [item['id'] for page in pages for item in page])
                self.assertEqual(-(-3 // limit), len(pages))

    def test_marker(self):
        self.assertEqual(self.all[1:], self.ids(f'?marker={self.all[0]}'))
        self.assertEqual([], self.ids(f'?marker={self.all[2]}'))
        for marker in (new_id(), 'x', '%25'):
            self.get(f'/providers?marker={marker}', 404)

    def test_filters_compare_the_whole_text(self):
        self.assertEqual([SECOND_ID], self.ids('?name=a.*'))
        self.assertEqual([THIRD_ID], self.ids('?name=ab&limit=1'))
        for text in ('a', 'a%25', 'a_', 'AB', '.*', "['ab']"):
            self.assertEqual([], self.ids(f'?name={text}'))

    def test_what_is_not_allowed(self):
        for query in ('limit=0', 'limit=x', 'marker=%00', 'name=%00'):
            self.get(f'/providers?{query}', 400)

    def test_the_suffix(self):
        self.assertEqual(self.get('/providers'), self.get('/providers.json'))
        self.assertEqual(
            self.get(f'/providers/{THIRD_ID}'), self.get(f'/providers/{THIRD_ID}.json')
        )

    def test_they_are_everybodys(self):
        self.assertEqual(self.all, self.ids(persona='admin'))
        for query in ('all_tenants=1', f'project_id={OTHER_PROJECT_ID}'):
            message = self.get(f'/providers?{query}', 400, persona='admin')
            self.assertIn('there are description, limit, marker, name', message)


class InstancesListTest(base.CloudTestCase):
    def ids(self, query: str = '') -> list[str]:
        return [item['id'] for item in self.get(INSTANCES + query)['instances']]

    def test_pages(self):
        """With volumes between them that cannot be protected, and are not listed."""
        made = [
            self.volume(status='error' if number % 3 == 0 else 'available')['id']
            for number in range(14)
        ]
        fit = sorted(name for number, name in enumerate(made) if number % 3)
        for limit in (1, 2, 3, 4, 9, 10):
            pages = self.follow(f'{INSTANCES}?limit={limit}', 'instances')
            self.assertEqual(fit, [item['id'] for page in pages for item in page], limit)
            self.assertEqual(-(-len(fit) // limit), len(pages))
        self.assertEqual(fit, self.ids())

    def test_marker(self):
        made = sorted(self.volume()['id'] for _ in range(3))
        self.assertEqual(made[1:], self.ids(f'?marker={made[0]}'))
        self.assertEqual([], self.ids(f'?marker={made[2]}'))
        for marker in ('x', '%25', 'detail'):
            self.get(f'{INSTANCES}?marker={marker}', 404)
        self.get(f'{INSTANCES}?marker=%00', 400)

    def test_a_marker_that_is_none_is_said_at_once(self):
        self.volume()
        self.cinder.requests.clear()
        self.get(f'{INSTANCES}?marker={(missing := new_id())}', 404)
        self.assertEqual(1, sum(self.cinder.requests.values()), missing)

    def test_the_suffix(self):
        made = self.volume()
        self.assertEqual(self.get(INSTANCES), self.get(f'{INSTANCES}.json'))
        self.assertEqual(
            self.get(f'{INSTANCES}/{made["id"]}'), self.get(f'{INSTANCES}/{made["id"]}.json')
        )

    def test_requests_of_a_page(self):
        """One for the page, and one whether the marker is the project's own."""
        for count in (10, 200):
            while len(self.cinder.volumes) < count:
                self.volume()
            middle = sorted(self.cinder.volumes)[count // 2]
            for query, requests in (('?limit=3', 1), (f'?limit=3&marker={middle}', 2)):
                self.cinder.requests.clear()
                self.assertEqual(3, len(self.ids(query)))
                self.assertEqual(requests, sum(self.cinder.requests.values()), query)
