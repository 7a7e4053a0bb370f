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

"""Writes the rows of checkpoints again, after the database was lost, from what a bank has.

The indices of a bank are written before anything is protected, and removed when a checkpoint is
deleted; so they name every checkpoint that has something in the cloud. What only the database
knew is gone: plans, schedules, restores, logs, which checkpoints were pinned, and the moment of
creation below a second.
"""

import dataclasses
import datetime
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from oslo_db import exception as db_exc
from oslo_log import log as logging
from sqlalchemy import orm

from karbor import db, exception
from karbor.common import constants, ids, origins
from karbor.db import checkpoints, models, recovery_points
from karbor.db import quotas as quota_rows
from karbor.services import quotas
from karbor.services.checkpoints import plugin_records, safety
from karbor.services.protection import bank_plugin, graph
from karbor.services.protection import checkpoint as bank_checkpoint
from karbor.services.protection import provider as providers
from karbor.services.recovery import bank_points

LOG = logging.getLogger(__name__)

_PAGE = 1000
_LONGEST_SHOWN = 100
_LOST = 'The database was lost while a job worked on it.'

# What no job works on any more, and what it is then.
BROKEN_OFF: dict[str, constants.CheckpointStatus] = {
    constants.CheckpointStatus.PROTECTING: constants.CheckpointStatus.ERROR,
    constants.CheckpointStatus.DELETING: constants.CheckpointStatus.ERROR_DELETING,
}


# What one checkpoint may be to blame for; the next may be good.
FAULTS = (
    exception.KarborException,
    db_exc.DBError,
    RuntimeError,
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
)


@dataclasses.dataclass
class Report:
    """What became of the checkpoints of one provider, by their ids.

    :ivar faulty: id -> why it cannot be read.
    :ivar remarks: id -> what to know of one that is written.
    """

    restored: list[str] = dataclasses.field(default_factory=list)
    known: list[str] = dataclasses.field(default_factory=list)
    faulty: dict[str, str] = dataclasses.field(default_factory=dict)
    remarks: dict[str, str] = dataclasses.field(default_factory=dict)

    def blame(self, checkpoint_id: str, fault: Exception) -> None:
        """Tell why a checkpoint is passed over.

        :raises DBConnectionError: the database is away, which is the fault of none.
        """
        if isinstance(fault, db_exc.DBConnectionError):
            raise fault
        LOG.warning('Checkpoint %s cannot be rebuilt', checkpoint_id, exc_info=fault)
        if isinstance(fault, db_exc.DBError):  # the rest of its text is the statement
            self.faulty[checkpoint_id] = f'the database does not take it: {_first_line(fault)}'
        else:
            self.faulty[checkpoint_id] = str(fault) or type(fault).__name__


def from_bank(provider: providers.Provider, is_dry_run: bool = False) -> Report:
    """Write the rows that the database lacks; those that it has stay as they are.

    :param is_dry_run: only tell what would be written.
    :raises BankListObjectsFailed: the bank cannot be listed.
    :raises DBConnectionError: the database is away.
    """
    report = Report()
    for checkpoint_id in ids_in_bank(provider.bank, provider.id):
        try:
            checkpoint = provider.checkpoints.get(checkpoint_id)
            is_new = restore_row(provider, checkpoint, is_dry_run)
        except FAULTS as exc:
            report.blame(checkpoint_id, exc)
            continue
        (report.restored if is_new else report.known).append(checkpoint_id)
    return report


def ids_in_bank(bank: bank_plugin.Bank, provider_id: str) -> Iterator[str]:
    """The ids of the checkpoints that the indices of a bank name.

    :raises BankListObjectsFailed: the bank cannot be listed.
    """
    prefix, marker = f'/indices/by-provider/{provider_id}/', None
    while keys := bank.list_objects(prefix, limit=_PAGE, marker=marker, sort_dir='asc'):
        for key in keys:
            yield key.rpartition('@')[2]
        marker = keys[-1]


def row_values(checkpoint: bank_checkpoint.Checkpoint) -> dict[str, Any]:
    """What the row of a checkpoint has.

    :raises ValueError: what the bank has is no checkpoint, and so with KeyError and TypeError.
    """
    plan_id = checkpoint.protection_plan['id']
    for each in (checkpoint.id, plan_id):
        if not ids.is_own(each):
            raise ValueError(f'{str(each)[:_LONGEST_SHOWN]!r} is no id of ours')
    roots = checkpoint.resource_graph or []
    status = checkpoint.status
    created_at = datetime.datetime.fromtimestamp(checkpoint.timestamp, datetime.UTC)
    return {
        'id': checkpoint.id,
        'project_id': checkpoint.project_id,
        'provider_id': checkpoint.provider_id,
        'plan_id': plan_id,
        'status': BROKEN_OFF.get(status, status),
        'status_reason': _LOST if status in BROKEN_OFF else None,
        'protection_plan': {'parameters': {}, **checkpoint.protection_plan},
        'resource_graph': graph.serialize(roots),
        'resources_total': sum(1 for _ in graph.walk_nodes(roots)),
        'extra_info': plugin_records.from_json_text(checkpoint.extra_info),
        'created_at': created_at.replace(tzinfo=None),
        'region': checkpoint.region,
        **safety.columns_of_rebuilt(checkpoint.expires_at),
    }


def restore_row(
    provider: providers.Provider, checkpoint: bank_checkpoint.Checkpoint, is_dry_run: bool
) -> bool:
    """Write the row of a checkpoint, with its recovery points, unless there is one.

    :param is_dry_run: only tell.
    :returns: whether there was none.
    :raises BankError: the bank cannot tell now.
    """
    values = row_values(checkpoint)
    with db.reader() as session:
        if session.get(models.Checkpoint, checkpoint.id) is not None:
            return False
    if is_dry_run:
        return True
    return db.transaction(write_row)(values, points_of(provider, checkpoint))


def points_of(
    provider: providers.Provider, checkpoint: bank_checkpoint.Checkpoint
) -> list[recovery_points.Point]:
    """The recovery points of a checkpoint, by what the bank tells.

    :raises BankError: the bank cannot tell now.
    """
    points = []
    for node in graph.walk_nodes(checkpoint.resource_graph or []):
        if node.value.type not in recovery_points.WITHOUT_POINTS:
            told = bank_points.look(provider, checkpoint, node.value)
            points.append(
                recovery_points.Point(
                    resource=node.value, state=told.state, reason=told.reason, saved=told.saved
                )
            )
    return points


def write_row(
    session: orm.Session, values: Mapping[str, Any], points: Sequence[recovery_points.Point]
) -> bool:
    """Write a row unless there is one; returns whether there was none."""
    if session.get(models.Checkpoint, values['id']) is not None:
        return False
    row = checkpoints.create(session, **values)
    operation_id = origins.scheduled_operation_id(row.extra_info)
    recovery_points.add_missing(session, row, points, operation_id)
    quota_rows.take(session, values['project_id'], quotas.CHECKPOINTS, limit=-1)
    return True


def _first_line(fault: Exception) -> str:
    return str(fault).partition('\n')[0]
