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

"""Trusts, by which a job acts for a user after the token of the request has ended.

There is one trust for each user, project and set of roles, made in Keystone when it is first
needed and deleted when no job and no scheduled operation needs it any more. A token that was
delegated itself gets none, not even one that is there: what acts by it would outlive what was
delegated. The table knows their ids, nothing secret: a trust is of use only to the user of
``[trustee]``. A request calls :meth:`Trusts.of`, and a worker :meth:`Trusts.check` when a job
begins, :meth:`Trusts.release` when it has ended and :meth:`Trusts.sweep` at times.
"""

import contextlib
import dataclasses
import datetime
import functools
import time
from collections.abc import Callable, Collection, Iterator
from typing import Protocol, TypeVar

from keystoneauth1 import session as ks_session
from oslo_config import cfg
from oslo_db import exception as db_exc
from oslo_log import log as logging
from oslo_utils import timeutils
from sqlalchemy import orm

from karbor import context as karbor_context
from karbor import db, exception
from karbor.common import samples
from karbor.db import models
from karbor.db import trusts as rows
from karbor.services.identity import keystone

LOG = logging.getLogger(__name__)

Result = TypeVar('Result')

# Seconds; longer than it takes from Keystone's making a trust to the row of its first job.
_YOUNG = 600

# Of those that the table has, and of those that only Keystone has. What is left is for the next
# sweep: each takes a request or two, and meanwhile others wait for Keystone.
_MOST_SWEPT = 20


@dataclasses.dataclass(frozen=True)
class Survey:
    """Ids of the trusts that need something done.

    :ivar idle: nothing needs them.
    :ivar dead: the table has them, and Keystone does not.
    :ivar unknown: Keystone has them, and the table does not; some may be new.
    """

    idle: frozenset[str]
    dead: frozenset[str]
    unknown: frozenset[str]


class Trusts(Protocol):
    """What jobs act by after the token of the request has ended."""

    def of(self, context: karbor_context.RequestContext) -> str | None:
        """The id of a trust of a caller; None where none is needed.

        :raises TrustNotPossible: there is none, and none can be made with this token.
        :raises IdentityUnavailable: Keystone cannot be asked now.
        """

    def check(self, trust_id: str) -> None:
        """Find out whether a trust can be used; for the begin of a job.

        :raises TrustDied: not any more; the text says why and what to do.
        :raises IdentityUnavailable: that cannot be told now.
        """

    def release(self, trust_id: str | None) -> None:
        """Delete a trust, unless a job needs it; what fails is left to :meth:`sweep`."""

    def sweep(self) -> None:
        """Delete every trust that no job needs."""


class NoTrusts:
    """For karbor-standalone, whose own credentials are the user's."""

    def of(self, context: karbor_context.RequestContext) -> str | None:
        return None

    def check(self, trust_id: str) -> None:
        pass

    def release(self, trust_id: str | None) -> None:
        pass

    def sweep(self) -> None:
        pass


