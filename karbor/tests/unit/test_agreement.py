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
"""When the audit of storms says that recovery points, the bank and Cinder do not agree."""

import dataclasses
import datetime
from typing import Any

from oslotest import base

from karbor.common import constants
from karbor.db import models
from karbor.resource import Resource
from karbor.services.protection import graph
from karbor.tests.integration import agreement
from karbor.tests.integration.agreement import BankCheckpoint, BankRecord, Evidence, Snapshot

VOLUME, PROJECT = constants.VOLUME_RESOURCE_TYPE, constants.PROJECT_RESOURCE_TYPE
TAKEN_AT = datetime.datetime(2026, 11, 26, 2, 30, 1, 123456)
NAMES = frozenset(('status', 'metadata'))
GOOD = BankRecord(status='available', snapshot_id='s1', size=2, created_at=TAKEN_AT, names=NAMES)
MARKED_DELETED = BankRecord(status='deleted', names=frozenset(('status',)))


def checkpoint(status: str = 'available', ids: str = '1') -> models.Checkpoint:
    """One of a project with volumes."""
    volumes = tuple(graph.GraphNode(Resource(VOLUME, f'v{number}', '')) for number in ids)
    root = graph.GraphNode(Resource(PROJECT, 'p', ''), volumes)
    return models.Checkpoint(id='c', status=status, resource_graph=graph.serialize([root]))


def point(number: str = '1', state: str = 'good', **fields: Any) -> models.RecoveryPoint:
    saved = {'cloud_id': f's{number}', 'size': 2, 'taken_at': TAKEN_AT}
    return models.RecoveryPoint(
        checkpoint_id='c',
        resource_type=VOLUME,
        resource_id=f'v{number}',
        state=state,
        **{**saved, **fields},
    )


def snapshot(number: str = '1', **fields: Any) -> Snapshot:
    made = Snapshot(
        id=f's{number}',
        volume_id=f'v{number}',
        checkpoint_id='c',
        status='available',
        size=2,
        created_at=TAKEN_AT,
    )
    return dataclasses.replace(made, **fields)


def banked(status: str = 'available', ids: str = '1', **records: BankRecord) -> BankCheckpoint:
    volumes = {(VOLUME, f'v{number}') for number in ids}
    return BankCheckpoint(
        status=status, resources=frozenset({(PROJECT, 'p'), *volumes}), records=records
    )


WHOLE = Evidence(
    checkpoint=checkpoint(),
    points=[point()],
    bank=banked(v1=GOOD),
    snapshots={'s1': snapshot()},
)
DELETED = Evidence(
    checkpoint=checkpoint('deleted'),
    points=[point(state='deleted')],
    bank=BankCheckpoint(),
    snapshots={},
)


