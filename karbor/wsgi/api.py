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

"""The API for a WSGI server, as ``gunicorn karbor.wsgi.api:application``.

The environment variable ``OS_KARBOR_CONFIG_FILE`` names the configuration file; without it,
oslo.config's usual places are looked at.
"""

import os
import sys

from oslo_config import cfg

from karbor import exception
from karbor.cmd import assembly, ending
from karbor.common import extras
from karbor.db import schema_gate

# By this exit code gunicorn knows not to start the process again and again.
_CANNOT_BOOT = 3

_config_file = os.environ.get('OS_KARBOR_CONFIG_FILE')

try:
    extras.check('service', 'The API')
    from karbor.cmd import application as api_application

    assembly.configure('karbor-api', ['--config-file', _config_file] if _config_file else [])
    application = api_application.create()
except (schema_gate.SchemaError, exception.KarborException, cfg.Error) as exc:
    ending.failed('karbor-api', exc)
    sys.exit(_CANNOT_BOOT)
