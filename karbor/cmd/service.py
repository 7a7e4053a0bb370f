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

"""The commands of a cloud's Karbor, whose modules import what ``karbor[service]`` brings."""

import importlib

from karbor import exception
from karbor.cmd import ending
from karbor.common import extras


def api() -> int:
    """``karbor-api``; returns the exit code."""
    return _run('karbor-api', 'karbor.cmd.api')


def operationengine() -> int:
    """``karbor-operationengine``; returns the exit code."""
    return _run('karbor-operationengine', 'karbor.cmd.operationengine')


def protection() -> int:
    """``karbor-protection``; returns the exit code."""
    return _run('karbor-protection', 'karbor.cmd.protection')


def _run(name: str, module: str) -> int:
    try:
        extras.check('service', 'The process')
    except exception.ExtraMissing as exc:
        return ending.failed(name, exc)
    return int(importlib.import_module(module).main())
