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

"""How the processes of a cloud's Karbor are put together from karbor.conf."""

import functools
import pathlib
import sys
import uuid
from collections.abc import Callable, Sequence

from oslo_config import cfg
from oslo_db import exception as db_exc
from oslo_log import log as logging
from sqlalchemy import exc as sa_exc

from karbor import conf, db, exception
from karbor import context as karbor_context
from karbor.cmd import ending, job_kinds
from karbor.common import safe_logs
from karbor.db import models, schema_gate
from karbor.services import old_logs
from karbor.services.checkpoints import safety_expiry
from karbor.services.identity import trusts
from karbor.services.jobs import boards, kinds, taskflow_drivers, worker
from karbor.services.notifications import coverage_looks
from karbor.services.protection import client_factory, protectables, provider
from karbor.services.recovery import inventory as cinder_inventory
from karbor.services.recovery import orphans, point_filling, volume_look
from karbor.services.schedules import engine

LOG = logging.getLogger(__name__)
CONF = cfg.CONF


def run(name: str, main: Callable[[], int], arguments: Sequence[str] | None = None) -> int:
    """The life of a process, from its arguments to its exit code.

    :param name: of the process, for messages.
    :param main: what it does once it is configured.
    :param arguments: of the command line.
    """
    try:
        configure(name, sys.argv[1:] if arguments is None else arguments)
        return main()
    except db_exc.DBError as exc:
        return ending.failed(name, str(exc).partition('\n')[0])  # the statement itself follows
    except (
        cfg.Error,
        exception.KarborException,
        sa_exc.ArgumentError,
        schema_gate.SchemaError,
        OSError,
    ) as exc:
        return ending.failed(name, exc)


def configure(name: str, arguments: Sequence[str]) -> None:
    """Read the options, and open the log and the database."""
    logging.register_options(CONF)
    conf.set_defaults()
    conf.register_opts(CONF)
    CONF(args=list(arguments), project='karbor', prog=name)
    logging.setup(CONF, 'karbor')
    safe_logs.install()
    db.configure(CONF)
    if not CONF.database.connection:
        raise cfg.RequiredOptError('connection', cfg.OptGroup('database'))


def protection_worker() -> worker.Worker:
    """What does the jobs; see :class:`karbor.services.processes.Reporter` for its schema."""
    registry, used_trusts, board = providers(), trusts_in_use(), job_board()
    environment = kinds.Environment(
        registry=registry,
        protectables=protectables.load(),
        trusts=used_trusts,
        post=board.post,
        context_of=_context_of,
        requests=job_kinds.request_threads(),
        max_concurrent_resources=CONF.protection.max_concurrent_resources,
    )
    inventory = functools.partial(_inventory_of, used_trusts)
    duties = (
        *orphans.OrphanCheck(registry, inventory).duties(),
        *volume_look.VolumeLook(inventory).duties(),
        *coverage_looks.CoverageLook(inventory).duties(),
        *point_filling.PointFilling(registry).duties(),
        *old_logs.duties(),
        *safety_expiry.Expiry(environment).duties(),
    )
    return worker.Worker(job_kinds.runner(environment), used_trusts, board, duties)


def operation_engine() -> engine.Engine:
    """What fires triggers. The jobs are left to karbor-protection."""
    return engine.Engine(job_board().post, CONF.operationengine.poll_interval)


def job_board() -> boards.Board:
    """Where jobs wait for a worker: on the board of ``[jobboard] connection``, or in their rows.

    :raises InvalidInput: the connection cannot be understood.
    :raises ExtraMissing: what the board needs is not installed.
    """
    if not CONF.jobboard.connection:
        return boards.DatabaseBoard()
    driver = taskflow_drivers.parse(CONF.jobboard.connection)
    from karbor.services.jobs import taskflow_board  # imports TaskFlow, which is there

    return taskflow_board.TaskFlowBoard(
        driver, f'{CONF.host}-{uuid.uuid4()}', CONF.protection.job_lease
    )


def providers() -> provider.ProviderRegistry:
    """Those of the provider files."""
    return provider.ProviderRegistry(pathlib.Path(CONF.provider_config_dir))


def trusts_in_use() -> trusts.KeystoneTrusts:
    """Those by which clients of the process act."""
    # Connections for requests, and for the hooks of one job that keep their threads.
    used_trusts = trusts.KeystoneTrusts(
        CONF, CONF.protection.max_requests_in_flight + CONF.protection.max_concurrent_resources
    )
    client_factory.use_sessions(used_trusts.session)
    return used_trusts


class Surroundings:
    """Those of a command that works on a cloud's Karbor."""

    def run(self, name: str, main: Callable[[], int], config_files: Sequence[str]) -> int:
        """The life of a process; see :func:`run`."""
        return run(name, main, [word for file in config_files for word in ('--config-file', file)])

    def inventory(self) -> cinder_inventory.Inventory:
        """What Karbor has in Cinder, of all projects."""
        return _inventory_of(self.used_trusts())

    def job_board(self) -> boards.Board:
        return job_board()

    def used_trusts(self) -> trusts.KeystoneTrusts:
        """Those of a command that does no jobs."""
        return trusts.KeystoneTrusts(CONF)


def _inventory_of(used_trusts: trusts.KeystoneTrusts) -> cinder_inventory.Inventory:
    return cinder_inventory.Inventory(used_trusts.own_session, is_whole_cloud=True)


def _context_of(job: models.Job) -> karbor_context.RequestContext:
    return karbor_context.RequestContext(job.user_id, job.project_id, trust_id=job.trust_id)
