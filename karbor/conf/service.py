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

"""Options of every process of a cloud's Karbor, group ``[DEFAULT]``."""

import socket

from oslo_config import cfg

OPTS: list[cfg.Opt] = [
    cfg.HostAddressOpt(
        'osapi_karbor_listen',
        default='0.0.0.0',  # noqa: S104 # nosec B104 # Karbor's own default
        help='Address that karbor-api listens on.',
    ),
    cfg.PortOpt('osapi_karbor_listen_port', default=8799, help='Port that karbor-api listens on.'),
    cfg.IntOpt(
        'osapi_karbor_threads',
        default=10,
        min=1,
        help='How many requests karbor-api works on at once.',
    ),
    cfg.StrOpt(
        'provider_config_dir',
        default='/etc/karbor/providers.d',
        help='Folder of the provider files.',
    ),
    cfg.IntOpt(
        'operation_log_days',
        default=90,
        min=0,
        max=100_000,
        help='For how many days operation logs are kept after the end of what they are about; 0 '
        'keeps them until "karbor-manage db purge" removes them.',
    ),
    cfg.BoolOpt(
        'compress_checkpoints',
        default=False,
        help='Whether large plans, and graphs of checkpoints, are written compressed to the '
        'database. Set it when no process of a release runs any more that has no such option: it '
        'could not read them, and is kept out from then on. karbor-standalone does so unless it is '
        'false.',
    ),
    cfg.StrOpt(
        'host',
        default=socket.gethostname(),
        sample_default='<host name>',
        help='Name under which this host is listed as a service.',
    ),
    cfg.IntOpt(
        'report_interval',
        default=10,
        min=1,
        help='How often a process reports that it is alive, in seconds.',
    ),
    cfg.IntOpt(
        'service_down_time',
        default=60,
        min=2,
        help='How long after its last report a process counts as up, in seconds.',
    ),
]


def register_opts(conf: cfg.ConfigOpts) -> None:
    conf.register_opts(OPTS)


def list_opts() -> list[tuple[str, list[cfg.Opt]]]:
    return [('DEFAULT', OPTS)]
