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

"""Whether Karbor works."""

import dataclasses
from collections.abc import Mapping

from openstack import exceptions

from karbor.client import base


@dataclasses.dataclass(frozen=True)
class Health:
    """What works.

    :ivar status: ``ok``, or ``failed`` if any of the checks is.
    :ivar checks: the same of the database, the job board and the banks.
    """

    status: str
    checks: Mapping[str, str]


class Calls(base.ServiceProxy):
    def health(self) -> Health:
        """Tell whether the database, the job board and the banks work."""
        root = self._endpoint().rpartition('/v1/')[0]
        response = self.get(f'{root}/healthcheck/ready')
        if response.status_code != 503:
            exceptions.raise_from_response(response)
        shown = response.json()
        return Health(shown['status'], shown['checks'])
