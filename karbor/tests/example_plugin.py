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

"""The plugin of doc/source/plugins.rst, as the module ``acme.volume_name`` that it is there."""

import pathlib
import re
import sys
import textwrap
import types

import karbor

_PAGE = pathlib.Path(karbor.__file__).parents[1] / 'doc/source/plugins.rst'


def install() -> types.ModuleType:
    """Let ``acme.volume_name`` be imported, as if somebody had written it to a file."""
    code = re.search(r'code-block:: python\n\n((?:(?:    .*)?\n)+)', _PAGE.read_text()).group(1)
    module = types.ModuleType('acme.volume_name')
    exec(textwrap.dedent(code), module.__dict__)
    sys.modules['acme'] = types.ModuleType('acme')
    sys.modules[module.__name__] = module
    return module
