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

"""Provider files of tests, and the options that plugins are made with."""

import pathlib
import tempfile
from collections.abc import Mapping
from typing import Any

from oslo_config import cfg

from karbor.services.protection import provider as providers

#: The plugin that does nothing, for all types that Karbor knows.
NOOP = 'karbor-noop-protection-plugin'

_HEAD = """[provider]
id = 5e0c7a1b-93f4-4d28-8a6e-c41f7d09b352
name = of-a-test
bank = karbor-fs-bank-plugin
enabled = True
"""

#: Options by section and name.
Sections = Mapping[str, Mapping[str, Any]]


def ini_text(sections: Sections) -> str:
    """The sections as they are in a provider file."""
    return '\n'.join(
        line
        for name, values in sections.items()
        for line in (f'[{name}]', *(f'{key} = {value}' for key, value in values.items()), '')
    )


def provider(
    folder: pathlib.Path, *plugins: str, sections: Sections | None = None
) -> providers.Provider:
    """A provider as a process would load it, with a bank in a folder.

    :param folder: a folder that is there; the bank and the provider file are made in it.
    :param plugins: entry points or class paths; with ``NOOP`` before a plugin, all types that are
        not the plugin's are served by one that does nothing.
    :param sections: options of the plugins.
    :raises ValueError: a plugin is left out; tells why.
    """
    path = folder / 'provider.conf'
    head = [f'plugin = {plugin}' for plugin in plugins]
    text = ini_text({'file_system_bank_plugin': {'file_system_bank_path': folder / 'bank'}})
    path.write_text(f'{_HEAD}{chr(10).join(head)}\n{text}{ini_text(sections or {})}')
    loaded = providers.load(path)
    if loaded is None or loaded.faults:
        raise ValueError(f'A plugin cannot be loaded: {loaded and loaded.faults}')
    return loaded


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
