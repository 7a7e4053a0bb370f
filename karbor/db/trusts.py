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

"""Queries on the trusts by which jobs act for users.

A trust is live while jobs may be given to it. It is retired when no job and no scheduled
operation needs it or when it died, and its row is removed once Keystone has deleted it. Who
gives a job to a trust and who retires it lock its row first, so no job ever begins with a
trust that is being deleted.
"""

import datetime
import hashlib
import json
from collections.abc import Collection, Sequence

import sqlalchemy as sa
from sqlalchemy import orm

from karbor import exception
from karbor.db import jobs, models, safety


def _key(user_id: str, project_id: str, roles: Collection[str]) -> str:
    """What no two live trusts share, short enough for a unique index."""
    return hashlib.sha256(json.dumps([user_id, project_id, sorted(roles)]).encode()).hexdigest()


def _is_needed() -> sa.ColumnElement[bool]:
    """Whether something still has to be done, or will have to be, by the trust of the row."""
    return sa.or_(
        sa.exists().where(
            models.Job.trust_id == models.Trust.id,
            models.Job.state.in_((*jobs.UNFINISHED, jobs.JobState.PARKED)),
        ),
        sa.exists().where(models.ScheduledOperation.trust_id == models.Trust.id),
        safety.needs_trust(),
    )


def live(session: orm.Session, user_id: str, project_id: str, roles: Collection[str]) -> str | None:
    """The id of the trust that a job may be given to, if there is one."""
    return session.scalar(
        sa.select(models.Trust.id).where(models.Trust.live_key == _key(user_id, project_id, roles))
    )


def add(
    session: orm.Session,
    trust_id: str,
    user_id: str,
    project_id: str,
    *,
    roles: Collection[str],
    is_live: bool = True,
) -> None:
    """Write down a trust that Keystone has made.

    :param is_live: False for one that is only to be deleted.
    :raises DBDuplicateEntry: another one of this user, project and roles is live.
    """
    session.add(
        models.Trust(
            id=trust_id,
            user_id=user_id,
            project_id=project_id,
            roles=sorted(roles),
            live_key=_key(user_id, project_id, roles) if is_live else None,
        )
    )
    session.flush()


def hold(session: orm.Session, trust_id: str) -> None:
    """Keep a trust from being retired until the transaction, which gives it a job, ends.

    :raises TrustGone: it is retired already.
    """
    row = _locked(session, trust_id)
    if row is None or row.live_key is None:
        raise exception.TrustGone(trust_id=trust_id)


def _locked(session: orm.Session, trust_id: str) -> models.Trust | None:
    return session.scalar(
        sa.select(models.Trust)
        .where(models.Trust.id == trust_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )


def retire_unneeded(session: orm.Session, trust_id: str) -> bool:
    """Retire a trust, unless a job needs it; returns whether it may be deleted.

    It must be first in its transaction: with the lock begins what MariaDB lets it see.
    """
    row = _locked(session, trust_id)
    if row is None or session.scalar(sa.select(_is_needed()).where(models.Trust.id == trust_id)):
        return False
    row.live_key = None
    return True


def retire_dead(session: orm.Session, trust_id: str) -> models.Trust | None:
    """Let no other job begin with a trust that Keystone does not honour any more.

    It stays as long as jobs need it: each of them is to find out and to say why it failed,
    or to succeed when the user is given back what was taken.

    :returns: what is known of it.
    """
    row = _locked(session, trust_id)
    if row is not None:
        row.live_key = None
    return row


def idle(session: orm.Session, before: datetime.datetime) -> Sequence[str]:
    """Ids of the trusts that no job needs.

    :param before: of the live ones, only those that were made before this moment: a younger
        one may be about to get its first job.
    """
    return session.scalars(
        sa.select(models.Trust.id).where(
            sa.or_(models.Trust.live_key.is_(None), models.Trust.created_at < before),
            sa.not_(_is_needed()),
        )
    ).all()


def ids(session: orm.Session) -> set[str]:
    """Ids of all trusts, live or retired."""
    return set(session.scalars(sa.select(models.Trust.id)))


def remove(session: orm.Session, trust_id: str) -> None:
    """Forget a trust that Keystone has deleted, and so do its jobs, which have all ended.

    In SQLite, which does not look after foreign keys, they keep an id that means nothing.
    """
    session.execute(sa.delete(models.Trust).where(models.Trust.id == trust_id))
