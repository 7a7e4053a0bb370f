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

import pathlib
import socket
import time
import traceback
from unittest import mock

import fixtures
from oslotest import base

from karbor import exception
from karbor.services.jobs import taskflow_board, taskflow_drivers
from karbor.tests.libraries import without


class ParseTest(base.BaseTestCase):
    def test_redis(self) -> None:
        found = taskflow_drivers.parse('redis://me:a%2Fb@board:7000/3?health_check_interval=7')
        self.assertEqual({'board': 'redis', 'namespace': 'karbor'}, found.options)
        given = found.client().connection_pool.connection_kwargs
        for name, value in (
            ('host', 'board'),
            ('port', 7000),
            ('db', 3),
            ('username', 'me'),
            ('password', 'a/b'),
            ('health_check_interval', 7),
            ('socket_timeout', 2.0),
        ):
            self.assertEqual(value, given[name])

    def test_redis_with_tls(self) -> None:
        found = taskflow_drivers.parse('rediss://board').client()
        self.assertEqual('SSLConnection', found.connection_pool.connection_class.__name__)

    def test_etcd(self) -> None:
        ca_file = self.useFixture(fixtures.TempDir()).join('ca.pem')
        pathlib.Path(ca_file).touch()
        found = taskflow_drivers.parse(f'etcd://127.0.0.1?protocol=https&ca_cert={ca_file}')
        self.assertEqual({'board': 'etcd', 'path': 'karbor'}, found.options)
        with mock.patch('etcd3gw.client') as made:
            found.client()
        made.assert_called_once_with(
            host='127.0.0.1', port=2379, protocol='https', ca_cert=ca_file, timeout=2.0
        )
        self.assertEqual('mine/jobs', taskflow_drivers.parse('etcd://b/mine/jobs').options['path'])

    def test_zookeeper(self) -> None:
        found = taskflow_drivers.parse('zookeeper://one:2181,two:2182/mine')
        self.assertEqual('/mine/jobs', found.options['path'])
        client = found.client()
        self.addCleanup(client.close)
        self.assertEqual({('one', 2181), ('two', 2182)}, set(client.hosts))

    def test_what_cannot_be_understood(self) -> None:
        for connection in (
            'redis',
            'rodis://board',
            'redis://',
            'etcd://:2379',
            'redis://board:port',
            'redis://board:0',
            'zookeeper://',
            '',
            'redis://board?nonsense=1',
            'redis://board?socket_timeout=x',
            'etcd://board?timeout=3',
            'etcd://board?ca_cert=/not/there',
            'etcd://me:secret@board',
            'zookeeper://me:secret@board',
            'zookeeper://board?x=1',
        ):
            error = self.assertRaises(exception.InvalidInput, taskflow_drivers.parse, connection)
            self.assertIn('[jobboard] connection', error.msg)

    def test_a_password_is_not_told(self) -> None:
        for connection in (
            'redis://me:secret@board:port',
            'redis://me:1/secret@board',
            'redis://me:1?secret@board',
            'redis://me:1#secret@board',
            'rediss://secret/secret:1@board',
            'etcd://me:1/secret@board',
            'zookeeper://me:1/secret@board',
            'redis://me:[secret@board',
        ):
            error = self.assertRaises(exception.InvalidInput, taskflow_drivers.parse, connection)
            self.assertNotIn('secret', ''.join(traceback.format_exception(error)))

    def test_a_library_that_is_missing_is_named(self) -> None:
        for connection, extra, module in (
            ('redis://board', 'redis', 'redis'),
            ('rediss://board', 'redis', 'taskflow'),
            ('etcd://board', 'etcd', 'etcd3gw'),
            ('zookeeper://board', 'zookeeper', 'kazoo'),
        ):
            with without(module):
                error = self.assertRaises(
                    exception.ExtraMissing, taskflow_drivers.parse, connection
                )
            self.assertEqual(
                f"[jobboard] connection needs karbor[{extra}]: pip install 'karbor[{extra}]'",
                error.msg,
            )


class SilentServerTest(base.BaseTestCase):
    """A server that takes connections, as a paused machine does, and does not answer."""

    def test_nobody_waits_for_long(self) -> None:
        server = socket.create_server(('127.0.0.1', 0), backlog=100)
        self.addCleanup(server.close)
        with mock.patch.object(taskflow_drivers, '_TIMEOUT', 0.1):
            for kind in ('redis', 'etcd'):
                board = taskflow_board.TaskFlowBoard(
                    taskflow_drivers.parse(f'{kind}://127.0.0.1:{server.getsockname()[1]}'),
                    'me',
                    60,
                )
                begun = time.monotonic()
                self.assertFalse(board.answers())
                self.assertLess(time.monotonic() - begun, 1, kind)
