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

"""The code of the release before this one, from the history of this repository."""

import pathlib
import subprocess

from karbor.tests.integration import cloud

#: what the release before is, which must work on the schema of this one; to be set after a release
COMMIT = '2a0a7890053125864f86570ee872cda51d2df365'
#: the last migration that it has
SCHEMA = '0003'


class NoHistoryError(Exception):
    """This is no clone of the repository, or not a whole one."""


def unpack(folder: pathlib.Path) -> pathlib.Path:
    """Write the code into a folder, from which it can be run; returns that.

    :raises NoHistoryError: it cannot be had; the text says what to do.
    """
    archive = folder / 'release-before.tar'
    try:
        subprocess.run(
            ['git', '-C', cloud.ROOT, 'archive', '--output', archive, COMMIT, 'karbor'],
            check=True,
            text=True,
            stderr=subprocess.PIPE,
        )
    except (subprocess.CalledProcessError, FileNotFoundError) as exc:
        raise NoHistoryError(
            f'The release before is the commit {COMMIT}, which git does not give: '
            f'{getattr(exc, "stderr", None) or exc}\nThis test needs git and a clone with the '
            'whole history: "git fetch --unshallow", or a clone in place of an unpacked archive.'
        ) from exc
    code = folder / 'release-before'
    code.mkdir()
    subprocess.run(['tar', '-xf', archive, '-C', code], check=True)
    return code
