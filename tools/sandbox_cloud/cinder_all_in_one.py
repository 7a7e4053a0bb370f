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
"""Cinder's API, scheduler and volume service in one process (runs inside the virtualenv).

    python -m sandbox_cloud.cinder_all_in_one CONFIG_FILE ADDRESS PORT

These are Cinder's own classes on native threads. The environment must hold
OS_CINDER_DISABLE_EVENTLET_PATCHING=true.
"""

import sys

from cinder import monkey_patch


def main() -> None:
    """Choose native threads, which must come before most of Cinder is imported; then serve."""
    monkey_patch.patch()
    from sandbox_cloud import cinder_services

    config_file, address, port = sys.argv[1:]
    sys.argv[1:] = []
    cinder_services.serve(config_file, address, int(port))


if __name__ == '__main__':
    main()
