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

"""Rows of another project, and what holds of all rows once no job is under way."""

import datetime
import json
import pathlib
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import sqlalchemy as sa
from oslo_utils import timeutils
from sqlalchemy import orm

from karbor import db, exception
from karbor.db import models
from karbor.services.checkpoints import plugin_records
from karbor.services.protection import provider as providers
from karbor.services.schedules import firing, time_triggers
from karbor.tests.base import OTHER_PROJECT_ID, PROVIDER_ID, new_id
from karbor.tests.functional import base, fuzzing
from karbor.tests.functional.base import VOLUME

Tables = dict[str, list[dict[str, Any]]]

_COUNTED = (
    models.Plan,
    models.Checkpoint,
    models.Restore,
    models.Verification,
    models.Job,
    models.Trigger,
    models.ScheduledOperation,
    models.OperationLog,
    models.Quota,
    models.QuotaClass,
)
_BUSY = ('protecting', 'deleting', 'in_progress')
_ENDED = ('success', 'deleted', 'error_deleting')
_KINDS = {
    models.Checkpoint: ('protect', 'safety_protect', 'delete'),
    models.Restore: ('restore', 'chosen_restore'),
    models.Verification: ('verify',),
}

_BY_RETENTION = sa.or_(
    models.OperationLog.operation_type.in_(('retention', 'remove')),
    sa.and_(
        models.OperationLog.operation_type == 'delete',
        models.OperationLog.scheduled_operation_id.is_not(None),
    ),
    # A run that is tried once more.
    models.OperationLog.id.in_(sa.select(models.Job.id).where(models.Job.retry_of.is_not(None))),
)
# What no request has made, but a job that it began.
_MADE_BY_JOBS: dict[Any, sa.ColumnElement[bool]] = {
    models.OperationLog: _BY_RETENTION,
    models.Job: models.Job.id.in_(sa.select(models.OperationLog.id).where(_BY_RETENTION)),
    models.Checkpoint: models.Checkpoint.id.in_(
        sa.select(models.Job.checkpoint_id).where(models.Job.scheduled_operation_id.is_not(None))
    ),
}


def counts() -> dict[str, int]:
    """How many rows there are of all that only requests make and remove."""
    numbers = [
        sa.select(sa.func.count())
        .select_from(model)
        .where(sa.not_(_MADE_BY_JOBS.get(model, sa.false())))
        .scalar_subquery()
        .label(model.__tablename__)
        for model in _COUNTED
    ]
    with db.reader() as session:
        return dict(session.execute(sa.select(*numbers)).one()._mapping)


def add_other_project(add: Callable[..., Any], provider: providers.Provider) -> None:
    """Rows of a project of which nobody else may ever see anything, or change it.

    :param add: makes a row, given the table and values.
    :param provider: in whose bank its checkpoint is.
    """
    secret, project_id = fuzzing.SECRET, OTHER_PROJECT_ID
    parameters = {VOLUME: {'snapshot_name': secret}}
    resources = [base.resource(name=secret)]
    plan = add(
        models.Plan,
        project_id=project_id,
        name=secret,
        description=secret,
        parameters=parameters,
        resources=resources,
    )
    row = add(
        models.Checkpoint,
        plan_id=plan.id,
        extra_info={'x': secret},
        project_id=project_id,
        status_reason=secret,
        protection_plan={
            'id': plan.id,
            'name': secret,
            'resources': resources,
            'provider_id': PROVIDER_ID,
            'parameters': parameters,
        },
    )
    plugin_records.write_checkpoint(row, provider.checkpoints)
    fire = datetime.datetime(2040, 1, 1, 9)
    trigger = add(
        models.Trigger,
        project_id=project_id,
        name=secret,
        type='time',
        properties={
            'format': 'crontab',
            'pattern': '0 9 * * *',
            'window': 900,
            'start_time': '2040-01-01 00:00:00',
        },
        next_fire_at=fire,
        due_at=fire,
    )
    add(
        models.ScheduledOperation,
        project_id=project_id,
        name=secret,
        description=secret,
        operation_type='protect',
        trigger_id=trigger.id,
        plan_id=plan.id,
        enabled=True,
        operation_definition={'provider_id': PROVIDER_ID, 'plan_id': plan.id, 'note': secret},
    )
    about = {
        'project_id': project_id,
        'checkpoint_id': row.id,
        'parameters': parameters,
        'status': 'success',
        'status_reason': secret,
    }
    for kind, use in (
        ('verify', add(models.Verification, **about)),
        ('restore', add(models.Restore, restore_target=secret, **about)),
    ):
        job = add(
            models.Job,
            id=new_id(),
            kind=kind,
            subject_id=use.id,
            checkpoint_id=row.id,
            provider_id=PROVIDER_ID,
            project_id=project_id,
            user_id=secret,
            state='done',
            error=secret,
        )
        add(
            models.OperationLog,
            id=job.id,
            project_id=project_id,
            user_id=secret,
            operation_type=kind,
            checkpoint_id=row.id,
            plan_id=plan.id,
            restore_id=use.id,
            status='success',
            error_info=secret,
            ended_at=timeutils.utcnow(),
            extra_info={'x': secret},
        )
        resource = {'resource_type': VOLUME, 'resource_id': resources[0]['id'], 'reason': secret}
        add(models.JobResource, job_id=job.id, is_done=True, new_resource_id=new_id(), **resource)
        add(models.ResourceResult, subject_id=use.id, status='available', **resource)
    for name in ('plans', 'checkpoints', 'schedules'):
        add(models.QuotaUsage, project_id=project_id, resource=name, in_use=1)


