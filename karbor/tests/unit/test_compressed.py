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

"""Plans and graphs of checkpoints that are compressed, beside others that are not."""

import json
from typing import Any

import sqlalchemy as sa

from karbor import db
from karbor.db import checkpoints, models
from karbor.tests import base

_LARGE = {'name': 'nightly', 'resources': [{'id': base.new_id(), 'name': 'ü'} for _ in range(999)]}
_SMALL = {'name': 'nightly', 'resources': []}


class CompressedTest(base.TestCase):
    def write(self, plan: dict[str, Any]) -> str:
        with db.writer() as session:
            return checkpoints.create(
                session,
                project_id=base.PROJECT_ID,
                provider_id=base.PROVIDER_ID,
                plan_id=base.new_id(),
                status='available',
                protection_plan=plan,
                resource_graph=json.dumps(plan),
                resources_total=1,
                extra_info={},
            ).id

    def kept(self, row_id: str) -> tuple[str, str]:
        """Plan and graph as they are in the database."""
        columns = sa.text('SELECT protection_plan, resource_graph FROM checkpoints WHERE id = :id')
        with db.reader() as session:
            plan, graph = session.execute(columns, {'id': row_id}).one()
        return (plan if isinstance(plan, str) else json.dumps(plan)), graph

    def assert_reads(self, plan: dict[str, Any], row_id: str) -> None:
        with db.reader() as session:
            row = session.get_one(models.Checkpoint, row_id)
        self.assertEqual((plan, json.dumps(plan)), (row.protection_plan, row.resource_graph))

    def test_a_plan(self) -> None:
        resources = _LARGE['resources']
        self.config.config(compress_checkpoints=True)
        with db.writer() as session:
            plan = models.Plan(
                project_id=base.PROJECT_ID,
                name='nightly',
                provider_id=base.PROVIDER_ID,
                status='started',
                resources=resources,
                parameters={},
            )
            session.add(plan)
            session.flush()
            plan_id = plan.id
        with db.reader() as session:
            length = session.scalar(
                sa.text('SELECT LENGTH(CAST(resources AS CHAR(99999))) FROM plans')
            )
            self.assertLess(length, len(json.dumps(resources)) / 1.5)
            self.assertEqual(resources, session.get_one(models.Plan, plan_id).resources)

    def test_large_ones_when_all_can_read_them(self) -> None:
        plain = self.write(_LARGE)
        self.assertEqual(_LARGE, json.loads(self.kept(plain)[0]))
        self.config.config(compress_checkpoints=True)
        compressed, small = self.write(_LARGE), self.write(_SMALL)
        for before, after in zip(self.kept(plain), self.kept(compressed), strict=True):
            self.assertLess(len(after), len(before) / 1.5)
        self.assertEqual(_SMALL, json.loads(self.kept(small)[0]))
        self.config.config(compress_checkpoints=False)
        for plan, row_id in ((_LARGE, plain), (_LARGE, compressed), (_SMALL, small)):
            self.assert_reads(plan, row_id)
