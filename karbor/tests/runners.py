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

"""Runners of jobs as tests need them."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import orm

from karbor import context as karbor_context
from karbor.cmd import job_kinds
from karbor.db import job_resources, models, uses
from karbor.db import jobs as job_rows
from karbor.services.identity import trusts
from karbor.services.jobs import fair_pool, kinds
from karbor.services.jobs import runner as job_runner
from karbor.services.protection import protectables, provider
from karbor.tests import base

ContextOf = Callable[[models.Job], karbor_context.RequestContext]


def environment(
    registry: provider.ProviderRegistry,
    plugins: protectables.Protectables,
    post: Callable[[str], None],
    context_of: ContextOf,
    *,
    used_trusts: trusts.Trusts | None = None,
    max_concurrent_resources: int = 4,
) -> kinds.Environment:
    """What jobs are done with, by default without trusts."""
    return kinds.Environment(
        registry=registry,
        protectables=plugins,
        trusts=used_trusts or trusts.NoTrusts(),
        post=post,
        context_of=context_of,
        requests=fair_pool.FairPool(max_concurrent_resources),
        max_concurrent_resources=max_concurrent_resources,
    )


def runner(made_in: kinds.Environment, **options: Any) -> job_runner.JobRunner:
    """A runner of all kinds of jobs.

    :param options: of :class:`JobRunner`.
    """
    return job_runner.JobRunner(job_kinds.JOB_KINDS, made_in, **options)


def create_job(session: orm.Session, kind: str = 'protect', **values: Any) -> models.Job:
    """A job about nothing that is there.

    :param values: of :class:`karbor.db.jobs.NewJob`, in place of those that it has else.
    """
    defaults = {
        'subject_id': 's',
        'checkpoint_id': 'c',
        'provider_id': 'p',
        'project_id': base.PROJECT_ID,
        'user_id': 'user',
    }
    return job_rows.create(session, job_rows.NewJob(kind=kind, **{**defaults, **values}))


def record_resource(
    session: orm.Session,
    job_id: str,
    resource_type: str,
    resource_id: str,
    is_done: bool,
    reason: str | None = None,
    new_resource_id: str | None = None,
) -> None:
    """How far a job is with one resource."""
    progress = job_resources.ResourceProgress(
        resource_type=resource_type,
        resource_id=resource_id,
        is_done=is_done,
        reason=reason,
        new_resource_id=new_resource_id,
    )
    job_resources.record(session, job_id, [progress])


def record_result(
    session: orm.Session,
    subject_id: str,
    resource_type: str,
    resource_id: str,
    status: str,
    reason: str | None,
) -> None:
    """What a plugin tells of one resource of a restore or verification."""
    result = uses.Result(
        resource_type=resource_type, resource_id=resource_id, status=status, reason=reason
    )
    uses.record_results(session, subject_id, [result])
