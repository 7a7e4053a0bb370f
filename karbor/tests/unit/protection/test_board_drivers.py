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

from unittest import mock

from oslotest import base

from karbor import exception
from karbor.services.protection import board_drivers


class ParseTest(base.BaseTestCase):

    def test_redis(self) -> None:
        found = board_drivers.parse('redis://me:a%2Fb@board:7000/3?sentinel=main')
        self.assertIsInstance(found, board_drivers.Redis)
        self.assertEqual(
            {'board': 'redis', 'namespace': 'karbor', 'host': 'board', 'port': 7000,
             'username': 'me', 'password': 'a/b', 'db': '3', 'sentinel': 'main',
             'socket_timeout': 3.0, 'socket_connect_timeout': 3.0}, found.options)

    def test_redis_with_tls(self) -> None:
        options = board_drivers.parse('rediss://board').options
        self.assertEqual((True, 6379), (options['ssl'], options['port']))

    def test_etcd(self) -> None:
        found = board_drivers.parse('etcd://board?protocol=https&ca_cert=/etc/ca.pem')
        self.assertIsInstance(found, board_drivers.Etcd)
        self.assertEqual(
            {'board': 'etcd', 'path': 'karbor', 'host': 'board', 'port': 2379,
             'protocol': 'https', 'ca_cert': '/etc/ca.pem', 'timeout': 3.0}, found.options)

    def test_zookeeper(self) -> None:
        found = board_drivers.parse('zookeeper://one:2181,two:2182')
        self.assertIsInstance(found, board_drivers.ZooKeeper)
        self.assertEqual('one:2181,two:2182', found.options['hosts'])

    def test_what_cannot_be_understood(self) -> None:
        for connection in ('redis', 'rodis://board', 'redis://', 'etcd://:2379',
                           'redis://board:port', 'zookeeper://', 'redis://board?x', ''):
            error = self.assertRaises(exception.InvalidInput, board_drivers.parse, connection)
            self.assertIn('[jobboard] connection', error.msg)

    def test_a_password_is_not_told(self) -> None:
        error = self.assertRaises(
            exception.InvalidInput, board_drivers.parse, 'redis://me:secret@board:port')
        self.assertNotIn('secret', str(error))

    def test_a_library_that_is_missing_is_named(self) -> None:
        with mock.patch.object(board_drivers.importlib, 'import_module',
                               side_effect=ImportError):
            error = self.assertRaises(
                exception.InvalidInput, board_drivers.parse, 'zookeeper://board')
        self.assertIn('kazoo', error.msg)
