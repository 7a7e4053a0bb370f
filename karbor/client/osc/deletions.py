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

"""Commands that delete or overwrite ask, where somebody is there to answer."""

import argparse
import sys

from osc_lib.exceptions import CommandError

from karbor import shown

_DONE = {'delete': 'deleted', 'overwrite': 'overwritten'}


def add_to(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('--yes', action='store_true', help='Do not ask')


def confirm(parsed_args: argparse.Namespace, told: str, what: str = 'delete') -> None:
    """Ask, on a terminal, unless it is said already.

    :param told: what is deleted.
    :param what: what is done, if it is not that.
    :raises CommandError: it is not to be.
    """
    if parsed_args.yes or not sys.stdin.isatty():
        return
    sys.stderr.write(f'{shown.lines_of(told)} {what.capitalize()}? [y/N] ')
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in ('y', 'yes'):
        raise CommandError(f'Nothing is {_DONE[what]}.')
