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

"""karbor-manage: what an operator does to Karbor's database."""

import argparse
import sys
from collections.abc import Sequence

from karbor.cmd import wiring
from karbor.db import migration


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says; returns the exit code."""
    parser = argparse.ArgumentParser(prog='karbor-manage', description=__doc__)
    parser.add_argument('--config-file', metavar='FILE', action='append', default=[],
                        help='karbor.conf; may be repeated')
    areas = parser.add_subparsers(required=True, metavar='AREA')
    commands = areas.add_parser('db', help='the database').add_subparsers(
        required=True, metavar='COMMAND')
    commands.add_parser('sync', help='bring the tables to what this Karbor needs')
    given = parser.parse_args(arguments)
    return wiring.run('karbor-manage', _sync, [
        word for name in given.config_file for word in ('--config-file', name)])


def _sync() -> int:
    try:
        migration.upgrade()
    except migration.SchemaError as exc:
        print(f'karbor-manage: {exc}', file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
