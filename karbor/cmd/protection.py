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

"""karbor-protection: works on the jobs of a cloud's Karbor. Any number may run.

It is a process that does nothing but start the workers, again if one dies, and pass signals on:
SIGTERM lets running jobs end or hands them back, SIGHUP does so and begins with the
configuration as it is then.
"""

import math
import os
import sys
from collections.abc import Sequence

import cotyledon
from cotyledon import types as cotyledon_types
from oslo_config import cfg
from oslo_log import log as logging

from karbor import db
from karbor.cmd import assembly
from karbor.db import schema_gate
from karbor.services.jobs import boards

LOG = logging.getLogger(__name__)
CONF = cfg.CONF
_NAME = 'karbor-protection'

# How much longer than its jobs a worker may take to end, in seconds: it hands back.
_MARGIN = 15


def main(arguments: Sequence[str] | None = None) -> int:
    """Work until SIGTERM; returns the exit code. SIGINT ends it at once, like a crash."""
    words = sys.argv[1:] if arguments is None else arguments
    return assembly.run(_NAME, lambda: _supervise(words), words)


class _Worker(cotyledon.Service):
    """One process that works."""

    name = _NAME

    def __init__(self, worker_id: cotyledon_types.WorkerId, arguments: Sequence[str]) -> None:
        super().__init__(worker_id)
        CONF.clear()
        assembly.configure(_NAME, arguments)
        self._worker = assembly.protection_worker()
        self._grace = CONF.protection.shutdown_grace
        self.graceful_shutdown_timeout = _deadline(self._grace)  # type: ignore[misc]

    def run(self) -> None:
        self._worker.start()
        LOG.info('Waiting for jobs')

    def terminate(self) -> None:
        LOG.info('Stopping; running jobs have %g seconds', self._grace)
        left = self._worker.stop(self._grace)
        if left:
            LOG.info('%d jobs are not finished; they are handed back', left)
        sys.stderr.flush()
        # Threads of unfinished jobs wait for Cinder, perhaps for an hour; a job can be taken up
        # from each of its moments.
        os._exit(0)


def _deadline(grace: float) -> int:
    """Seconds after which a worker that still stops is killed."""
    return math.ceil(grace) + _MARGIN


def _supervise(arguments: Sequence[str]) -> int:
    # What is wrong with the configuration is said once, and not by each worker again and again.
    schema_gate.enter()
    assembly.protection_worker()
    boards.DatabaseBoard().check()
    db.dispose()
    manager = cotyledon.ServiceManager(
        graceful_shutdown_timeout=_deadline(CONF.protection.shutdown_grace)
    )
    manager.add(_Worker, workers=CONF.protection.workers, args=(arguments,))
    manager.run()
    return 0


if __name__ == '__main__':
    sys.exit(main())
