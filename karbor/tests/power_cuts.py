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

"""A disk that may lose its power at any moment.

What is done below a folder is recorded by the calls that do it. Of that, a disk holds for sure the
bytes of a file when it was synced last, and the names in a folder when that was synced last. What
has come after may be there, or not, each by itself.
"""

import contextlib
import copy
import dataclasses
import functools
import os
import pathlib
import threading
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

#: Says of something that was not synced whether it is there after all.
Survives = Callable[[], bool]


@dataclasses.dataclass(eq=False, slots=True)
class File:
    """A file.

    :ivar synced: its bytes when it was synced last; what is new has none then.
    """

    data: bytes = b''
    synced: bytes = b''

    def sync(self) -> None:
        self.synced = self.data

    def put(self, path: pathlib.Path, survives: Survives) -> None:
        """Write what a disk holds of it: of bytes that were not synced all, half, or none."""
        data = self.synced
        if data != self.data and survives():
            data = self.data if survives() else self.data[: len(self.data) // 2]
        path.write_bytes(data)


@dataclasses.dataclass(eq=False, slots=True)
class Folder:
    """A folder.

    :ivar entries: what is in it, by names.
    :ivar synced: what was in it when it was synced last.
    """

    entries: dict[str, 'File | Folder'] = dataclasses.field(default_factory=dict)
    synced: dict[str, 'File | Folder'] = dataclasses.field(default_factory=dict)

    def sync(self) -> None:
        self.synced = dict(self.entries)

    def put(self, path: pathlib.Path, survives: Survives) -> None:
        """Write what a disk holds of it: of each name that was not synced, the old or the new."""
        path.mkdir()
        for name in sorted({*self.entries, *self.synced}):
            old, new = self.synced.get(name), self.entries.get(name)
            left = new if old is not new and survives() else old
            if left is not None:
                left.put(path / name, survives)


class RecordedDisk:
    """The disk that a folder is on.

    :param top: the folder, which is empty.
    :param before: called before each change and each sync; nothing else is done meanwhile.
    """

    def __init__(self, top: pathlib.Path, before: Callable[[], None]) -> None:
        self._top = top
        self._before = before
        self._lock = threading.RLock()
        self._content = Folder()
        self._opened: dict[int, File | Folder] = {}

    @contextlib.contextmanager
    def standing_still(self) -> Iterator[Folder]:
        """Gives what is on the disk, to which nothing is done meanwhile."""
        with self._lock:
            yield copy.deepcopy(self._content)

    @contextlib.contextmanager
    def recording(self) -> Iterator[None]:
        """Record what this process does meanwhile."""
        with contextlib.ExitStack() as patches:
            for name in ('open', 'close', 'write', 'fsync', 'replace', 'unlink', 'mkdir', 'rmdir'):
                call = functools.partial(getattr(self, f'_{name}'), getattr(os, name))
                patches.enter_context(mock.patch.object(os, name, call))
            yield

    # What stands for the calls. Each is given the real one first.

    def _open(self, real: Any, path: Any, flags: int, *more: Any, **options: Any) -> int:
        parts = self._parts(path)
        if parts is None:
            return real(path, flags, *more, **options)
        with self._lock:
            if flags & os.O_CREAT:
                self._before()
            descriptor = real(path, flags, *more, **options)
            if flags & os.O_CREAT:
                self._entries(parts).setdefault(parts[-1], File())
            self._opened[descriptor] = self._find(parts)
            return descriptor

    def _close(self, real: Any, descriptor: int) -> None:
        with self._lock:
            self._opened.pop(descriptor, None)
            real(descriptor)

    def _write(self, real: Any, descriptor: int, data: Any) -> int:
        with self._lock:
            file = self._opened.get(descriptor)
            if not isinstance(file, File):
                return real(descriptor, data)
            self._before()
            written = real(descriptor, data)
            file.data += bytes(data[:written])
            return written

    def _fsync(self, real: Any, descriptor: int) -> None:
        with self._lock:
            synced = self._opened.get(descriptor)
            if synced is None:
                real(descriptor)
            else:  # which needs no real disk
                self._before()
                synced.sync()

    def _replace(self, real: Any, old: Any, new: Any) -> None:
        old_parts, new_parts = self._parts(old), self._parts(new)
        if old_parts is None or new_parts is None:
            real(old, new)
            return
        with self._lock:
            self._before()
            real(old, new)
            moved = self._entries(old_parts).pop(old_parts[-1])
            self._entries(new_parts)[new_parts[-1]] = moved

    def _unlink(self, real: Any, path: Any, **options: Any) -> None:
        self._remove(real, path, **options)

    def _rmdir(self, real: Any, path: Any, **options: Any) -> None:
        self._remove(real, path, **options)

    def _remove(self, real: Any, path: Any, **options: Any) -> None:
        parts = self._parts(path)
        if parts is None:
            real(path, **options)
            return
        with self._lock:
            self._before()
            real(path, **options)
            del self._entries(parts)[parts[-1]]

    def _mkdir(self, real: Any, path: Any, *more: Any, **options: Any) -> None:
        parts = self._parts(path)
        if parts is None:
            real(path, *more, **options)
            return
        with self._lock:
            self._before()
            real(path, *more, **options)
            self._entries(parts)[parts[-1]] = Folder()

    def _parts(self, path: Any) -> tuple[str, ...] | None:
        """The names that lead from the top to a path; None if it is not below."""
        absolute = pathlib.Path(os.path.abspath(path))
        if absolute.is_relative_to(self._top):
            return absolute.relative_to(self._top).parts
        return None

    def _find(self, parts: tuple[str, ...]) -> File | Folder:
        found: File | Folder = self._content
        for name in parts:
            assert isinstance(found, Folder)
            found = found.entries[name]
        return found

    def _entries(self, parts: tuple[str, ...]) -> dict[str, File | Folder]:
        """What is in the folder that something is in."""
        folder = self._find(parts[:-1])
        assert isinstance(folder, Folder)
        return folder.entries
