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

"""How a client finds the karbor-standalone of its user on the same machine.

That listens on a socket in its state directory, where nobody else may listen or ask: the folder is
its owner's alone, and each side looks at the user of the other, whom the kernel names.
"""

import contextlib
import os
import pathlib
import socket
import stat
import struct
from collections.abc import Iterator

SOCKET = 'api.sock'
#: files of a state directory that say whose checkpoints it has
PROJECT, REGION = 'project', 'region'

_CREDENTIALS = struct.Struct('3i')  # pid, uid, gid; see unix(7)
_LONGEST_CLAIM = 1000  # bytes


class Untrusted(Exception):
    """Others may have written what is found; the text says why."""


def home() -> pathlib.Path:
    """Where the state directories of the user are, by the name of the cloud."""
    states = os.environ.get('XDG_STATE_HOME') or pathlib.Path.home() / '.local' / 'state'
    return pathlib.Path(states, 'karbor')


def peer(connection: socket.socket) -> int:
    """The id of the user who connected, or who listens."""
    packed = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    uid: int = _CREDENTIALS.unpack(packed)[1]
    return uid


class Folder:
    """A state directory that is the user's alone, held open.

    :param path: the folder.
    :raises Untrusted: it is another user's, or open to others.
    :raises OSError: it is no folder, or cannot be opened.
    """

    def __init__(self, path: pathlib.Path) -> None:
        self.path = path
        self._descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            self._check()
        except Untrusted:
            self.close()
            raise

    def __enter__(self) -> 'Folder':
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        os.close(self._descriptor)

    def _check(self) -> None:
        found = os.fstat(self._descriptor)
        if found.st_uid != os.geteuid():
            raise Untrusted(f'{self.path} belongs to another user ({found.st_uid}).')
        mode = stat.S_IMODE(found.st_mode)
        if mode & 0o077:
            raise Untrusted(f'{self.path} is open to others (mode {mode:o}).')

    def claim(self, name: str) -> str | None:
        """What a file says of whose checkpoints are in the folder; None when there is none.

        :param name: ``PROJECT`` or ``REGION``.
        """
        try:
            descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=self._descriptor)
        except FileNotFoundError:
            return None
        with os.fdopen(descriptor, 'rb') as file:
            return file.read(_LONGEST_CLAIM).decode(errors='replace').strip() or None

    def connect(self, timeout: float | None) -> socket.socket:
        """A connection to who listens.

        :param timeout: seconds, for this and for each part of an answer.
        :raises Untrusted: somebody else does.
        :raises OSError: nobody does.
        """
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.settimeout(timeout)
            connection.connect(self._address)
            self._check_listener(peer(connection))
        except BaseException:
            connection.close()
            raise
        return connection

    def _check_listener(self, uid: int) -> None:
        if uid != os.geteuid():
            raise Untrusted(f'Another user ({uid}) listens in {self.path}.')

    def listen(self) -> socket.socket:
        """Listen, in place of one who ended without leave.

        :raises OSError: it cannot be.
        """
        self.remove()
        listening = socket.socket(socket.AF_UNIX)
        try:
            listening.bind(self._address)
            os.chmod(self._address, 0o600)
            listening.listen()
        except BaseException:
            listening.close()
            raise
        return listening

    def remove(self) -> None:
        """Remove the socket; nobody may be listening."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(SOCKET, dir_fd=self._descriptor)

    @property
    def _address(self) -> str:
        """Of the socket: short, as the kernel takes 107 bytes, and paths may be longer."""
        return f'/proc/self/fd/{self._descriptor}/{SOCKET}'


def folders() -> Iterator[pathlib.Path]:
    """Those at :func:`home`, by name."""
    with contextlib.suppress(OSError):  # whatever cannot be read has none
        yield from sorted(path for path in home().iterdir() if os.path.isdir(path))
