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

"""Completes recovery points that were not written when their resources were protected.

Those of older checkpoints have a state at most, from the rows of jobs. When a worker starts, and
now and then, it writes what rows tell and then asks the banks for the rest: whether what nobody
could tell is good, of when it is, and what it is in the cloud. Each point is looked at once; what
is broken off goes on at the next time. What stays unknown is kept.
"""

import itertools
from collections.abc import Iterable, Iterator

from oslo_log import log as logging
from sqlalchemy import orm

from karbor import db, exception
from karbor.common.constants import RecoveryPointState as State
from karbor.db import models, point_filling, recovery_points
from karbor.resource import Resource
from karbor.services import periodic
from karbor.services.protection import checkpoint as bank_checkpoint
from karbor.services.protection import provider as providers
from karbor.services.recovery import bank_points

LOG = logging.getLogger(__name__)

_INTERVAL = 3600  # seconds


class PointFilling:
    """What a process does about recovery points now and then.

    :param registry: the providers.
    """

    def __init__(self, registry: providers.ProviderRegistry) -> None:
        self._registry = registry

    def duties(self) -> tuple[periodic.Duty, ...]:
        return (periodic.Duty(_INTERVAL, self.fill_points, at_start=True),)

    def fill_points(self) -> int:
        """Write what is lacking; returns how many points were completed from banks."""
        written = point_filling.fill()
        completed = sum(self._completed())
        if written or completed:
            LOG.info('%d recovery points are written, %d completed', written, completed)
        return completed

    def _completed(self) -> Iterator[int]:
        """Complete points, part by part; how many of each checkpoint."""
        asked = {provider.id: provider for provider in self._registry}
        for part in point_filling.parts():
            with db.reader() as session:
                points = recovery_points.never_looked_at(session, part, asked)
            for checkpoint_id, group in itertools.groupby(points, lambda row: row.checkpoint_id):
                rows = list(group)
                provider = asked.get(rows[0].provider_id)
                if provider is None:
                    continue
                try:
                    yield _complete(provider, checkpoint_id, rows)
                except exception.BankError as exc:
                    del asked[provider.id]
                    LOG.warning(
                        'Recovery points of provider %s wait for its bank: %s',
                        provider.id,
                        exc.msg,
                    )


def _complete(
    provider: providers.Provider, checkpoint_id: str, points: Iterable[models.RecoveryPoint]
) -> int:
    """Complete the points of a checkpoint; returns how many.

    :raises BankError: the bank cannot tell now.
    """
    checkpoint = _in_bank(provider, checkpoint_id)
    return sum(
        db.transaction(_write)(point, _told(provider, checkpoint, point)) for point in points
    )


def _in_bank(provider: providers.Provider, checkpoint_id: str) -> bank_checkpoint.Checkpoint | None:
    """The checkpoint, if the bank has it in a form that is known.

    :raises BankError: the bank cannot tell now.
    """
    try:
        return provider.checkpoints.get(checkpoint_id)
    except exception.CheckpointNotFound:
        return None
    except RuntimeError as exc:  # of a version that another Karbor has written
        LOG.warning('%s', exc)
        return None


def _told(
    provider: providers.Provider,
    checkpoint: bank_checkpoint.Checkpoint | None,
    point: models.RecoveryPoint,
) -> bank_points.Told:
    """What a point is by its row and its bank.

    :raises BankError: the bank cannot tell now.
    """
    if checkpoint is None:
        return bank_points.Told(
            State.UNKNOWN, bank_points.LOST, recovery_points.Saved(), is_lost=True
        )
    resource = Resource(point.resource_type, point.resource_id, point.resource_name)
    told = bank_points.look(provider, checkpoint, resource)
    if point.state == State.GOOD and not told.is_lost:  # a job has said so
        return bank_points.Told(State.GOOD, None, told.saved, is_lost=False)
    if point.state == State.GOOD:
        return bank_points.Told(State.UNKNOWN, bank_points.LOST, told.saved, is_lost=True)
    return told


def _write(session: orm.Session, point: models.RecoveryPoint, told: bank_points.Told) -> bool:
    return recovery_points.complete(session, point, told.state, told.reason, saved=told.saved)
