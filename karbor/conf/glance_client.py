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

"""Options of the Glance client, group ``[glance_client]``."""

from oslo_config import cfg

GROUP = 'glance_client'

OPTS: list[cfg.Opt] = [
    cfg.StrOpt('service_type', default='image', help='Type of the service in the catalog.'),
    cfg.StrOpt('region_id', help='Region of the endpoint; unset takes that of [cinder_client].'),
    cfg.StrOpt(
        'interface',
        help='Interface of the endpoint: public, internal or admin; unset takes that of '
        '[cinder_client].',
    ),
    cfg.StrOpt(
        'glance_endpoint',
        help="URL to use instead of the catalog's, for example http://glance.example.",
    ),
]


def register_opts(conf: cfg.ConfigOpts) -> None:
    conf.register_opts(OPTS, GROUP)


def list_opts() -> list[tuple[str, list[cfg.Opt]]]:
    return [(GROUP, OPTS)]
