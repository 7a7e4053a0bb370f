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

"""The old client's and dashboard's requests are answered as they need it."""

import json
from typing import Any

from oslo_utils import timeutils

from karbor.db import models
from karbor.tests.base import PROJECT_ID, PROVIDER_ID
from karbor.tests.functional import old_requests, test_schedules
from karbor.tests.functional.old_requests import Request


class OldRequestsTest(test_schedules.SchedulesTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.config.config(min_window_time=60)  # as the request has it
        volume = self.volume()
        checkpoint = self.protected(volume)
        uses = {
            kind: self.ended_use(kind, self.use(kind, checkpoint))
            for kind in ('restore', 'verification')
        }
        service = self.add_row(
            models.Service,
            host='h',
            binary='karbor-operationengine',
            reported_at=timeutils.utcnow(),
        )
        self.ids = {
            'PROJECT': PROJECT_ID,
            'PROVIDER': PROVIDER_ID,
            'VOLUME': volume['id'],
            'PLAN': self.plan['id'],
            'CHECKPOINT': checkpoint['id'],
            'RESTORE': uses['restore']['id'],
            'VERIFICATION': uses['verification']['id'],
            'TRIGGER': self.trigger['id'],
            'OPERATION': self.create_operation()['id'],
            'LOG': self.get('/operation_logs')['operation_logs'][0]['id'],
            'SERVICE': str(service.id),
        }

    def filled(self, value: Any) -> Any:
        """The same with ids in the place of words."""
        text = json.dumps(value)
        for word, resource_id in self.ids.items():
            text = text.replace(word, resource_id)
        return json.loads(text)

    def replay(self, request: Request) -> None:
        self.settle()
        more = {} if request.body is None else {'json': self.filled(request.body)}
        answer = self.request(
            request.method,
            self.filled(request.path),
            request.code,
            persona=request.persona,
            **more,
        )
        if request.wrapper is None:
            return
        self.assertIn(request.wrapper, answer, request)
        shown = answer[request.wrapper]
        for fields in shown if isinstance(shown, list) else [shown]:
            if isinstance(fields, dict):
                self.assertEqual(set(), set(request.needed) - set(fields), request)
                nulls = [name for name in request.not_null if fields.get(name, '') is None]
                self.assertEqual([], nulls, request)

    def settle(self) -> None:
        """Wait until nothing works on the checkpoint, as people do."""
        path = self.checkpoints_path(self.ids['CHECKPOINT'])
        self.ended(path, 'checkpoint')
        for kind in ('restore', 'verification'):
            for use in self.get(f'/{kind}s')[f'{kind}s']:
                self.ended_use(kind, use)

    def test_reads(self) -> None:
        for request in old_requests.READS:
            self.replay(request)

    def test_writes(self) -> None:
        for request in old_requests.WRITES:
            self.replay(request)

    def test_deletes(self) -> None:
        for request in old_requests.DELETES:
            self.replay(request)
        checkpoint = self.ended_checkpoint({'id': self.ids['CHECKPOINT']})
        self.assertEqual('deleted', checkpoint['status'])
