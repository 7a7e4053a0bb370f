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

"""How much a project may have of what.

The limit of a resource is the project's own, else that of the class ``default``, else that
of ``karbor.conf``; -1 is none.
"""

from collections.abc import Mapping

from oslo_config import cfg
from sqlalchemy import orm

from karbor import context as karbor_context
from karbor import db, exception
from karbor.db import operation_logs
from karbor.db import quotas as rows

PLANS = 'plans'
CHECKPOINTS = 'checkpoints'
SCHEDULES = 'schedules'
TRIGGERS = 'triggers'
VERIFICATIONS = 'verifications'
JOBS = 'jobs'  # that are not finished

_EXCEEDED: Mapping[str, type[exception.OverLimit]] = {
    PLANS: exception.PlanLimitExceeded,
    CHECKPOINTS: exception.CheckpointLimitExceeded,
    SCHEDULES: exception.ScheduleLimitExceeded,
    TRIGGERS: exception.TriggerLimitExceeded,
    VERIFICATIONS: exception.VerificationLimitExceeded,
    JOBS: exception.JobLimitExceeded,
}
RESOURCES = tuple(_EXCEEDED)


def take(session: orm.Session, project_id: str, resource: str) -> None:
    """Count one more, in the transaction that makes it.

    :raises OverLimit: the project may not have one more.
    """
    configured = _configured()[resource]
    if resource in rows.COUNTED_ROWS:
        allowed = rows.full(session, project_id, resource, configured)
        if allowed is not None:
            raise _EXCEEDED[resource](allowed=allowed)
        return
    if rows.take_within(session, project_id, resource, configured):
        return
    limit = _limits(session, project_id)[resource]
    if not rows.take(session, project_id, resource, limit):
        raise _EXCEEDED[resource](allowed=limit)


def give_back(session: orm.Session, project_id: str, resource: str) -> None:
    """Count one less, in the transaction that removes it; not of what is counted by its rows."""
    rows.give_back(session, project_id, resource)


class Quotas:
    """What the API asks about quotas."""

    def limits(self, project_id: str) -> dict[str, int]:
        """The limits of a project, by resource."""
        with db.reader() as session:
            return _limits(session, project_id)

    def usage(self, project_id: str) -> dict[str, dict[str, int]]:
        """The limit, and how much is in use, by resource.

        What is being made is in use from the beginning, so ``reserved`` is always 0.
        """
        with db.reader() as session:
            in_use = rows.in_use(session, project_id)
            return {
                resource: {'limit': limit, 'in_use': in_use.get(resource, 0), 'reserved': 0}
                for resource, limit in _limits(session, project_id).items()
            }

    def defaults(self) -> dict[str, int]:
        """The limits of a project that has none of its own, by resource."""
        return self.class_limits(rows.DEFAULT_CLASS)

    def class_limits(self, class_name: str) -> dict[str, int]:
        """The limits of a class, by resource."""
        with db.reader() as session:
            return {**_configured(), **rows.class_limits(session, class_name)}

    def set_limits(
        self, context: karbor_context.RequestContext, project_id: str, limits: Mapping[str, int]
    ) -> dict[str, int]:
        """Give a project limits of its own; returns all of its limits."""

        @db.transaction
        def write(session: orm.Session) -> dict[str, int]:
            if limits.items() <= rows.own_limits(session, project_id).items():
                return _limits(session, project_id)
            rows.set_limits(session, project_id, limits)
            operation_logs.record(
                session, context, 'quota_update', extra_info={'project_id': project_id, **limits}
            )
            session.flush()
            return _limits(session, project_id)

        return write()

    def unset_limits(self, context: karbor_context.RequestContext, project_id: str) -> None:
        """Put a project back on the default limits. What it has, it keeps."""

        @db.transaction
        def write(session: orm.Session) -> None:
            if rows.unset_limits(session, project_id):
                operation_logs.record(
                    session, context, 'quota_delete', extra_info={'project_id': project_id}
                )

        write()

    def set_class_limits(
        self, context: karbor_context.RequestContext, class_name: str, limits: Mapping[str, int]
    ) -> dict[str, int]:
        """Change the limits of a class; returns all of them."""

        @db.transaction
        def write(session: orm.Session) -> None:
            if limits.items() <= rows.class_limits(session, class_name).items():
                return
            rows.set_class_limits(session, class_name, limits)
            operation_logs.record(
                session,
                context,
                'quota_class_update',
                extra_info={'class_name': class_name, **limits},
            )

        write()
        return self.class_limits(class_name)


def _configured() -> dict[str, int]:
    return {resource: cfg.CONF[f'quota_{resource}'] for resource in RESOURCES}


def _limits(session: orm.Session, project_id: str) -> dict[str, int]:
    return {**_configured(), **rows.limits_of(session, project_id)}
