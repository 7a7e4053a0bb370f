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
"""Copies of sparse files that cost neither the time nor the space of their holes."""

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

# From linux/fs.h; Python's fcntl module names it from 3.12 on.
_FICLONE = 0x40049409
_NOT_SUPPORTED = frozenset(
    {errno.EOPNOTSUPP, errno.EXDEV, errno.EINVAL, errno.ENOTTY, errno.ENOSYS, errno.EPERM}
)
_CHUNK = 1 << 20


def copy(source: Path, target: Path) -> None:
    """Copy beside the target and rename, so that nobody ever sees half a copy."""
    draft = target.with_name(target.name + '.part')
    try:
        with source.open('rb') as reader, draft.open('wb') as writer:
            _copy_content(reader.fileno(), writer.fileno())
        draft.rename(target)
    finally:
        draft.unlink(missing_ok=True)


def overwrite(source: Path, target: Path, begin: int, end: int) -> None:
    """Write a range of a file to the same place of another, as a device is written.

    What else the target holds stays, and so does its size.
    """
    with source.open('rb') as reader, target.open('r+b') as writer:
        position = begin
        for start, stop in _data_extents(reader.fileno(), begin, end):
            _clear(writer.fileno(), position, start)
            _copy_range(reader.fileno(), writer.fileno(), start, stop)
            position = stop
        _clear(writer.fileno(), position, end)


def _clear(descriptor: int, begin: int, end: int) -> None:
    """Write zeros where a range holds data."""
    for start, stop in list(_data_extents(descriptor, begin, end)):
        for position in range(start, stop, _CHUNK):
            os.pwrite(descriptor, bytes(min(_CHUNK, stop - position)), position)


class Writer:
    """A new file, written piece by piece, in which zeros become holes."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.size = 0

    def write(self, data: bytes) -> int:
        """Append; the number of bytes."""
        if data.count(0) < len(data):
            self._stream.seek(self.size)
            self._stream.write(data)
        self.size += len(data)
        return len(data)


def _copy_content(source: int, target: int) -> None:
    """Share the extents where the filesystem can (btrfs, xfs), else copy those with data."""
    try:
        fcntl.ioctl(target, _FICLONE, source)
    except OSError as exc:
        if exc.errno not in _NOT_SUPPORTED:
            raise
        size = os.fstat(source).st_size
        os.ftruncate(target, size)
        for start, end in _data_extents(source, 0, size):
            _copy_range(source, target, start, end)


def _data_extents(descriptor: int, begin: int, end: int) -> Iterator[tuple[int, int]]:
    position = begin
    while position < end:
        try:
            start = os.lseek(descriptor, position, os.SEEK_DATA)
        except OSError as exc:
            if exc.errno == errno.ENXIO:  # nothing but a hole is left
                return
            raise
        if start >= end:
            return
        position = min(os.lseek(descriptor, start, os.SEEK_HOLE), end)
        yield start, position


def _copy_range(source: int, target: int, start: int, end: int) -> None:
    """Copy in the kernel as far as that goes, and the rest by hand."""
    position = start
    with contextlib.suppress(NotImplementedError):
        position = _copy_range_in_kernel(source, target, start, end)
    while position < end:
        data = os.pread(source, min(_CHUNK, end - position), position)
        if not data:
            return
        position += os.pwrite(target, data, position)


def _copy_range_in_kernel(source: int, target: int, start: int, end: int) -> int:
    position = start
    while position < end:
        try:
            copied = os.copy_file_range(source, target, end - position, position, position)
        except OSError as exc:
            if exc.errno in _NOT_SUPPORTED:
                raise NotImplementedError from exc
            raise
        if not copied:
            break
        position += copied
    return position
