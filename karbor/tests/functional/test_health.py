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

import shutil
import threading
from unittest import mock

from oslo_db import exception as db_exc
from sqlalchemy import exc as sa_exc

from karbor import db, exception
from karbor.api import health
from karbor.services.jobs import boards
from karbor.services.protection import provider
from karbor.services.protection.bank_plugins import file_system_bank_plugin
from karbor.tests.base import PROVIDER_ID
from karbor.tests.functional import base, lists

SECOND_ID = '00000000-8b41-4c52-9a11-6f1f0f3b7c20'
SECRET = 'hunter2'
CHECKS = ('database', 'job_board', 'banks')

_Bank = file_system_bank_plugin.FileSystemBankPlugin
_in_process = base.in_process_only('what breaks is in this process')


class HealthTestCase(base.ApiTestCase):
    def setUp(self):
        super().setUp()
        self.build(
            provider.ProviderRegistry(self.provider_dir(name='second', provider_id=SECOND_ID))
        )
        self.work()

    def ready(self, code: int, **headers: str) -> dict[str, str]:
        """The checks that a look for readiness tells."""
        result = self.client.simulate_get('/healthcheck/ready', headers=headers)
        self.assertEqual(
            (code, 'application/json'), (result.status_code, result.headers['content-type'])
        )
        self.assertEqual({'status', 'checks'}, set(result.json))
        self.assertEqual('ok' if code == 200 else 'failed', result.json['status'])
        self.assertNotIn(SECRET, result.text)
        self.assertNotIn(str(self.temp_dir), result.text)
        for provider_id in (PROVIDER_ID, SECOND_ID):
            self.assertNotIn(provider_id, result.text)
        return result.json['checks']

    def assert_broken(self, *names: str) -> None:
        """Exactly those are said not to work; that the process lives is said as before."""
        self.assertEqual(
            {name: 'failed' if name in names else 'ok' for name in CHECKS},
            self.ready(503),
        )
        self.assert_alive()

    def assert_alive(self) -> None:
        result = self.client.simulate_get('/healthcheck')
        self.assertEqual((200, {'status': 'ok'}), (result.status_code, result.json))


class LivenessTest(HealthTestCase):
    def test_for_anybody(self):
        self.assert_alive()
        for headers in ({'X-Auth-Token': 'wrong'}, {'X-Auth-Token': base.TOKEN}):
            self.assertEqual(
                200, self.client.simulate_get('/healthcheck', headers=headers).status_code
            )

    def test_methods(self):
        for path in ('/healthcheck', '/healthcheck/ready'):
            for method in ('POST', 'PUT', 'DELETE', 'PATCH'):
                result = self.client.simulate_request(method, path)
                self.assertEqual(405, result.status_code)
                self.error_of(result)

    def test_load_balancers_ask_by_head(self):
        for path in ('/healthcheck', '/healthcheck/ready'):
            result = self.client.simulate_head(path)
            self.assertEqual((200, b''), (result.status_code, result.content), path)

    def test_there_is_no_more_below(self):
        for path in ('/healthcheck/x', '/healthcheck/ready/x', '/healthcheckx'):
            self.assertIn(self.client.simulate_get(path).status_code, (401, 404), path)

    def test_every_answer_has_a_request_id(self):
        for path in ('/healthcheck', '/healthcheck/ready'):
            self.assertIn('x-openstack-request-id', self.client.simulate_get(path).headers)


