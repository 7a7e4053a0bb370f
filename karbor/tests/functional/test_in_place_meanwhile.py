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

"""Restores in place of volumes that others use, or restore, at the same time."""

import functools

from karbor import db
from karbor.common.constants import RecoveryPointState as State
from karbor.db import models
from karbor.services.checkpoints import plans
from karbor.services.protection import graph, provider
from karbor.testing.fake_cinder import Fault
from karbor.tests.base import new_id
from karbor.tests.functional.base import VOLUME
from karbor.tests.functional.test_restores_in_place import InPlaceTestCase


class OthersTest(InPlaceTestCase):
    def test_somebody_uses_it_meanwhile(self):
        volume, (checkpoint,) = self.held('first')

        def use() -> None:
            self.cinder.volumes[volume['id']]['updated_at'] = '2026-01-01T00:00:01.000000'

        self.glance.faults = [Fault('PUT', hook=use)]
        reason = self.failed(self.restored(checkpoint))
        self.assertIn('2026-01-01T00:00:01', reason)
        self.assertIn('nothing was overwritten', reason)
        self.assertEqual('now', self.content(volume))

    def test_what_is_left_out_may_be_in_use(self):
        volumes = [self.volume() for _ in range(2)]
        checkpoint = self.protected(*volumes)
        with db.writer() as session:
            session.query(models.RecoveryPoint).filter_by(resource_id=volumes[0]['id']).update(
                {'state': State.MISSING}
            )
        self.cinder.volumes[volumes[0]['id']]['status'] = 'in-use'
        self.in_place(checkpoint, 409)
        restore = self.restored(checkpoint, partial=True)
        self.assertEqual('success', restore['status'], restore)
        ends = {each['id']: each['end'] for each in restore['results']}
        self.assertEqual(['left_out', 'restored'], [ends[each['id']] for each in volumes])

    def test_somebody_attaches_it_meanwhile(self):
        volume, (checkpoint,) = self.held('first')

        def attach() -> None:
            self.cinder.volumes[volume['id']].update(
                status='in-use', attachments=[{'server_id': 'web', 'device': '/dev/vdb'}]
            )

        self.glance.faults = [Fault('PUT', hook=attach)]
        self.assertIn('attached to web', self.failed(self.restored(checkpoint)))
        self.assertEqual('now', self.content(volume))

    def test_somebody_else_gets_it_meanwhile(self):
        volume, (checkpoint,) = self.held('first')
        self.cinder.is_admin = True

        def transfer() -> None:
            self.cinder.volumes[volume['id']]['os-vol-tenant-attr:tenant_id'] = new_id()

        self.cinder.faults = [Fault('POST', '/snapshots', hook=transfer, times=1)]
        self.assertIn('another project', self.failed(self.restored(checkpoint)))
        self.assertUntouched(volume)

    def test_what_others_do_to_it_is_not_taken_for_ours(self):
        for status in ('downloading', 'error'):
            volume, (checkpoint,) = self.held('first')
            shown = self.cinder.volumes[volume['id']]
            self.glance.faults = [Fault('PUT', hook=functools.partial(shown.update, status=status))]
            reason = self.failed(self.restored(checkpoint))
            self.assertIn(f'in status {status}', reason)
            self.assertIn('nothing was overwritten', reason)
            self.assertEqual([], self.reimages())


class ImpatientTest(InPlaceTestCase):
    """Each request is sent once."""

    def build(self, registry: provider.ProviderRegistry) -> None:
        del registry
        super().build(provider.ProviderRegistry(self.provider_dir(retry_timeout=0)))

    def test_the_last_answer_is_lost(self):
        volume, (checkpoint,) = self.held('first')
        self.cinder.faults = [Fault('POST', '/action', reset='after', times=1)]
        restore = self.restored(checkpoint)
        self.assertEqual('success', restore['status'], restore)
        self.assertEqual('first', self.content(volume))
        self.assertNothingIsLeft()

    def test_the_last_answer_is_lost_and_the_look_behind_it(self):
        volume, (checkpoint,) = self.held('first')

        def be_gone() -> None:
            self.cinder.faults.append(Fault('GET', reset='before'))

        self.cinder.faults = [Fault('POST', '/action', reset='after', times=1, hook=be_gone)]
        restore = self.restored(checkpoint)
        (result,) = restore['results']
        for words in ('was asked to write it', 'not known', restore['safety_checkpoint_id']):
            self.assertIn(words, result['reason'])
        self.cinder.faults = []
        self.wait_until(
            lambda: (
                self.cinder.look('volumes', self.cinder.volumes[volume['id']])['status']
                == 'available'
            ),
            'what Cinder has begun',
        )


class HeldTest(InPlaceTestCase):
    """Nothing is worked on, so that all of it waits."""

    def work(self) -> None:
        pass

    def test_two_of_one_volume(self):
        volumes = [self.volume() for _ in range(2)]
        rows = [
            self.add_row(
                models.Checkpoint,
                resource_graph=graph.serialize(
                    [graph.GraphNode(plans.as_resource(each)) for each in volumes]
                ),
            )
            for _ in range(2)
        ]
        first, second = ({'id': row.id} for row in rows)
        named = [{'type': VOLUME, 'id': each['id']} for each in volumes]
        restore = self.in_place(first, resources=named[:1])
        for checkpoint in (first, second):
            message = self.in_place(checkpoint, 409)
            self.assertIn(f'the restore {restore["id"]} of {VOLUME}#{volumes[0]["id"]}', message)
        self.assertEqual(1, len(self.rows(models.Restore)))
        # The other volume, or a new one, is another matter.
        self.in_place(second, resources=named[1:])
        self.use('restore', second, resources=named)
