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

"""Operation logs go when they are old, and troubles that are over."""

import datetime

from oslo_config import cfg
from oslo_log import log as logging
from oslo_utils import timeutils

from karbor.db import purging
from karbor.services import periodic

LOG = logging.getLogger(__name__)

_INTERVAL = 3600


def duties() -> tuple[periodic.Duty, ...]:
    """None when ``operation_log_days`` is 0."""
    if not cfg.CONF.operation_log_days:
        return ()
    return (periodic.Duty(_INTERVAL, remove_old_logs, at_start=True),)


def remove_old_logs() -> None:
    """Remove those of what ended ``operation_log_days`` ago."""
    age = datetime.timedelta(days=cfg.CONF.operation_log_days)
    before = timeutils.utcnow() - age
    if removed := purging.purge_logs(before):
        LOG.info('Removed %s operation logs older than %s days', removed, age.days)
    if removed := purging.purge_troubles(before):
        LOG.info('Removed %s troubles that are over for %s days', removed, age.days)
