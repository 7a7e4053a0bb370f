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

"""What rules of retention would keep and remove."""

from typing import Any, TypedDict

from openstack.resource import Body

from karbor.client import base


class Retention(base.Resource):
    """What stays, and what goes.

    Each has ``checkpoint_id``, ``created_at``, ``pinned``, ``recovery_points_kept``,
    ``recovery_points_removed``, ``reasons`` and ``removal_reasons``.
    """

    resource_key = 'retention'
    allow_fetch = False

    kept: list[dict[str, Any]] = Body('kept')
    removed: list[dict[str, Any]] = Body('removed')


class Rules(TypedDict, total=False):
    """The rules; without any, all is kept.

    :ivar retention_duration: in days.
    :ivar keep_within: as ``36h``, ``14d`` or ``8w``.
    :ivar timezone: of the days and weeks that are counted, as ``Europe/Berlin``.
    """

    max_backups: int
    retention_duration: int
    keep_last: int
    keep_hourly: int
    keep_daily: int
    keep_weekly: int
    keep_monthly: int
    keep_yearly: int
    keep_within: str
    timezone: str


class OperationRules(Rules, total=False):
    """Rules of a scheduled operation.

    :ivar retention_scope: ``operation`` or ``plan``: what is counted together.
    """

    retention_scope: str
