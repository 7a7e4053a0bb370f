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

"""How requests are made, and what becomes of their answers."""

import datetime
from urllib import parse

from openstack import exceptions

from karbor.client.plans import Plan
from karbor.tests.base import new_id
from karbor.tests.unit.client import answers, base


class PathsTest(base.ClientTestCase):
    def test_what_stands_in_an_id_leads_nowhere_else(self) -> None:
        for given, sent in (
            ('a/b', 'a%2Fb'),
            ('a?b=c', 'a%3Fb%3Dc'),
            ('ü', '%C3%BC'),
            ('%', '%25'),
        ):
            self.answer({'plan': {'id': 'x'}})
            self.protection.get_plan(given)
            (request,) = self.transport.requests
            self.assertEqual(f'{base.ENDPOINT}/plans/{sent}', request.url)

    def test_what_is_no_id_is_not_sent(self) -> None:
        for wrong in ('', '.', '..'):
            self.assertRaises(ValueError, self.protection.delete_plan, wrong)
        self.assertRaises(ValueError, self.protection.get_checkpoint, new_id())
        self.assertEqual([], self.transport.requests)


class ListsTest(base.ClientTestCase):
    def page(self, *ids: str, link: str | None = None) -> object:
        plans = [{'id': plan_id, 'name': 'same'} for plan_id in ids]
        links = {} if link is None else {'plans_links': [{'rel': 'next', 'href': link}]}
        return {'plans': plans, **links}

    def sent(self) -> list[tuple[str, dict[str, list[str]]]]:
        urls = [parse.urlsplit(str(request.url)) for request in self.transport.requests]
        return [(f'{url.scheme}://{url.netloc}', parse.parse_qs(url.query)) for url in urls]

    def test_pages_are_asked_for_when_they_are_needed(self) -> None:
        """By the link's query alone, since its host may be behind a proxy."""
        link = 'http://inside.example/v1/p/plans?limit=2&name=%C3%BC&marker=b'
        self.answer(self.page('a', 'b', link=link), self.page('c'))
        plans = self.protection.plans(limit=2, name='ü', offset=3)
        self.assertEqual([], self.transport.requests)
        self.assertEqual('a', next(plans).id)
        self.assertEqual(1, len(self.transport.requests))
        self.assertEqual(['b', 'c'], [plan.id for plan in plans])
        self.assertEqual(
            [
                (base.ROOT, {'limit': ['2'], 'name': ['ü'], 'offset': ['3']}),
                (base.ROOT, {'limit': ['2'], 'name': ['ü'], 'marker': ['b']}),
            ],
            self.sent(),
        )

    def test_a_last_page_that_is_full_is_the_last(self) -> None:
        self.answer(self.page('a', 'b'))
        self.assertEqual(2, len(list(self.protection.plans(limit=2))))
        self.assertEqual(1, len(self.transport.requests))

    def test_moments_and_mappings(self) -> None:
        self.answer({'recovery_points': []})
        since = datetime.datetime(2026, 11, 26, 8, tzinfo=datetime.UTC)
        list(self.protection.recovery_points(since=since, until=datetime.date(2026, 11, 27)))
        self.assertEqual(
            {'since': ['2026-11-26T08:00:00+00:00'], 'until': ['2026-11-27']}, self.sent()[0][1]
        )
        self.answer({'instances': []})
        list(self.protection.protectable_instances('OS::Cinder::Volume', parameters={'a': 'b'}))
        self.assertEqual({'parameters': ['{"a": "b"}']}, self.sent()[0][1])

    def test_checkpoints_of_all_providers(self) -> None:
        self.answer(
            {'providers': [{'id': 'one'}, {'id': 'two'}]},
            {'checkpoints': [{'id': 'a'}]},
            {'checkpoints': [{'id': 'b'}]},
        )
        found = [(each.provider_id, each.id) for each in self.protection.checkpoints(plan_id='p')]
        self.assertEqual([('one', 'a'), ('two', 'b')], found)
        self.assertEqual([{}, {'plan_id': ['p']}, {'plan_id': ['p']}], [q for _, q in self.sent()])


class FindTest(base.ClientTestCase):
    def test_by_name(self) -> None:
        """The API looks for a part of it."""
        self.answer({'plans': [{'id': 'a', 'name': 'db'}, {'id': 'b', 'name': 'db-2'}]})
        found = self.protection.find_plan('db')
        self.assertIsInstance(found, Plan)
        self.assertEqual('a', found.id)

    def test_a_name_that_several_have(self) -> None:
        self.answer({'plans': [{'id': 'a', 'name': 'db'}, {'id': 'b', 'name': 'db'}]})
        fault = self.assertRaises(exceptions.DuplicateResource, self.protection.find_plan, 'db')
        self.assertEqual('More than one Plan is called db; take one by its ID: a, b', str(fault))

    def test_there_is_none(self) -> None:
        self.answer({'plans': [{'id': 'b', 'name': 'db-2'}]})
        self.assertIsNone(self.protection.find_plan('db'))
        fault = self.assertRaises(
            exceptions.NotFoundException, self.protection.find_plan, 'db', ignore_missing=False
        )
        self.assertEqual('No Plan is called db.', str(fault))


class ErrorsTest(base.ClientTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.sentence = 'The plan x could not be found.'

    def fail_with(self, status: int) -> None:
        fault = {'fault': {'code': status, 'message': self.sentence}}
        self.transport = answers.Transport(fault, status=status)
        self.protection = base.protection(self.transport)

    def test_the_sentence_of_the_api(self) -> None:
        for status, expected in (
            (400, exceptions.BadRequestException),
            (403, exceptions.ForbiddenException),
            (404, exceptions.NotFoundException),
            (409, exceptions.ConflictException),
            (413, exceptions.HttpException),
            (503, exceptions.HttpException),
        ):
            self.fail_with(status)
            fault = self.assertRaises(expected, self.protection.get_plan, 'x')
            self.assertEqual((status, self.sentence), (fault.status_code, fault.details))
            self.assertIn(self.sentence, str(fault))
            listed = self.protection.plans()
            self.assertEqual(self.sentence, self.assertRaises(expected, next, listed).details)

    def test_what_is_not_there_is_deleted(self) -> None:
        self.fail_with(404)
        for delete in (
            self.protection.delete_plan,
            self.protection.delete_trigger,
            self.protection.delete_scheduled_operation,
            self.protection.delete_quota,
        ):
            self.assertIsNone(delete('x'))
            self.assertRaises(exceptions.NotFoundException, delete, 'x', ignore_missing=False)

    def test_a_cloud_that_is_not_well(self) -> None:
        self.transport = answers.Transport({'status': 'failed', 'checks': {'database': 'failed'}})
        self.transport.status = 503
        self.protection = base.protection(self.transport)
        self.assertEqual('failed', self.protection.health().status)
        self.fail_with(502)
        self.assertRaises(exceptions.HttpException, self.protection.health)
