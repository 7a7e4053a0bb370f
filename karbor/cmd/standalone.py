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

"""karbor-standalone: API and workers in one process, for one project of any cloud.

Nothing but the credentials of a user is needed. Everything it keeps is in one folder.
"""

import argparse
import contextlib
import functools
import ipaddress
import os
import pathlib
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from oslo_config import cfg
from oslo_db import options as db_options
from oslo_log import log as logging

from karbor import conf, db, exception, local
from karbor import context as karbor_context
from karbor.api import app, middleware
from karbor.api.services import Services
from karbor.cmd import ending, home_region, job_kinds, signals, web_server
from karbor.common import clouds, safe_logs, state_dir
from karbor.db import jobs as job_rows
from karbor.db import migration, models, schema_gate
from karbor.services import old_logs, periodic
from karbor.services.checkpoints import safety_expiry
from karbor.services.identity import trusts
from karbor.services.jobs import boards, kinds, pool
from karbor.services.jobs import runner as job_runner
from karbor.services.notifications import coverage_looks
from karbor.services.protection import client_factory, protectables, provider
from karbor.services.recovery import inventory as cinder_inventory
from karbor.services.recovery import orphans, point_filling, volume_look
from karbor.services.schedules import engine

LOG = logging.getLogger(__name__)
CONF = cfg.CONF

