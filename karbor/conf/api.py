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

"""Options of the API, group ``[DEFAULT]``."""

from oslo_config import cfg

OPTS: list[cfg.Opt] = [
    cfg.IntOpt(
        'osapi_max_limit',
        default=1000,
        min=1,
        help='Most items that one answer of a list may have.',
    ),
    cfg.IntOpt(
        'osapi_max_request_body_size',
        default=3 * 1024 * 1024,
        min=1024,
        help='Largest body of a request, in bytes.',
    ),
    cfg.IntOpt(
        'osapi_max_connections',
        default=500,
        min=10,
        help='Most connections of clients at once. Beyond it, those are closed that have been '
        'waited for the longest, for a request or the rest of one. Of the web server that '
        'karbor-api and karbor-standalone bring.',
    ),
    cfg.IntOpt(
        'osapi_max_connections_per_address',
        default=100,
        min=0,
        help='Most of them that one address of a client may have. 0 means no bound, for a proxy '
        'from which all of them come; only those that it has in use count, as idle ones are '
        'closed for new ones.',
    ),
]


def register_opts(conf: cfg.ConfigOpts) -> None:
    conf.register_opts(OPTS)


def list_opts() -> list[tuple[str, list[cfg.Opt]]]:
    return [('DEFAULT', OPTS)]
