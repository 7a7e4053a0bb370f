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

"""A bank in a folder: one file an object.

A file is written beside its place, flushed to the disk and renamed, those of several threads
together, so that a kill or a power cut at any point leaves the old object or the new one. Text and
JSON are stored as they are, for people to read; bytes begin with 0xff, which neither of them can.
"""

import contextlib
import errno
import json
import os
import pathlib
from concurrent import futures
from typing import Any

from oslo_config import cfg
from oslo_log import log as logging

from karbor import exception
from karbor.services.protection import bank_plugin
from karbor.services.protection.bank_plugins import durable_files
from karbor.services.protection.steps import Wait

LOG = logging.getLogger(__name__)

OPTS = [
    cfg.StrOpt(
        'file_system_bank_path',
        help='Folder of the bank. It is made when it is missing; what is below can be '
        'read by its owner only.',
    ),
    cfg.StrOpt(
        'bank_object_container', default='karbor', help='Folder below it that holds the objects.'
    ),
]
GROUP = 'file_system_bank_plugin'

_BYTES_MARK = b'\xff'
# What opening or removing a file raises where there is none: a part of its path may be a
# file, and it may itself be a folder, since neither is an object.
_MISSING = (FileNotFoundError, NotADirectoryError, IsADirectoryError)

# Of a file system whose server is away.
_PASSING_ERRORS = frozenset(
    {
        errno.ECONNREFUSED,
        errno.ECONNRESET,
        errno.EHOSTDOWN,
        errno.EHOSTUNREACH,
        errno.ENETDOWN,
        errno.ENETUNREACH,
        errno.ENOTCONN,
        errno.ESTALE,
        errno.ETIMEDOUT,
    }
)


def encode(value: Any) -> bytes:
    """The bytes that stand for a value in a file.

    :param value: text, bytes, or what JSON can express.
    """
    if isinstance(value, bytes):
        return _BYTES_MARK + value
    if isinstance(value, str) and not _is_json(value):
        return value.encode()
    return json.dumps(value).encode()


def decode(data: bytes) -> Any:
    """The value that :func:`encode` was given."""
    if data.startswith(_BYTES_MARK):
        return data.removeprefix(_BYTES_MARK)
    text = data.decode()
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


class FileSystemBankPlugin(bank_plugin.BankPlugin):
    """Objects as files below ``file_system_bank_path``/``bank_object_container``.

    :param config: the provider file's own ``ConfigOpts``.
    :raises InvalidParameterValue: no folder is configured.
    """

    is_local = True

    def __init__(self, config: cfg.ConfigOpts) -> None:
        super().__init__(config)
        config.register_opts(OPTS, GROUP)
        options = config[GROUP]
        if not options.file_system_bank_path:
            raise exception.InvalidParameterValue(
                err=f'[{GROUP}] file_system_bank_path is not set.'
            )
        self._container = (
            pathlib.Path(options.file_system_bank_path)
            .absolute()
            .joinpath(options.bank_object_container)
        )
        durable_files.make_folder(self._container)
        self._durable_files = durable_files.DurableFiles(
            self._container,
            lambda path, fault: _update_failed(f'/{path.relative_to(self._container)}', fault),
        )

    def get_owner_id(self, context: bank_plugin.Context = None) -> str:
        return os.uname().nodename

    def check(self) -> None:
        """Also whether the folder is there: its file system may not be mounted any more."""
        if not os.access(self._container, os.W_OK | os.X_OK):
            LOG.error('%s cannot be written to', self._container)
            raise exception.BankError(reason='its folder cannot be written to')
        super().check()

    def update_object(self, key: str, value: Any, context: bank_plugin.Context = None) -> None:
        self.begin_update(key, value, context).result()

    def begin_update(self, key: str, value: Any, context: bank_plugin.Context = None) -> Wait:
        path = self._path(key)
        try:
            data = encode(value)
        except (TypeError, ValueError, RecursionError) as exc:
            return _failed_write(_update_failed(key, exc))
        return self._durable_files.write(path, data)

    def get_object(self, key: str, context: bank_plugin.Context = None) -> Any:
        try:
            return decode(self._path(key).read_bytes())
        except _MISSING as exc:
            raise exception.BankObjectNotFound(key=key, reason='there is none') from exc
        except (OSError, ValueError) as exc:
            raise _failed(exception.BankGetObjectFailed, exc, key=key) from exc

    def list_objects(
        self,
        prefix: str | None = None,
        limit: int | None = None,
        marker: str | None = None,
        sort_dir: str | None = None,
        context: bank_plugin.Context = None,
    ) -> list[str]:
        prefix = '/' + (prefix or '').lstrip('/')
        descending = sort_dir == 'desc'
        try:
            keys = sorted(self._keys(prefix), reverse=descending)
        except OSError as exc:
            raise _failed(exception.BankListObjectsFailed, exc) from exc
        if marker:
            keys = [key for key in keys if (key < marker if descending else key > marker)]
        return keys[:limit]

    def delete_object(self, key: str, context: bank_plugin.Context = None) -> None:
        path = self._path(key)
        try:
            with contextlib.suppress(*_MISSING):
                path.unlink()
        except OSError as exc:
            raise _failed(exception.BankDeleteObjectFailed, exc, key=key) from exc
        self._remove_empty_folders(path.parent)

    def _path(self, key: str) -> pathlib.Path:
        return self._container / bank_plugin.absolute_key(key).lstrip('/')

    def _keys(self, prefix: str) -> list[str]:
        """Keys of all objects that begin with the prefix; only its folder is walked."""
        start = self._container / prefix.rpartition('/')[0].lstrip('/')
        found = []
        for folder, _, names in os.walk(start, onerror=_raise_unless_missing):
            for name in names:
                key = '/' + os.path.relpath(os.path.join(folder, name), self._container)
                if key.startswith(prefix) and not name.endswith(durable_files.PARTIAL_SUFFIX):
                    found.append(key)
        return found

    def _remove_empty_folders(self, folder: pathlib.Path) -> None:
        while folder != self._container:
            try:
                folder.rmdir()
            except OSError:  # not empty, or somebody else was first
                return
            folder = folder.parent


def _update_failed(key: str, fault: Exception) -> exception.BankError:
    failure = _failed(exception.BankUpdateObjectFailed, fault, key=key)
    failure.__cause__ = fault
    return failure


def _failed(
    kind: type[exception.BankError], error: Exception, **fields: Any
) -> exception.BankError:
    """What is told of an error, without the folder that it names.

    :param fields: of the message of that kind, beside the reason.
    """
    if isinstance(error, OSError):
        reason = error.strerror or type(error).__name__
        return kind(reason=reason, is_passing=error.errno in _PASSING_ERRORS, **fields)
    return kind(reason=error, **fields)


def _failed_write(error: Exception) -> Wait:
    failed: futures.Future[None] = futures.Future()
    failed.set_exception(error)
    return failed


def _raise_unless_missing(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        raise error
