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

from karbor import db
from karbor.db import models
from karbor.tests import personas
from karbor.tests.base import OTHER_PROJECT_ID, PROJECT_ID, new_id
from karbor.tests.functional import base

START = '2020-11-05 00:00:00'
WEEKLY = 'BEGIN:VCALENDAR\nBEGIN:VEVENT\nRRULE:FREQ=WEEKLY;BYDAY=TU\nEND:VEVENT\nEND:VCALENDAR'
THEIRS = {
    'headers': {'X-Auth-Token': personas.token('member', OTHER_PROJECT_ID)},
    'project_id': OTHER_PROJECT_ID,
}

#: properties that are taken -> what is shown besides format and pattern
GOOD_PROPERTIES = [
    ({'start_time': START}, {'start_time': START, 'window': 900}),
    ({'start_time': '2020-11-05T00:00:00'}, {'start_time': START, 'window': 900}),
    ({'start_time': '2020-11-05T00:00:00Z'}, {'start_time': START, 'window': 900}),
    ({'start_time': '2020-11-05T01:00:00.5+01:00'}, {'start_time': START, 'window': 900}),
    ({'start_time': START, 'window': 1200}, {'start_time': START, 'window': 1200}),
    ({'start_time': START, 'window': '1200'}, {'start_time': START, 'window': 1200}),
    (
        {'start_time': START, 'end_time': '2020-12-31 00:00:00'},
        {'start_time': START, 'end_time': '2020-12-31 00:00:00', 'window': 900},
    ),
    (
        {'start_time': START, 'timezone': 'Europe/Berlin'},
        {'start_time': START, 'timezone': 'Europe/Berlin', 'window': 900},
    ),
    ({'start_time': START, 'timezone': 'UTC'}, {'start_time': START, 'window': 900}),
    (
        {'start_time': START, 'catch_up': 'latest'},
        {'start_time': START, 'catch_up': 'latest', 'window': 900},
    ),
    ({'start_time': START, 'catch_up': 'skip'}, {'start_time': START, 'window': 900}),
    ({'start_time': START, 'jitter': 1}, {'start_time': START, 'jitter': 1, 'window': 900}),
    ({'start_time': START, 'jitter': '900'}, {'start_time': START, 'jitter': 900, 'window': 900}),
    (
        {'start_time': START, 'jitter': 1500, 'window': 1500},
        {'start_time': START, 'jitter': 1500, 'window': 1500},
    ),
    ({'start_time': START, 'jitter': 0}, {'start_time': START, 'window': 900}),
    ({'start_time': START, 'jitter': '0'}, {'start_time': START, 'window': 900}),
]

#: changes of properties that fit -> what the message must name; None leaves one out
BAD_PROPERTIES = [
    ({'format': None}, 'format'),
    ({'pattern': None}, 'pattern'),
    ({'format': 'x'}, 'format'),
    ({'format': 5}, 'format'),
    ({'format': ''}, 'format'),
    ({'format': 'calendar'}, 'format is calendar'),
    ({'pattern': WEEKLY}, 'format is crontab'),
    ({'pattern': ''}, 'pattern'),
    ({'pattern': 'x'}, 'pattern'),
    ({'pattern': []}, 'pattern'),
    ({'pattern': '0 3 * *'}, 'pattern'),
    ({'pattern': '0 25 * * *'}, 'pattern'),
    ({'pattern': '0 3 30 2 *'}, 'pattern'),
    ({'pattern': '* * * * *'}, 'pattern'),
    ({'pattern': '0,30 * * * *'}, '3600'),
    ({'pattern': '0 3 * * *' + ' ' * 5000}, 'pattern'),
    ({'start_time': 'now'}, 'start_time'),
    ({'start_time': 5}, 'start_time'),
    ({'start_time': '2020-11-05'}, 'start_time'),
    ({'start_time': ''}, 'start_time'),
    ({'start_time': '2020-02-30 00:00:00'}, 'start_time'),
    ({'start_time': '0001-01-01 00:00:00'}, 'start_time'),
    ({'start_time': '9999-12-31 23:59:59-14:00'}, 'start_time'),
    ({'end_time': START}, 'end_time'),
    ({'end_time': '2019-01-01 00:00:00'}, 'end_time'),
    ({'end_time': 'x'}, 'end_time'),
    ({'end_time': '2020-11-05 01:00:00'}, 'never'),
    ({'window': 899}, 'window'),
    ({'window': 1801}, 'window'),
    ({'window': '3600'}, 'window'),
    ({'window': 'x'}, 'window'),
    ({'window': ''}, 'window'),
    ({'window': -1}, 'window'),
    ({'window': '9' * 5000}, 'window'),
    ({'window': 10**40}, 'window'),
    ({'window': True}, 'window'),
    ({'window': 1e300}, 'window'),
    ({'window': 1000.5}, 'window'),
    ({'timezone': 'Mars/Olympus'}, 'timezone'),
    ({'timezone': '../../etc/passwd'}, 'timezone'),
    ({'timezone': ''}, 'timezone'),
    ({'timezone': 5}, 'timezone'),
    ({'catch_up': ''}, 'catch_up'),
    ({'catch_up': 'all'}, 'catch_up'),
    ({'catch_up': 'Latest'}, 'catch_up'),
    ({'catch_up': 5}, 'catch_up'),
    ({'catch_up': ['latest']}, 'catch_up'),
    ({'catch_up': True}, 'catch_up'),
    ({'jitter': -1}, 'jitter'),
    ({'jitter': 901}, 'jitter'),
    ({'jitter': '901'}, 'jitter'),
    ({'jitter': 1201, 'window': 1200}, 'jitter'),
    ({'jitter': ''}, 'jitter'),
    ({'jitter': '-1'}, 'jitter'),
    ({'jitter': '٣'}, 'jitter'),
    ({'jitter': '5 '}, 'jitter'),
    ({'jitter': True}, 'jitter'),
    ({'jitter': 0.5}, 'jitter'),
    ({'jitter': []}, 'jitter'),
    ({'jitter': 10**40}, 'jitter'),
    ({'jitter': '9' * 5000}, 'jitter'),
    ({'colour': 'red'}, 'colour'),
    ({'pattern': '0 3 * * *\x00'}, 'NUL'),
]

