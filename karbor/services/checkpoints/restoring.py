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

"""The jobs that restore or verify a checkpoint: both use it, and leave it as it is."""

import functools
from collections.abc import Collection

from sqlalchemy import orm

from karbor import db
from karbor.common import constants
from karbor.db import models, point_removal, uses
from karbor.resource import Key
from karbor.services.checkpoints import plugin_records, removing, resource_work
from karbor.services.jobs import fencing
from karbor.services.jobs.kinds import Attempt, JobKind, Outcome
from karbor.services.protection import graph


def _run(table: type[uses.Use], attempt: Attempt) -> Outcome:
    row = attempt.checkpoint_row()
    provider = attempt.environment.registry.get(row.provider_id)
    with db.reader() as session:
        use = uses.get(session, table, attempt.job.project_id, attempt.job.subject_id)
        removed = point_removal.keys_in_states(session, row.id, removing.GOING)
    record = plugin_records.UseRecord(
        attempt.job, {column.key: getattr(use, column.key) for column in table.__table__.columns}
    )
    keyword = attempt.job.kind  # by contract, the record and the schema go by the same name
    failures = resource_work.run_hooks(
        attempt,
        row,
        fencing.checkpoints(provider.bank, attempt.lease).get(row.id),
        left_out=removed,
        schema_kind=keyword,
        request_parameters=use.parameters,
        keywords={keyword: record, 'new_resources': {}},
        told=record,
    )
    record.store()
    return Outcome(
        reason=resource_work.summary(failures, row.resources_total),
        remark=_told_of(row, removed),
        failures=failures,
    )


def _told_of(row: models.Checkpoint, removed: Collection[Key]) -> str | None:
    """What is said of resources that are still in the graph, and are being removed."""
    if not removed:
        return None
    left_out = [
        node.value
        for node in graph.walk_nodes(graph.deserialize(row.resource_graph))
        if (node.value.type, node.value.id) in removed
    ]
    if not left_out:
        return None
    return f'left out, as retention removes it: {resource_work.names_of(left_out)}'


def _end(table: type[uses.Use], session: orm.Session, job: models.Job, outcome: Outcome) -> str:
    reasons = {resource: failure.reason for resource, failure in outcome.failures.items()}
    uses.record_failures(session, job.subject_id, reasons)
    uses.set_status(
        session, table, job.subject_id, status=outcome.operation_status, reason=outcome.told
    )
    return outcome.operation_status


def _kind(name: constants.OperationType, table: type[uses.Use]) -> JobKind:
    return JobKind(
        name=name,
        run=functools.partial(_run, table),
        end=functools.partial(_end, table),
        running=constants.OperationStatus.IN_PROGRESS,
        failed=constants.OperationStatus.FAIL,
        table=table,
        purged_with=table,
    )


RESTORE = _kind(constants.OperationType.RESTORE, models.Restore)
VERIFY = _kind(constants.OperationType.VERIFY, models.Verification)
