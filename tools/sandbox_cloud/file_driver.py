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
"""A Cinder volume driver with real bytes in sparse files (runs inside the virtualenv).

A volume is the file ``volumes/<name>`` in the driver's folder, a snapshot the file
``snapshots/<name>``, an independent copy. It needs no root, no device-mapper and no program.

Faults for tests are asked for in the metadata of a volume, so that tests do not meet each
other. ``sandbox.fault`` holds one or several of these, joined by commas:

``<method>:error``
    the driver raises VolumeDriverException;
``<method>:busy``
    the driver raises VolumeIsBusy or, for a method on snapshots, SnapshotIsBusy;
``<method>:delay:<seconds>``
    the driver sleeps first.

The methods are create_volume, delete_volume, extend_volume, create_cloned_volume,
create_volume_from_snapshot and clone_image (of the new volume), create_snapshot, delete_snapshot
and revert_to_snapshot (of the snapshot's volume), copy_volume_to_image, and those of a reimage:
copy_image_to_volume, and copy_volume_data where the image stands for a snapshot. The fault of a
reimage strikes when half is written.

Images are to be raw: then neither qemu-img nor root is needed.
"""

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cinder import exception, interface, objects
from cinder.volume import configuration, driver, volume_utils
from oslo_config import cfg
from oslo_utils import units

from sandbox_cloud import sparse_files

FAULT_KEY = 'sandbox.fault'
OPTIONS = [
    cfg.StrOpt(
        'sandbox_dir',
        default='$state_path/sandbox',
        help='The folder with the volumes and snapshots.',
    ),
    cfg.IntOpt('sandbox_capacity_gb', default=100000, help='The capacity told to the scheduler.'),
]
cfg.CONF.register_opts(OPTIONS, group=configuration.SHARED_CONF_GROUP)


def inject_fault(method: str, volume: objects.Volume) -> None:
    """Do what the volume's metadata asks of this method."""
    for wanted in (volume.metadata or {}).get(FAULT_KEY, '').split(','):
        name, _, action = wanted.partition(':')
        if name != method:
            continue
        kind, _, seconds = action.partition(':')
        if kind == 'delay':
            time.sleep(float(seconds))
        elif kind == 'busy' and method.endswith('_snapshot'):
            raise exception.SnapshotIsBusy(snapshot_name=volume.name)
        elif kind == 'busy':
            raise exception.VolumeIsBusy(volume_name=volume.name)
        else:
            raise exception.VolumeDriverException(message=f'{FAULT_KEY}: {wanted}')


def _refuse_unless_raw(image_meta: dict[str, Any]) -> None:
    if image_meta['disk_format'] != 'raw' or image_meta['container_format'] != 'bare':
        raise exception.ImageUnacceptable(
            image_id=image_meta['id'], reason='the sandbox takes bare raw images only'
        )


