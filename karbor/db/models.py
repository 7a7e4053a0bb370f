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

"""Tables. Ids are UUIDs as text, moments are UTC without a zone."""

import datetime
from typing import Annotated, Any

import sqlalchemy as sa
from oslo_utils import timeutils, uuidutils
from sqlalchemy import orm
from sqlalchemy.dialects import mysql

from karbor.db import compressed

# MariaDB's TEXT ends at 64 KiB, which the graph of some hundred volumes exceeds.
LongText = sa.Text().with_variant(mysql.LONGTEXT(), 'mysql', 'mariadb')
# MariaDB's DATETIME has seconds only, unless it is told otherwise.
Moment = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), 'mysql', 'mariadb')

Id = Annotated[
    str, orm.mapped_column(sa.String(36), primary_key=True, default=uuidutils.generate_uuid)
]


class Base(orm.DeclarativeBase):
    """Base of all tables."""


class Timestamps:
    created_at: orm.Mapped[datetime.datetime] = orm.mapped_column(Moment, default=timeutils.utcnow)
    updated_at: orm.Mapped[datetime.datetime | None] = orm.mapped_column(
        Moment, onupdate=timeutils.utcnow
    )


class OfResource:
    """What is about one resource."""

    resource_type: orm.Mapped[str] = orm.mapped_column(sa.String(255), primary_key=True)
    resource_id: orm.Mapped[str] = orm.mapped_column(sa.String(255), primary_key=True)

    @property
    def resource_key(self) -> str:
        """As :attr:`karbor.resource.Resource.key` has it."""
        return f'{self.resource_type}#{self.resource_id}'


class SchemaGate(Base):
    """The one row that says the oldest code that may work on the database.

    :ivar oldest_code: revision of the last migration that this code has.
    """

    __tablename__ = 'schema_gate'

    oldest_code: orm.Mapped[str] = orm.mapped_column(sa.String(32), primary_key=True)


class Plan(Timestamps, Base):
    __tablename__ = 'plans'
    __table_args__ = (
        sa.Index('plans_project_idx', 'project_id', 'created_at', 'id'),
        sa.Index('plans_all_idx', 'created_at', 'id'),
    )

    id: orm.Mapped[Id]
    project_id: orm.Mapped[str] = orm.mapped_column(sa.String(255))
    name: orm.Mapped[str] = orm.mapped_column(sa.String(255))
    description: orm.Mapped[str | None] = orm.mapped_column(sa.String(255))
    provider_id: orm.Mapped[str] = orm.mapped_column(sa.String(36))
    status: orm.Mapped[str] = orm.mapped_column(sa.String(64))
    resources: orm.Mapped[list[dict[str, Any]]] = orm.mapped_column(compressed.CompressedJSON)
    parameters: orm.Mapped[dict[str, Any]] = orm.mapped_column(sa.JSON)


class Subject(Timestamps):
    """What jobs may be about that has a status of its own."""

    id: orm.Mapped[Id]
    project_id: orm.Mapped[str] = orm.mapped_column(sa.String(255))
    provider_id: orm.Mapped[str] = orm.mapped_column(sa.String(36))
    status: orm.Mapped[str] = orm.mapped_column(sa.String(64))
    status_reason: orm.Mapped[str | None] = orm.mapped_column(LongText)


