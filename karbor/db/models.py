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

# MariaDB's TEXT ends at 64 KiB, which the graph of some hundred volumes exceeds.
LongText = sa.Text().with_variant(mysql.LONGTEXT(), 'mysql', 'mariadb')
# MariaDB's DATETIME has seconds only, unless it is told otherwise.
Moment = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), 'mysql', 'mariadb')

Id = Annotated[str, orm.mapped_column(sa.String(36), primary_key=True,
                                      default=uuidutils.generate_uuid)]


class Base(orm.DeclarativeBase):
    """Base of all tables."""


class Timestamps:
    created_at: orm.Mapped[datetime.datetime] = orm.mapped_column(
        Moment, default=timeutils.utcnow)
    updated_at: orm.Mapped[datetime.datetime | None] = orm.mapped_column(
        Moment, onupdate=timeutils.utcnow)


class Plan(Timestamps, Base):
    __tablename__ = 'plans'
    __table_args__ = (sa.Index('plans_project_idx', 'project_id', 'created_at', 'id'),)

    id: orm.Mapped[Id]
    project_id: orm.Mapped[str] = orm.mapped_column(sa.String(255))
    name: orm.Mapped[str] = orm.mapped_column(sa.String(255))
    description: orm.Mapped[str | None] = orm.mapped_column(sa.String(255))
    provider_id: orm.Mapped[str] = orm.mapped_column(sa.String(36))
    status: orm.Mapped[str] = orm.mapped_column(sa.String(64))
    resources: orm.Mapped[list[dict[str, Any]]] = orm.mapped_column(sa.JSON)
    parameters: orm.Mapped[dict[str, Any]] = orm.mapped_column(sa.JSON)


class Checkpoint(Timestamps, Base):
    __tablename__ = 'checkpoints'
    __table_args__ = (
        sa.Index('checkpoints_provider_idx', 'project_id', 'provider_id', 'created_at', 'id'),
        sa.Index('checkpoints_plan_idx', 'plan_id', 'created_at', 'id'),
    )

    id: orm.Mapped[Id]
    project_id: orm.Mapped[str] = orm.mapped_column(sa.String(255))
    provider_id: orm.Mapped[str] = orm.mapped_column(sa.String(36))
    plan_id: orm.Mapped[str] = orm.mapped_column(sa.String(36))
    status: orm.Mapped[str] = orm.mapped_column(sa.String(64))
    status_reason: orm.Mapped[str | None] = orm.mapped_column(LongText)
    protection_plan: orm.Mapped[dict[str, Any]] = orm.mapped_column(sa.JSON)
    resource_graph: orm.Mapped[str] = orm.mapped_column(LongText)
    resources_total: orm.Mapped[int]
    extra_info: orm.Mapped[dict[str, Any]] = orm.mapped_column(sa.JSON)


class CheckpointUse(Timestamps):
    """What a restore and a verification have in common."""

    id: orm.Mapped[Id]
    project_id: orm.Mapped[str] = orm.mapped_column(sa.String(255))
    provider_id: orm.Mapped[str] = orm.mapped_column(sa.String(36))
    checkpoint_id: orm.Mapped[str] = orm.mapped_column(sa.String(36))
    status: orm.Mapped[str] = orm.mapped_column(sa.String(64))
    status_reason: orm.Mapped[str | None] = orm.mapped_column(LongText)
    parameters: orm.Mapped[dict[str, Any]] = orm.mapped_column(sa.JSON)


class Restore(CheckpointUse, Base):
    __tablename__ = 'restores'
    __table_args__ = (sa.Index('restores_project_idx', 'project_id', 'created_at', 'id'),)

    restore_target: orm.Mapped[str | None] = orm.mapped_column(sa.String(255))


class Verification(CheckpointUse, Base):
    __tablename__ = 'verifications'
    __table_args__ = (sa.Index('verifications_project_idx', 'project_id', 'created_at', 'id'),)


class ResourceResult(Base):
    """What a plugin told of one resource of a restore or a verification."""

    __tablename__ = 'resource_results'

    subject_id: orm.Mapped[str] = orm.mapped_column(sa.String(36), primary_key=True)
    resource_type: orm.Mapped[str] = orm.mapped_column(sa.String(255), primary_key=True)
    resource_id: orm.Mapped[str] = orm.mapped_column(sa.String(255), primary_key=True)
    status: orm.Mapped[str] = orm.mapped_column(sa.String(64))
    reason: orm.Mapped[str | None] = orm.mapped_column(LongText)


class Job(Timestamps, Base):
    """One piece of work; the row is the truth, a board only carries its id."""

    __tablename__ = 'jobs'
    __table_args__ = (
        sa.Index('jobs_state_idx', 'state', 'created_at'),
        sa.Index('jobs_checkpoint_idx', 'checkpoint_id', 'state'),
        sa.Index('jobs_subject_idx', 'subject_id', 'created_at'),
    )

    id: orm.Mapped[Id]
    kind: orm.Mapped[str] = orm.mapped_column(sa.String(16))
    subject_id: orm.Mapped[str] = orm.mapped_column(sa.String(36))
    checkpoint_id: orm.Mapped[str] = orm.mapped_column(sa.String(36))
    project_id: orm.Mapped[str] = orm.mapped_column(sa.String(255))
    user_id: orm.Mapped[str | None] = orm.mapped_column(sa.String(255))
    state: orm.Mapped[str] = orm.mapped_column(sa.String(16))
    attempts: orm.Mapped[int] = orm.mapped_column(default=0)
    error: orm.Mapped[str | None] = orm.mapped_column(LongText)


class JobResource(Base):
    """How far a job is with one resource; a job that runs again skips what is done."""

    __tablename__ = 'job_resources'

    job_id: orm.Mapped[str] = orm.mapped_column(
        sa.ForeignKey('jobs.id', ondelete='CASCADE'), primary_key=True)
    resource_type: orm.Mapped[str] = orm.mapped_column(sa.String(255), primary_key=True)
    resource_id: orm.Mapped[str] = orm.mapped_column(sa.String(255), primary_key=True)
    is_done: orm.Mapped[bool]
    reason: orm.Mapped[str | None] = orm.mapped_column(LongText)
    new_resource_id: orm.Mapped[str | None] = orm.mapped_column(sa.String(255))
