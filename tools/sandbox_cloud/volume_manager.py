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
"""How the sandbox's Cinder copies between volumes (runs inside the sandbox's virtualenv)."""

from typing import Any

from cinder import objects
from cinder.volume import manager


class SandboxVolumeManager(manager.VolumeManager):
    """Cinder's volume service, with the bytes of a reimage copied by the driver.

    Cinder's own way, os-brick and dd, needs root, and would cut a file that stands for a device.
    """

    def _copy_volume_data(
        self,
        ctxt: Any,
        src_vol: objects.Volume,
        dest_vol: objects.Volume,
        remote: str | None = None,
    ) -> None:
        self.driver.copy_volume_data(src_vol, dest_vol)
