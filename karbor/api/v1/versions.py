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

"""Version discovery, for anybody."""

import falcon

from karbor.api.media import Object
from karbor.api.services import Handler


def _version(req: falcon.Request) -> Object:
    return {
        'id': 'v1.0',
        'status': 'CURRENT',
        'links': [{'rel': 'self', 'href': f'{req.prefix}/v1/'}],
    }


class Versions(Handler):
    """``/``"""

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        resp.status = falcon.HTTP_MULTIPLE_CHOICES
        resp.media = {'versions': [_version(req)]}


class Version(Handler):
    """``/v1``"""

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        resp.media = {'version': _version(req)}
