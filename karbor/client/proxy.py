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

"""All calls to Karbor."""

from karbor.client import (
    checkpoints,
    coverage,
    health,
    operation_logs,
    plans,
    protectables,
    providers,
    quotas,
    recovery_points,
    scheduled_operations,
    schedules,
    services,
    triggers,
    troubles,
    uses,
)


class Proxy(
    uses.Calls,
    operation_logs.Calls,
    checkpoints.Calls,
    providers.Calls,
    plans.Calls,
    protectables.Calls,
    recovery_points.Calls,
    coverage.Calls,
    troubles.Calls,
    schedules.Calls,
    scheduled_operations.Calls,
    triggers.Calls,
    services.Calls,
    quotas.Calls,
    health.Calls,
):
    """What ``conn.protection`` is; a module of ``karbor.client`` has the calls of a resource.

    Lists are gone through once, and ask for their pages when they are needed; their keywords are
    the parameters of the API. An object may be given in the place of its id. Every call raises
    an HttpException of openstacksdk for an answer that is an error, whose ``details`` are the
    sentence of the API.
    """
