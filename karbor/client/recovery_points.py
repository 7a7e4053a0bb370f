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

"""Recovery points."""

import datetime
from collections.abc import Iterator
from typing import Unpack

from openstack.resource import Body

from karbor.client import base


class RecoveryPoint(base.Resource):
    """A resource at a moment, to which it can be gone back."""

    resources_key = 'recovery_points'
    allow_fetch = False

    checkpoint_id: str = Body('checkpoint_id')
    resource_type: str = Body('resource_type')
    resource_id: str = Body('resource_id')
    resource_name: str = Body('resource_name')
    project_id: str = Body('project_id')
    provider_id: str = Body('provider_id')
    plan_id: str = Body('plan_id')
    scheduled_operation_id: str | None = Body('scheduled_operation_id')
    taken_at: str | None = Body('taken_at')
    #: in GiB
    size: int | None = Body('size')
    #: of the snapshot
    cloud_id: str | None = Body('cloud_id')
    #: ``making``, ``good``, ``failed``, ``missing``, ``deleting``, ``deleted`` or ``unknown``
    state: str = Body('state')
    reason: str | None = Body('reason')
    seen_good_at: str | None = Body('seen_good_at')
    created_at: str = Body('created_at')
    updated_at: str | None = Body('updated_at')


class RecoveryPointQuery(base.ProjectsPage, total=False):
    """What recovery points are listed.

    :ivar since: the first day, or moment; a moment without a zone is in UTC.
    :ivar until: the last, which is included.
    """

    resource_id: str
    resource_type: str
    checkpoint_id: str
    plan_id: str
    scheduled_operation_id: str
    state: str
    since: datetime.date | str
    until: datetime.date | str


class Calls(base.ServiceProxy):
    def recovery_points(self, **query: Unpack[RecoveryPointQuery]) -> Iterator[RecoveryPoint]:
        """List recovery points over all checkpoints, the newest first."""
        return self._listed(RecoveryPoint, '/recovery_points', query)