BAD_NAMES = ['', ' ', 'n' * 256, 'a\nb', 'a\n', '\x7f', '\x1b[31m', 5, None, ['x'], {'a': 'b'}]


def properties(**changes: Any) -> dict[str, Any]:
    """Properties that fit, with changes; None leaves one out."""
    values = {**base.TRIGGER_PROPERTIES, **changes}
    return {name: value for name, value in values.items() if value is not None}


class TriggersTestCase(base.ApiTestCase):
    def create(self, code: int = 200, **fields: Any) -> Any:
        body = {'name': 'nightly', 'type': 'time', 'properties': properties(), **fields}
        made = self.post('/triggers', {'trigger_info': body}, code)
        return made['trigger_info'] if code == 200 else made

    def change(self, trigger: dict[str, Any], code: int = 200, **fields: Any) -> Any:
        made = self.put(f'/triggers/{trigger["id"]}', {'trigger_info': fields}, code)
        return made['trigger_info'] if code == 200 else made

    def shown(self, trigger: dict[str, Any]) -> dict[str, Any]:
        return self.get(f'/triggers/{trigger["id"]}')['trigger_info']

    @staticmethod
    def listed(trigger: dict[str, Any]) -> dict[str, Any]:
        """As a list shows it."""
        return {name: value for name, value in trigger.items() if name != 'next_fires'}

    def add_operation(self, trigger_id: str) -> models.ScheduledOperation:
        plan = self.add_row(models.Plan)
        return self.add_row(models.ScheduledOperation, trigger_id=trigger_id, plan_id=plan.id)


