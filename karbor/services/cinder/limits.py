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

"""How much of Cinder's quotas a project uses."""

from karbor import context as karbor_context
from karbor import exception
from karbor.services.cinder import requests as cinder_requests
from karbor.services.protection import client_factory

# What the Block Storage API calls them, and what a snapshot counts against.
_ABSOLUTE = {
    'snapshots': ('totalSnapshotsUsed', 'maxTotalSnapshots'),
    'gigabytes': ('totalGigabytesUsed', 'maxTotalVolumeGigabytes'),
}


def in_use(context: karbor_context.RequestContext) -> str:
    """Text such as ``snapshots: 10 of 10, gigabytes: 12 of 1000``.

    Source: Block Storage API v3, "Show absolute limits for project".
    """
    try:
        client = client_factory.ClientFactory.create_client('cinder', context)
        limits = {limit.name: limit.value for limit in client.limits.get().absolute}
    except (*cinder_requests.CLIENT_ERRORS, exception.KarborException) as exc:
        return f'unknown ({cinder_requests.describe(exc)})'
    return ', '.join(
        f'{name}: {limits.get(used, "?")} of {limits.get(most, "?")}'
        for name, (used, most) in _ABSOLUTE.items()
    )
