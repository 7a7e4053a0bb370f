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

"""Provider files without files: the options that plugins are made with."""

import tempfile
from collections.abc import Mapping
from typing import Any

from oslo_config import cfg

#: Options by section and name.
Sections = Mapping[str, Mapping[str, Any]]


def ini_text(sections: Sections) -> str:
    """The sections as they are in a provider file."""
    return '\n'.join(
        line
        for name, values in sections.items()
        for line in (f'[{name}]', *(f'{key} = {value}' for key, value in values.items()), '')
    )


def options(sections: Sections) -> cfg.ConfigOpts:
    """The options of a provider file with these sections."""
    config = cfg.ConfigOpts()
    with tempfile.NamedTemporaryFile('w', suffix='.conf') as file:
        file.write(ini_text(sections))
        file.flush()
        config(
            args=[],
            project='karbor',
            prog='provider',
            default_config_files=[file.name],
            default_config_dirs=[],
        )
    return config