class Checkpoint(Subject, Base):
    """What protects the resources of a plan, as they were at one moment.

    ``region`` is the one of the cloud that it was made in; null of one that an older Karbor made
    and that no look has found there yet. ``plan_name`` is that of ``protection_plan``, for lists;
    null in the row of an older Karbor. One that is there for some time only is deleted at
    ``expires_at``.
    """

    __tablename__ = 'checkpoints'
    __table_args__ = (
        sa.Index('checkpoints_provider_idx', 'project_id', 'provider_id', 'created_at', 'id'),
        sa.Index('checkpoints_all_idx', 'provider_id', 'created_at', 'id'),
        sa.Index('checkpoints_plan_idx', 'plan_id', 'created_at', 'id'),
        sa.Index('checkpoints_plan_status_idx', 'plan_id', 'status', 'created_at'),
        sa.Index('checkpoints_expiry_idx', 'expires_at'),
    )

    plan_id: orm.Mapped[str] = orm.mapped_column(sa.String(36))
    plan_name: orm.Mapped[str | None] = orm.mapped_column(sa.String(255))
    protection_plan: orm.Mapped[dict[str, Any]] = orm.mapped_column(compressed.CompressedJSON)
    resource_graph: orm.Mapped[str] = orm.mapped_column(compressed.CompressedText)
    resources_total: orm.Mapped[int]
    extra_info: orm.Mapped[dict[str, Any]] = orm.mapped_column(sa.JSON)
    pinned: orm.Mapped[bool] = orm.mapped_column(default=False)
    region: orm.Mapped[str | None] = orm.mapped_column(sa.String(255))
    expires_at: orm.Mapped[datetime.datetime | None] = orm.mapped_column(Moment)


class RecoveryPoint(Timestamps, Base):
    """A resource in a checkpoint: of when, in what state, and why.

    ``created_at`` is that of the checkpoint; ``taken_at`` is the moment that the data is of, by
    the cloud's clock, and null while that is not known. ``cloud_id`` is what it is in the cloud,
    for example the id of a snapshot; ``size`` is in GiB.
    """

    __tablename__ = 'recovery_points'
    __table_args__ = (
        sa.UniqueConstraint(
            'checkpoint_id', 'resource_type', 'resource_id', name='recovery_points_resource_uc'
        ),
        # Has all that is asked each hour of points about which there is nothing to do.
        sa.Index('recovery_points_state_idx', 'checkpoint_id', 'state', 'updated_at'),
        # The type is left out: it would make the key too long for MariaDB, and ids tell enough.
        sa.Index(
            'recovery_points_project_resource_idx',
            'project_id',
            'resource_id',
            'state',
            'created_at',
            'id',
            # What coverage asks of all points of a project is read from it alone.
            'seen_good_at',
            'taken_at',
        ),
        sa.Index('recovery_points_project_idx', 'project_id', 'created_at', 'id'),
        sa.Index('recovery_points_all_idx', 'created_at', 'id'),
        sa.Index('recovery_points_plan_idx', 'plan_id', 'created_at', 'id'),
        sa.Index(
            'recovery_points_scheduled_operation_idx', 'scheduled_operation_id', 'created_at', 'id'
        ),
    )

    id: orm.Mapped[Id]
    checkpoint_id: orm.Mapped[str] = orm.mapped_column(sa.String(36))
    resource_type: orm.Mapped[str] = orm.mapped_column(sa.String(255))
    resource_id: orm.Mapped[str] = orm.mapped_column(sa.String(255))
    resource_name: orm.Mapped[str] = orm.mapped_column(sa.String(255))
    project_id: orm.Mapped[str] = orm.mapped_column(sa.String(255))
    provider_id: orm.Mapped[str] = orm.mapped_column(sa.String(36))
    plan_id: orm.Mapped[str] = orm.mapped_column(sa.String(36))
    scheduled_operation_id: orm.Mapped[str | None] = orm.mapped_column(sa.String(36))
    taken_at: orm.Mapped[datetime.datetime | None] = orm.mapped_column(Moment)
    size: orm.Mapped[int | None]
    cloud_id: orm.Mapped[str | None] = orm.mapped_column(sa.String(255))
    state: orm.Mapped[str] = orm.mapped_column(sa.String(16))
    reason: orm.Mapped[str | None] = orm.mapped_column(LongText)
    seen_good_at: orm.Mapped[datetime.datetime | None] = orm.mapped_column(Moment)


class CheckpointUse(Subject):
    """What a restore and a verification have in common."""

    checkpoint_id: orm.Mapped[str] = orm.mapped_column(sa.String(36))
    parameters: orm.Mapped[dict[str, Any]] = orm.mapped_column(sa.JSON)


