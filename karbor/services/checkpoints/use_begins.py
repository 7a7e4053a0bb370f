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

"""How a restore or a verification is asked for: checked, and written with its job."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Generic

from sqlalchemy import orm

from karbor import context as karbor_context
from karbor import db, exception
from karbor.common import constants
from karbor.db import checkpoints, models, uses
from karbor.db import jobs as job_rows
from karbor.db.uses import Use
from karbor.resource import Resource
from karbor.services import quotas
from karbor.services.checkpoints import (
    in_place,
    job_begins,
    parameters,
    restore_choices,
    safety,
)
from karbor.services.protection import graph
from karbor.services.protection import provider as providers


@dataclasses.dataclass(frozen=True, kw_only=True)
class Asked(Generic[Use]):
    """What is asked for, and fits the checkpoint as far as that never changes.

    :ivar table: of restores, or of verifications.
    :ivar parameters: coerced.
    :ivar resources: which of the checkpoint's are meant.
    :ivar choices: see :mod:`restore_choices`; None of a plain restore and of a verification.
    :ivar more: further columns of the row.
    """

    table: type[Use]
    provider_id: str
    checkpoint_id: str
    parameters: dict[str, parameters.Values]
    resources: Sequence[Resource]
    choices: dict[str, Any] | None = None
    more: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def _kind(self) -> constants.OperationType:
        if self.table is models.Verification:
            return constants.OperationType.VERIFY
        if self.choices is None:
            return constants.OperationType.RESTORE
        return constants.OperationType.CHOSEN_RESTORE

    def write(
        self, session: orm.Session, context: karbor_context.RequestContext, trust_id: str | None
    ) -> tuple[Use, models.Job | None]:
        """Write it with its job; without one when its checkpoint is not good for it.

        :returns: it, and the job that is to be posted.
        :raises CheckpointNotFound:
        :raises CheckpointLimitExceeded: there is no place for its safety checkpoint.
        :raises VerificationLimitExceeded:
        :raises JobLimitExceeded:
        :raises InvalidInput: something that is chosen cannot be had.
        :raises ResourceHeld: another restore is to overwrite the same.
        """
        checkpoint = checkpoints.get(
            session, context.project_id, self.provider_id, self.checkpoint_id, lock=True
        )
        if self.table is models.Verification:
            quotas.take(session, context.project_id, quotas.VERIFICATIONS)
        is_begun = restore_choices.is_begun_of(checkpoint, self.choices or {})
        use = uses.create(
            session,
            self.table,
            project_id=context.project_id,
            provider_id=self.provider_id,
            checkpoint_id=checkpoint.id,
            parameters=self.parameters,
            status=constants.OperationStatus.IN_PROGRESS
            if is_begun
            else constants.OperationStatus.FAIL,
            status_reason=None if is_begun else job_begins.why_not(checkpoint, self._kind),
            **self._chosen(session, checkpoint, is_begun=is_begun),
            **self.more,
        )
        new_job = job_begins.new_job(self._kind, context, checkpoint, trust_id, subject_id=use.id)
        restore_id = use.id if self.table is models.Restore else None
        if not is_begun:
            job_begins.log_refusal(session, context, new_job, checkpoint, restore_id=restore_id)
            return use, None
        if isinstance(use, models.Restore):
            in_place.check_free(session, use, self.resources)
        first = self._write_safety(session, context, use, checkpoint, trust_id=trust_id)
        if first is not None:
            new_job = dataclasses.replace(new_job, state=job_rows.JobState.QUEUED)
        job = job_begins.begin(
            session, context, new_job, checkpoint, status=use.status, restore_id=restore_id
        )
        return use, first or job

    def _write_safety(
        self,
        session: orm.Session,
        context: karbor_context.RequestContext,
        use: Use,
        checkpoint: models.Checkpoint,
        *,
        trust_id: str | None,
    ) -> models.Job | None:
        """Write the job for whose end the restore waits, when it overwrites something.

        :raises CheckpointLimitExceeded:
        """
        if not isinstance(use, models.Restore) or not self.choices:
            return None
        left_out = restore_choices.obstacles(use)
        kept = [
            resource
            for resource, choices in restore_choices.in_place(self.choices, self.resources)
            if choices.get('safety') != 'none' and (resource.type, resource.id) not in left_out
        ]
        if not kept:
            return None
        return safety.write(session, context, use, checkpoint, kept, trust_id=trust_id)

    def _chosen(
        self, session: orm.Session, checkpoint: models.Checkpoint, *, is_begun: bool
    ) -> dict[str, Any]:
        """The columns that say what is chosen."""
        if self.choices is None:
            return {}
        left_out = (
            restore_choices.left_out(session, checkpoint, self.resources, self.choices)
            if is_begun
            else None
        )
        return {'choices': self.choices, 'left_out': left_out}


def restore(
    context: karbor_context.RequestContext,
    provider: providers.Provider,
    fields: Mapping[str, Any],
    **more: Any,
) -> Asked[models.Restore]:
    """A restore that is asked for.

    :param fields: as the request has them.
    :param more: further columns of the row.
    :raises CheckpointNotFound:
    :raises InvalidInput: a fault in the parameters, in what is chosen, or a target that has
        credentials.
    :raises KarborException: as :func:`in_place.check`.
    """
    target = _target(fields)
    checkpoint = _checkpoint(context, provider, fields)
    choices = restore_choices.asked(fields)
    resources = restore_choices.check(provider, checkpoint, choices or {})
    in_place.check(context, provider, checkpoint, resources, choices or {})
    return Asked(
        table=models.Restore,
        provider_id=provider.id,
        checkpoint_id=checkpoint.id,
        parameters=parameters.check(
            fields['parameters'], resources, (), provider.schema_of(constants.OperationType.RESTORE)
        ),
        resources=resources,
        choices=choices,
        more={'restore_target': target, **more},
    )


def _target(fields: Mapping[str, Any]) -> str | None:
    """That of a restore, which is kept and shown, and so has no password."""
    target: str | None = fields.get('restore_target')
    if target is not None and ':' in target.rpartition('@')[0]:
        raise exception.InvalidInput(
            reason='restore_target has credentials before its @; give them in restore_auth, which '
            'is not kept.'
        )
    return target


def verification(
    context: karbor_context.RequestContext,
    provider: providers.Provider,
    fields: Mapping[str, Any],
) -> Asked[models.Verification]:
    """A verification that is asked for; see :func:`restore`."""
    checkpoint = _checkpoint(context, provider, fields)
    roots = graph.deserialize(checkpoint.resource_graph)
    resources = [node.value for node in graph.walk_nodes(roots)]
    return Asked(
        table=models.Verification,
        provider_id=provider.id,
        checkpoint_id=checkpoint.id,
        parameters=parameters.check(
            fields['parameters'], resources, (), provider.schema_of(constants.OperationType.VERIFY)
        ),
        resources=resources,
    )


def _checkpoint(
    context: karbor_context.RequestContext,
    provider: providers.Provider,
    fields: Mapping[str, Any],
) -> models.Checkpoint:
    with db.reader() as session:
        return checkpoints.get(session, context.project_id, provider.id, fields['checkpoint_id'])