_API_THREADS = 10
_LOOK_INTERVAL = 5  # seconds


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit code of a start that failed."""
    arguments = _parser().parse_args(argv)
    os.umask(0o077)
    try:
        _configure(arguments.config_file)
        _serve(arguments)
    except (
        clouds.CloudError,
        state_dir.StateDirectoryError,
        schema_gate.SchemaError,
        exception.KarborException,
        cfg.Error,
        OSError,
    ) as exc:
        return ending.failed('karbor-standalone', exc)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = ending.Parser(
        prog='karbor-standalone',
        description='Protect the volumes of one project of an OpenStack cloud: the Karbor '
        'API and its workers in one process.',
    )
    parser.add_argument(
        '--os-cloud',
        metavar='NAME',
        help='cloud in clouds.yaml (OS_CLOUD, or other OS_* variables)',
    )
    parser.add_argument(
        '--state-dir',
        metavar='DIR',
        type=pathlib.Path,
        help='folder of everything that is kept (default: '
        '$XDG_STATE_HOME/karbor/NAME, below ~/.local/state)',
    )
    parser.add_argument('--host', default='127.0.0.1', help='address to listen on (%(default)s)')
    parser.add_argument(
        '--port',
        type=_port_number,
        default=8799,
        help='port to listen on (%(default)s); 0 takes a free one',
    )
    parser.add_argument(
        '--config-file',
        metavar='FILE',
        action='append',
        default=[],
        help='karbor.conf with further options; may be repeated',
    )
    return parser


def _port_number(text: str) -> int:
    number = int(text)
    if not 0 <= number <= 65535:
        raise ValueError(text)
    return number


def _configure(config_files: Sequence[str]) -> None:
    logging.register_options(CONF)
    conf.set_defaults()
    conf.register_opts(CONF)
    CONF.set_default('compress_checkpoints', True)  # no other process reads what it writes
    CONF(
        args=[],
        project='karbor',
        prog='karbor-standalone',
        default_config_files=list(config_files),
        default_config_dirs=[],
    )
    logging.setup(CONF, 'karbor')
    safe_logs.install()
    conf.check(CONF)


def _default_state_dir(cloud_name: str | None) -> pathlib.Path:
    return local.home() / (cloud_name or os.environ.get('OS_CLOUD') or 'envvars')


def _serve(arguments: argparse.Namespace) -> None:
    # First, as a start that has no good credentials is to leave no folder behind. Connections
    # are for requests, for the hooks of one job that keep their threads, and the API's.
    cloud = clouds.load(
        arguments.os_cloud,
        CONF.protection.max_requests_in_flight
        + CONF.protection.max_concurrent_resources
        + _API_THREADS,
        CONF.cinder_client.request_timeout,
    )
    state = state_dir.StateDirectory(arguments.state_dir or _default_state_dir(arguments.os_cloud))
    state.claim_for(cloud.project_id)
    state.ensure_provider()
    state.check_bank()
    _use_cloud(cloud)
    _open_database(state)

    registry = provider.ProviderRegistry(state.provider_config_dir)
    home = home_region.HomeRegion(state, registry, _inventory_of(cloud))
    is_settled = home.is_settled()
    board = pool.WorkerPool(CONF.protection.max_concurrent_jobs)
    protectable_plugins = protectables.load()
    environment = kinds.Environment(
        registry=registry,
        protectables=protectable_plugins,
        trusts=trusts.NoTrusts(),
        post=board.post,
        context_of=functools.partial(_context_of_job, cloud),
        requests=job_kinds.request_threads(),
        max_concurrent_resources=CONF.protection.max_concurrent_resources,
    )
    runner = job_kinds.runner(environment, is_alone=True)
    services = Services.on(registry, protectable_plugins, trusts.NoTrusts(), board)
    token = state.token()
    api = app.create_app(
        services,
        middleware.TokenAuth(token, cloud.user_id, cloud.project_id, cloud.project_name),
    )
    server = web_server.WebServer(_API_THREADS, web_server.Limits.configured())
    stop = signals.stop_event()
    inventory = functools.partial(_inventory_of, cloud)
    duties = (
        *orphans.OrphanCheck(registry, inventory).duties(),
        *volume_look.VolumeLook(inventory).duties(),
        *coverage_looks.CoverageLook(inventory).duties(),
        *point_filling.PointFilling(registry).duties(),
        *old_logs.duties(),
        *safety_expiry.Expiry(environment).duties(),
    )
    firing = engine.Engine(board.post, CONF.operationengine.poll_interval)

    def begin_work() -> None:
        _take_up_jobs(board, runner, stop)
        for duty in duties:
            duty.begin(stop)
        threading.Thread(target=firing.run, args=(stop,), name='engine', daemon=True).start()

    _, port = server.listen(arguments.host, arguments.port, api)
    folder = _listen_in(state.path, server, api)
    url = _url(arguments.host, port)
    state.write_openrc(url, cloud.project_id, token)
    if is_settled:
        begin_work()
    else:
        home.wait(begin_work, stop)
    _warn_of_open_address(arguments.host)
    LOG.info('The API is at %s/v1/%s; to use it: . %s', url, cloud.project_id, state.openrc)
    _run_until(stop, server, board, folder)


def _use_cloud(cloud: clouds.Cloud) -> None:
    """Let every client act as the cloud's user; karbor.conf has the last word on where."""
    client_factory.use_sessions(lambda _context: cloud.session)
    for group, name, value in (
        ('cinder_client', 'region_id', cloud.region),
        ('cinder_client', 'interface', cloud.interface),
        ('cinder_client', 'cinder_endpoint', cloud.cinder_endpoint),
        ('glance_client', 'glance_endpoint', cloud.glance_endpoint),
    ):
        if value:
            CONF.set_default(name, value, group=group)


def _open_database(state: state_dir.StateDirectory) -> None:
    db_options.set_defaults(CONF, connection=state.database_url)
    db.configure(CONF)
    migration.upgrade()
    schema_gate.enter()


def _context_of_job(cloud: clouds.Cloud, job: models.Job) -> karbor_context.RequestContext:
    return karbor_context.RequestContext(
        job.user_id, job.project_id, project_name=cloud.project_name
    )


def _take_up_jobs(
    board: pool.WorkerPool,
    runner: job_runner.JobRunner,
    stop: threading.Event,
) -> None:
    unfinished = db.transaction(job_rows.take_up_again)()
    if unfinished:
        LOG.info('%d jobs of an earlier run are taken up again', len(unfinished))
    for job_id in unfinished:
        board.post(job_id)
    board.start(runner.run)

    def post_pending() -> None:  # what was not posted, or could not be taken
        board.post_pending(runner.scope)

    def take_up_lost() -> None:
        # One whose end could not be written is not renewed. In this order, as the leases of all
        # have ended when the machine has slept.
        runner.renew_claims()
        db.transaction(job_rows.hand_back_expired)(CONF.protection.job_lease)

    periodic.Duty(_LOOK_INTERVAL, post_pending).begin(stop)
    periodic.Duty(CONF.protection.job_lease / 3, take_up_lost).begin(stop)


