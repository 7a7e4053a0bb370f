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

"""Helpers that protection plugins share (plugin contract, section B.9)."""

import hashlib
import time
from collections.abc import Callable, Collection
from typing import Any

from oslo_log import log as logging

from karbor import exception
from karbor.services import retrying
from karbor.services.protection import bank_plugin

LOG = logging.getLogger(__name__)


def status_poll(
    get_status_func: Callable[[], str],
    interval: float,
    success_statuses: Collection[str] = (),
    failure_statuses: Collection[str] = (),
    ignore_statuses: Collection[str] = (),
    ignore_unexpected: bool = False,
    timeout: float | None = None,
    *,
    clock: retrying.Clock = time,
) -> bool:
    """Ask for a status until it is one that ends the waiting.

    :param get_status_func: returns the status; what it raises is passed on.
    :param interval: time between two looks, in seconds.
    :param success_statuses: statuses that mean success.
    :param failure_statuses: statuses that mean failure.
    :param ignore_statuses: statuses that mean waiting.
    :param ignore_unexpected: whether any other status means waiting, not failure.
    :param timeout: longest time to wait, in seconds; None waits for ever.
    :param clock: what is waited with.
    :returns: True on success, False on failure or when the time is over.
    """
    begun = clock.monotonic()
    while True:
        status = get_status_func()
        if status in success_statuses:
            return True
        if status in failure_statuses:
            return False
        if status not in ignore_statuses and not ignore_unexpected:
            return False
        if timeout is not None and clock.monotonic() - begun + interval > timeout:
            return False
        clock.sleep(interval)


def update_resource_restore_result(
    restore_record: Any,
    resource_type: str,
    resource_id: str,
    status: str,
    reason: str = '',
    *,
    name: str | None = None,
) -> None:
    """Tell a restore how one of its new resources is doing; a failure to is only logged.

    :param reason: why, or what else there is to say of it.
    :param name: what it is called, if that is to be told.
    """
    more = {} if name is None else {'name': name}
    try:
        restore_record.update_resource_status(resource_type, resource_id, status, reason, **more)
        restore_record.save()
    except Exception:
        # By contract: the resource is restored, whether or not that can be told.
        LOG.exception(
            'The status %s of %s %s could not be recorded', status, resource_type, resource_id
        )


def update_resource_verify_result(
    verify_record: Any, resource_type: str, resource_id: str, status: str, reason: str = ''
) -> None:
    """Tell a verification what was found of one resource."""
    verify_record.update_resource_status(resource_type, resource_id, status, reason)
    verify_record.save()


def backup_image_to_bank(
    glance_client: Any, image_id: str, bank_section: bank_plugin.BankSection, object_size: int
) -> int:
    """Copy an image to objects ``data_1``, ``data_2``, ... of a section.

    :param object_size: bytes of each object.
    :returns: how many objects were written.
    """
    count = 0
    buffer = bytearray()
    for piece in glance_client.images.data(image_id, do_checksum=True):
        buffer += piece
        while len(buffer) >= object_size:
            count += 1
            bank_section.update_object(f'data_{count}', bytes(buffer[:object_size]))
            del buffer[:object_size]
    if buffer:
        count += 1
        bank_section.update_object(f'data_{count}', bytes(buffer))
    return count


def restore_image_from_bank(
    glance_client: Any, bank_section: bank_plugin.BankSection, restore_name: str
) -> Any:
    """Make an image of the objects that :func:`backup_image_to_bank` wrote.

    The section's object ``metadata`` has ``chunks_num`` and ``image_metadata`` with
    ``disk_format``, ``container_format`` and ``checksum``.

    :returns: the image as Glance shows it afterwards.
    :raises RestoreResourceFailed: objects are missing, or the bytes are not those saved.
    """
    metadata = bank_section.get_object('metadata')
    image = metadata['image_metadata']
    keys = [f'data_{number}' for number in range(1, int(metadata['chunks_num']) + 1)]
    missing = set(keys) - set(bank_section.list_objects('data_'))
    if missing:
        raise _image_failed(restore_name, f'the bank lacks {", ".join(sorted(missing))}')
    made = glance_client.images.create(
        name=restore_name,
        disk_format=image['disk_format'],
        container_format=image['container_format'],
    )
    digest = hashlib.md5(usedforsecurity=False)  # Glance's own `checksum` is an MD5
    try:
        glance_client.images.upload(made.id, _Digesting(bank_section, keys, digest))
    except Exception:
        glance_client.images.delete(made.id)
        raise
    if digest.hexdigest() != image['checksum']:
        glance_client.images.delete(made.id)
        raise _image_failed(restore_name, 'the checksum of the bytes is not the one saved')
    return glance_client.images.get(made.id)


def _image_failed(name: str, reason: str) -> exception.RestoreResourceFailed:
    return exception.RestoreResourceFailed(
        name='Image', reason=reason, resource_id=name, resource_type='OS::Glance::Image'
    )


class _Digesting(bank_plugin.BankIO):
    """A BankIO that feeds a digest with what it reads."""

    def __init__(self, bank_section: bank_plugin.BankSection, keys: list[str], digest: Any) -> None:
        super().__init__(bank_section, keys)
        self._digest = digest

    def read(self, length: int | None = None) -> bytes:
        data = super().read(length)
        piece = data.encode() if isinstance(data, str) else data
        self._digest.update(piece)
        return piece
