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

import contextlib
import json
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from sqlalchemy import orm

from karbor import db
from karbor.db import jobs as job_rows
from karbor.db import models, recovery_points, uses
from karbor.resource import Key
from karbor.services.checkpoints import restore_choices
from karbor.services.protection import checkpoint as bank_checkpoint
from karbor.services.protection import protection_plugin

# What plugins tell within so many seconds is stored together.
_STORED_TOGETHER = 0.1

_NOTHING_KEPT = protection_plugin.SafetyPoint(
    checkpoint_id=None, cloud_id=None, reason='it is not in a safety checkpoint'
)


class UseRecord(dict[str, Any]):
    """A restore or verification as a plugin sees it: its fields by key and by attribute.

    :param job: whose hooks it is given to; they write as long as its claim holds.
    :param fields: ``id``, ``parameters``, ``checkpoint_id``, ...
    """

    def __init__(self, job: models.Job, fields: Mapping[str, Any]) -> None:
        super().__init__(fields)
        self.__dict__['_job'] = job
        self.__dict__['_storing'] = threading.Lock()
        self.__dict__['_told'] = []
        self.__dict__['_choices'] = None
        self.__dict__['_stored_at'] = float('-inf')
        self.__dict__['_safety_points'] = {}

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None

    def choices_of(self, resource_type: str, resource_id: str) -> dict[str, Any]:
        """How a restore is to make a resource anew; see :mod:`restore_choices`."""
        choices = self.get('choices') or {}
        if self._choices is None:
            self.__dict__['_choices'] = restore_choices.by_resource(choices)
        own = self._choices.get((resource_type, resource_id), {})
        return {**restore_choices.for_all(choices), **own}

    def has_safety(self, resource_type: str, resource_id: str) -> bool:
        """Whether what a resource is now was to be kept before it is restored in place."""
        return self.choices_of(resource_type, resource_id).get('safety') != 'none'

    def safety_of(self, resource_type: str, resource_id: str) -> protection_plugin.SafetyPoint:
        """What was kept of it then."""
        return self._safety_points.get((resource_type, resource_id), _NOTHING_KEPT)

    def ended(self, restore_ids: Collection[str]) -> set[str]:
        """Those of some restores that are over, and of this project; others are left out.

        What a restore has made for the time of its work, and could not remove, may go then.
        """
        with db.reader() as session:
            return uses.ended(session, self['project_id'], restore_ids)

    def set_safety(self, points: Mapping[Key, protection_plugin.SafetyPoint]) -> None:
        """Say what was kept of what is to be overwritten."""
        self.__dict__['_safety_points'] = dict(points)

    def update_resource_status(
        self,
        resource_type: str,
        resource_id: str,
        status: str,
        reason: str | None = None,
        *,
        name: str | None = None,
    ) -> None:
        """Tell the status of a resource.

        It is stored at once, or with others that are told in the same moment.

        :param reason: why, or what else there is to say; anything but text is left out.
        :param name: what a new resource is called.
        """
        result = uses.Result(
            resource_type=resource_type,
            resource_id=resource_id,
            status=status,
            reason=reason if isinstance(reason, str) and reason else None,
            name=None if name is None else recovery_points.stored_name(name),
        )
        self._told.append(result)
        if time.monotonic() >= self._stored_at + _STORED_TOGETHER:
            self.store()

    def store(self) -> None:
        """Store what was told and is not stored.

        :raises LeaseLost: another has the job.
        """
        with self.storing() as write:
            if self._told:
                db.transaction(self._claimed_write)(write)

    def _claimed_write(self, session: orm.Session, write: Callable[[orm.Session], None]) -> None:
        job_rows.hold_claim(session, self._job)
        write(session)

    @contextlib.contextmanager
    def storing(self) -> Iterator[Callable[[orm.Session], None]]:
        """Gives what writes all that is not stored, in a transaction that holds the claim.

        Nobody else writes meanwhile. When it ends well, that is stored.
        """
        with self._storing:
            self.__dict__['_stored_at'] = time.monotonic()
            told = list(self._told)
            yield lambda session: uses.record_results(session, self['id'], told)
            del self._told[: len(told)]

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
        region=row.region,
        expires_at=row.expires_at,
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