def of_other_project(bank: pathlib.Path) -> Tables:
    """All that the other project has, but its limits, which are the administrator's.

    :param bank: the folder of the bank.
    """
    tables: Tables = {}
    with db.reader() as session:
        for mapper in models.Base.registry.mappers:
            model = mapper.class_
            if hasattr(model, 'project_id') and model is not models.Quota:
                query = sa.select(model).where(model.project_id == OTHER_PROJECT_ID)
            elif hasattr(model, 'reason'):
                query = sa.select(model).where(model.reason == fuzzing.SECRET)
            else:
                continue
            tables[model.__tablename__] = sorted(map(_as_dict, session.scalars(query)), key=str)
    for row in tables['checkpoints']:
        tables['bank'] = [
            {'path': str(path), 'content': path.read_bytes()}
            for path in sorted(bank.rglob('*'))
            if row['id'] in str(path) and path.is_file()
        ]
    return tables


def faults(provider: providers.Provider) -> Iterator[tuple[str, str]]:
    """What is not as it must be: a short name and what it is seen on.

    :param provider: in whose bank checkpoints are.
    """
    with db.reader() as session:
        yield from _quota_faults(session)
        yield from _job_faults(session)
        yield from _status_faults(session)
        yield from _reference_faults(session)
        yield from _trigger_faults(session)
        for mapper in models.Base.registry.mappers:
            yield from _value_faults(session, mapper.class_)
        checkpoints = list(session.scalars(sa.select(models.Checkpoint)))
    yield from _bank_faults(checkpoints, provider)


def _quota_faults(session: orm.Session) -> Iterator[tuple[str, str]]:
    counted: Counter[tuple[str, str]] = Counter()
    for resource, query in (
        ('plans', sa.select(models.Plan.project_id)),
        ('schedules', sa.select(models.ScheduledOperation.project_id)),
        (
            'checkpoints',
            sa.select(models.Checkpoint.project_id).where(models.Checkpoint.status != 'deleted'),
        ),
    ):
        counted.update((project_id, resource) for project_id in session.scalars(query))
    kept = Counter(
        {
            (row.project_id, row.resource): row.in_use
            for row in session.scalars(sa.select(models.QuotaUsage))
        }
    )
    if counted != kept:
        yield 'quota usage is not the rows', f'{dict(counted)} but {dict(kept)}'


