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

"""Quotas."""

from typing import TypedDict, Unpack

from openstack.resource import Body

from karbor.client import base

_PATH, _CLASSES = '/quotas', '/quota_classes'


class Quota(base.Resource):
    """How much a project may have; -1 is no limit. Its id is that of the project."""

    resource_key = 'quota'
    base_path = _PATH
    allow_delete = True

    plans: int = Body('plans')
    checkpoints: int = Body('checkpoints')
    schedules: int = Body('schedules')
    triggers: int = Body('triggers')
    verifications: int = Body('verifications')
    jobs: int = Body('jobs')


class QuotaClass(Quota):
    """How much those may have who have no quota of their own. Its id is its name."""

    resource_key = 'quota_class'
    base_path = _CLASSES
    allow_delete = False


class Usage(TypedDict):
    """How much there may be, and is."""

    limit: int
    in_use: int
    reserved: int


class QuotaDetail(base.Resource):
    """How much a project may have, and has."""

    resource_key = 'quota'
    allow_fetch = False

    plans: Usage = Body('plans')
    checkpoints: Usage = Body('checkpoints')
    schedules: Usage = Body('schedules')
    triggers: Usage = Body('triggers')
    verifications: Usage = Body('verifications')
    jobs: Usage = Body('jobs')


class Limits(TypedDict, total=False):
    """New limits; -1 is none."""

    plans: int
    checkpoints: int
    schedules: int
    triggers: int
    verifications: int
    jobs: int


class Calls(base.ServiceProxy):
    """A project is named by its id; where none is, it is the own one."""

    def get_quota(self, project_id: str | None = None) -> Quota:
        """Show how much a project may have."""
        return self._fetched(Quota, self._quota(project_id))

    def get_quota_detail(self, project_id: str | None = None) -> QuotaDetail:
        """Show how much a project may have, and has."""
        return self._fetched(QuotaDetail, self._quota(project_id) + '/detail')

    def get_quota_defaults(self, project_id: str | None = None) -> Quota:
        """Show how much a project may have that has no quota of its own."""
        return self._fetched(Quota, self._quota(project_id) + '/defaults')

    def update_quota(self, project_id: str, **limits: Unpack[Limits]) -> Quota:
        """Set how much a project may have. For administrators."""
        return self._sent('PUT', self._quota(project_id), Quota, limits)

    def delete_quota(self, project_id: str, ignore_missing: bool = True) -> None:
        """Go back to the defaults. For administrators."""
        self._removed(self._quota(project_id), ignore_missing)

    def get_quota_class(self, name: str = 'default') -> QuotaClass:
        """Show the limits of a class. For administrators."""
        return self._fetched(QuotaClass, base.part(_CLASSES, name))

    def update_quota_class(self, name: str = 'default', **limits: Unpack[Limits]) -> QuotaClass:
        """Set the limits of a class. For administrators."""
        return self._sent('PUT', base.part(_CLASSES, name), QuotaClass, limits)

    def _quota(self, project_id: str | None) -> str:
        return base.part(_PATH, project_id or self.own_project_id)
