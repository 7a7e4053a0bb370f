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
"""Several Cinder services in one process (runs inside the sandbox's virtualenv)."""

import os
import shlex
import sys
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

import os_brick
from cheroot import wsgi
from cinder import context, coordination, objects, rpc, service, utils, version
from cinder.common import config, constants
from oslo_config import cfg
from oslo_log import log as logging
from oslo_privsep import priv_context
from oslo_service import wsgi as oslo_wsgi

from sandbox_cloud import keystone_server, sqlite_transactions

CONF = cfg.CONF
LOG = logging.getLogger('sandbox')
CONTROL = '/_sandbox/volume-service'
# More threads buy nothing: Cinder's own Python under one interpreter lock is the limit.
_API_THREADS = 8
_BACKLOG = 256
_REPORT_SECONDS = 30

_Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class SandboxService(service.Service):
    """A Cinder service that shares its process with others, and can be made to pause."""

    paused = False

    def report_state(self) -> None:
        """Report for this service.

        Cinder's own method reports for a class attribute, that is for the service of this
        process that started last.
        """
        if self.paused or not self.manager.is_working():
            return
        try:
            reference = objects.Service.get_by_id(
                context.get_admin_context(), self.origin_service_id
            )
            reference.report_count += 1
            reference.save(retry=False)
        except Exception:
            LOG.exception('the heartbeat of %s failed', self.host)

    def _rpc_servers(self) -> list[Any]:
        return [server for server in (self.rpcserver, self.backend_rpcserver) if server]

    def pause(self) -> None:
        """Take no further message and report no more; what runs already goes on."""
        if not self.paused:
            self.paused = True
            for server in self._rpc_servers():
                server.stop()

    def resume(self) -> None:
        """Handle the messages that waited, and report again."""
        if self.paused:
            for server in self._rpc_servers():
                server.wait()
                server.start()
            self.paused = False
            self.report_state()
            self.manager.publish_service_capabilities(context.get_admin_context())


class VolumeServiceSwitch:
    """WSGI middleware beside the API: POST /_sandbox/volume-service/stop or /start.

    Stopped, the volume service handles no messages: snapshots stay ``creating``. It sends no
    heartbeats either, so that after service_down_time new ones end in ``error``.
    """

    def __init__(self, application: _Application, volume_service: SandboxService) -> None:
        self._application = application
        self._service = volume_service
        self._lock = threading.Lock()

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        path = environ.get('PATH_INFO', '')
        if not path.startswith(CONTROL + '/'):
            return self._application(environ, start_response)
        actions = {'stop': self._service.pause, 'start': self._service.resume}
        action = actions.get(path[len(CONTROL) + 1 :])
        if environ['REQUEST_METHOD'] != 'POST' or action is None:
            start_response('404 Not Found', [('Content-Length', '0')])
            return []
        with self._lock:
            action()
        start_response('204 No Content', [])
        return []


def serve(config_file: str, address: str, port: int) -> None:
    """Run the services, and the API as soon as the scheduler knows the backend."""
    _initialize(config_file)
    # The scheduler first: in memory a fan-out reaches only the queues that exist, so it would
    # miss the first report of a volume service that started before it.
    scheduler = SandboxService.create(binary=constants.SCHEDULER_BINARY)
    scheduler.start()
    (backend,) = CONF.enabled_backends
    volume_service = SandboxService.create(
        host=f'{CONF.host}@{backend}',
        service_name=backend,
        binary=constants.VOLUME_BINARY,
        coordination=True,
    )
    volume_service.start()
    application = oslo_wsgi.Loader(CONF).load_app(name='osapi_volume')
    _wait_for_report(scheduler)
    server = wsgi.Server(
        (address, port),
        VolumeServiceSwitch(application, volume_service),
        numthreads=_API_THREADS,
        request_queue_size=_BACKLOG,
    )
    keystone_server.stop_on_signals(server)
    server.start()
    # The threads of the services do not end by themselves, and nothing of theirs needs to be
    # put in order: SQLite and the driver are built for sudden ends.
    os._exit(0)


def _initialize(config_file: str) -> None:
    """What Cinder's own start-up commands do before they make a service."""
    sqlite_transactions.begin_immediate()
    objects.register_all()
    CONF(['--config-file', config_file], project='cinder', version=version.version_string())
    config.set_middleware_defaults()
    logging.setup(CONF, 'cinder')
    priv_context.init(root_helper=shlex.split(utils.get_root_helper()))
    os_brick.setup(CONF)
    coordination.COORDINATOR.start()
    rpc.init(CONF)


def _wait_for_report(scheduler: SandboxService) -> None:
    """Wait until the scheduler can place a volume; before that every request would fail."""
    deadline = time.monotonic() + _REPORT_SECONDS
    while not scheduler.manager.driver.get_pools(context.get_admin_context(), None):
        if time.monotonic() > deadline:
            sys.exit(f'no report from the volume service within {_REPORT_SECONDS} s')
        time.sleep(0.05)
