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

"""What hooks are given to tell how it goes: records of restores and verifications."""

import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import orm

from karbor import db
from karbor.db import jobs as job_rows
from karbor.db import models, uses
from karbor.services.protection import checkpoint as bank_checkpoint


class UseRecord(dict[str, Any]):
    """A restore or verification as a plugin sees it: its fields by key and by attribute.

    :param job: whose hooks it is given to; they write as long as its claim holds.
    :param fields: ``id``, ``parameters``, ``checkpoint_id``, ...
    """

    def __init__(self, job: models.Job, fields: Mapping[str, Any]) -> None:
        super().__init__(fields)
        self.__dict__['_job'] = job

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None

    def update_resource_status(
        self, resource_type: str, resource_id: str, status: str, reason: str | None = None
    ) -> None:
        """Tell the status of a resource; it is stored at once.

        :param reason: why; anything but text is left out.
        """
        result = uses.Result(
            resource_type=resource_type,
            resource_id=resource_id,
            status=status,
            reason=reason if isinstance(reason, str) and reason else None,
        )
        db.transaction(self._write)(result)

    def _write(self, session: orm.Session, result: uses.Result) -> None:
        job_rows.hold_claim(session, self._job)
        uses.record_result(session, self['id'], result)

    def save(self) -> None:
        """Nothing is left to store; plugins call it by contract."""


class OperationLogRecord(dict[str, Any]):
    """Where a plugin may leave ``extra_info`` and ``error_info``, by contract."""

    def save(self) -> None:
        """The texts live as long as the job."""


def write_checkpoint(
    row: models.Checkpoint, checkpoints: bank_checkpoint.CheckpointCollection
) -> bank_checkpoint.Checkpoint:
    """Write a checkpoint to its bank as its row has it, whatever the bank has.

    :param checkpoints: those of the bank.
    """
    checkpoint = draft_checkpoint(row, checkpoints)
    checkpoint.commit()
    checkpoint.add_indices()
    return checkpoint


def draft_checkpoint(
    row: models.Checkpoint, checkpoints: bank_checkpoint.CheckpointCollection
) -> bank_checkpoint.Checkpoint:
    """A checkpoint as its row has it, of which nothing is written."""
    return checkpoints.draft(
        row.id,
        row.protection_plan,
        project_id=row.project_id,
        resource_graph=row.resource_graph,
        extra_info=as_json_text(row.extra_info),
        created_at=row.created_at,
        status=row.status,
    )


def from_json_text(text: str | None) -> dict[str, Any]:
    """What :func:`as_json_text` made a text of.

    :raises ValueError: it is no JSON.
    :raises TypeError: it is no object.
    """
    value = json.loads(text) if text else {}
    if not isinstance(value, dict):
        raise TypeError(f'{text!r} is no JSON object')
    return value


def as_json_text(extra_info: Any) -> str | None:
    """``extra_info`` in the form that checkpoints have it on the wire and in the bank."""
    return None if extra_info is None else json.dumps(extra_info)
