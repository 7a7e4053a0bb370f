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

"""One of Swift's servers, run by the Python of the virtualenv that Swift is in.

Its own commands read the limits of ``/etc/swift/swift.conf``, whatever folder they are told.

    python swift_server.py FOLDER MODULE CONFIGURATION [ARGUMENT ...]

With ``SWIFT_IS_BEHIND`` in its environment, an object server finds no container server to tell
of its objects, and leaves it to the object updater.
"""

import importlib
import os
import sys
from types import ModuleType
from typing import Any

_NOBODY = '127.0.0.1:9'


def main() -> None:
    """Read the folder's ``swift.conf`` before anything else of Swift does."""
    folder, module, *arguments = sys.argv[1:]
    utils = importlib.import_module('swift.common.utils')
    utils.set_swift_dir(folder)
    sys.argv[1:] = arguments
    server = importlib.import_module(module)
    if 'SWIFT_IS_BEHIND' in os.environ and module == 'swift.obj.server':
        _put_off_updates(server)
    server.main()


def _put_off_updates(server: ModuleType) -> None:
    update = server.ObjectController.container_update

    def put_off(
        self: Any, op: str, account: str, container: str, obj: str, request: Any, *rest: Any
    ) -> None:
        request.headers['X-Container-Host'] = _NOBODY
        update(self, op, account, container, obj, request, *rest)

    server.ObjectController.container_update = put_off


if __name__ == '__main__':
    main()
