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
"""The bytes of a volume, reached as a host would (runs inside the sandbox's virtualenv).

python -m sandbox_cloud.volume_bytes KEYSTONE_URL write VOLUME_ID < DATA
python -m sandbox_cloud.volume_bytes KEYSTONE_URL sha256 VOLUME_ID [BYTES]
"""

import contextlib
import hashlib
import os
import sys
from collections.abc import Iterator
from typing import BinaryIO

from cinderclient import client, exceptions
from keystoneauth1 import session
from keystoneauth1.identity import v3

from sandbox_cloud import accounts

# Attachments can be completed from 3.44 on.
_MICROVERSION = '3.44'
_CHUNK = 8 << 20
_CONNECTOR = {
    'host': 'sandbox',
    'ip': '127.0.0.1',
    'initiator': 'sandbox',
    'platform': 'x86_64',
    'os_type': 'linux',
    'multipath': False,
    'mountpoint': '/dev/vdz',
}


def write(device: BinaryIO, source: BinaryIO) -> int:
    """Copy the source to the start of the device; the number of bytes."""
    room = os.fstat(device.fileno()).st_size
    written = 0
    while data := source.read(_CHUNK):
        if written + len(data) > room:
            sys.exit(f'the volume has only {room} bytes; {written} were written')
        device.write(data)
        written += len(data)
    device.flush()
    os.fsync(device.fileno())
    return written


def sha256(device: BinaryIO, size: int | None) -> str:
    """The hash of the first bytes of a device, or of all."""
    digest = hashlib.sha256()
    left = os.fstat(device.fileno()).st_size if size is None else size
    while data := device.read(min(_CHUNK, left)):
        digest.update(data)
        left -= len(data)
    if size is not None and left:
        sys.exit(f'the volume has only {size - left} bytes')
    return digest.hexdigest()


@contextlib.contextmanager
def attached(cinder: client.Client, volume_id: str) -> Iterator[BinaryIO]:
    """A volume as a file, by an attachment without a server."""
    attachment = cinder.attachments.create(volume_id, _CONNECTOR, None)
    try:
        cinder.attachments.complete(attachment['id'])
        with open(attachment['connection_info']['device_path'], 'r+b') as device:
            yield device
    finally:
        cinder.attachments.delete(attachment['id'])


def main() -> None:
    """Do what the command line asks for."""
    keystone_url, action, volume_id, *size = sys.argv[1:]
    login = v3.Password(**accounts.ADMIN.auth(keystone_url))
    cinder = client.Client(_MICROVERSION, session=session.Session(auth=login))
    try:
        with attached(cinder, volume_id) as device:
            if action == 'write':
                print(f'{write(device, sys.stdin.buffer)} bytes written')
            else:
                print(sha256(device, int(size[0]) if size else None))
    except exceptions.ClientException as exc:
        sys.exit(f'volume {volume_id}: {exc}')


if __name__ == '__main__':
    main()
