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
"""Locks between several runs of the command; the kernel drops them when a run dies."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from sandbox_cloud import console


@contextlib.contextmanager
def lock_file(path: Path, waiting_for: str) -> Iterator[int]:
    """Hold an exclusive lock on a file, which is made if need be and then stays.

    A program that inherits the descriptor holds the lock, too, as long as it lives.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _acquire(descriptor, waiting_for)
        yield descriptor
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def lock_directory(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on a directory itself, so that purging it leaves no lock file."""
    descriptor = _open_and_lock(path)
    try:
        yield
    finally:
        os.close(descriptor)


def _open_and_lock(path: Path) -> int:
    """Lock the directory that is at this path now, not one purged while this run waited."""
    while True:
        path.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        _acquire(descriptor, f'another run of this command on {path}')
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), os.stat(path)):
                return descriptor
        os.close(descriptor)


def _acquire(descriptor: int, waiting_for: str) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        console.say(f'waiting for {waiting_for}')
        fcntl.flock(descriptor, fcntl.LOCK_EX)
