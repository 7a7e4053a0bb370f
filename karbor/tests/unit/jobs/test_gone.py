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

"""Resources that a protect finds gone: the graph, the rows and the bank without them."""

from unittest import mock

from karbor import db, exception
from karbor.db import job_resources
from karbor.resource import Resource
from karbor.services.checkpoints import protecting
from karbor.services.protection import graph
from karbor.tests import base
from karbor.tests.unit.jobs import test_runner
from karbor.tests.unit.protection import contract_plugins
from karbor.tests.unit.protection.test_contract import SERVERS, VOLUMES


class GoneTest(test_runner.JobsTestCase):
    """The plan has two servers and the volume on none; they have three more volumes."""

    def lose(self, *gone: Resource, kind: str = 'protect', hook: str = 'on_main') -> None:
        for resource in gone:
            contract_plugins.FAULTS[kind, resource.id, hook] = exception.ResourceGone(
                name='test', reason='lost', resource_id=resource.id, resource_type=resource.type
            )

    def protect(self) -> str:
        checkpoint_id, job_id = self.post_protect()
        self.runner.run(job_id)
        return checkpoint_id

    def roots(self, checkpoint_id: str) -> dict[Resource, set[Resource]]:
        """The roots, each with its children; the row and the bank have the same."""
        row = self.checkpoint(checkpoint_id)
        found = self.registry.get(base.PROVIDER_ID).checkpoints.get(checkpoint_id)
        self.assertEqual(row.resource_graph, found.to_dict()['resource_graph'])
        nodes = graph.deserialize(row.resource_graph)
        self.assertEqual(row.resources_total, len(list(graph.walk_nodes(nodes))))
        return {node.value: {child.value for child in node.child_nodes} for node in nodes}

    def test_a_child(self) -> None:
        self.lose(VOLUMES[1])
        checkpoint_id = self.protect()
        self.assertEqual('available', self.checkpoint(checkpoint_id).status)
        self.assertIn(VOLUMES[1].key, str(self.checkpoint(checkpoint_id).status_reason))
        self.assertEqual(
            {SERVERS[0]: {VOLUMES[0]}, SERVERS[1]: {VOLUMES[2]}, VOLUMES[3]: set()},
            self.roots(checkpoint_id),
        )
        self.assertEqual({}, self.queries.failures(checkpoint_id))
        progress = self.queries.progress([checkpoint_id])[checkpoint_id]
        self.assertEqual((5, 0), (progress.done, progress.failed))

    def test_a_parent(self) -> None:
        """What it held is protected by itself; a child of another parent stays that."""
        self.lose(SERVERS[0], hook='on_prepare_begin')
        checkpoint_id = self.protect()
        self.assertEqual('available', self.checkpoint(checkpoint_id).status)
        self.assertEqual(
            {VOLUMES[0]: set(), SERVERS[1]: {VOLUMES[1], VOLUMES[2]}, VOLUMES[3]: set()},
            self.roots(checkpoint_id),
        )

    def test_in_another_job_it_is_a_failure(self) -> None:
        checkpoint_id = self.protect()
        before = self.roots(checkpoint_id)
        self.assertEqual(6, len(graph_values(before)))
        for kind, status in (('verify', 'fail'), ('restore', 'fail'), ('delete', 'error-deleting')):
            self.lose(VOLUMES[0], kind=kind)
            subject_id, job_id = self.post(kind, checkpoint_id)
            self.runner.run(job_id)
            subject = self.subject(kind, subject_id)
            self.assertEqual(status, subject.status)
            self.assertIn('of 6 resources failed', str(subject.status_reason))
            self.assertEqual(before, self.roots(checkpoint_id))

    def test_it_ends_the_same_whenever_the_job_is_killed(self) -> None:
        self.lose(VOLUMES[1])
        for module, name in (
            (protecting.resource_work, 'summary_of_gone'),
            (protecting, '_is_anything'),
            (protecting.job_resources, 'forget'),
        ):
            checkpoint_id, job_id = self.post_protect()
            with mock.patch.object(module, name, side_effect=test_runner.Killed):
                self.assertRaises(test_runner.Killed, self.runner.run, job_id)
            self.assertEqual([job_id], self.start_again())
            self.runner.run(job_id)
            row = self.checkpoint(checkpoint_id)
            self.assertEqual(('available', 5), (row.status, row.resources_total))
            self.assertIn('1 of 6 resources is gone', str(row.status_reason))
            self.assertNotIn(VOLUMES[1], graph_values(self.roots(checkpoint_id)))

    def test_one_that_failed_before_the_job_was_killed(self) -> None:
        checkpoint_id, job_id = self.post_protect()
        contract_plugins.FAULTS['protect', VOLUMES[1].id, 'on_main'] = ValueError('not now')
        with mock.patch.object(protecting.resource_work, 'summary', side_effect=test_runner.Killed):
            self.assertRaises(test_runner.Killed, self.runner.run, job_id)
        self.assertEqual([VOLUMES[1].key], list(self.queries.failures(checkpoint_id)))
        self.lose(VOLUMES[1])
        self.start_again()
        self.runner.run(job_id)
        self.assertEqual('available', self.checkpoint(checkpoint_id).status)
        self.assertEqual({}, self.queries.failures(checkpoint_id))
        with db.reader() as session:
            self.assertEqual(5, len(job_resources.of_job(session, job_id)))


def graph_values(roots: dict[Resource, set[Resource]]) -> set[Resource]:
    return set(roots).union(*roots.values())
