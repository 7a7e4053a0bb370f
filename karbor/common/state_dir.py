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

"""The folder where a standalone Karbor keeps everything: made at the first start.

::

    lock           held by the running Karbor
    project        id of the project that everything in here belongs to
    region         name of the region that it was made in
    token          what a client must know
    api.sock       where the API is, too; for the owner only, without a token
    openrc         to be sourced by a shell: where the API is, and the token
    clouds.yaml    the same for `openstack`
    karbor.db      SQLite
    bank/          checkpoints
    providers.d/   the provider; may be edited
"""

import fcntl
import json
import os
import pathlib
import re
import secrets
import shlex
import stat
import textwrap
from collections.abc import Iterator
from typing import IO

import sqlalchemy
from oslo_utils import uuidutils

from karbor import local

# oslo.config takes a $ for an option, and SQLAlchemy what follows a ? for parameters.
_UNUSABLE = re.compile(r'[$?\n]')

_PROVIDER_FILE = 'cinder-snapshot.conf'
_BANK_OPTION = 'file_system_bank_path'
_NAMED_BANK = re.compile(rf'(?m)^[ \t]*{_BANK_OPTION}[ \t]*=[ \t]*(.+?)[ \t]*$')


_BELIEVED = ('token', 'karbor.db', 'providers.d')


class StateDirectoryError(Exception):
    """The folder cannot be used; the text says why."""


