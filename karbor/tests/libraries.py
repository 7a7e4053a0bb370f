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

"""Libraries that are installed for the tests, and hidden as if they were not."""

import contextlib
import os
import pathlib
import sys
from collections.abc import Iterator
from unittest import mock

from karbor.common import extras

OF_EXTRAS = sorted({module for extra in extras.EXTRAS.values() for module in extra.modules})

_BANKS = tuple(f'karbor.services.protection.bank_plugins.{name}' for name in ('s3_', 'swift_'))


@contextlib.contextmanager
def without(*modules: str) -> Iterator[None]:
    """Meanwhile nothing can import some libraries, which the banks have not done yet either.

    :param modules: the names of their packages.
    """
    with mock.patch.dict(sys.modules):
        for name in list(sys.modules):
            if name.startswith(_BANKS) or name.partition('.')[0] in modules:
                del sys.modules[name]
        sys.modules.update(dict.fromkeys(modules))
        yield


def environment_without(folder: pathlib.Path, *modules: str) -> dict[str, str]:
    """The environment of a process that cannot import some libraries.

    :param folder: for what Python runs at its start.
    """
    text = f'import sys\nsys.modules.update(dict.fromkeys({modules!r}))\n'
    (folder / 'sitecustomize.py').write_text(text)
    paths = [str(folder), *filter(None, [os.environ.get('PYTHONPATH')])]
    return {**os.environ, 'PYTHONPATH': os.pathsep.join(paths)}
