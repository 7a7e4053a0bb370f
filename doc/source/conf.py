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

"""Configuration of Sphinx."""

import pathlib
import sys
from typing import Any

from openstack import proxy, resource

sys.path.insert(0, str(pathlib.Path(__file__).parent / '_ext'))

project = 'Karbor'
copyright = 'Karbor developers'
extensions = ['api_reference', 'rooms', 'sphinx.ext.autodoc']
html_theme = 'alabaster'
autodoc_typehints = 'description'
autodoc_typehints_description_target = 'documented_params'
nitpicky = False


def _signature(_app: Any, what: str, _name: str, documented: Any, *_details: Any) -> Any:
    """Nobody makes a proxy or a resource of openstacksdk by hand, so how is left out."""
    if what == 'class' and issubclass(documented, (proxy.Proxy, resource.Resource)):
        return '', None
    return None


def setup(app: Any) -> None:
    app.connect('autodoc-process-signature', _signature)