class Surroundings:
    """Those of a command that works on the folder of a stopped karbor-standalone.

    :param path: the folder.
    :param cloud_name: name in clouds.yaml; None takes the variables ``OS_*``.
    """

    def __init__(self, path: pathlib.Path, cloud_name: str | None) -> None:
        self._path = path
        self._cloud_name = cloud_name
        self._state: state_dir.StateDirectory | None = None

    def run(self, name: str, main: Callable[[], int], config_files: Sequence[str]) -> int:
        """The life of a process, as :func:`karbor.cmd.assembly.run` has it."""
        os.umask(0o077)
        try:
            _configure(config_files)
            self._open()
            return main()
        except (
            clouds.CloudError,
            state_dir.StateDirectoryError,
            schema_gate.SchemaError,
            exception.KarborException,
            cfg.Error,
            OSError,
        ) as exc:
            return ending.failed(name, exc)

    def _open(self) -> None:
        if not (self._path / 'providers.d').is_dir():
            raise state_dir.StateDirectoryError(
                f'{self._path} is no folder of karbor-standalone: start that once.'
            )
        self._state = state_dir.StateDirectory(self._path)
        self._state.check_bank()
        CONF.set_default('provider_config_dir', str(self._state.provider_config_dir))
        _open_database(self._state)

    def inventory(self) -> cinder_inventory.Inventory:
        """What Karbor has in Cinder, of the folder's project."""
        cloud = clouds.load(self._cloud_name, 1, CONF.cinder_client.request_timeout)
        if self._state is not None:
            self._state.claim_for(cloud.project_id)
        _use_cloud(cloud)
        inventory = _inventory_of(cloud)
        if self._state is not None:
            registry = provider.ProviderRegistry(self._state.provider_config_dir)
            home_region.HomeRegion(self._state, registry, inventory).settle()
        return inventory

    @staticmethod
    def job_board() -> boards.Board:
        return boards.DatabaseBoard()

    @staticmethod
    def used_trusts() -> trusts.NoTrusts:
        return trusts.NoTrusts()


def _inventory_of(cloud: clouds.Cloud) -> cinder_inventory.Inventory:
    return cinder_inventory.Inventory(cloud.session, is_whole_cloud=False)


def _url(host: str, port: int) -> str:
    """Where a client on this machine finds what listens there."""
    address = host
    with contextlib.suppress(ValueError):  # a name
        found = ipaddress.ip_address(host)
        if found.is_unspecified:
            address = '127.0.0.1' if found.version == 4 else '::1'
    return f'http://[{address}]:{port}' if ':' in address else f'http://{address}:{port}'


def _warn_of_open_address(host: str) -> None:
    try:
        is_loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_loopback = host == 'localhost'
    if not is_loopback:
        LOG.warning('The API listens on %s without TLS: the token can be read on the way.', host)


def _listen_in(
    path: pathlib.Path, server: web_server.WebServer, api: Callable[..., Iterable[bytes]]
) -> local.Folder | None:
    """Serve the owner without a token, on a socket in the folder; gives what removes it."""

    def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        return api({**environ, middleware.IS_OWNER: True}, start_response)

    try:
        folder = local.Folder(path)
        server.listen_on(folder.listen(), answer)
    except (local.Untrusted, OSError) as exc:
        LOG.warning('The API cannot be asked without a token: no socket in %s: %s', path, exc)
        return None
    return folder


def _run_until(
    stop: threading.Event,
    server: web_server.WebServer,
    board: pool.WorkerPool,
    folder: local.Folder | None,
) -> None:
    """Serve until the event is set; an API that ends by itself is a failure."""
    exit_code = signals.serve_until(stop, server)
    if folder is not None:
        folder.remove()
    LOG.info('Stopping; running jobs have %g seconds', CONF.protection.shutdown_grace)
    left = board.stop(CONF.protection.shutdown_grace)
    if left:
        LOG.info('%d jobs are not finished; the next start takes them up again', left)
    # Threads of unfinished jobs wait for Cinder, perhaps for an hour. Each moment of a job
    # is one that it can be taken up from, so nothing is lost by leaving now.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(exit_code)


if __name__ == '__main__':
    sys.exit(main())
