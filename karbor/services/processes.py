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

"""The processes of Karbor: which are alive, and which may take new work."""

import datetime
from collections.abc import Mapping, Sequence

from oslo_config import cfg
from oslo_log import log as logging
from sqlalchemy import orm

from karbor import context as karbor_context
from karbor import db, exception
from karbor.db import models, operation_logs, schema_gate
from karbor.db import services as rows

LOG = logging.getLogger(__name__)

PROTECTION = 'karbor-protection'
OPERATION_ENGINE = 'karbor-operationengine'

_SWITCHABLE = (PROTECTION, OPERATION_ENGINE)


def report(binary: str) -> bool:
    """Tell that this process is alive; returns whether it may take new work."""
    return db.transaction(rows.report)(cfg.CONF.host, binary)


class Reporter:
    """Tells now and then that this process is alive, and hears what it may do.

    :param binary: which process it is.
    :ivar may_take_work: False while an administrator has disabled it, or the schema is refused.
    :ivar may_work: False while it may not work on the schema of the database, which another
        process has changed.
    """

    def __init__(self, binary: str) -> None:
        self.may_take_work = True
        self.may_work = True
        self._binary = binary

    def report(self) -> None:
        refusal = schema_gate.refusal()
        if refusal is not None:
            if self.may_work:
                LOG.error('No further work is taken. %s', refusal)
            self.may_work = self.may_take_work = False
            return
        if not self.may_work:
            LOG.info('Work is taken again: this code may work on the schema of the database.')
        self.may_work = True
        self.may_take_work = report(self._binary)


class Processes:
    """What is asked about the processes of Karbor."""

    def all_of(self, filters: Mapping[str, str]) -> Sequence[models.Service]:
        """See :func:`karbor.db.services.all_of`."""
        with db.reader() as session:
            return rows.all_of(session, filters)

    def now(self) -> datetime.datetime:
        """The present moment by the clock by which processes report."""
        with db.reader() as session:
            return db.now(session)

    def is_up(self, service: models.Service, now: datetime.datetime) -> bool:
        """Whether it has reported lately.

        :param now: see :meth:`now`.
        """
        return now - service.reported_at <= datetime.timedelta(seconds=cfg.CONF.service_down_time)

    def set_enabled(
        self,
        context: karbor_context.RequestContext,
        service_id: int,
        is_enabled: bool,
        changes: Mapping[str, str | None],
    ) -> models.Service:
        """Let a process take new work, or keep it from that. What it works on, it finishes.

        :param changes: may have disabled_reason, why it is disabled; without it, one that is
            disabled keeps its own.
        :raises ServiceNotFound:
        :raises InvalidInput: a reason for being enabled, or a process that takes no work.
        """
        if is_enabled and changes.get('disabled_reason'):
            raise exception.InvalidInput(reason='disabled_reason does not go with enabled.')

        @db.transaction
        def write(session: orm.Session) -> models.Service:
            service = rows.lock(session, service_id)
            if service.binary not in _SWITCHABLE:
                raise exception.InvalidInput(
                    reason=f'{service.binary} takes no work that it could be kept from.'
                )
            kept = None if is_enabled else service.disabled_reason
            reason = changes.get('disabled_reason', kept)
            service.disabled, service.disabled_reason = not is_enabled, reason
            if not session.is_modified(service):
                return service
            operation_logs.record(
                session,
                context,
                'service_update',
                extra_info={'service_id': service.id, 'is_enabled': is_enabled, 'reason': reason},
            )
            return service

        return write()