@interface.volumedriver
class SandboxFileDriver(driver.VolumeDriver):
    """Volumes and snapshots as sparse files."""

    VERSION = '1.0.0'
    CI_WIKI_NAME = 'none'
    SUPPORTED = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.configuration.append_config_values(OPTIONS)
        self._folder = Path(self.configuration.sandbox_dir).absolute()

    @staticmethod
    def get_driver_options() -> list[cfg.Opt]:
        """The options that this driver adds."""
        return OPTIONS

    def do_setup(self, context: Any) -> None:
        """Make the folders."""
        for name in ('volumes', 'snapshots'):
            (self._folder / name).mkdir(parents=True, exist_ok=True)

    def check_for_setup_error(self) -> None:
        """Refuse to start where nothing can be kept."""
        if not os.access(self._folder, os.W_OK):
            raise exception.VolumeDriverException(message=f'cannot write in {self._folder}')

    def local_path(self, volume: objects.Volume) -> str:
        """Where a volume's bytes are."""
        return str(self._volume_path(volume))

    def _volume_path(self, volume: objects.Volume) -> Path:
        return self._folder / 'volumes' / volume.name

    def _snapshot_path(self, snapshot: objects.Snapshot) -> Path:
        return self._folder / 'snapshots' / snapshot.name

    @staticmethod
    def _copy(source: Path, target: Path, volume: objects.Volume | None = None) -> None:
        """Copy; a volume's copy is then brought to the volume's size."""
        try:
            sparse_files.copy(source, target)
        except FileNotFoundError:
            raise exception.VolumeDriverException(message=f'no {source}') from None
        if volume is not None:
            os.truncate(target, volume.size * units.Gi)

    # Volumes

    def create_volume(self, volume: objects.Volume) -> None:
        """Make an empty volume, which occupies nothing."""
        inject_fault('create_volume', volume)
        with self._volume_path(volume).open('xb') as stream:
            stream.truncate(volume.size * units.Gi)

    def delete_volume(self, volume: objects.Volume) -> None:
        """Remove a volume; one that is gone already is as good."""
        inject_fault('delete_volume', volume)
        if any(self._snapshot_path(snapshot).exists() for snapshot in volume.snapshots):
            raise exception.VolumeIsBusy(volume_name=volume.name)
        self._volume_path(volume).unlink(missing_ok=True)

    def extend_volume(self, volume: objects.Volume, new_size: int) -> None:
        """Make a volume larger."""
        inject_fault('extend_volume', volume)
        os.truncate(self._volume_path(volume), new_size * units.Gi)

    def create_cloned_volume(self, volume: objects.Volume, src_vref: objects.Volume) -> None:
        """Copy a volume."""
        inject_fault('create_cloned_volume', volume)
        self._copy(self._volume_path(src_vref), self._volume_path(volume), volume)

    # Snapshots

    def create_snapshot(self, snapshot: objects.Snapshot) -> None:
        """Copy a volume as it is now."""
        inject_fault('create_snapshot', snapshot.volume)
        self._copy(self._volume_path(snapshot.volume), self._snapshot_path(snapshot))

    def create_volume_from_snapshot(
        self, volume: objects.Volume, snapshot: objects.Snapshot
    ) -> None:
        """Copy a snapshot into a new volume."""
        inject_fault('create_volume_from_snapshot', volume)
        self._copy(self._snapshot_path(snapshot), self._volume_path(volume), volume)

    def delete_snapshot(self, snapshot: objects.Snapshot) -> None:
        """Remove a snapshot; one that is gone already is as good."""
        inject_fault('delete_snapshot', snapshot.volume)
        self._snapshot_path(snapshot).unlink(missing_ok=True)

    def revert_to_snapshot(
        self, context: Any, volume: objects.Volume, snapshot: objects.Snapshot
    ) -> None:
        """Put a volume back to what a snapshot holds."""
        inject_fault('revert_to_snapshot', volume)
        self._copy(self._snapshot_path(snapshot), self._volume_path(volume), volume)

    # Images

    def clone_image(
        self,
        context: Any,
        volume: objects.Volume,
        image_location: Any,
        image_meta: dict[str, Any],
        image_service: Any,
    ) -> tuple[dict[str, Any], bool]:
        """Make a volume with the bytes of an image; True, for nothing is left to Cinder."""
        inject_fault('clone_image', volume)
        path = self._volume_path(volume)
        with self._downloaded(context, image_service, image_meta['id'], path) as draft:
            os.truncate(draft, volume.size * units.Gi)
            draft.rename(path)
        return {}, True

    def copy_image_to_volume(
        self,
        context: Any,
        volume: objects.Volume,
        image_service: Any,
        image_id: str,
        disable_sparse: bool = False,
    ) -> None:
        """Write an image over the start of a volume."""
        path = self._volume_path(volume)
        with self._downloaded(context, image_service, image_id, path) as draft:
            self._overwrite('copy_image_to_volume', draft, volume)

    def copy_volume_data(self, source: objects.Volume, target: objects.Volume) -> None:
        """Write a volume over the start of another."""
        self._overwrite('copy_volume_data', self._volume_path(source), target)

    def copy_volume_to_image(
        self, context: Any, volume: objects.Volume, image_service: Any, image_meta: dict[str, Any]
    ) -> None:
        """Upload a volume.

        Cinder's own function hands the file to eventlet, which on native threads may wait for ever.
        """
        inject_fault('copy_volume_to_image', volume)
        _refuse_unless_raw(image_meta)
        base = volume_utils.get_base_image_ref(volume)
        with self._volume_path(volume).open('rb') as stream:
            image_service.update(context, image_meta['id'], {}, stream, base_image_ref=base)

    def _overwrite(self, method: str, source: Path, volume: objects.Volume) -> None:
        target, size = self._volume_path(volume), source.stat().st_size
        sparse_files.overwrite(source, target, 0, size // 2)
        inject_fault(method, volume)
        sparse_files.overwrite(source, target, size // 2, size)

    @staticmethod
    @contextlib.contextmanager
    def _downloaded(context: Any, image_service: Any, image_id: str, path: Path) -> Iterator[Path]:
        """A file beside the path with the bytes of an image, for the time being."""
        _refuse_unless_raw(image_service.show(context, image_id))
        draft = path.with_name(path.name + '.image')
        try:
            with draft.open('wb') as stream:
                writer = sparse_files.Writer(stream)
                image_service.download(context, image_id, writer)
                stream.truncate(writer.size)
            yield draft
        finally:
            draft.unlink(missing_ok=True)

    # Connections: whoever attaches a volume opens its file.

    def ensure_export(self, context: Any, volume: objects.Volume) -> None:
        """Nothing to do."""

    def create_export(self, context: Any, volume: objects.Volume, connector: Any) -> None:
        """Nothing to do."""

    def remove_export(self, context: Any, volume: objects.Volume) -> None:
        """Nothing to do."""

    def initialize_connection(
        self, volume: objects.Volume, connector: Any, **kwargs: Any
    ) -> dict[str, Any]:
        """Tell where the file is."""
        return {'driver_volume_type': 'local', 'data': {'device_path': self.local_path(volume)}}

    def terminate_connection(self, volume: objects.Volume, connector: Any, **kwargs: Any) -> None:
        """Nothing to do."""

    def _update_volume_stats(self) -> None:
        name = self.configuration.safe_get('volume_backend_name') or 'sandbox'
        capacity = self.configuration.sandbox_capacity_gb
        self._stats = {
            'volume_backend_name': name,
            'vendor_name': 'sandbox',
            'driver_version': self.VERSION,
            'storage_protocol': 'local',
            'pools': [
                {
                    'pool_name': name,
                    'total_capacity_gb': capacity,
                    'free_capacity_gb': capacity,
                    'provisioned_capacity_gb': 0,
                    'reserved_percentage': 0,
                    'thin_provisioning_support': True,
                    'thick_provisioning_support': False,
                    'max_over_subscription_ratio': '20.0',
                    'QoS_support': False,
                    'multiattach': True,
                }
            ],
        }