class ReadinessTest(HealthTestCase):
    def test_all_is_well(self):
        self.assertEqual(dict.fromkeys(CHECKS, 'ok'), self.ready(200))
        self.ready(200, **{'X-Auth-Token': 'wrong'})

    def test_to_look_leaves_nothing(self):
        for _ in range(2):
            self.ready(200)
        for found in self.registry:
            self.assertEqual([], found.bank.list_objects('/'))

    @_in_process
    def test_the_database(self):
        error = db_exc.DBConnectionError(f'mysql://karbor:{SECRET}@db.example/karbor')
        with mock.patch.object(db.api, 'reader', side_effect=error):
            self.assert_broken('database')
        self.ready(200)

    @_in_process
    def test_what_does_not_answer_is_not_waited_for(self):
        """It is said after a while, and one thread at most waits for it."""
        self.patch(health, '_PATIENCE', 0.1)
        asked, release = [], threading.Event()

        def hang() -> None:
            asked.append(1)
            release.wait(20)

        self.addCleanup(release.set)
        with mock.patch.object(_Bank, 'check', side_effect=hang):
            for _ in range(3):
                self.assert_broken('banks')
        self.assertEqual(2, len(asked))
        release.set()
        self.wait_until(
            lambda: self.client.simulate_get('/healthcheck/ready').status_code == 200,
            'the banks to work again',
        )

    def test_who_asks_while_another_is_answered(self):
        """The other's question begins between the first answer and the look at it."""
        release = threading.Event()
        self.addCleanup(release.set)
        check = health._Check('banks', 'x', lambda: None)
        attempt = check.begin()
        attempt.join()

        def monotonic() -> float:
            check._act = lambda: release.wait(20)
            check.begin()
            return 0.0

        with mock.patch.object(health, 'time', mock.Mock(monotonic=monotonic)):
            self.assertTrue(attempt.succeeds(1.0))

    def test_the_board_that_is_the_database(self):
        board = boards.DatabaseBoard()
        board.check()
        with mock.patch.object(boards.db, 'reader', side_effect=db_exc.DBError(SECRET)):
            self.assertRaises(db_exc.DBError, board.check)

    @_in_process
    def test_the_board_whose_threads_have_ended(self):
        self.board.end()
        self.assert_broken('job_board')

    @_in_process
    def test_the_board_that_was_not_started(self):
        self.build(self.registry)
        self.assert_broken('job_board')
        self.work()
        self.ready(200)

    @_in_process
    def test_a_bank_that_raises(self):
        for error in (
            exception.BankGetObjectFailed(key='x', reason=SECRET),
            OSError(SECRET),
            RuntimeError(SECRET),
            ValueError(),
            TimeoutError(SECRET),
        ):
            plugin = self.registry.get(PROVIDER_ID).bank._plugin
            with mock.patch.object(plugin, 'get_object', side_effect=error):
                self.assert_broken('banks')
        self.ready(200)

    @_in_process
    def test_every_bank(self):
        with mock.patch.object(_Bank, 'get_object', side_effect=OSError(SECRET)):
            self.assert_broken('banks')

    def test_a_bank_whose_folder_is_gone(self):
        """As a file system that is not mounted: what is written now would be lost from sight."""
        shutil.rmtree(self.temp_dir / 'bank-provider')
        self.assert_broken('banks')

    def test_a_bank_whose_folder_is_a_file(self):
        shutil.rmtree(self.temp_dir / 'bank-second')
        (self.temp_dir / 'bank-second').write_text(SECRET)
        self.assert_broken('banks')

    @_in_process
    def test_all_at_once(self):
        self.board.end()
        with (
            mock.patch.object(db.api, 'reader', side_effect=db_exc.DBError(SECRET)),
            mock.patch.object(_Bank, 'get_object', side_effect=OSError(SECRET)),
        ):
            self.assert_broken('database', 'job_board', 'banks')

    @_in_process
    def test_the_log_has_the_reason(self):
        with (
            mock.patch.object(db.api, 'reader', side_effect=db_exc.DBError('the reason')),
            mock.patch.object(health.LOG, 'error') as error,
        ):
            self.ready(503)
        self.assertIn('the reason', str(error.call_args))

    @_in_process
    def test_and_whose_bank_it_is(self):
        plugin = self.registry.get(SECOND_ID).bank._plugin
        with (
            mock.patch.object(plugin, 'get_object', side_effect=OSError('the reason')),
            mock.patch.object(health.LOG, 'error') as error,
        ):
            self.assert_broken('banks')
        ((_, name, _, _),) = [call.args for call in error.call_args_list]
        self.assertIn(f'bank of {SECOND_ID}', name)


class DatabaseAwayTest(base.ApiTestCase):
    """What cannot be done without the database is answered with 503, and tells nothing."""

    @_in_process
    def test_every_list_and_every_change(self):
        plan = self.create_plan()
        for error in (
            db_exc.DBConnectionError(SECRET),
            sa_exc.TimeoutError(SECRET),
            db.DatabaseUnusable(sa_exc.OperationalError(SECRET, {}, Exception())),
        ):
            with (
                mock.patch.object(db, 'reader', side_effect=error),
                mock.patch.object(db, 'plain_reader', side_effect=error),
                mock.patch.object(db.api, 'writer', side_effect=error),
            ):
                for which in lists.LISTS:
                    self.assertNotIn(SECRET, self.get(which.path, 503))
                for method, path, body in (
                    ('POST', '/plans', self.plan_body()),
                    ('PUT', f'/plans/{plan["id"]}', {'plan': {'name': 'new'}}),
                    ('DELETE', f'/plans/{plan["id"]}', None),
                    ('POST', self.checkpoints_path(), {'checkpoint': {'plan_id': plan['id']}}),
                ):
                    more = {} if body is None else {'json': body}
                    self.assertNotIn(SECRET, self.request(method, path, 503, **more))
            self.assertEqual({'plans': [plan]}, self.get('/plans'))

    @_in_process
    def test_a_full_disk(self):
        error = sa_exc.OperationalError('', {}, Exception('database or disk is full'))
        with mock.patch.object(db, 'plain_reader', side_effect=db.DatabaseUnusable(error)):
            answer = self.get('/plans', 503)
        self.assertIn('The disk of the database is full', str(answer))
