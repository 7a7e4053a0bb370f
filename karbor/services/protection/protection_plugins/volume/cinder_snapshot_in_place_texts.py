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

"""What people are told of a restore in place, and what they can do."""

from typing import Any

GONE = 'the volume does not exist any more; without in_place, a new one is made'

_SET_STATE = 'an administrator of the cloud has to set its state: openstack volume set --state'


def foreign(volume: Any) -> str:
    """Of a volume that was transferred to others since it was protected."""
    return f'the volume {volume.id} is of another project now; without in_place, a new one is made'


def held(volume: Any) -> str:
    """By what a volume is held that cannot be overwritten now."""
    if volume.attachments:
        holders = ', '.join(
            f'{each.get("server_id") or each.get("host_name") or "no server"}'
            f' ({each.get("device") or "attachment " + str(each.get("attachment_id"))})'
            for each in volume.attachments
        )
        return f'the volume {volume.id} is attached to {holders}: detach it first'
    return f'the volume {volume.id} is in status {volume.status}, and must be available'


def in_error(volume: Any) -> str:
    """Of a volume of which Cinder takes no snapshot."""
    return (
        f'the volume {volume.id} is in status error, in which Cinder takes no safety snapshot: '
        'to overwrite it without one, say safety: none'
    )


def grown(volume: Any, size: int | None) -> str:
    """Of a volume that is larger than its snapshot."""
    return (
        f'the volume {volume.id} has {volume.size} GiB and its snapshot {size}: what is behind the '
        'end of the snapshot is lost; to accept that, say accept_grown: true'
    )


def shrunk(volume: Any, size: int | None) -> str:
    """Of a volume into which its snapshot does not fit."""
    return f'the volume {volume.id} has {volume.size} GiB, and its snapshot {size}'


def changed(volume: Any) -> str:
    """Of a volume that somebody has used since its safety snapshot."""
    return (
        f'the volume was changed at {volume.updated_at}, since its safety snapshot was taken; '
        'nothing was overwritten: ask again when nobody uses it'
    )


def not_begun(volume: Any) -> str:
    """Of a volume that is not being written although Cinder was asked."""
    return f'Cinder has not written it; it is in status {volume.status}'


def stuck(described: str, safety_id: str | None) -> str:
    """Of a volume that Cinder does not finish."""
    return (
        f'{described}; what it holds is not known, and nobody can use it: {_SET_STATE} error'
        f'{_then(safety_id)}'
    )


def unseen(described: str, safety_id: str | None) -> str:
    """Of a volume that Cinder was asked to write, and does not show any more."""
    return (
        f'Cinder was asked to write it, and what became of that is not known: {described}; look at '
        'it when Cinder answers again: if it holds what the snapshot held, all but its bootable '
        f'flag and its image metadata is well; if not{_then(safety_id)}'
    )


def not_put_back(described: str) -> str:
    """Of a volume that is written, and that Cinder does not show any more."""
    return (
        'it holds what the snapshot held, but its bootable flag and its image metadata are not put '
        f'back: {described}'
    )


def failure(message: str) -> str:
    """Why Cinder has not written it, in Cinder's words."""
    return f'Cinder has failed to write it: {message}'


def failed_without_safety(reason: str) -> str:
    """Of a volume that may be half written, and of which nothing was kept."""
    return (
        f'{reason}; it may be half written, and there is no safety snapshot: ask again, with '
        'safety: none'
    )


def rolled_back(reason: str, volume_id: str) -> str:
    """Of a volume that is as it was before."""
    return (
        f'{reason}; it was rolled back, and holds what it held before; as Cinder leaves it in '
        f'status error, {_SET_STATE} available {volume_id}'
    )


def not_rolled_back(reason: str, why: str, safety_id: str) -> str:
    """Of a volume that may be half written."""
    return f'{reason}; it could not be rolled back: {why}; it may be half written{_then(safety_id)}'


def _then(safety_id: str | None) -> str:
    if safety_id is None:
        return '; then ask again, with safety: none'
    return (
        f'; what it held is in the checkpoint {safety_id}: restore that in place with safety: '
        'none, or without in_place as a new volume'
    )


def remarks(volume: Any, size: int | None) -> list[str]:
    """What there is to say of a volume that is as the snapshot was."""
    told = []
    if volume.status == 'error':
        told.append(
            f'it holds what the snapshot held; as Cinder leaves it in status error, {_SET_STATE} '
            f'available {volume.id}'
        )
    if size is not None and volume.size > size:
        told.append(
            f'it has {volume.size} GiB, and what was behind the {size} GiB of the snapshot is not '
            'kept: Cinder leaves zeros there, or what the storage makes of it'
        )
    return told