def _job_faults(session: orm.Session) -> Iterator[tuple[str, str]]:
    jobs = list(session.scalars(sa.select(models.Job)))
    logs = {row.id: row for row in session.scalars(sa.select(models.OperationLog))}
    for job in jobs:
        log = logs.get(job.id)
        if job.state not in ('done', 'failed'):
            yield 'job that does not end', _shown(job)
        if log is None or log.ended_at is None or log.project_id != job.project_id:
            yield 'job without its log', _shown(job)
        if job.error and 'unexpected' in job.error:
            yield 'job that failed unexpectedly', _shown(job)
    for log in logs.values():
        if log.status in _BUSY or log.ended_at is None:
            yield 'log without an end', _shown(log)


def _status_faults(session: orm.Session) -> Iterator[tuple[str, str]]:
    with_job = {
        tuple(row) for row in session.execute(sa.select(models.Job.subject_id, models.Job.kind))
    }
    for model, kinds in _KINDS.items():
        for row in session.scalars(sa.select(model)):
            if row.status in _BUSY:
                yield 'in progress without a job', _shown(row)
            if row.status in _ENDED and not any((row.id, kind) in with_job for kind in kinds):
                yield 'ended without a job', _shown(row)


def _reference_faults(session: orm.Session) -> Iterator[tuple[str, str]]:
    plans = set(session.scalars(sa.select(models.Plan.id)))
    triggers = set(session.scalars(sa.select(models.Trigger.id)))
    for row in session.scalars(sa.select(models.ScheduledOperation)):
        if row.plan_id not in plans or row.trigger_id not in triggers:
            yield 'scheduled operation of nothing', _shown(row)
    jobs = set(session.scalars(sa.select(models.Job.id)))
    for row in session.scalars(sa.select(models.JobResource)):
        if row.job_id not in jobs:
            yield 'resource of no job', _shown(row)


def _trigger_faults(session: orm.Session) -> Iterator[tuple[str, str]]:
    awaited = set(
        session.scalars(
            sa.select(models.ScheduledOperation.trigger_id).where(
                models.ScheduledOperation.enabled.is_(True)
            )
        )
    )
    for row in session.scalars(sa.select(models.Trigger)):
        timer = time_triggers.load(row.properties)
        if row.next_fire_at is None or row.due_at is None:
            if row.next_fire_at != row.due_at or (
                row.id in awaited and time_triggers.next_times(timer, timeutils.utcnow(), 1)
            ):
                yield 'trigger that is not due', _shown(row)
        elif row.id not in awaited:
            yield 'trigger that is due for nothing', _shown(row)
        elif row.due_at != firing.due_at(timer, row.id, row.next_fire_at):
            yield 'trigger that is due at another time than it fires', _shown(row)


def _value_faults(session: orm.Session, model: Any) -> Iterator[tuple[str, str]]:
    """Every JSON column loads, as JSON that everybody reads; texts can be sent; ids are UUIDs."""
    columns = model.__table__.columns
    texts = [column for column in columns if isinstance(column.type, sa.JSON | sa.String)]
    for row in session.execute(
        sa.select(
            *(
                sa.type_coerce(column, sa.Text) if session.bind.dialect.name == 'sqlite' else column
                for column in texts
            )
        )
    ):
        for column, value in zip(texts, row, strict=True):
            try:
                is_text = isinstance(column.type, sa.JSON) and isinstance(value, str)
                json.dumps(
                    json.loads(value, parse_constant=_refuse) if is_text else value,
                    ensure_ascii=False,
                    allow_nan=False,
                ).encode()
            except ValueError:
                yield 'value that cannot be sent', f'{column}: {value!r}'
            if column.key == 'id' and model is not models.Trust and str(uuid.UUID(value)) != value:
                yield 'id that is no UUID', f'{column}: {value!r}'


def _bank_faults(
    checkpoints: list[models.Checkpoint], provider: providers.Provider
) -> Iterator[tuple[str, str]]:
    for row in checkpoints:
        try:
            status = provider.checkpoints.get(row.id).status
        except exception.CheckpointNotFound:
            status = 'deleted'
        if status != row.status:
            yield 'bank says otherwise', f'{status}: {_shown(row)}'


def _refuse(name: str) -> None:
    raise ValueError(name)


def _shown(row: Any) -> str:
    return str(_as_dict(row))


def _as_dict(row: Any) -> dict[str, Any]:
    return {column.key: getattr(row, column.key) for column in row.__table__.columns}
