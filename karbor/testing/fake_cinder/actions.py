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

"""What can be asked of a volume of the fake: its flags, image metadata and type."""

import json
from collections.abc import Callable
from typing import Any

from karbor.testing.fake_cinder import store
from karbor.testing.fake_cinder.answers import Item, Refused, missing_type


def act(cinder: store.Store, volume: Item, body: Any) -> tuple[int, Any]:
    """Answer ``POST /volumes/{id}/action``; the caller holds the lock.

    :raises Refused: Cinder does not do it.
    """
    name, arguments = next(iter(body.items())) if isinstance(body, dict) and body else ('', {})
    action = _ACTIONS.get(name)
    if action is None:
        raise Refused(400, f'There is no such action: {name}')
    return action(cinder, volume, arguments)


def _set_bootable(_cinder: store.Store, volume: Item, arguments: Item) -> tuple[int, Any]:
    volume['bootable'] = str(arguments['bootable']).lower()
    return 200, None


def _set_read_only(_cinder: store.Store, volume: Item, arguments: Item) -> tuple[int, Any]:
    if volume['status'] != 'available':
        raise Refused(400, f'Volume {volume["id"]} status must be available to update readonly')
    volume['metadata'] = {**volume['metadata'], 'readonly': str(arguments['readonly'])}
    return 202, None


def _set_image_metadata(_cinder: store.Store, volume: Item, arguments: Item) -> tuple[int, Any]:
    metadata = {**volume.get('volume_image_metadata', {}), **arguments['metadata']}
    volume['volume_image_metadata'] = metadata
    return 200, {'metadata': metadata}


def _unset_image_metadata(_cinder: store.Store, volume: Item, arguments: Item) -> tuple[int, Any]:
    metadata = dict(volume.get('volume_image_metadata', {}))
    if metadata.pop(arguments['key'], None) is None:
        raise Refused(404, f'Glance metadata for volume/snapshot {volume["id"]} cannot be found.')
    volume['volume_image_metadata'] = metadata
    return 200, None


def _reimage(cinder: store.Store, volume: Item, arguments: Item) -> tuple[int, Any]:
    image_id = arguments['image_id']
    image = cinder.glance.shown(image_id) if cinder.glance else None
    if image is None or image['status'] != 'active':
        raise Refused(404, f'Image {image_id} could not be found.')
    (device,) = json.loads(image['block_device_mapping'])
    if device['volume_size'] > volume['size']:
        raise Refused(400, 'Volume size must be greater than the image size.')
    cinder.find('snapshots', device['snapshot_id'])
    if volume['status'] not in ('available', 'error'):
        raise Refused(
            400,
            f'Invalid volume: Volume {volume["id"]} status must be available or error, but '
            f'current status is {volume["status"]}.',
        )
    names = ('disk_format', 'container_format', 'bdm_v2', 'block_device_mapping')
    metadata = {name: str(image[name]) for name in names}
    cinder.reimages[volume['id']] = store.Reimage(
        device['snapshot_id'],
        {'image_id': image_id, 'image_name': image['name'], **metadata},
        volume['status'],
    )
    volume['status'], volume['updated_at'] = 'downloading', cinder.now()
    cinder.begin(volume, 'reimage', 'volumes')
    return 202, None


def _retype(cinder: store.Store, volume: Item, arguments: Item) -> tuple[int, Any]:
    wanted = arguments['new_type']
    if wanted not in cinder.volume_types:
        raise missing_type(wanted)
    if volume['status'] not in ('available', 'in-use') or wanted == volume['volume_type']:
        raise Refused(400, 'Invalid input received: New volume_type same as original')
    volume['status'] = 'retyping'
    cinder.retypes[volume['id']] = wanted
    cinder.begin(volume, 'retype', 'volumes')
    return 202, None


_ACTIONS: dict[str, Callable[[store.Store, Item, Item], tuple[int, Any]]] = {
    'os-set_bootable': _set_bootable,
    'os-update_readonly_flag': _set_read_only,
    'os-set_image_metadata': _set_image_metadata,
    'os-retype': _retype,
    'os-unset_image_metadata': _unset_image_metadata,
    'os-reimage': _reimage,
}
