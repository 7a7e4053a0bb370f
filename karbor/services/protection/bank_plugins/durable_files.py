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

"""Writes files durably, many together."""

import contextlib
import contextvars
import dataclasses
import itertools
import os
import pathlib
import threading
import uuid
import weakref
from collections.abc import Callable, Iterable, Sequence
from concurrent import futures

from oslo_log import log as logging

from karbor.common import leases

LOG = logging.getLogger(__name__)

PARTIAL_SUFFIX = '.partial~'  # a tilde is no character of a key

# How many files are open at once.
_LARGEST_BATCH = 200
_MOST_ATTEMPTS = 100


@dataclasses.dataclass(eq=False, slots=True)
class _File:
    """A file that is to be written.

    :ivar context: in which it was asked for, which has the lease that it is written by.
    :ivar partial: where it is before it is in its place; '' if it is nowhere.
    :ivar descriptor: of that; -1 if there is none.
    """

    path: pathlib.Path
    data: bytes
    context: contextvars.Context
    outcome: futures.Future[None]
    partial: str = ''
    descriptor: int = -1
    error: BaseException | None = None


class DurableFiles:
    """Writes files, syncs and renames them; while one batch is on its way, the next one gathers.

    A disk takes hardly longer for many files than for one. Nothing is in its place before its
    bytes are on the disk, and whoever asked is told when the name is, too.

    :param top: the folder that all of them are below, which is there.
    :param failure: what is told of a fault.
    """

    def __init__(
        self, top: pathlib.Path, failure: Callable[[pathlib.Path, OSError], Exception]
    ) -> None:
        self._top = top
        self._failure = failure
        self._begin()
        _ALL.add(self)

    def _begin(self) -> None:
        self._names = (f'{uuid.uuid4().hex}-{number}' for number in itertools.count())
        self._lock = threading.Lock()
        self._gathered: list[_File] = []
        self._is_running = False

    def write(self, path: pathlib.Path, data: bytes) -> futures.Future[None]:
        """Write a file, in place of what there is.

        :returns: what ends when a power cut would leave the file in its place, or raises why it is
            not there for sure.
        """
        file = _File(path, data, contextvars.copy_context(), futures.Future())
        with self._lock:
            if not self._is_running:
                threading.Thread(target=self._run, daemon=True, name='durable files').start()
                self._is_running = True
            self._gathered.append(file)
        return file.outcome

    def _run(self) -> None:
        while batch := self._next():
            try:
                self._write_all(batch)
            except BaseException as exc:  # noqa: BLE001 - a thread's edge: told to who asked
                _fail(batch, exc)
            for file in batch:
                try:
                    self._tell(file)
                except BaseException:
                    # The same: of who is told.
                    LOG.exception('What follows the writing of %s has failed', file.path)

    def _next(self) -> Sequence[_File]:
        """The next batch; when there is none, the next file begins another thread."""
        with self._lock:
            batch = self._gathered[:_LARGEST_BATCH]
            self._gathered = self._gathered[_LARGEST_BATCH:]
            self._is_running = bool(batch)
            return batch

    def _tell(self, file: _File) -> None:
        if not file.outcome.set_running_or_notify_cancel():  # who asked does not wait any more
            return
        if file.error is None:
            file.outcome.set_result(None)
            return
        error = file.error
        file.outcome.set_exception(
            self._failure(file.path, error) if isinstance(error, OSError) else error
        )

    def _write_all(self, batch: Sequence[_File]) -> None:
        for act in (self._write_partial, _sync_partial, _rename):
            for file in batch:
                if file.error is None:
                    try:
                        act(file)
                    except (OSError, leases.LeaseLost) as exc:
                        file.error = exc
        for file in batch:
            _clean(file)
        self._sync_folders([file for file in batch if file.error is None])

    def _write_partial(self, file: _File) -> None:
        """Write a file beside its place."""
        file.descriptor = self._open_partial(file)
        left = memoryview(file.data)
        while left:
            left = left[os.write(file.descriptor, left) :]

    def _open_partial(self, file: _File) -> int:
        attempts = 0
        while True:
            partial = str(file.path.with_name(f'{next(self._names)}{PARTIAL_SUFFIX}'))
            try:
                if attempts:
                    file.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            except (FileNotFoundError, FileExistsError):
                # No folder yet, or a delete has just removed it, unless a file is in its place.
                attempts += 1
                if attempts == _MOST_ATTEMPTS:
                    raise
            else:
                file.partial = partial
                return descriptor

    def _sync_folders(self, files: Sequence[_File]) -> None:
        """Make the names of files, and of the folders that they are in, durable."""
        folders: dict[pathlib.Path, list[_File]] = {}
        for file in files:
            for folder in file.path.parents:
                folders.setdefault(folder, []).append(file)
                if folder == self._top:
                    break
        for folder, within in folders.items():
            try:
                _sync(folder)
            except OSError as exc:
                _fail(within, exc)


def make_folder(folder: pathlib.Path) -> None:
    """Make a folder, and those that it is in, so that a power cut leaves them.

    :raises OSError:
    """
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for each in missing:
        _sync(each.parent)


_ALL: weakref.WeakSet[DurableFiles] = weakref.WeakSet()


def _begin_all() -> None:
    for files in list(_ALL):
        files._begin()


os.register_at_fork(after_in_child=_begin_all)  # which has none of the threads


def _sync_partial(file: _File) -> None:
    os.fsync(file.descriptor)


def _rename(file: _File) -> None:
    """Put a file that is on the disk in its place, unless its lease is lost."""
    file.context.run(leases.check_current)
    os.replace(file.partial, file.path)
    file.partial = ''


def _clean(file: _File) -> None:
    """Leave nothing open, and nothing beside its place."""
    with contextlib.suppress(OSError):  # the fault before is told
        if file.descriptor != -1:
            os.close(file.descriptor)
        if file.partial:
            os.unlink(file.partial)


def _fail(files: Iterable[_File], error: BaseException) -> None:
    for file in files:
        file.error = error


def _sync(path: pathlib.Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