class CreateTriggerTest(TriggersTestCase):
    def test_what_is_sent_is_shown(self):
        trigger = self.create()
        self.assertEqual(
            {
                'id': trigger['id'],
                'project_id': PROJECT_ID,
                'name': 'nightly',
                'type': 'time',
                'properties': {
                    'format': 'crontab',
                    'pattern': '0 3 * * *',
                    'start_time': START,
                    'window': 900,
                },
                'next_fires': trigger['next_fires'],
            },
            trigger,
        )
        self.assertEqual(trigger, self.shown(trigger))
        self.assertEqual({'triggers': [self.listed(trigger)]}, self.get('/triggers'))

    def test_properties(self):
        for given, expected in GOOD_PROPERTIES:
            trigger = self.create(properties={'format': 'crontab', 'pattern': '0 3 * * *', **given})
            self.assertEqual(
                {'format': 'crontab', 'pattern': '0 3 * * *', **expected},
                trigger['properties'],
                given,
            )
            self.assertEqual(trigger, self.shown(trigger))

    def test_what_is_shown_can_be_sent_again(self):
        for given, _ in GOOD_PROPERTIES:
            first = self.create(properties=properties(**given))['properties']
            self.assertEqual(first, self.create(properties=first)['properties'])

    def test_patterns_of_the_old_client(self):
        for pattern in (
            WEEKLY,
            WEEKLY.replace('\n', '\\n'),
            WEEKLY.replace('\n', '\r\n'),
            'BEGIN:VEVENT\nRRULE:FREQ=WEEKLY;BYDAY=TU\nEND:VEVENT',
        ):
            trigger = self.create(properties=properties(format='calendar', pattern=pattern))
            self.assertEqual(pattern, trigger['properties']['pattern'])

    def test_it_starts_now_unless_it_is_told_when(self):
        made = self.create(properties=properties(start_time=None))['properties']
        self.assertRegex(made['start_time'], r'^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\Z')

    def test_names(self):
        for name in ('Ünï ☃', '%', "'; --", 'n' * 255, '<b>', ' x '):
            self.assertEqual(name, self.create(name=name)['name'])
        for name in BAD_NAMES:
            self.assertIn('name', self.create(400, name=name))

    def test_properties_that_do_not_fit(self):
        for changes, part in BAD_PROPERTIES:
            given = {**base.TRIGGER_PROPERTIES, **changes}
            given = {name: value for name, value in given.items() if value is not None}
            self.assertIn(part, self.create(400, properties=given), changes)
        for given in (None, [], 'x', 5, {}, {'format': 'crontab', 'pattern': None}):
            self.assertIn('properties', self.create(400, properties=given))
        self.assertEqual(([], []), (self.rows(models.Trigger), self.rows(models.OperationLog)))

    def test_bodies_that_are_refused(self):
        for fields in (
            {'type': 'event'},
            {'type': None},
            {'type': 5},
            {'id': new_id()},
            {'project_id': OTHER_PROJECT_ID},
            {'colour': 'red'},
        ):
            self.create(400, **fields)
        whole = {'name': 'x', 'type': 'time', 'properties': properties()}
        for missing in whole:
            message = self.post(
                '/triggers',
                {'trigger_info': {name: value for name, value in whole.items() if name != missing}},
                400,
            )
            self.assertIn(missing, message)
        for body in (
            {},
            [],
            {'trigger_info': None},
            {'trigger_info': []},
            {'trigger': whole},
            {'trigger_info': whole, 'type': 'time'},
            whole,
        ):
            self.post('/triggers', body, 400)
        self.assertEqual([], self.rows(models.Trigger))

    def test_options_set_the_limits(self):
        self.config.config(min_interval=600, min_window_time=60, max_window_time=120)
        made = self.create(properties=properties(pattern='*/10 * * * *', window='120'))
        self.assertEqual(120, made['properties']['window'])
        made = self.create(properties=properties(window=None))
        self.assertEqual(60, made['properties']['window'])
        self.create(400, properties=properties(window=900))


class NextFiresTest(TriggersTestCase):
    """When it fires next is shown, whether or not something waits for it."""

    def fires(self, **changes: Any) -> list[str]:
        """Those of a new trigger, which are the same whenever they are shown."""
        made = self.create(properties=properties(**changes))
        self.assertEqual(made['next_fires'], self.shown(made)['next_fires'])
        self.assertEqual(made['next_fires'], self.change(made, name='new')['next_fires'])
        return made['next_fires']

    def test_from_now_on(self):
        first, *others = [datetime.datetime.fromisoformat(text) for text in self.fires()]
        day = datetime.timedelta(days=1)
        self.assertEqual([first + number * day for number in range(1, 5)], others)
        self.assertEqual(datetime.time(3), first.time())
        left = first - datetime.datetime.now(datetime.UTC).replace(tzinfo=None)
        self.assertTrue(datetime.timedelta() < left <= day, left)

    def test_from_the_start_on(self):
        self.assertEqual(
            [f'2040-01-0{day} 03:00:00' for day in range(5, 10)],
            self.fires(start_time='2040-01-05 00:00:00'),
        )

    def test_until_the_end(self):
        self.assertEqual(
            ['2040-01-05 03:00:00', '2040-01-06 03:00:00'],
            self.fires(start_time='2040-01-05 00:00:00', end_time='2040-01-06 03:00:00'),
        )
        self.assertEqual([], self.fires(end_time='2020-12-31 00:00:00'))

    def test_in_utc(self):
        """Three o'clock in Berlin is one hour earlier from the 25th of March 2040 on."""
        self.assertEqual(
            [
                '2040-03-23 02:00:00',
                '2040-03-24 02:00:00',
                '2040-03-25 01:00:00',
                '2040-03-26 01:00:00',
                '2040-03-27 01:00:00',
            ],
            self.fires(start_time='2040-03-23 00:00:00', timezone='Europe/Berlin'),
        )

    def test_of_a_calendar(self):
        self.assertEqual(
            [f'2040-01-{day} 04:05:06' for day in ('03', '10', '17', '24', '31')],
            self.fires(format='calendar', pattern=WEEKLY, start_time='2040-01-01 04:05:06'),
        )

    def test_without_the_jitter(self):
        self.assertEqual(
            ['2040-01-05 03:00:00'],
            self.fires(
                start_time='2040-01-05 00:00:00',
                end_time='2040-01-06 00:00:00',
                jitter=900,
                catch_up='latest',
            ),
        )

    def test_a_change(self):
        made = self.create()
        changed = self.change(
            made, properties=properties(pattern='0 4 * * *', start_time='2040-01-05 00:00:00')
        )
        self.assertEqual('2040-01-05 04:00:00', changed['next_fires'][0])


