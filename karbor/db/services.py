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

"""Queries on the processes of Karbor."""

from collections.abc import Mapping, Sequence

import sqlalchemy as sa
from oslo_db import exception as db_exc
from sqlalchemy import orm

from karbor import exception
from karbor.db import clock, models


def report(session: orm.Session, host: str, binary: str) -> bool:
    """Write that a process is alive; returns whether it may take new work."""
    row = _find(session, host, binary)
    if row is None:
        try:
            with session.begin_nested():
                session.add(
                    models.Service(host=host, binary=binary, reported_at=clock.now(session))
                )
        except db_exc.DBDuplicateEntry:
            pass  # another process of this host, at the same moment
        return True
    row.reported_at = clock.now(session)
    return not row.disabled


def _find(session: orm.Session, host: str, binary: str) -> models.Service | None:
    return session.scalar(
        sa.select(models.Service).where(
            models.Service.host == host, models.Service.binary == binary
        )
    )


def lock(session: orm.Session, service_id: int) -> models.Service:
    """A process, which others are kept from changing until the transaction ends.

    :raises ServiceNotFound: there is none of that id.
    """
    row = session.get(models.Service, service_id, with_for_update=True)
    if row is None:
        raise exception.ServiceNotFound(service_id=service_id)
    return row


def all_of(session: orm.Session, filters: Mapping[str, str]) -> Sequence[models.Service]:
    """Every process, by id.

    :param filters: ``host`` and ``binary`` are compared.
    """
    return session.scalars(
        sa.select(models.Service).filter_by(**filters).order_by(models.Service.id)
    ).all()
