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

"""For modules of third parties: what they find by name, in files and among entry points."""

import pathlib
from typing import Any

import stevedore.exception
from oslo_config import cfg
from oslo_utils import importutils
from stevedore import driver

from karbor import exception
from karbor.conf import service

_FOLDERS = ('/var/lib/karbor/etc/karbor', '/var/lib/karbor/etc', '/var/lib/karbor', '/etc/karbor')


def find_config(config_path: str) -> str:
    """Where a configuration file or folder is.

    :param config_path: a path; looked for as it is, and in the folders that Karbor knows.
    :raises ConfigNotFound: it is in none of them.
    """
    service.register_opts(cfg.CONF)
    beside_providers = pathlib.Path(cfg.CONF.provider_config_dir).parent
    folders = (pathlib.Path(), beside_providers, *map(pathlib.Path, _FOLDERS))
    for path in (folder / config_path for folder in folders):
        if path.exists():
            return str(path.absolute())
    raise exception.ConfigNotFound(path=config_path)


def load_class(namespace: str, plugin_name: str) -> Any:
    """The class of an entry point, or of a dotted path.

    :param namespace: the group of the entry point.
    :raises ImportError: there is neither.
    """
    try:
        return driver.DriverManager(namespace, plugin_name, warn_on_missing_entrypoint=False).driver
    except stevedore.exception.NoMatches:
        return importutils.import_class(plugin_name)


def load_plugin(namespace: str, plugin_name: str, *args: Any, **kwargs: Any) -> Any:
    """An object of such a class.

    :param args: what the class is called with.
    """
    return load_class(namespace, plugin_name)(*args, **kwargs)
