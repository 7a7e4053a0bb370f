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

"""The API of a cloud's Karbor, put together from karbor.conf."""

from oslo_config import cfg
from oslo_db import exception as db_exc
from oslo_log import log as logging

from karbor.api import app, middleware, pipeline
from karbor.api.services import Services
from karbor.cmd import assembly
from karbor.db import schema_gate
from karbor.services.protection import protectables

LOG = logging.getLogger(__name__)


def create() -> pipeline.Application:
    """The API behind Keystone. Its jobs are left to karbor-protection.

    :raises SchemaError: this code may not work on the schema of the database.
    """
    try:
        schema_gate.enter()
    except db_exc.DBError as exc:
        # It answers that it is not ready, and begins to work when the database does.
        LOG.warning('The database does not answer; its schema is not known: %s', exc)
    services = Services.on(
        assembly.providers(), protectables.load(), assembly.trusts_in_use(), assembly.job_board()
    )
    return pipeline.behind_keystone(app.create_app(services, middleware.KeystoneAuth()), cfg.CONF)
