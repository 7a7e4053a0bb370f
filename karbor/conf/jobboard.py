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

"""Options of the board that workers take jobs from, group ``[jobboard]``."""

from oslo_config import cfg

GROUP = 'jobboard'

OPTS: list[cfg.Opt] = [
    cfg.StrOpt(
        'connection',
        secret=True,
        help='The TaskFlow jobboard: redis://[user:password@]host[:port][/db] '
        '(rediss:// with TLS), etcd://host[:port] or '
        'zookeeper://host[:port],host[:port]. Options may follow as a query, like '
        '?protocol=https&ca_cert=/etc/ca.pem for etcd. '
        'Without it workers look for jobs in the database. All processes must '
        'have the same.',
    ),
]


def register_opts(conf: cfg.ConfigOpts) -> None:
    conf.register_opts(OPTS, GROUP)


def list_opts() -> list[tuple[str, list[cfg.Opt]]]:
    return [(GROUP, OPTS)]
