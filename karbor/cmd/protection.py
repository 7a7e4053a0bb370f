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

"""karbor-protection: works on the jobs of a cloud's Karbor. Any number may run."""

import os
import sys
from collections.abc import Sequence

from oslo_config import cfg
from oslo_log import log as logging

from karbor.cmd import signals, wiring

LOG = logging.getLogger(__name__)
CONF = cfg.CONF


def main(arguments: Sequence[str] | None = None) -> int:
    """Work until SIGTERM or SIGINT; returns the exit code."""
    return wiring.run('karbor-protection', _work, arguments)


def _work() -> int:
    stop = signals.stop_event()
    worker = wiring.protection_worker()
    worker.start()
    LOG.info('Waiting for jobs')
    stop.wait()
    LOG.info('Stopping; running jobs have %g seconds', CONF.protection.shutdown_grace)
    left = worker.stop(CONF.protection.shutdown_grace)
    if left:
        LOG.info('%d jobs are not finished; another worker takes them up', left)
    sys.stderr.flush()
    # Threads of unfinished jobs wait for Cinder, perhaps for an hour; a job can be taken up
    # from each of its moments.
    os._exit(0)


if __name__ == '__main__':
    sys.exit(main())
