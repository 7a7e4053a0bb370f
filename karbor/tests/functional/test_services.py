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

from oslo_config import cfg
from oslo_utils import timeutils

from karbor.db import models
from karbor.services import processes
from karbor.tests.functional import base


class ServicesTest(base.ApiTestCase):
    def add(
        self, binary: str = 'karbor-protection', host: str = 'h1', age: float = 0, **fields: Any
    ) -> int:
        """A process that has reported some seconds ago; returns its id."""
        return self.add_row(
            models.Service,
            **{
                'binary': binary,
                'host': host,
                'disabled': False,
                'reported_at': timeutils.utcnow() - datetime.timedelta(seconds=age),
                **fields,
            },
        ).id

    def listed(self, **query: str) -> list[dict[str, Any]]:
        return self.get('/os-services', params=query, persona='admin')['services']

    def put_status(self, service_id: Any, code: int = 200, **body: Any) -> Any:
        answer = self.put(f'/os-services/{service_id}', body, code, persona='admin')
        return answer['service'] if code == 200 else answer

    def test_none(self):
        self.assertEqual([], self.listed())

    def test_what_is_shown(self):
        moment = datetime.datetime(2020, 11, 5, 10, 15, 2)
        service_id = self.add(reported_at=moment, disabled=True, disabled_reason='mending')
        self.assertEqual(
            [
                {
                    'id': service_id,
                    'binary': 'karbor-protection',
                    'host': 'h1',
                    'status': 'disabled',
                    'state': 'down',
                    'updated_at': '2020-11-05T10:15:02.000000',
                    'disabled_reason': 'mending',
                }
            ],
            self.listed(),
        )

    def test_up_is_who_reported_lately(self):
        self.config.config(service_down_time=100)
        ids = [
            self.add(host='a'),
            self.add(host='b', age=80),
            self.add(host='c', age=101),
            self.add(host='d', age=100_000),
        ]
        self.assertEqual(
            dict(zip(ids, ('up', 'up', 'down', 'down'), strict=True)),
            {item['id']: item['state'] for item in self.listed()},
        )

    def test_filters(self):
        one = self.add(host='h1', binary='karbor-protection')
        two = self.add(host='h1', binary='karbor-operationengine')
        three = self.add(host='h2%', binary='karbor-protection')
        for query, expected in (
            ({}, [one, two, three]),
            ({'host': 'h1'}, [one, two]),
            ({'host': 'h2%'}, [three]),
            ({'host': 'h%'}, []),
            ({'host': 'h'}, []),
            ({'host': ''}, [one, two, three]),
            ({'binary': 'karbor-protection'}, [one, three]),
            ({'binary': 'karbor-protection', 'host': 'h1'}, [one]),
            ({'binary': 'karbor'}, []),
        ):
            self.assertEqual(expected, [item['id'] for item in self.listed(**query)], query)
        self.get('/os-services', 400, params={'host': '\x00'}, persona='admin')
        message = self.get('/os-services', 400, params={'colour': 'red'}, persona='admin')
        self.assertIn("'colour' is no parameter of this request; there are binary, host", message)

    def test_disable_and_enable(self):
        for binary in ('karbor-protection', 'karbor-operationengine'):
            service_id = self.add(binary)
            shown = self.put_status(service_id, status='disabled', disabled_reason='mending')
            self.assertEqual(('disabled', 'mending'), (shown['status'], shown['disabled_reason']))
            self.assertIn(shown, self.listed())
            shown = self.put_status(service_id, status='disabled')
            self.assertEqual('mending', shown['disabled_reason'])
            shown = self.put_status(service_id, status='disabled', disabled_reason=None)
            self.assertIsNone(shown['disabled_reason'])
            self.put_status(service_id, status='disabled', disabled_reason='again')
            shown = self.put_status(service_id, status='enabled')
            self.assertEqual(('enabled', None), (shown['status'], shown['disabled_reason']))
            self.assertIn(shown, self.listed())

    def test_to_disable_has_an_effect(self):
        binary = processes.PROTECTION
        self.assertTrue(processes.report(binary))
        (service,) = self.listed()
        self.assertEqual(
            (binary, cfg.CONF.host, 'up', 'enabled'),
            tuple(service[name] for name in ('binary', 'host', 'state', 'status')),
        )
        self.put_status(service['id'], status='disabled')
        self.assertFalse(processes.report(binary))
        self.put_status(service['id'], status='enabled')
        self.assertTrue(processes.report(binary))
        self.assertEqual(1, len(self.listed()))

    def test_to_disable_is_no_report(self):
        service_id = self.add(age=10_000)
        shown = self.put_status(service_id, status='disabled')
        self.assertEqual('down', shown['state'])

    def test_what_is_not_allowed(self):
        service_id = self.add()
        for body in (
            {},
            {'status': 'x'},
            {'status': None},
            {'status': 5},
            {'status': 'ENABLED'},
            {'disabled_reason': 'x'},
            {'status': 'enabled', 'disabled_reason': 'x'},
            {'status': 'disabled', 'disabled_reason': 'x' * 256},
            {'status': 'disabled', 'disabled_reason': 'a\x01'},
            {'status': 'disabled', 'disabled_reason': 5},
            {'status': 'disabled', 'colour': 'red'},
            {'service': {'status': 'disabled'}},
        ):
            self.put_status(service_id, 400, **body)
        self.request('PUT', f'/os-services/{service_id}', 400, persona='admin')
        self.put(f'/os-services/{service_id}', [], 400, persona='admin')
        self.assertEqual(['enabled'], [item['status'] for item in self.listed()])

    def test_a_process_that_takes_no_work(self):
        service_id = self.add('karbor-api')
        self.assertIn('karbor-api', self.put_status(service_id, 400, status='disabled'))

    def test_ids(self):
        self.assertIn('9', self.put_status(9, 404, status='enabled'))
        for service_id in ('x', '-1', '1.5', '9' * 10, '9' * 5000, '%00', '\u0661', '1%0a', '0x1'):
            self.put_status(service_id, 400, status='enabled')

    def test_what_there_is_not(self):
        service_id = self.add()
        for method, path in (
            ('GET', f'/os-services/{service_id}'),
            ('POST', '/os-services'),
            ('DELETE', f'/os-services/{service_id}'),
        ):
            self.request(method, path, 405, persona='admin')