class KeystoneTrusts:
    """The trusts of a cloud's Karbor.

    :param conf: configuration, group ``[trustee]``.
    :param connections: how many requests may be under way at once.
    :raises KarborException: trusts cannot be used with the credentials of ``[trustee]``.
    """

    def __init__(self, conf: cfg.ConfigOpts, connections: int = 10) -> None:
        self._keystone = keystone.Keystone(conf, connections)
        self._roles = {role.lower() for role in conf.trustee.trust_roles}
        self._unknown_since: dict[str, float] = {}

    def of(self, context: karbor_context.RequestContext) -> str:
        """The id of a live trust of a caller's user, project and roles; made if need be.

        :raises TrustNotPossible: there is none, and none can be made with this token.
        :raises IdentityUnavailable: Keystone cannot be asked now.
        """
        if context.trust_id is not None:  # a job does what another job is for
            return context.trust_id
        if context.is_delegated:
            raise exception.TrustNotPossible(
                reason='your token came from an application credential or from a trust itself, '
                'which may end before it does. Ask with a token of a login of your own.'
            )
        roles = self._delegable(context)
        with db.reader() as session:
            live = rows.live(session, context.user_id, context.project_id, roles)
        if live is not None:
            return live
        trust_id = self._keystone.create(context, roles)
        add = functools.partial(
            db.transaction(rows.add), trust_id, context.user_id, context.project_id, roles=roles
        )
        try:
            add()
        except db_exc.DBDuplicateEntry:  # another request was quicker
            add(is_live=False)
            self.release(trust_id)
            return self.of(context)
        LOG.info(
            'Trust %s: made for user %s in project %s',
            trust_id,
            context.user_id,
            context.project_id,
        )
        return trust_id

    def _delegable(self, context: karbor_context.RequestContext) -> list[str]:
        roles = [role for role in context.roles if role.lower() in self._roles]
        if not roles:
            raise exception.TrustNotPossible(
                reason=f'jobs need one of the roles {_listed(self._roles)} ([trustee] '
                f'trust_roles), and your roles are: {_listed(context.roles) or "none"}.'
            )
        return roles

    def session(self, context: karbor_context.RequestContext) -> ks_session.Session:
        """The session that acts for the user of a context: by its trust, or by its token.

        :raises KarborException: it has neither.
        """
        if context.trust_id is not None:
            return self._keystone.session_of_trust(context.trust_id)
        if context.auth_token is None or context.auth_token_info is None:
            raise exception.KarborException(
                'There is neither a trust nor a token to act by. A scheduled operation that '
                'was made before there were trusts for it gets one when a user enables it.'
            )
        return self._keystone.session_of_token(context.auth_token, context.auth_token_info)

    def check(self, trust_id: str) -> None:
        """Find out whether a trust can be used, with a new token; for the begin of a job.

        :raises TrustDied: not any more; the text says why and what to do.
        :raises IdentityUnavailable: that cannot be told now.
        """
        refusal = self._keystone.refusal(trust_id)
        if refusal is None:
            return
        is_there = self._keystone.knows(trust_id)
        row = db.transaction(rows.retire_dead)(trust_id)
        LOG.warning('Trust %s: dead: %s', trust_id, refusal)
        raise exception.TrustDied(reason=_why(trust_id, row, refusal, is_there))

    def release(self, trust_id: str | None) -> None:
        """Delete a trust, unless a job needs it; what fails is left to :meth:`sweep`."""
        if trust_id is None:
            return
        with _logged(f'Trust {trust_id}: cannot be deleted now'):
            if db.transaction(rows.retire_unneeded)(trust_id):
                self._keystone.delete(trust_id)
                db.transaction(rows.remove)(trust_id)
                LOG.info('Trust %s: deleted', trust_id)

    @property
    def own_session(self) -> ks_session.Session:
        """The session of Karbor's own user, in the project of ``[trustee]``."""
        return self._keystone.own_session

    def survey(self) -> Survey:
        """Look, and change nothing.

        :raises IdentityUnavailable: Keystone cannot be asked now.
        """
        before = timeutils.utcnow() - datetime.timedelta(seconds=_YOUNG)
        with db.reader() as session:
            known = rows.ids(session)
        made_ids = self._keystone.made()
        # Those that were made with another trust_mark are not in that list.
        dead = frozenset(
            trust_id for trust_id in known - made_ids if not self._keystone.knows(trust_id)
        )
        with db.reader() as session:
            # What is made during the look is in the second of the two, or in neither.
            return Survey(
                frozenset(rows.idle(session, before)), dead, frozenset(made_ids - rows.ids(session))
            )

    def retire(self, trust_ids: Collection[str]) -> None:
        """Let no other job begin with trusts that died."""
        for trust_id in trust_ids:
            db.transaction(rows.retire_dead)(trust_id)

    def sweep(self) -> None:
        """Delete trusts that no job needs, also what a crash left in Keystone alone.

        Of very many only some are deleted, whichever: what cannot be deleted keeps no other.
        """
        with _logged('Trusts cannot be swept now'):
            # Keystone is asked before the table, where else a trust that is made in between
            # would not be found; and if it is away, all the rest would be in vain.
            self._sweep_unknown(self._keystone.made())
            before = timeutils.utcnow() - datetime.timedelta(seconds=_YOUNG)
            with db.reader() as session:
                idle = rows.idle(session, before)
            for trust_id in samples.some(idle, _MOST_SWEPT):
                self.release(trust_id)

    def _sweep_unknown(self, made_ids: set[str]) -> None:
        with db.reader() as session:
            unknown = made_ids - rows.ids(session)
        now = time.monotonic()
        self._unknown_since = {
            trust_id: self._unknown_since.get(trust_id, now) for trust_id in unknown
        }
        old = [key for key, since in self._unknown_since.items() if now - since >= _YOUNG]
        for trust_id in samples.some(old, _MOST_SWEPT):
            with _logged(f'Trust {trust_id}, which no job knows: cannot be deleted now'):
                self._keystone.delete(trust_id)
                LOG.warning('Trust %s, which no job knows: deleted', trust_id)


def with_trust(
    used_trusts: Trusts,
    context: karbor_context.RequestContext,
    write: Callable[[orm.Session, str | None], Result],
) -> Result:
    """Write, in one transaction, something that acts by the caller's trust later.

    :param write: given the session of the transaction and the trust, which is kept from being
        deleted meanwhile.
    """

    @db.transaction
    def write_with_trust(session: orm.Session, trust_id: str | None) -> Result:
        # The trust of a job is kept by that job, even one that is not to be given to others.
        if trust_id is not None and trust_id != context.trust_id:
            rows.hold(session, trust_id)
        return write(session, trust_id)

    def write_once() -> Result:
        trust_id = used_trusts.of(context)
        try:
            return write_with_trust(trust_id)
        except Exception:
            used_trusts.release(trust_id)
            raise

    try:
        return write_once()
    except exception.TrustGone:  # what needed it last has ended in between
        return write_once()


def _why(trust_id: str, row: models.Trust | None, refusal: str, is_there: bool) -> str:
    """What to tell of a trust that died, and what to do."""
    whose, roles = '', ''
    if row is not None:
        whose = f', by which Karbor acts for user {row.user_id} in project {row.project_id},'
        roles = f' {_listed(row.roles)}'
    if is_there:
        advice = (
            f'The user or the project is disabled, or the user has lost the role{roles}. '
            f'Mend that, or ask again with a token of your own: a new trust is made then.'
        )
    else:
        advice = (
            'It has been deleted there, perhaps with the user or the project. Ask again '
            'with a token of your own: a new trust is made then.'
        )
    return f'Keystone does not honour trust {trust_id}{whose} any more: {refusal}. {advice}'


def _listed(names: Collection[str]) -> str:
    return ', '.join(sorted(names))


@contextlib.contextmanager
def _logged(failure: str) -> Iterator[None]:
    try:
        yield
    except (exception.IdentityUnavailable, db_exc.DBError) as exc:
        LOG.warning('%s: %s', failure, exc)
