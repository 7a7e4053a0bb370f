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

"""What python-openstackclient asks of a plugin."""

import argparse
from typing import Any

import karbor.client
from karbor.client.proxy import Proxy

DEFAULT_API_VERSION = '1'
API_VERSION_OPTION = 'os_protection_api_version'
API_NAME = 'protection'
API_VERSIONS = ('1',)


def make_client(instance: Any) -> Proxy:
    """The calls of the cloud that a command is for.

    :param instance: the client manager.
    """
    return karbor.client.add_to(instance.sdk_connection)


def build_option_parser(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """There are no options for all commands: of the API there is one version."""
    return parser
