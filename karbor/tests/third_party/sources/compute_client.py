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

"""A client module of a third party, with what such modules import from the Karbor of old."""

from oslo_config import cfg
from oslo_log import log as logging

from karbor import utils as karbor_utils
from karbor.common import config
from karbor.i18n import _
from karbor.services.protection.clients import utils

LOG = logging.getLogger(__name__)
SERVICE = 'nova'
CONFIG_GROUP = 'nova_client'
OPTS = [
    cfg.StrOpt('nova_endpoint', help=_('URL.')),
    cfg.StrOpt('nova_catalog_info', default='compute:nova:publicURL'),
]

CONF = cfg.CONF
CONF.register_opts(config.service_client_opts, group=CONFIG_GROUP)
CONF.register_opts(OPTS, group=CONFIG_GROUP)
CONF.set_default('service_name', 'nova', CONFIG_GROUP)
CONF.set_default('service_type', 'compute', CONFIG_GROUP)


def create(context, conf, **kwargs):
    conf.register_opts(config.service_client_opts, group=CONFIG_GROUP)
    conf.register_opts(OPTS, group=CONFIG_GROUP)
    url = utils.get_url(
        SERVICE,
        context,
        conf[CONFIG_GROUP],
        append_project_fmt='%(url)s/%(project)s',
        **kwargs,
    )
    return {'url': url, 'find_config': karbor_utils.find_config, **kwargs}