class ShowTriggerTest(TriggersTestCase):
    def test_ids(self):
        for method in ('GET', 'DELETE', 'PUT'):
            more = {'json': {'trigger_info': {'name': 'x'}}} if method == 'PUT' else {}
            missing = new_id()
            self.assertIn(missing, self.request(method, f'/triggers/{missing}', 404, **more))
            for name in ('nightly', '%00', '..', '1', "' OR 1=1"):
                self.request(method, f'/triggers/{name}', 400, **more)

    def test_another_project(self):
        trigger = self.create()
        path = f'/triggers/{trigger["id"]}'
        self.get(path, 404, **THEIRS)
        self.put(path, {'trigger_info': {'name': 'mine'}}, 404, **THEIRS)
        self.put(path, {'trigger_info': {'properties': {'pattern': 'x'}}}, 404, **THEIRS)
        self.delete(path, 404, **THEIRS)
        self.assertEqual([], self.get('/triggers', **THEIRS)['triggers'])
        self.assertEqual(trigger, self.shown(trigger))


class UpdateTriggerTest(TriggersTestCase):
    def setUp(self):
        super().setUp()
        self.trigger = self.create(properties=properties(window=1200, timezone='Asia/Tokyo'))

    def test_name(self):
        after = self.change(self.trigger, name='new')
        self.assertEqual({**self.trigger, 'name': 'new'}, after)
        self.assertEqual([self.listed(after)], self.get('/triggers')['triggers'])
        self.assertEqual(after, self.shown(after))

    def test_what_is_empty_changes_nothing(self):
        for fields in (
            {'name': ''},
            {},
            {'properties': {}},
            {'name': '', 'properties': {}},
            {'type': 'time'},
        ):
            self.assertEqual(self.trigger, self.change(self.trigger, **fields))
        self.assertEqual('new', self.change(self.trigger, name='new', properties={})['name'])

    def changed(self, **given: Any) -> dict[str, Any]:
        """The properties after a change of some, which are shown like that from then on."""
        after = self.change(self.trigger, properties=given)
        self.assertEqual(after, self.shown(self.trigger))
        return after['properties']

    def test_what_is_not_given_stays(self):
        expected = dict(self.trigger['properties'])
        for given in (
            {'pattern': '0 4 * * *'},
            {'format': 'crontab', 'pattern': '0 5 * * *'},
            {'start_time': '2021-01-01 00:00:00'},
            {'end_time': '2050-01-01 00:00:00'},
            {'jitter': 5},
            {'catch_up': 'latest'},
            {'window': 1500},
            {'timezone': 'Europe/Berlin'},
            {'format': 'calendar', 'pattern': WEEKLY},
        ):
            expected |= given
            self.assertEqual(expected, self.changed(**given))

    def test_what_is_null_goes(self):
        self.changed(jitter=5, catch_up='latest', end_time='2050-01-01 00:00:00')
        without = dict.fromkeys(('end_time', 'jitter', 'catch_up', 'timezone', 'window'))
        self.assertEqual(properties(), self.changed(**without))
        self.assertEqual(properties(pattern='0 4 * * *'), self.changed(pattern='0 4 * * *'))
        began = datetime.datetime.fromisoformat(self.changed(start_time=None)['start_time'])
        age = datetime.datetime.now(datetime.UTC).replace(tzinfo=None) - began
        self.assertLess(abs(age), datetime.timedelta(minutes=5))

    def test_what_may_not_be_null(self):
        for name in ('format', 'pattern'):
            self.assertIn(name, self.change(self.trigger, 400, properties={name: None}))
        self.post('/triggers', {'trigger_info': {'properties': {'timezone': None}}}, 400)
        self.create(400, properties={**properties(), 'timezone': None})

    def test_what_cannot_stay(self):
        """It is refused by its name, not dropped."""
        self.changed(end_time='2030-01-01 00:00:00', jitter=1100)
        before = self.shown(self.trigger)
        self.config.config(max_window_time=1150)
        for given, part in (
            ({'pattern': '0 4 * * *'}, 'window: 1200'),
            ({'window': 1000}, 'jitter: 1100'),
            ({'window': None}, 'jitter: 1100'),
            ({'window': 1150, 'start_time': '2031-01-01 00:00:00'}, 'end_time: 2030-01-01'),
            ({'window': 1150, 'format': 'calendar'}, 'pattern: '),
            ({'window': 1150, 'pattern': WEEKLY}, 'format is crontab'),
        ):
            self.assertIn(part, self.change(self.trigger, 400, properties=given), given)
        self.assertEqual(before, self.shown(self.trigger))

    def test_changes_of_different_properties_at_once_all_count(self):
        for hour in range(8):
            given = (
                {'pattern': f'0 {hour} * * *'},
                {'jitter': 100 + hour},
                {'window': 1300 + hour},
            )
            base.at_once(*[lambda each=each: self.changed_by(each) for each in given])
            shown = self.shown(self.trigger)['properties']
            for each in given:
                self.assertEqual(shown, {**shown, **each})

    def changed_by(self, given: dict[str, Any]) -> None:
        self.change(self.trigger, properties=given)

    def test_names_that_do_not_fit(self):
        for name in BAD_NAMES[1:]:
            self.assertIn('name', self.change(self.trigger, 400, name=name), name)
        self.assertEqual(self.trigger, self.shown(self.trigger))

    def test_properties_that_do_not_fit(self):
        for changes, part in BAD_PROPERTIES:
            given = {**base.TRIGGER_PROPERTIES, **changes}
            self.assertIn(part, self.change(self.trigger, 400, properties=given), changes)
        for fields in (
            {'type': 'event'},
            {'properties': None},
            {'properties': []},
            {'colour': 'red'},
            {'id': new_id()},
            {'name': 'x', 'type': None},
            {'name': 'new', 'properties': {'pattern': '0 4 * * *', 'colour': None}},
        ):
            self.change(self.trigger, 400, **fields)
        for body in ({}, [], {'trigger_info': []}, {'name': 'x'}):
            self.put(f'/triggers/{self.trigger["id"]}', body, 400)
        self.assertEqual(self.trigger, self.shown(self.trigger))

    def test_one_that_an_operation_waits_for(self):
        self.add_operation(self.trigger['id'])
        after = self.change(self.trigger, properties=properties(pattern='0 6 * * *'))
        self.assertEqual('0 6 * * *', after['properties']['pattern'])

    def test_changes_at_once_are_all_or_nothing(self):
        """Two changes at once leave the properties of one of them, not a mixture."""
        sets = [
            {**self.trigger['properties'], 'pattern': '0 1 * * *', 'window': 1000},
            {**self.trigger['properties'], 'pattern': '0 2 * * *', 'window': 1001},
        ]
        results = base.at_once(
            *[lambda given=given: self.change(self.trigger, properties=given) for given in sets * 3]
        )
        self.assertNotIn(None, results)
        self.assertIn(self.shown(self.trigger)['properties'], sets)


