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

"""``karbor-operationengine``: fires triggers, as one of any number of such processes."""

import sys
from collections.abc import Sequence

from oslo_config import cfg
from oslo_log import log as logging

from karbor.cmd import assembly, signals
from karbor.db import schema_gate
from karbor.services import periodic, processes

LOG = logging.getLogger(__name__)
CONF = cfg.CONF


def main(arguments: Sequence[str] | None = None) -> int:
    """Fire until SIGTERM or SIGINT; returns the exit code."""
    return assembly.run('karbor-operationengine', _fire, arguments)


def _fire() -> int:
    schema_gate.enter()
    stop = signals.stop_event()
    reporter = processes.Reporter(processes.OPERATION_ENGINE)
    reporter.report()
    periodic.Duty(CONF.report_interval, reporter.report).begin(stop)
    LOG.info('Firing triggers')
    assembly.operation_engine().run(stop, lambda: reporter.may_take_work)
    LOG.info('Stopping')
    return 0


if __name__ == '__main__':
    sys.exit(main())
