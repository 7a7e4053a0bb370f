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

"""``openstack protection service``, for administrators."""

import argparse

from karbor.client.osc import base, words
from karbor.client.osc.base import attribute
from karbor.client.services import Service


class ListServices(base.Lister):
    """List the processes of Karbor"""

    shows = Service
    columns = (
        attribute('ID', 'id'),
        attribute('Binary', 'binary'),
        attribute('Host', 'host'),
        attribute('Status', 'status'),
        attribute('State', 'state'),
        attribute('Updated', 'updated_at', words.moment),
        attribute('Disabled reason', 'disabled_reason', base.text),
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument('--host', metavar='<host>', help='Only on this one')
        parser.add_argument('--binary', metavar='<binary>', help='Only of this one')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> base.Rows:
        found = self.protection.services(host=parsed_args.host, binary=parsed_args.binary)
        return self.listed(parsed_args, found)


class SetService(base.Command):
    """Let a process take work, or no more"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument('service', metavar='<service>', type=int, help='Process (ID)')
        which = parser.add_mutually_exclusive_group(required=True)
        which.add_argument('--enable', action='store_true', help='Let it take work')
        which.add_argument('--disable', action='store_true', help='Let it take no more work')
        parser.add_argument('--disable-reason', metavar='<text>', help='Why it is disabled')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        if parsed_args.enable:
            self.protection.enable_service(parsed_args.service)
        else:
            self.protection.disable_service(parsed_args.service, parsed_args.disable_reason)
