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

"""Puts together, a checkpoint, what retention makes of the recovery points in it."""

import dataclasses
import datetime
from collections.abc import Iterable, Mapping, Sequence

from karbor.resource import Key
from karbor.services.checkpoints.removing import Removal
from karbor.services.schedules import retention
from karbor.services.schedules.histories import Part
from karbor.services.schedules.retention_scopes import Contents

_MOST_REASONS = 10

_EMPTY = 'there is nothing in it'
_NEWEST = 'it is the newest'
_PINNED = 'it is pinned'
_LEFT_ALONE = 'what is in it is left as it is'


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Share:
    """What stays and what goes of a checkpoint.

    :ivar created_at: UTC without a zone.
    :ivar going: the resources of which the points go, by units.
    :ivar points_kept: how many points stay.
    :ivar is_kept: whether the checkpoint stays.
    :ivar reasons: why something stays; none when nothing does.
    :ivar removal_reasons: why something goes; none when nothing does.
    """

    checkpoint_id: str
    provider_id: str
    created_at: datetime.datetime
    pinned: bool
    going: Sequence[Sequence[Key]]
    points_kept: int
    is_kept: bool
    reasons: Sequence[str]
    removal_reasons: Sequence[str]

    @property
    def points_removed(self) -> int:
        return sum(len(unit) for unit in self.going)


def shares(contents: Contents, parts: Iterable[Part]) -> list[Share]:
    """What becomes of each checkpoint, newest first.

    :param parts: what becomes of the points.
    """
    by_checkpoint: dict[str, list[Part]] = {}
    for part in parts:
        by_checkpoint.setdefault(part.checkpoint_id, []).append(part)
    newest_first = retention.sort(
        retention.Candidate(row.id, row.created_at) for row in contents.checkpoints.values()
    )
    return [
        _share(contents, candidate.id, by_checkpoint.get(candidate.id, ()), is_newest=not number)
        for number, candidate in enumerate(newest_first)
    ]


def _share(
    contents: Contents, checkpoint_id: str, parts: Sequence[Part], *, is_newest: bool
) -> Share:
    row = contents.checkpoints[checkpoint_id]
    going = [
        contents.histories.members(checkpoint_id, unit)
        for part in parts
        if not part.keep
        for unit in part.units
    ]
    points_kept = contents.points[checkpoint_id] - sum(len(unit) for unit in going)
    reasons = _together(part.reasons for part in parts if part.keep)
    removal_reasons = _together(part.reasons for part in parts if not part.keep)
    is_kept = bool(points_kept)
    if checkpoint_id in contents.empty:
        is_kept = is_newest or row.pinned
        reasons = [_NEWEST] * is_newest + [_PINNED] * row.pinned
        removal_reasons = [] if is_kept else [_EMPTY]
    elif not going:
        is_kept = True
    return Share(
        checkpoint_id=checkpoint_id,
        provider_id=row.provider_id,
        created_at=row.created_at,
        pinned=row.pinned,
        going=going,
        points_kept=points_kept,
        is_kept=is_kept,
        reasons=reasons or [_LEFT_ALONE] * is_kept,
        removal_reasons=removal_reasons,
    )


def _together(reasons: Iterable[Sequence[str]]) -> list[str]:
    """Each reason once, and not too many."""
    once = list(dict.fromkeys(reason for some in reasons for reason in some))
    if len(once) > _MOST_REASONS:
        once[_MOST_REASONS:] = [f'and {len(once) - _MOST_REASONS} more reasons']
    return once


def removals(contents: Contents, all_shares: Iterable[Share]) -> dict[str, Removal]:
    """What is to be removed, by checkpoint, the oldest first."""
    return {
        share.checkpoint_id: Removal(
            checkpoint_id=share.checkpoint_id,
            provider_id=share.provider_id,
            units=share.going,
            newest=_newest(contents, share.going),
        )
        for share in reversed(list(all_shares))
        if share.going or not share.is_kept
    }


def _newest(contents: Contents, going: Iterable[Iterable[Key]]) -> Mapping[Key, str]:
    return {
        key: newest
        for unit in going
        for key in unit
        if (newest := contents.histories.newest_good(key)) is not None
    }