class AgreementTest(base.BaseTestCase):
    def told(self, evidence: Evidence = WHOLE, **changes: Any) -> list[str]:
        return agreement.disagreements(dataclasses.replace(evidence, **changes))

    def assert_told(self, *parts: str, evidence: Evidence = WHOLE, **changes: Any) -> None:
        """Each sentence has one of the parts, in this order, and there are no others."""
        told = self.told(evidence, **changes)
        self.assertEqual(len(parts), len(told), told)
        for part, text in zip(parts, told, strict=True):
            self.assertIn(part, text)

    def test_all_agree(self):
        self.assert_told()
        self.assert_told(evidence=DELETED)

    def test_cinder_has_not_what_a_good_point_tells_of(self):
        self.assert_told('Cinder has no snapshot s1', snapshots={})
        for name, value in (
            ('status', 'error'),
            ('checkpoint_id', None),
            ('size', 3),
            ('created_at', TAKEN_AT.replace(microsecond=0)),
        ):
            wrong = snapshot(**{name: value})
            self.assert_told(f'{name} of s1 in Cinder is {value}', snapshots={'s1': wrong})

    def test_the_snapshot_is_of_another_volume(self):
        self.assert_told(
            'volume_id of s1 in Cinder is v2',
            'Cinder has s1 of v2, of which there is no point',
            snapshots={'s1': snapshot(volume_id='v2')},
        )

    def test_the_bank_has_not_what_a_good_point_tells_of(self):
        for wrong in (
            BankRecord(),
            dataclasses.replace(GOOD, status='protecting'),
            dataclasses.replace(GOOD, snapshot_id='s9'),
            dataclasses.replace(GOOD, size=1),
            dataclasses.replace(GOOD, created_at=None),
        ):
            self.assert_told('the bank tells', bank=banked(v1=wrong))
        self.assert_told('the bank tells', bank=banked())

    def test_a_good_point_of_which_the_row_does_not_know_what_the_bank_knows(self):
        self.assert_told('no snapshot None', 'the bank tells', points=[point(cloud_id=None)])
        self.assert_told('the bank tells', points=[point(taken_at=None)])

    def test_karbors_of_before_have_not_kept_the_moment(self):
        self.assert_told(
            points=[point(taken_at=None)],
            bank=banked(v1=dataclasses.replace(GOOD, created_at=None)),
        )

    def test_the_index_of_what_is_available(self):
        self.assert_told('available, and error by the bank', bank=banked('error', v1=GOOD))
        self.assert_told('available, and None', bank=BankCheckpoint(records={'v1': GOOD}))
        self.assert_told('other resources', bank=banked(ids='12', v1=GOOD))

    def test_the_index_of_what_failed_may_be_anything(self):
        for bank in (banked('protecting', v1=GOOD), BankCheckpoint(records={'v1': GOOD})):
            self.assert_told(checkpoint=checkpoint('error'), bank=bank)

    def test_a_resource_without_a_point(self):
        self.assert_told(
            'no point of v2', checkpoint=checkpoint(ids='12'), bank=banked(ids='12', v1=GOOD)
        )
        self.assert_told('no point of v1', evidence=DELETED, points=[])

    def test_a_resource_with_two_points(self):
        self.assert_told('2 points of v1', points=[point(), point()])

    def test_a_project_has_no_point(self):
        of_project = point(state='deleted')
        of_project.resource_type, of_project.resource_id = PROJECT, 'p'
        self.assert_told('there is a point of p, a project', points=[point(), of_project])

    def test_what_is_left_out_as_it_is_gone(self):
        self.assert_told(
            'the checkpoint is without that resource',
            'Cinder has no snapshot s2',
            'the bank tells',
            points=[point(), point('2')],
        )
        self.assert_told(
            'the bank has v2, of which there is no point',
            'Cinder has s2 of v2, of which there is no point',
            bank=banked(v1=GOOD, v2=BankRecord(status='protecting')),
            snapshots={'s1': snapshot(), 's2': snapshot('2')},
        )

    def test_what_is_removed_from_a_checkpoint_that_stays(self):
        points = [point(), point('2', 'deleted')]
        self.assert_told(points=points)
        self.assert_told(points=points, bank=banked(v1=GOOD, v2=MARKED_DELETED))
        for left in (
            dataclasses.replace(MARKED_DELETED, names=NAMES),
            dataclasses.replace(MARKED_DELETED, status='deleting'),
        ):
            self.assert_told('the bank has', points=points, bank=banked(v1=GOOD, v2=left))
        self.assert_told(
            'Cinder has s2', points=points, snapshots={'s1': snapshot(), 's2': snapshot('2')}
        )

    def test_what_is_removed_is_not_in_the_graph_any_more(self):
        self.assert_told(
            'is deleted, and the checkpoint has that resource',
            checkpoint=checkpoint(ids='12'),
            bank=banked(ids='12', v1=GOOD),
            points=[point(), point('2', 'deleted')],
        )

    def test_what_could_not_be_removed(self):
        failed = point('2', 'failed', reason='busy')
        self.assert_told(
            points=[point(), failed],
            bank=banked(v1=GOOD, v2=BankRecord(status='error', snapshot_id='s2')),
            snapshots={'s1': snapshot(), 's2': snapshot('2')},
            has_failed_job=True,
        )

    def test_what_could_not_be_protected(self):
        changes = {
            'checkpoint': checkpoint('error', '12'),
            'bank': banked('error', '12', v1=GOOD, v2=BankRecord(status='error')),
            'snapshots': {'s1': snapshot(), 's2': snapshot('2', status='error')},
        }
        failed = point('2', 'failed', reason='full')
        self.assert_told(points=[point(), failed], has_failed_job=True, **changes)
        self.assert_told('no job has failed', points=[point(), failed], **changes)
        failed.reason = None
        self.assert_told(
            'there is no reason', points=[point(), failed], has_failed_job=True, **changes
        )

    def test_a_deletion_that_failed_in_part(self):
        self.assert_told(
            checkpoint=checkpoint('error-deleting', '12'),
            points=[point(state='deleted'), point('2', 'failed', reason='busy')],
            bank=banked('error-deleting', '12', v1=MARKED_DELETED, v2=BankRecord(status='error')),
            snapshots={'s2': snapshot('2')},
            has_failed_job=True,
        )

    def test_what_goes_on_without_a_job_and_what_is_lost(self):
        for state in ('making', 'deleting', 'missing', 'unknown'):
            self.assert_told(f'is {state}, and no job', points=[point(state=state)])

    def test_what_is_left_of_a_deleted_checkpoint(self):
        self.assert_told(
            'is good, and the checkpoint is deleted', evidence=DELETED, points=[point()]
        )
        for bank in (banked('deleted'), BankCheckpoint(records={'v1': MARKED_DELETED})):
            self.assert_told('deleted, and the bank has it', evidence=DELETED, bank=bank)
        self.assert_told(
            'deleted, and Cinder has s1 of v1', evidence=DELETED, snapshots={'s1': snapshot()}
        )

    def test_snapshots_of_others(self):
        other = snapshot('9', checkpoint_id='other')
        self.assert_told(snapshots={'s1': snapshot(), 's9': other})
        self.assert_told(evidence=DELETED, snapshots={'s9': other})