class Restore(CheckpointUse, Base):
    """What makes resources of a checkpoint anew.

    ``choices`` is what was asked for beside the parameters, ``left_out`` what was asked for and
    could not be had, by type, id and reason; both are null of what older Karbors wrote.
    ``group_id`` is shared by those that were asked for together. What one in place overwrites is
    in the checkpoint ``safety_checkpoint_id``.
    """

    __tablename__ = 'restores'
    __table_args__ = (
        sa.Index('restores_project_idx', 'project_id', 'created_at', 'id'),
        sa.Index('restores_all_idx', 'created_at', 'id'),
        sa.Index('restores_group_idx', 'group_id'),
        sa.Index('restores_safety_idx', 'safety_checkpoint_id'),
    )

    restore_target: orm.Mapped[str | None] = orm.mapped_column(sa.String(255))
    choices: orm.Mapped[dict[str, Any] | None] = orm.mapped_column(sa.JSON(none_as_null=True))
    left_out: orm.Mapped[list[dict[str, str]] | None] = orm.mapped_column(
        sa.JSON(none_as_null=True)
    )
    group_id: orm.Mapped[str | None] = orm.mapped_column(sa.String(36))
    safety_checkpoint_id: orm.Mapped[str | None] = orm.mapped_column(sa.String(36))


class Verification(CheckpointUse, Base):
    __tablename__ = 'verifications'
    __table_args__ = (
        sa.Index('verifications_project_idx', 'project_id', 'created_at', 'id'),
        sa.Index('verifications_all_idx', 'created_at', 'id'),
    )


class ResourceResult(OfResource, Base):
    """What a plugin told of one resource of a restore or a verification.

    ``name`` is what the resource is called, where the plugin has told that.
    """

    __tablename__ = 'resource_results'

    subject_id: orm.Mapped[str] = orm.mapped_column(sa.String(36), primary_key=True)
    status: orm.Mapped[str] = orm.mapped_column(sa.String(64))
    reason: orm.Mapped[str | None] = orm.mapped_column(LongText)
    name: orm.Mapped[str | None] = orm.mapped_column(sa.String(255))


class Job(Timestamps, Base):
    """One piece of work; the row is the truth, a board only carries its id.

    The checkpoint of a run of a scheduled operation does not exist before its job begins; what it
    is to be made of, and why, is in ``plan_id``, ``trigger_id`` and ``fire_at``.

    Since ``quiet_since`` no attempt of the job has sent anything that changes a cloud; it is None
    when that is not known, or one may be sending.
    """

    __tablename__ = 'jobs'
    __table_args__ = (
        sa.Index('jobs_state_idx', 'state', 'created_at'),
        # Has all that is asked of the jobs that wait; see job_line.
        sa.Index('jobs_line_idx', 'state', 'project_id', 'created_at', 'id', 'kind', 'provider_id'),
        sa.Index('jobs_checkpoint_idx', 'checkpoint_id', 'state'),
        sa.Index('jobs_subject_idx', 'subject_id', 'created_at'),
        sa.Index('jobs_trust_idx', 'trust_id', 'state'),
        sa.Index('jobs_scheduled_operation_idx', 'scheduled_operation_id', 'state'),
    )

    id: orm.Mapped[Id]
    kind: orm.Mapped[str] = orm.mapped_column(sa.String(16))
    subject_id: orm.Mapped[str] = orm.mapped_column(sa.String(36))
    checkpoint_id: orm.Mapped[str] = orm.mapped_column(sa.String(36))
    provider_id: orm.Mapped[str] = orm.mapped_column(sa.String(36))
    scheduled_operation_id: orm.Mapped[str | None] = orm.mapped_column(sa.String(36))
    plan_id: orm.Mapped[str | None] = orm.mapped_column(sa.String(36))
    trigger_id: orm.Mapped[str | None] = orm.mapped_column(sa.String(36))
    fire_at: orm.Mapped[datetime.datetime | None] = orm.mapped_column(Moment)
    retry_of: orm.Mapped[str | None] = orm.mapped_column(sa.String(36))
    project_id: orm.Mapped[str] = orm.mapped_column(sa.String(255))
    user_id: orm.Mapped[str | None] = orm.mapped_column(sa.String(255))
    trust_id: orm.Mapped[str | None] = orm.mapped_column(
        sa.ForeignKey('trusts.id', ondelete='SET NULL')
    )
    state: orm.Mapped[str] = orm.mapped_column(sa.String(16))
    claimed_until: orm.Mapped[datetime.datetime | None] = orm.mapped_column(Moment)
    quiet_since: orm.Mapped[datetime.datetime | None] = orm.mapped_column(Moment)
    attempts: orm.Mapped[int] = orm.mapped_column(default=0)
    tries: orm.Mapped[int] = orm.mapped_column(default=0)
    error: orm.Mapped[str | None] = orm.mapped_column(LongText)


