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

"""How a command ends that cannot go on."""

import argparse
import sys
from typing import NoReturn

from karbor import conf, shown


class Parser(argparse.ArgumentParser):
    """Reads a command line; words of it that are wrong are told as all else is."""

    def error(self, message: str) -> NoReturn:
        """argparse calls this; it ends the process."""
        super().error(shown.sentence(message))


def failed(name: str, why: BaseException | str) -> int:
    """Tell on stderr, on one line; returns the exit code.

    :param name: of the command.
    """
    text = why if isinstance(why, str) else conf.told(why)
    print(shown.sentence(f'{name}: {text}'), file=sys.stderr)  # noqa: T201
    return 1
