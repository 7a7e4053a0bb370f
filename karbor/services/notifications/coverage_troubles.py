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

"""Which troubles the volumes of a project are in: the judgement, which is of values only.

Many volumes of one plan are one trouble. What no plan covers is one trouble of the project.
"""

from collections.abc import Iterable, Iterator, Sequence

from karbor.common.constants import CoverageState, TroubleKind
from karbor.db.troubles import Trouble
from karbor.services.checkpoints.coverage import Covered

KINDS = (
    TroubleKind.VOLUMES_LATE,
    TroubleKind.VOLUMES_UNPROTECTED,
    TroubleKind.VOLUMES_GONE,
    TroubleKind.POINTS_MISSING,
)

_KIND_OF = {
    CoverageState.LATE: TroubleKind.VOLUMES_LATE,
    CoverageState.GONE: TroubleKind.VOLUMES_GONE,
}
_MOST_NAMED = 10
_MOST_CHARACTERS = 255  # of a name that is stored

# Kind, id and name of what it is about -> the volumes, and why.
_Subject = tuple[TroubleKind, str, str]


def of_project(project_id: str, covered: Iterable[Covered]) -> list[Trouble]:
    """All that its volumes are in.

    :param covered: every volume of the project, and what protects it.
    """
    reasons: dict[_Subject, list[str]] = {}
    for volume in covered:
        for subject, reason in _of_volume(project_id, volume):
            reasons.setdefault(subject, []).append(f'{volume.name or volume.id}: {reason}')
    return [
        Trouble(
            project_id=project_id,
            kind=kind,
            subject_id=subject_id,
            subject_name=name[:_MOST_CHARACTERS],
            reason=_together(told),
            count=len(told),
        )
        for (kind, subject_id, name), told in reasons.items()
    ]


def _of_volume(project_id: str, volume: Covered) -> Iterator[tuple[_Subject, str]]:
    subjects = [(plan.id, plan.name) for plan in volume.plans] or [(project_id, '')]
    kind = _KIND_OF.get(volume.verdict.state)
    if kind is not None:
        for subject_id, name in subjects:
            yield (kind, subject_id, name), volume.verdict.reason
    if volume.verdict.state == CoverageState.UNPROTECTED and volume.next_run_at is None:
        yield (TroubleKind.VOLUMES_UNPROTECTED, project_id, ''), volume.verdict.reason
    if volume.points.missing:
        for subject_id, name in subjects:
            yield (TroubleKind.POINTS_MISSING, subject_id, name), _missing(volume)


def _missing(volume: Covered) -> str:
    points = volume.points
    noun = 'recovery point is' if points.missing == 1 else 'recovery points are'
    return f'{points.missing} {noun} missing in the cloud, {points.good} good'


def _together(told: Sequence[str]) -> str:
    more = len(told) - _MOST_NAMED
    return '; '.join([*told[:_MOST_NAMED], *([f'and {more} more'] if more > 0 else [])])
