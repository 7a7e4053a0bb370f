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

"""The kinds of troubles in words."""

import dataclasses
import enum
from collections.abc import Mapping

from karbor.common.constants import TroubleKind


class SubjectType(enum.StrEnum):
    """What a trouble is about."""

    SCHEDULE = 'schedule'
    PLAN = 'plan'
    PROJECT = 'project'
    JOB = 'job'


@dataclasses.dataclass(frozen=True, kw_only=True)
class Words:
    """What is said of the troubles of a kind.

    :ivar subject_type: what they are about.
    :ivar advice: what a person may do.
    """

    subject_type: SubjectType
    advice: str


WORDS: Mapping[TroubleKind, Words] = {
    TroubleKind.RUN_FAILED: Words(
        subject_type=SubjectType.SCHEDULE,
        advice='Mend what the reason names, then run the schedule: '
        '"openstack protection schedule run". It is over with the next run that goes well.',
    ),
    TroubleKind.RUN_PARTLY_FAILED: Words(
        subject_type=SubjectType.SCHEDULE,
        advice='Look at the checkpoint: "openstack protection checkpoint show" says which volumes '
        'failed, and why; the others can be restored. It is over with the next run that goes well.',
    ),
    TroubleKind.RUN_MISSED: Words(
        subject_type=SubjectType.SCHEDULE,
        advice='Run the schedule now, "openstack protection schedule run", or wait for the next '
        'run. See that Karbor is at work at the times of its schedules.',
    ),
    TroubleKind.RUN_SKIPPED: Words(
        subject_type=SubjectType.SCHEDULE,
        advice='A run took longer than the time to the next one. Have it fire less often, protect '
        'less with it, or let runs wait for each other (overlap: queue).',
    ),
    TroubleKind.TRUST_DEAD: Words(
        subject_type=SubjectType.SCHEDULE,
        advice='Nobody acts for the schedule any more. Have somebody who may protect the volumes '
        'take it over: "openstack protection schedule enable".',
    ),
    TroubleKind.RETENTION_FAILED: Words(
        subject_type=SubjectType.SCHEDULE,
        advice='What was to be removed is still there, and takes room. Mend what the reason names; '
        'it is tried again after the next run of the schedule.',
    ),
    TroubleKind.VOLUMES_LATE: Words(
        subject_type=SubjectType.PLAN,
        advice='A run was due and has left nothing good. "openstack protection status" says of '
        'which volumes; "openstack protection schedule log" what became of the runs.',
    ),
    TroubleKind.VOLUMES_UNPROTECTED: Words(
        subject_type=SubjectType.PROJECT,
        advice='Have a schedule cover these volumes; "openstack protection status" lists them.',
    ),
    TroubleKind.VOLUMES_GONE: Words(
        subject_type=SubjectType.PLAN,
        advice='Restore the volumes from their recovery points, or take them out of the plan and '
        'delete their checkpoints.',
    ),
    TroubleKind.POINTS_MISSING: Words(
        subject_type=SubjectType.PLAN,
        advice='Snapshots were deleted behind Karbor. Protect the volumes again; the checkpoints '
        'that have missing recovery points can be deleted.',
    ),
    TroubleKind.JOB_PARKED: Words(
        subject_type=SubjectType.JOB,
        advice='Each worker that took the job was gone before its end. See the logs of '
        'karbor-protection, then "karbor-manage job retry" or "karbor-manage job cancel".',
    ),
}