class JobResource(OfResource, Base):
    """How far a job is with one resource; a job that runs again skips what is done.

    ``seconds`` is how long its last attempt took.
    """

    __tablename__ = 'job_resources'

    job_id: orm.Mapped[str] = orm.mapped_column(
        sa.ForeignKey('jobs.id', ondelete='CASCADE'), primary_key=True
    )
    is_done: orm.Mapped[bool]
    reason: orm.Mapped[str | None] = orm.mapped_column(LongText)
    new_resource_id: orm.Mapped[str | None] = orm.mapped_column(sa.String(255))
    seconds: orm.Mapped[float | None]


class Trigger(Timestamps, Base):
    """When something is to happen.

    ``due_at`` is when an engine is to look at it: ``next_fire_at`` with the jitter, or null
    when no enabled operation waits for it or the series has ended.
    """

    __tablename__ = 'triggers'
    __table_args__ = (
        sa.Index('triggers_project_idx', 'project_id', 'created_at', 'id'),
        sa.Index('triggers_all_idx', 'created_at', 'id'),
        sa.Index('triggers_due_idx', 'due_at'),
    )

    id: orm.Mapped[Id]
    project_id: orm.Mapped[str] = orm.mapped_column(sa.String(255))
    name: orm.Mapped[str] = orm.mapped_column(sa.String(255))
    type: orm.Mapped[str] = orm.mapped_column(sa.String(64))
    properties: orm.Mapped[dict[str, Any]] = orm.mapped_column(sa.JSON)
    next_fire_at: orm.Mapped[datetime.datetime | None] = orm.mapped_column(Moment)
    due_at: orm.Mapped[datetime.datetime | None] = orm.mapped_column(Moment)
    last_fire_at: orm.Mapped[datetime.datetime | None] = orm.mapped_column(Moment)


class TriggerFire(Base):
    """A moment at which a trigger fired; written with the jobs that it started."""

    __tablename__ = 'trigger_fires'

    trigger_id: orm.Mapped[str] = orm.mapped_column(
        sa.ForeignKey('triggers.id', ondelete='CASCADE'), primary_key=True
    )
    fire_at: orm.Mapped[datetime.datetime] = orm.mapped_column(Moment, primary_key=True)
    fired_at: orm.Mapped[datetime.datetime] = orm.mapped_column(Moment)


class ScheduledOperation(Timestamps, Base):
    """What is to happen to a plan when a trigger fires."""

    __tablename__ = 'scheduled_operations'
    __table_args__ = (
        sa.Index('scheduled_operations_project_idx', 'project_id', 'created_at', 'id'),
        sa.Index('scheduled_operations_all_idx', 'created_at', 'id'),
        sa.Index('scheduled_operations_trigger_idx', 'trigger_id'),
        sa.Index('scheduled_operations_plan_idx', 'plan_id'),
        sa.Index('scheduled_operations_trust_idx', 'trust_id'),
    )

    id: orm.Mapped[Id]
    project_id: orm.Mapped[str] = orm.mapped_column(sa.String(255))
    user_id: orm.Mapped[str | None] = orm.mapped_column(sa.String(255))
    name: orm.Mapped[str] = orm.mapped_column(sa.String(255))
    description: orm.Mapped[str | None] = orm.mapped_column(sa.String(255))
    operation_type: orm.Mapped[str] = orm.mapped_column(sa.String(64))
    trigger_id: orm.Mapped[str] = orm.mapped_column(sa.ForeignKey('triggers.id'))
    plan_id: orm.Mapped[str] = orm.mapped_column(sa.ForeignKey('plans.id'))
    operation_definition: orm.Mapped[dict[str, Any]] = orm.mapped_column(sa.JSON)
    enabled: orm.Mapped[bool] = orm.mapped_column(default=True)
    trust_id: orm.Mapped[str | None] = orm.mapped_column(
        sa.ForeignKey('trusts.id', ondelete='SET NULL')
    )


