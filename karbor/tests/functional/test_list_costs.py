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

import unittest
from typing import Any

from karbor import db
from karbor.db import models
from karbor.tests import base as tests_base
from karbor.tests.base import OTHER_PROJECT_ID, PROVIDER_ID
from karbor.tests.functional import base, lists
from karbor.tests.functional.lists import LISTS

_COUNTS_SQL = 'SQL is counted in this process'


@unittest.skipUnless(tests_base.DATABASE == 'sqlite', 'SQL is counted and explained in SQLite')
class CostTest(lists.ListsTestCase):
    """What an answer costs is in line with the answer, and not with the table."""

    def setUp(self):
        super().setUp()
        self.get('/plans')  # what is done once with a database

    def cost_of(self, path: str, **query: Any) -> lists.Cost:
        with lists.cost() as found:
            self.get(path, params=query, persona='admin')
        return found

    @base.in_process_only(_COUNTS_SQL)
    def test_statements_of_lists_and_shows(self):
        for which in LISTS:
            seen = []
            for more in (10, 990):
                ids = self.fill(which.model, more)
                middle = ids[more // 2]
                asked = [
                    self.cost_of(which.path, **{'limit': 10, **query})
                    for query in (
                        {},
                        {'limit': 1_000},
                        {'offset': 4},
                        {'marker': middle},
                        {'sort': 'id:asc'},
                        {'all_tenants': 1},
                        {'all_tenants': 1, 'marker': middle},
                        {which.compared[0]: 'x'},
                    )
                ]
                asked.append(self.cost_of(f'{which.path}/{middle}'))
                seen.append([len(found.statements) for found in asked])
            self.assertEqual(seen[0], seen[1], which.path)
            self.assertLessEqual(max(seen[0]), 4, which.path)

    @base.in_process_only(_COUNTS_SQL)
    def test_statements_of_what_is_asked_most(self):
        plan = self.create_plan()
        checkpoint = self.create_checkpoint(plan)
        self.fill(models.Checkpoint, 30)
        self.fill(models.Plan, 30)
        for statements, path in (
            (1, '/plans'),
            (1, f'/plans/{plan["id"]}'),
            (3, self.checkpoints_path()),
            (3, self.checkpoints_path(checkpoint['id'])),
        ):
            self.assertEqual(statements, len(self.cost_of(path).statements), path)
        with lists.cost() as found:
            self.create_plan()
        self.assertEqual(3, len(found.statements), found.statements)

    @base.in_process_only(_COUNTS_SQL)
    def test_statements_of_changes(self):
        """What is made beside many rows is asked for as often as beside few."""
        plan, trigger = self.create_plan(), self.add_row(models.Trigger)
        self.config.config(quota_plans=-1, quota_schedules=-1)
        bodies = (
            ('/plans', self.plan_body()),
            (self.checkpoints_path(), {'checkpoint': {'plan_id': plan['id']}}),
            (
                '/scheduled_operations',
                {
                    'scheduled_operation': {
                        'name': 's',
                        'operation_type': 'protect',
                        'trigger_id': trigger.id,
                        'operation_definition': {'provider_id': PROVIDER_ID, 'plan_id': plan['id']},
                    }
                },
            ),
        )
        seen = []
        for more in (10, 990):
            for which in LISTS:
                self.fill(which.model, more)
            counts = []
            for path, body in bodies * 2:
                with lists.cost() as found:
                    self.post(path, body)
                counts.append((path, len(found.statements), found.steps // 10))
            seen.append(counts[len(bodies) :])
        self.assertEqual(*seen)

    @base.in_process_only(_COUNTS_SQL)
    def test_work_is_in_line_with_the_page(self):
        """1,000 or 10,000 rows before or behind a page of 20 make no difference."""
        for which in LISTS[:2]:
            seen = []
            for more in (1_000, 9_000):
                ids = self.fill(which.model, more)
                seen.append(
                    [
                        self.cost_of(which.path, limit=20, **query)
                        for query in (
                            {},
                            {'marker': ids[500]},
                            {'marker': ids[more - 50]},
                            {'sort_dir': 'asc'},
                            {'sort_dir': 'asc', 'marker': ids[500]},
                            {'all_tenants': 1},
                            {'all_tenants': 1, 'marker': ids[500]},
                        )
                    ]
                )
            for few, many in zip(*seen, strict=True):
                self.assertEqual(len(few.statements), len(many.statements))
                self.assertLess(many.steps, 1.5 * few.steps + 10, which.path)
            page, thousand = (
                self.cost_of(which.path, limit=limit, marker=ids[500]) for limit in (20, 1_000)
            )
            self.assertEqual(len(page.statements), len(thousand.statements))
            self.assertLess(thousand.steps, 50 * 1.5 * page.steps)

    @base.in_process_only(_COUNTS_SQL)
    def test_the_order_is_that_of_an_index_which_is_entered_at_the_marker(self):
        for which in LISTS:
            middle = self.fill(which.model, 20)[10]
            for query, entry in (
                ({}, ''),
                ({'marker': middle}, 'created_at<?'),
                ({'sort_dir': 'asc', 'marker': middle}, 'created_at>?'),
                ({'all_tenants': 1}, ''),
                ({'all_tenants': 1, 'marker': middle}, 'created_at<?'),
                ({'project_id': OTHER_PROJECT_ID}, ''),
            ):
                found = self.cost_of(which.path, limit=5, **query)
                table = which.model.__tablename__
                whole = [
                    self.explained(*statement)
                    for statement in found.statements
                    if f'FROM {table}' in statement[0] and 'ORDER BY' in statement[0]
                ]
                self.assertEqual(1, len(whole), which.path)
                self.assertNotIn('TEMP B-TREE', whole[0])
                self.assertRegex(whole[0], rf'{table} USING INDEX {table}_\w+_idx')
                self.assertIn(entry, whole[0])
                if 'all_tenants' not in query:
                    self.assertIn('project_id=?', whole[0])
                for statement in found.statements:
                    self.assertNotIn(f'SCAN {table}\n', self.explained(*statement) + '\n')

    @staticmethod
    def explained(statement: str, parameters: Any) -> str:
        with db.engine().connect() as connection:
            return '\n'.join(
                row[-1]
                for row in connection.exec_driver_sql(f'EXPLAIN QUERY PLAN {statement}', parameters)
            )
