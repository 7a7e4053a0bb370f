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

"""What does not go as it is to, and whether the project is well."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Unpack

from openstack import exceptions
from openstack.resource import Body

from karbor.client import base
from karbor.client.coverage import Look

_PATH = '/troubles'


class Trouble(base.Resource):
    """What does not go as somebody wants, and what to do about it."""

    resource_key = 'trouble'
    resources_key = 'troubles'
    base_path = _PATH

    #: whose it is; empty of what is the operator's
    project_id: str = Body('project_id')
    kind: str = Body('kind')
    #: ``schedule``, ``plan``, ``project`` or ``job``
    subject_type: str = Body('subject_type')
    subject_id: str = Body('subject_id')
    subject_name: str = Body('subject_name')
    reason: str = Body('reason')
    #: what may be done
    advice: str = Body('advice')
    #: of how many volumes or runs it is
    count: int = Body('count')
    #: ``open`` or ``closed``
    state: str = Body('state')
    opened_at: str = Body('opened_at')
    updated_at: str | None = Body('updated_at')
    closed_at: str | None = Body('closed_at')


class TroubleQuery(base.ProjectsPage, total=False):
    """What troubles are listed.

    :ivar state: ``open``, unless it is ``closed`` or ``all``.
    """

    state: str
    kind: str
    subject_id: str


@dataclasses.dataclass(frozen=True)
class ProjectHealth:
    """Whether all of the project is protected.

    :ivar status: ``ok`` or ``troubled``.
    :ivar reasons: why it is not well.
    :ivar coverage: how many volumes are in each state.
    :ivar look: how Cinder was looked at last.
    :ivar troubles: those that stand, at most 100.
    """

    status: str
    reasons: Sequence[str]
    coverage: Mapping[str, int]
    look: Look
    troubles: Sequence[Trouble]


class Calls(base.ServiceProxy):
    def troubles(self, **query: Unpack[TroubleQuery]) -> Iterator[Trouble]:
        """List troubles, the newest first; those that stand, unless ``state`` says else."""
        return self._listed(Trouble, _PATH, query)

    def get_trouble(self, trouble: Trouble | str) -> Trouble:
        """Show one trouble."""
        return self._fetched(Trouble, base.part(_PATH, trouble))

    def project_health(self) -> ProjectHealth:
        """Tell whether all of the project is protected and goes well."""
        response = self.get('/health')
        answer = response.json() if response.status_code in (200, 503) else {}
        if 'health' not in answer:
            exceptions.raise_from_response(response)
        shown = answer['health']
        return ProjectHealth(
            shown['status'],
            shown['reasons'],
            shown['coverage'],
            Look(**shown['look']),
            [self._shown(Trouble, trouble) for trouble in shown['troubles']],
        )