class OperationLog(Timestamps, Base):
    """Who did what, when, and how it ended; that of a job has the job's id."""

    __tablename__ = 'operation_logs'
    __table_args__ = (
        sa.Index('operation_logs_project_idx', 'project_id', 'created_at', 'id'),
        sa.Index('operation_logs_all_idx', 'created_at', 'id'),
        sa.Index('operation_logs_checkpoint_idx', 'checkpoint_id', 'created_at', 'id'),
        sa.Index('operation_logs_plan_idx', 'plan_id', 'created_at', 'id'),
        sa.Index(
            'operation_logs_scheduled_operation_idx', 'scheduled_operation_id', 'created_at', 'id'
        ),
    )

    id: orm.Mapped[Id]
    project_id: orm.Mapped[str] = orm.mapped_column(sa.String(255))
    user_id: orm.Mapped[str | None] = orm.mapped_column(sa.String(255))
    request_id: orm.Mapped[str | None] = orm.mapped_column(sa.String(64))
    operation_type: orm.Mapped[str] = orm.mapped_column(sa.String(64))
    checkpoint_id: orm.Mapped[str | None] = orm.mapped_column(sa.String(36))
    plan_id: orm.Mapped[str | None] = orm.mapped_column(sa.String(36))
    provider_id: orm.Mapped[str | None] = orm.mapped_column(sa.String(36))
    restore_id: orm.Mapped[str | None] = orm.mapped_column(sa.String(36))
    scheduled_operation_id: orm.Mapped[str | None] = orm.mapped_column(sa.String(36))
    status: orm.Mapped[str] = orm.mapped_column(sa.String(64))
    started_at: orm.Mapped[datetime.datetime] = orm.mapped_column(Moment, default=timeutils.utcnow)
    ended_at: orm.Mapped[datetime.datetime | None] = orm.mapped_column(Moment)
    error_info: orm.Mapped[str | None] = orm.mapped_column(LongText)
    extra_info: orm.Mapped[dict[str, Any] | None] = orm.mapped_column(sa.JSON(none_as_null=True))


class Service(Timestamps, Base):
    """A process that reports that it is alive."""

    __tablename__ = 'services'
    __table_args__ = (sa.UniqueConstraint('host', 'binary', name='services_host_binary_uc'),)

    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    host: orm.Mapped[str] = orm.mapped_column(sa.String(255))
    binary: orm.Mapped[str] = orm.mapped_column(sa.String(255))
    reported_at: orm.Mapped[datetime.datetime] = orm.mapped_column(Moment)
    disabled: orm.Mapped[bool] = orm.mapped_column(default=False)
    disabled_reason: orm.Mapped[str | None] = orm.mapped_column(sa.String(255))


class Quota(Base):
    """A limit that a project has instead of the default."""

    __tablename__ = 'quotas'

    project_id: orm.Mapped[str] = orm.mapped_column(sa.String(255), primary_key=True)
    resource: orm.Mapped[str] = orm.mapped_column(sa.String(64), primary_key=True)
    hard_limit: orm.Mapped[int]


class QuotaClass(Base):
    """A limit of a class; the class ``default`` is every project's."""

    __tablename__ = 'quota_classes'

    class_name: orm.Mapped[str] = orm.mapped_column(sa.String(255), primary_key=True)
    resource: orm.Mapped[str] = orm.mapped_column(sa.String(64), primary_key=True)
    hard_limit: orm.Mapped[int]