class StateDirectory:
    """The folder, locked for this process as long as it lives.

    :param path: the folder; made, for its owner only, when it is missing.
    :raises StateDirectoryError: it is open to others, or something in it that is believed is
        another user's or can be written by others, another Karbor runs on it, or its path
        cannot be written in a configuration.
    """

    def __init__(self, path: pathlib.Path) -> None:
        self.path = path.absolute()
        if _UNUSABLE.search(str(self.path)):
            raise StateDirectoryError(
                f'{str(self.path)!r} cannot be used: the path may not have a $, a ? or a line '
                f'break.'
            )
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            mode = stat.S_IMODE(self.path.stat().st_mode)
            if mode & 0o077:
                raise StateDirectoryError(
                    f'{self.path} is open to others (mode {mode:o}); chmod 700 it, or choose '
                    f'another --state-dir.'
                )
            for path in self._trusted():
                _check_owner(path)
            self._lock = self._locked()
        except OSError as exc:
            raise StateDirectoryError(f'{self.path} cannot be used: {exc.strerror}') from exc

    def _trusted(self) -> Iterator[pathlib.Path]:
        """Everything there is whose writer could act as who runs Karbor."""
        yield self.path
        for name in _BELIEVED:
            if (self.path / name).exists():
                yield self.path / name
        if self.provider_config_dir.is_dir():
            yield from self.provider_config_dir.iterdir()

    @property
    def database_url(self) -> str:
        return sqlalchemy.URL.create(
            'sqlite', database=str(self.path / 'karbor.db')
        ).render_as_string()

    @property
    def provider_config_dir(self) -> pathlib.Path:
        return self.path / 'providers.d'

    @property
    def openrc(self) -> pathlib.Path:
        return self.path / 'openrc'

    def claim_for(self, project_id: str) -> None:
        """Refuse to work on another project's checkpoints.

        :raises StateDirectoryError: the folder belongs to another project.
        """
        path = self.path / local.PROJECT
        owner = path.read_text().strip() if path.exists() else None
        if owner is None:
            self._write(local.PROJECT, f'{project_id}\n')
        elif owner != project_id:
            raise StateDirectoryError(
                f'{self.path} belongs to the project {owner}, and the credentials are for '
                f'{project_id}; choose another --state-dir.'
            )

    @property
    def region_file(self) -> pathlib.Path:
        return self.path / local.REGION

    @property
    def region(self) -> str | None:
        """The region that everything in the folder was made in; None when that is not known."""
        if not self.region_file.exists():
            return None
        return self.region_file.read_text().strip() or None

    def claim_region(self, region: str) -> None:
        """Refuse to work on checkpoints of another region.

        :raises StateDirectoryError: the folder belongs to another region.
        """
        home = self.region
        if home is None:
            self._write(local.REGION, f'{region}\n')
        elif home != region:
            raise StateDirectoryError(
                f'{self.path} belongs to the region {home}, and the cloud is used in the region '
                f'{region}; name the first one (region_name in clouds.yaml, OS_REGION_NAME), or '
                f'choose another --state-dir.'
            )

    def token(self) -> str:
        """The token that clients send, made once."""
        path = self.path / 'token'
        if not path.exists():
            self._write('token', secrets.token_urlsafe(32) + '\n')
        return path.read_text().strip()

    def ensure_provider(self) -> None:
        """Write a provider file when there is none."""
        self.provider_config_dir.mkdir(mode=0o700, exist_ok=True)
        if any(self.provider_config_dir.glob('*.conf')):
            return
        self._write(
            f'providers.d/{_PROVIDER_FILE}',
            textwrap.dedent(f"""\
            [provider]
            name = cinder-snapshot
            description = Volumes by Cinder snapshot
            id = {uuidutils.generate_uuid()}
            plugin = karbor-project-protection-plugin
            plugin = karbor-volume-snapshot-plugin
            bank = karbor-fs-bank-plugin
            enabled = True

            [volume_snapshot_plugin]
            poll_interval = 15

            [file_system_bank_plugin]
            {_BANK_OPTION} = {self.path / 'bank'}
            """),
        )

    def check_bank(self) -> None:
        """Refuse to begin an empty bank where the folder was before it was moved.

        Only the provider file of the first start is looked at.

        :raises StateDirectoryError: its bank is not there, and the folder has one.
        """
        file, bank = self.provider_config_dir / _PROVIDER_FILE, self.path / 'bank'
        named = _NAMED_BANK.search(file.read_text()) if file.exists() else None
        if named is None or pathlib.Path(named[1]).exists():
            return
        if any(path.is_file() for path in bank.rglob('*')):
            raise StateDirectoryError(
                f'{file} names the bank {named[1]}, which is not there, and the checkpoints are in '
                f'{bank}: set {_BANK_OPTION} to that, as after the folder was moved.'
            )

    def write_openrc(self, url: str, project_id: str, token: str) -> None:
        """Write what a shell sources so that both clients find this Karbor.

        ``karbor`` takes the ``KARBOR_URL`` and the token as they are; ``openstack``, and programs
        on openstacksdk, find them in the clouds.yaml beside.

        :param url: root of the API, without a slash at the end.
        """
        endpoint = f'{url}/v1/{project_id}'
        self._write(
            'clouds.yaml',
            json.dumps(
                {
                    'clouds': {
                        'karbor': {  # JSON is YAML
                            'auth_type': 'admin_token',
                            'auth': {'endpoint': endpoint, 'token': token},
                        }
                    }
                },
                indent=2,
            )
            + '\n',
        )
        self._write(
            'openrc',
            textwrap.dedent(f"""\
            # Written by karbor-standalone at every start. Sourced, it leads `karbor`,
            # `openstack protection` and `openstack data protection` to it. Other `openstack`
            # commands do not work in such a shell: everything is sent to Karbor.
            for name in $(env | sed -n 's/^\\(OS_[A-Z0-9_]*\\)=.*/\\1/p'); do unset "$name"; done
            unset name
            export OS_CLIENT_CONFIG_FILE={shlex.quote(str(self.path / 'clouds.yaml'))}
            export OS_CLOUD=karbor
            export OS_NO_CLIENT_AUTH=1
            export OS_AUTH_TOKEN={shlex.quote(token)}
            export KARBOR_URL={shlex.quote(endpoint)}
            """),
        )

    def _locked(self) -> IO[str]:
        lock = (self.path / 'lock').open('a+')
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            pid = lock.read().strip()
            lock.close()
            raise StateDirectoryError(
                f'Another karbor-standalone (process {pid}) runs on {self.path}.'
            ) from None
        lock.truncate(0)
        lock.write(f'{os.getpid()}\n')
        lock.flush()
        return lock

    def _write(self, name: str, text: str) -> None:
        """Write a file for the owner's eyes, whole or not at all."""
        partial = self.path / f'{name}.partial'
        partial.unlink(missing_ok=True)
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, 'w') as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        partial.rename(self.path / name)


def _check_owner(path: pathlib.Path) -> None:
    """Refuse what somebody else could have written.

    :raises StateDirectoryError:
    """
    status = path.stat()
    if status.st_uid != os.geteuid():
        raise StateDirectoryError(
            f'{path} belongs to the user {status.st_uid}, and Karbor runs as {os.geteuid()}; run '
            f'it as its owner, or choose another --state-dir.'
        )
    mode = stat.S_IMODE(status.st_mode)
    if mode & 0o022:
        raise StateDirectoryError(
            f'{path} can be written by others (mode {mode:o}); look whether it is as you left it, '
            f'and chmod go-w it.'
        )
