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

import contextlib
import io
import json
from unittest import mock

from karbor import db
from karbor.cmd import manage, wiring
from karbor.db import jobs, models
from karbor.services import processes
from karbor.tests import base
from karbor.tests.base import PROJECT_ID, PROVIDER_ID, new_id


class ManageTest(base.TestCase):

    def setUp(self) -> None:
        super().setUp()
        # The options and the database are those of the test.
        self.enterContext(mock.patch.object(wiring, 'configure'))

    def run_manage(self, *arguments: str, code: int = 0) -> str:
        """What is printed, to whichever of the two."""
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            found = manage.main(arguments)
        self.assertEqual(code, found, printed.getvalue())
        return printed.getvalue()

    def job(self, state: str) -> str:
        @db.transaction
        def write(session: object) -> str:
            return jobs.create(session, 'protect', new_id(), new_id(), PROVIDER_ID, PROJECT_ID,
                               'user', state=state).id
        return write()

    def test_jobs(self):
        parked, pending = self.job('parked'), self.job('pending')
        listed = self.run_manage('job', 'list')
        self.assertIn(parked, listed)
        self.assertIn(pending, listed)
        self.assertNotIn(pending, self.run_manage('job', 'list', '--state', 'parked'))
        self.assertEqual('parked', json.loads(self.run_manage('job', 'show', parked))['state'])
        self.run_manage('job', 'retry', parked)
        self.assertIn('is pending', self.run_manage('job', 'retry', parked, code=1))
        self.run_manage('job', 'cancel', pending)
        self.assertEqual('failed', json.loads(self.run_manage('job', 'show', pending))['state'])
        self.assertIn('could not be found', self.run_manage('job', 'show', 'x', code=1))

    def test_purge(self):
        self.assertIn('operation_logs: 0', self.run_manage('db', 'purge', '--days', '30'))
        self.assertIn('checkpoints: 0',
                      self.run_manage('db', 'purge', '--days', '30', '--dry-run'))
        for wrong in ('0', '-1', 'x', '1000000'):
            with contextlib.redirect_stderr(io.StringIO()):
                self.assertRaises(SystemExit, self.run_manage, 'db', 'purge', '--days', wrong)

    def test_services(self):
        processes.report(processes.PROTECTION)
        self.assertIn('karbor-protection', self.run_manage('service', 'list'))

    def test_sync(self):
        self.run_manage('db', 'sync')
        self.assertEqual([], self.rows())

    @staticmethod
    def rows() -> list[models.Job]:
        with db.reader() as session:
            return session.query(models.Job).all()
