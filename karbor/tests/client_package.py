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

"""Karbor's commands for an ``openstack`` in whose virtualenv Karbor is not installed."""

import configparser
import os
import pathlib

import karbor

ROOT = pathlib.Path(karbor.__file__).parents[1]


def entry_points() -> dict[str, str]:
    """The lines of each group of entry points."""
    setup = configparser.ConfigParser()
    setup.read(ROOT / 'setup.cfg')
    return dict(setup['entry_points'])


def python_path(folder: pathlib.Path) -> str:
    """A ``PYTHONPATH`` with which an interpreter finds the commands as if they were installed.

    :param folder: for what says so.
    """
    package = folder / 'packages/karbor-1.dist-info'
    package.mkdir(parents=True)
    (package / 'METADATA').write_text('Name: karbor\nVersion: 1\n')
    groups = {
        group: lines for group, lines in entry_points().items() if group.startswith('openstack.')
    }
    (package / 'entry_points.txt').write_text(
        '\n'.join(f'[{group}]{lines}\n' for group, lines in groups.items())
    )
    return os.pathsep.join([str(package.parent), str(ROOT)])
