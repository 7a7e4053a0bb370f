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

"""Options of the Cinder client, group ``[cinder_client]``."""

from oslo_config import cfg

GROUP = 'cinder_client'

OPTS: list[cfg.Opt] = [
    cfg.StrOpt(
        'service_type',
        default='block-storage',
        help='Type of the service in the catalog; its aliases (volumev3) are found, too.',
    ),
    cfg.StrOpt(
        'region_id',
        help='Region of the endpoint; may be unset where the catalog has one only. With '
        'cinder_endpoint, the region that it is in: what was made in another one is left alone.',
    ),
    cfg.StrOpt(
        'interface', default='public', help='Interface of the endpoint: public, internal or admin.'
    ),
    cfg.StrOpt(
        'cinder_endpoint',
        help="URL to use instead of the catalog's, without the project id, for "
        'example http://cinder.example/v3.',
    ),
    cfg.StrOpt(
        'cinder_catalog_info',
        default='volumev3:cinderv3:publicURL',
        help="<type>:<name>:<interface> of the entry to look up in a request's "
        'catalog where there is no session.',
    ),
    cfg.StrOpt(
        'cinder_ca_cert_file',
        help="File of the certificate authorities to check Cinder's certificate with.",
    ),
    cfg.BoolOpt('cinder_auth_insecure', default=False, help="Do not check Cinder's certificate."),
    cfg.FloatOpt(
        'request_timeout',
        default=60,
        min=1,
        help='Longest time that one request may take, in seconds.',
    ),
    cfg.IntOpt(
        'max_creating',
        default=2000,
        min=1,
        help='How many snapshots and volumes Cinder may be making at once for one process of '
        'karbor-protection. A provider file bounds each job, by max_creating in '
        '[volume_snapshot_plugin].',
    ),
    cfg.IntOpt(
        'max_creating_per_project',
        default=500,
        min=1,
        help='How many of them may be in one project.',
    ),
]


def register_opts(conf: cfg.ConfigOpts) -> None:
    conf.register_opts(OPTS, GROUP)


def list_opts() -> list[tuple[str, list[cfg.Opt]]]:
    return [(GROUP, OPTS)]
