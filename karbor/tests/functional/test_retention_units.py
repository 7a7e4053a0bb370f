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

"""Retention of what hangs on something: servers with their volumes, by plugins of third parties."""

import datetime
import types
from typing import Any

import sqlalchemy as sa

from karbor import db
from karbor.db import models
from karbor.resource import Resource
from karbor.services.protection import graph
from karbor.services.schedules import runs, time_triggers
from karbor.tests import base, schedule_rows
from karbor.tests.unit.jobs import test_runner
from karbor.tests.unit.protection import contract_plugins

SERVERS, VOLUMES, EVERYONE = test_runner.SERVERS, test_runner.VOLUMES, test_runner.EVERYONE
# The second volume is on both servers, so all that hangs on them goes together.
UNIT, ALONE = EVERYONE[:5], EVERYONE[5]


class UnitsTest(test_runner.JobsTestCase):
    """Two servers with three volumes, and a fourth volume; the newest one is kept."""

    def setUp(self) -> None:
        super().setUp()
        self._name_snapshots()
        timer = schedule_rows.calendar('FREQ=DAILY', datetime.datetime(2030, 1, 1))
        with db.writer() as session:
            trigger = models.Trigger(
                project_id=base.PROJECT_ID,
                name='daily',
                type='time',
                properties=time_triggers.as_properties(timer),
            )
            session.add(trigger)
            session.flush()
            self.operation = models.ScheduledOperation(
                project_id=base.PROJECT_ID,
                user_id='user',
                name='keep',
                operation_type='retention_protect',
                trigger_id=trigger.id,
                plan_id=self.plan_id,
                enabled=True,
                operation_definition={
                    'provider_id': base.PROVIDER_ID,
                    'plan_id': self.plan_id,
                    'keep_last': 1,
                },
            )
            session.add(self.operation)

    def _name_snapshots(self) -> None:
        """Let each snapshot have an id of its own."""

        def create(volume_id: str, **_options: Any) -> Any:
            snapshot_id = f'snapshot-{base.new_id()}-of-{volume_id}'
            self.cloud.snapshots[snapshot_id] = ['available']
            return types.SimpleNamespace(id=snapshot_id)

        self.cloud.volume_snapshots.create = create

    def run_once(self) -> str:
        """The checkpoint of a run of the operation, when all that follows is over."""
        with db.writer() as session:
            operation = session.get_one(models.ScheduledOperation, self.operation.id)
            job = runs.start(session, self.context, operation)
        self.run_all()
        return str(job.checkpoint_id)

    def run_all(self) -> None:
        while pending := self._pending():
            for job_id in pending:
                self.runner.run(job_id)

    def _pending(self) -> list[str]:
        with db.reader() as session:
            return list(session.scalars(sa.select(models.Job.id).filter_by(state='pending')))

    def fail(self, *resources: Resource, kind: str = 'protect') -> None:
        """Let hooks of some resources fail from now on, and of no others."""
        contract_plugins.FAULTS.clear()
        for resource in resources:
            contract_plugins.FAULTS[kind, resource.id, 'on_main'] = ValueError('no')

    def states(self, checkpoint_id: str) -> dict[str, str]:
        """Of the points of a checkpoint that are not deleted, by the names of the resources."""
        with db.reader() as session:
            rows = session.scalars(
                sa.select(models.RecoveryPoint).where(
                    models.RecoveryPoint.checkpoint_id == checkpoint_id,
                    models.RecoveryPoint.state != 'deleted',
                )
            )
            return {row.resource_name: row.state for row in rows}

    def assert_in_step(self) -> None:
        """Rows, bank and cloud have the same, and no more."""
        with db.reader() as session:
            checkpoints = list(
                session.scalars(
                    sa.select(models.Checkpoint).where(models.Checkpoint.status != 'deleted')
                )
            )
        kept = set()
        for row in checkpoints:
            states = self.states(row.id)
            nodes = list(graph.walk_nodes(graph.deserialize(row.resource_graph)))
            self.assertEqual(set(states), {node.value.name for node in nodes})
            self.assertEqual(len(nodes), row.resources_total)
            in_bank = self.registry.get(base.PROVIDER_ID).checkpoints.get(row.id)
            self.assertEqual(row.resource_graph, in_bank.to_dict()['resource_graph'])
            for node in nodes:
                if node.value in VOLUMES and states[node.value.name] == 'good':
                    section = in_bank.get_resource_bank_section(node.value.id)
                    kept.add(section.get_object('metadata')['snapshot_id'])
            self.assertLessEqual(
                {key.split('/')[1] for key in in_bank.checkpoint_section.list_objects('resource-')},
                {node.value.id for node in nodes},
            )
        self.assertEqual(kept, set(self.cloud.snapshots))

    def removed(self) -> list[Resource]:
        """The resources of which hooks were called to delete them, each once."""
        calls = [call.resource for call in contract_plugins.JOURNAL if call.kind == 'delete']
        return list(dict.fromkeys(calls))

    def all_good(self, *resources: Resource) -> dict[str, str | None]:
        return {resource.name or '': 'good' for resource in resources}

    def test_what_is_alone_goes_and_the_rest_stays(self) -> None:
        first = self.run_once()
        self.fail(SERVERS[1])
        contract_plugins.JOURNAL.clear()
        second = self.run_once()
        self.assertEqual([ALONE], self.removed())
        self.assertEqual(self.all_good(*UNIT), self.states(first))
        self.assertEqual(
            {**self.all_good(*EVERYONE), SERVERS[1].name: 'failed'}, self.states(second)
        )
        self.assert_in_step()

        # What has the newest good one of anything in it stays.
        third = self.run_once()
        self.assertEqual({}, self.states(second))
        self.assertEqual(self.all_good(*UNIT), self.states(first))
        self.fail()
        fourth = self.run_once()
        self.assertEqual(({}, {}), (self.states(first), self.states(third)))
        self.assertEqual(self.all_good(*EVERYONE), self.states(fourth))
        self.assert_in_step()

    def test_a_unit_goes_as_one(self) -> None:
        first = self.run_once()
        self.fail(ALONE)
        contract_plugins.JOURNAL.clear()
        second = self.run_once()
        self.assertEqual(set(UNIT), set(self.removed()))
        self.assertEqual(self.all_good(ALONE), self.states(first))
        row = self.checkpoint(first)
        self.assertEqual('available', row.status)
        self.assertEqual('5 recovery points were removed by retention', row.status_reason)
        self.assertEqual({**self.all_good(*UNIT), ALONE.name: 'failed'}, self.states(second))
        self.assert_in_step()

    def test_a_unit_of_which_a_part_could_not_be_removed(self) -> None:
        """What is left of it is by itself then, and goes after the next run."""
        first = self.run_once()
        self.fail(ALONE)
        contract_plugins.FAULTS['delete', VOLUMES[1].id, 'on_main'] = ValueError('no')
        second = self.run_once()
        self.assertEqual({ALONE.name: 'good', VOLUMES[1].name: 'failed'}, self.states(first))
        self.fail(ALONE)
        third = self.run_once()
        self.assertEqual(self.all_good(ALONE), self.states(first))
        self.assertEqual({}, self.states(second))
        self.fail()
        fourth = self.run_once()
        self.assertEqual(({}, {}), (self.states(first), self.states(third)))
        self.assertEqual(self.all_good(*EVERYONE), self.states(fourth))
        self.assert_in_step()

    def test_a_restore_of_what_is_left(self) -> None:
        first = self.run_once()
        self.fail(ALONE)
        self.run_once()
        self.fail()
        contract_plugins.JOURNAL.clear()
        restore_id, job_id = self.post('restore', first)
        self.runner.run(job_id)
        self.assertEqual('success', self.subject('restore', restore_id).status)
        self.assertEqual(
            {ALONE}, {call.resource for call in contract_plugins.JOURNAL if call.kind == 'restore'}
        )
