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

"""Looks whether the recovery points that a retention relies on are good still.

Before anything is removed, plugins are asked for all points that stay of what something goes of.
What is not good any more is not counted, and all is judged again. So of each resource something
goes only while what stays was seen.
"""

import dataclasses
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from oslo_log import log as logging
from sqlalchemy import orm

from karbor import db, exception
from karbor.db import jobs as job_rows
from karbor.db import point_removal, recovery_points
from karbor.resource import Key
from karbor.services.checkpoints import reality, regions
from karbor.services.jobs import failures
from karbor.services.jobs.hooks import Plugins
from karbor.services.jobs.kinds import Attempt
from karbor.services.protection import plugin_edge, protection_plugin
from karbor.services.protection.protection_plugin import Loss
from karbor.services.schedules.histories import Histories, Part, Rules
from karbor.services.schedules.retention_scopes import Contents

LOG = logging.getLogger(__name__)

# By checkpoint and resource, why a point is not good.
Losses = Mapping[tuple[str, Key], Loss]


class CannotLook(Exception):
    """Whether points are good is not known, so nothing may go; the text says why."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settled:
    """What becomes of points when all that is relied on was seen.

    :ivar losses: all that was not seen, or not well.
    :ivar count: how many were looked at.
    """

    parts: list[Part]
    losses: Losses
    count: int

    @property
    def is_doubtful(self) -> bool:
        """Whether it is more likely that the cloud is not the same, or does not show all."""
        lost = len(self.losses)
        return reality.is_doubtful(lost, self.count, is_cloud_seen=lost < self.count)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Judgement:
    """Which points stay and which go.

    :ivar lost: one sentence for each point that is not good though its row said so.
    :ivar doubt: why that is not believed, if it is not.
    """

    parts: list[Part]
    lost: Sequence[str] = ()
    doubt: str | None = None


def judge(attempt: Attempt, contents: Contents, rules: Rules) -> Judgement:
    """Which points stay and which go, by what the cloud has now.

    What is not there any more is written so in the rows, unless that is doubtful.

    :raises CannotLook: a plugin cannot tell.
    :raises IdentityUnavailable: Keystone cannot be asked now.
    :raises LeaseLost: the attempt is over.
    """
    settled = settle(contents.histories, rules, _Looks(attempt, contents).look)
    if settled.is_doubtful:
        return Judgement(parts=settled.parts, doubt=_doubt(settled))
    db.transaction(_write)(attempt, settled.losses)
    lost = [f'{_name(*place)}: {loss.reason}' for place, loss in settled.losses.items()]
    return Judgement(parts=settled.parts, lost=lost)


def settle(
    histories: Histories, rules: Rules, look: Callable[[str, Sequence[Key]], Losses]
) -> Settled:
    """Which points stay and which go once all that is relied on has been looked at.

    :param histories: is told what is lost.
    :param look: which of some resources are lost in a checkpoint.
    :raises CannotLook: as ``look`` does.
    """
    looked_at: dict[str, set[Key]] = {}
    losses: dict[tuple[str, Key], Loss] = {}
    while True:
        parts = histories.judge(rules)
        new_losses: dict[tuple[str, Key], Loss] = {}
        for checkpoint_id, resources in _relied_on(histories, parts).items():
            known = looked_at.setdefault(checkpoint_id, set())
            new = [key for key in resources if key not in known]
            if new:
                known.update(new)
                new_losses.update(look(checkpoint_id, new))
        losses |= new_losses
        if not new_losses:
            count = sum(map(len, looked_at.values()))
            return Settled(parts=parts, losses=losses, count=count)
        for checkpoint_id, key in new_losses:
            histories.lose(checkpoint_id, key)


def _relied_on(histories: Histories, parts: Sequence[Part]) -> dict[str, list[Key]]:
    """By checkpoint, the resources whose good points must be there still for others to go.

    They are those that stay of all units of which something goes, and the newest of each resource
    that goes: it may be in another unit by now, or in one of which the rest has failed.
    """
    going = {unit for part in parts if not part.keep for unit in part.units}
    relied: dict[str, list[Key]] = {}
    for part in parts:
        if part.keep and part.is_good:
            members = [
                key
                for unit in part.units
                if unit in going
                for key in histories.members(part.checkpoint_id, unit)
            ]
            if members:
                relied.setdefault(part.checkpoint_id, []).extend(members)
    for checkpoint_id, keys in _newest_of_going(histories, parts).items():
        others = relied.setdefault(checkpoint_id, [])
        others.extend(keys.difference(others))
    return relied


def _newest_of_going(histories: Histories, parts: Iterable[Part]) -> dict[str, set[Key]]:
    """By checkpoint, the resources that go from others and have their newest good point there."""
    newest: dict[str, set[Key]] = {}
    for key in {
        key
        for part in parts
        if not part.keep
        for unit in part.units
        for key in histories.members(part.checkpoint_id, unit)
    }:
        checkpoint_id = histories.newest_good(key)
        if checkpoint_id is not None:
            newest.setdefault(checkpoint_id, set()).add(key)
    return newest


class _Looks:
    """Asks the plugins of one attempt, which are made once for all of its looks.

    :param contents: what there is.
    """

    def __init__(self, attempt: Attempt, contents: Contents) -> None:
        self._attempt = attempt
        self._contents = contents
        self._plugins: dict[str, Plugins] = {}
        self._region = regions.acting(attempt.context)

    def look(self, checkpoint_id: str, resources: Sequence[Key]) -> Losses:
        """Which of some resources are lost in a checkpoint.

        :raises CannotLook: a plugin cannot tell.
        :raises Exception: that for which the job is to wait.
        """
        self._attempt.lease.check()
        checkpoint = self._contents.checkpoints[checkpoint_id]
        obstacle = regions.why_not(checkpoint.region, self._region)
        if obstacle is not None:
            raise CannotLook(f'checkpoint {checkpoint_id}: {obstacle}')
        with db.reader() as session:
            cloud_ids = {
                (point.resource_type, point.resource_id): point.cloud_id
                for point in point_removal.left_of_checkpoint(session, checkpoint_id)
            }
        by_type: dict[str, dict[str, str | None]] = {}
        for key in resources:
            resource_type, resource_id = key
            by_type.setdefault(resource_type, {})[resource_id] = cloud_ids.get(key)
        return {
            (checkpoint_id, (resource_type, resource_id)): loss
            for resource_type, kept in by_type.items()
            for resource_id, loss in self._ask(checkpoint_id, resource_type, kept).items()
        }

    def _ask(
        self, checkpoint_id: str, resource_type: str, kept: Mapping[str, str | None]
    ) -> Mapping[str, Loss]:
        plugin = self._plugin(self._contents.checkpoints[checkpoint_id].provider_id, resource_type)
        try:
            with plugin_edge.kept():
                told = plugin.find_losses(checkpoint_id, kept, self._attempt.context)
            losses = {resource_id: told[resource_id] for resource_id in kept if resource_id in told}
        except exception.IdentityUnavailable:
            raise
        except Exception as exc:
            if self._attempt.holds(exc):
                raise
            # A plugin may raise anything; without its answer nothing is removed.
            LOG.warning('Job %s: %s', self._attempt.job.id, exc, exc_info=True)
            raise CannotLook(failures.reason_of(exc)) from exc
        self._check_place(checkpoint_id, resource_type, kept, losses)
        return losses

    def _check_place(
        self,
        checkpoint_id: str,
        resource_type: str,
        kept: Collection[str],
        losses: Mapping[str, Loss],
    ) -> None:
        """Refuse to believe that something is gone of which nothing tells that it was here.

        :raises CannotLook: the region of the checkpoint is not known, and nothing of it is seen,
            nor of what it was made of.
        """
        is_any_gone = any(loss.is_gone for loss in losses.values())
        if not is_any_gone or self._contents.checkpoints[checkpoint_id].region is not None:
            return
        if len(losses) == len(kept) and not self._sees_any(checkpoint_id, resource_type):
            raise CannotLook(
                f'checkpoint {checkpoint_id}: nothing tells in which region it was made, and '
                f'neither what it has nor any of its resources is seen in this one; if all are '
                f'gone, delete it'
            )

    def _sees_any(self, checkpoint_id: str, resource_type: str) -> bool:
        """Whether any resource of a type is there that was in a checkpoint, or is."""
        with db.reader() as session:
            points = recovery_points.of_checkpoints(session, [checkpoint_id])
        ids = [point.resource_id for point in points if point.resource_type == resource_type]
        return regions.sees_any(
            self._attempt.environment.protectables, self._attempt.context, resource_type, ids
        )

    def _plugin(self, provider_id: str, resource_type: str) -> protection_plugin.ProtectionPlugin:
        registry = self._attempt.environment.registry
        if provider_id not in self._plugins:
            served = registry.get(provider_id) if provider_id in registry else None
            self._plugins[provider_id] = served.new_plugins(served.plugin_classes) if served else {}
        plugin = self._plugins[provider_id].get(resource_type)
        if plugin is None:
            raise CannotLook(f'provider {provider_id} has no plugin of {resource_type}')
        return plugin


def _doubt(settled: Settled) -> str:
    place, loss = next(iter(settled.losses.items()))
    return (
        f'{len(settled.losses)} of the {settled.count} recovery points that would stay cannot be '
        f'seen, among them that of {_name(*place)} ({loss.reason}); what is older of the same '
        f'resources stays'
    )


def _name(checkpoint_id: str, resource: Key) -> str:
    return f'{"#".join(resource)} in checkpoint {checkpoint_id}'


def _write(session: orm.Session, attempt: Attempt, losses: Losses) -> None:
    job_rows.hold_claim(session, attempt.job)
    for (checkpoint_id, key), loss in losses.items():
        if loss.is_gone:
            point_removal.lose(session, checkpoint_id, key, loss.reason)