class DeleteTriggerTest(TriggersTestCase):
    def test_delete(self):
        trigger, kept = self.create(), self.create()
        result = self.client.simulate_delete(
            f'/v1/{PROJECT_ID}/triggers/{trigger["id"]}', headers={'X-Auth-Token': base.TOKEN}
        )
        self.assertEqual((200, b''), (result.status_code, result.content))
        self.get(f'/triggers/{trigger["id"]}', 404)
        self.delete(f'/triggers/{trigger["id"]}', 404)
        self.assertEqual({'triggers': [self.listed(kept)]}, self.get('/triggers'))

    def test_one_in_use(self):
        trigger = self.create()
        operation = self.add_operation(trigger['id'])
        message = self.delete(f'/triggers/{trigger["id"]}', 409)
        self.assertIn(operation.id, message)
        self.assertEqual(trigger, self.shown(trigger))
        with db.writer() as session:
            session.delete(session.get(models.ScheduledOperation, operation.id))
        self.delete(f'/triggers/{trigger["id"]}')

    def test_many_at_once(self):
        trigger = self.create()
        codes = base.at_once(
            *[
                lambda: (
                    self.client.simulate_delete(
                        f'/v1/{PROJECT_ID}/triggers/{trigger["id"]}',
                        headers={'X-Auth-Token': base.TOKEN},
                    ).status_code
                )
            ]
            * 4
        )
        self.assertEqual([200, 404, 404, 404], sorted(codes))