class QuotaUsage(Base):
    """How many a project has; changed in the transaction that makes or removes one."""

    __tablename__ = 'quota_usages'

    project_id: orm.Mapped[str] = orm.mapped_column(sa.String(255), primary_key=True)
    resource: orm.Mapped[str] = orm.mapped_column(sa.String(64), primary_key=True)
    in_use: orm.Mapped[int]


class Trust(Timestamps, Base):
    """A Keystone trust by which jobs act for a user; nothing secret is in it.

    ``live_key`` is unique among the trusts that may be given to jobs, and null once a trust
    is to be deleted.
    """

    __tablename__ = 'trusts'
    __table_args__ = (sa.UniqueConstraint('live_key', name='trusts_live_key_uc'),)

    id: orm.Mapped[str] = orm.mapped_column(sa.String(64), primary_key=True)
    user_id: orm.Mapped[str] = orm.mapped_column(sa.String(64))
    project_id: orm.Mapped[str] = orm.mapped_column(sa.String(64))
    roles: orm.Mapped[list[str]] = orm.mapped_column(sa.JSON)
    live_key: orm.Mapped[str | None] = orm.mapped_column(sa.String(64))


class Volume(Base):
    """A volume of a project in Cinder, as the last look has seen it.

    ``size`` is in GiB; ``labels`` is Cinder's metadata.
    """

    __tablename__ = 'volumes'

    project_id: orm.Mapped[str] = orm.mapped_column(sa.String(255), primary_key=True)
    id: orm.Mapped[str] = orm.mapped_column(sa.String(36), primary_key=True)
    name: orm.Mapped[str] = orm.mapped_column(sa.String(255))
    status: orm.Mapped[str] = orm.mapped_column(sa.String(255))
    size: orm.Mapped[int]
    labels: orm.Mapped[dict[str, str]] = orm.mapped_column('metadata', sa.JSON)


class ProjectLook(Base):
    """When Karbor has last looked at what a project has in the cloud.

    ``volumes_seen_at`` is when its volumes were listed, ``points_compared_at`` when its recovery
    points were to be compared with its snapshots; ``remark`` is why some were left as they were.
    ``judged_at`` is when it was last found out whether all that is to be protected is.
    """

    __tablename__ = 'project_looks'

    project_id: orm.Mapped[str] = orm.mapped_column(sa.String(255), primary_key=True)
    volumes_seen_at: orm.Mapped[datetime.datetime | None] = orm.mapped_column(Moment)
    points_compared_at: orm.Mapped[datetime.datetime | None] = orm.mapped_column(Moment)
    judged_at: orm.Mapped[datetime.datetime | None] = orm.mapped_column(Moment)
    remark: orm.Mapped[str | None] = orm.mapped_column(LongText)


class Trouble(Timestamps, Base):
    """What does not go as somebody wants; there is one of a kind about one thing.

    It stands since ``created_at``, and until ``closed_at``; one that comes again stands since then.
    ``count`` is how many there are of what the subject is about, as volumes of a plan. Those of the
    operator have an empty ``project_id``.
    """

    __tablename__ = 'troubles'
    __table_args__ = (
        sa.UniqueConstraint('project_id', 'kind', 'subject_id', name='troubles_subject_uc'),
        sa.Index('troubles_project_idx', 'project_id', 'created_at', 'id'),
        sa.Index('troubles_all_idx', 'created_at', 'id'),
        sa.Index('troubles_closed_idx', 'closed_at'),
    )

    id: orm.Mapped[Id]
    project_id: orm.Mapped[str] = orm.mapped_column(sa.String(255))
    kind: orm.Mapped[str] = orm.mapped_column(sa.String(32))
    subject_id: orm.Mapped[str] = orm.mapped_column(sa.String(255))
    subject_name: orm.Mapped[str] = orm.mapped_column(sa.String(255))
    reason: orm.Mapped[str] = orm.mapped_column(LongText)
    count: orm.Mapped[int]
    closed_at: orm.Mapped[datetime.datetime | None] = orm.mapped_column(Moment)
