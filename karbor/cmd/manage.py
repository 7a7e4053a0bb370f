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

"""``karbor-manage``: what an administrator does beside the API."""

import argparse
import datetime
import functools
import json
import pathlib
import sys
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from oslo_config import cfg
from oslo_utils import timeutils

from karbor import exception, shown
from karbor.cmd import assembly, ending, job_kinds, standalone
from karbor.db import migration, models, old_karbor, purging, schema_gate
from karbor.services import processes
from karbor.services.checkpoints import plans
from karbor.services.identity import trusts
from karbor.services.jobs import admin as job_admin
from karbor.services.jobs import boards
from karbor.services.moving import taking_over
from karbor.services.protection import protectables
from karbor.services.protection import provider as providers
from karbor.services.recovery import bank_rebuilding, cinder_rebuilding, reconciling
from karbor.services.recovery.inventory import Inventory

_JOB_COLUMNS = (
    'id',
    'kind',
    'state',
    'tries',
    'checkpoint_id',
    'project_id',
    'created_at',
    'error',
)


class Surroundings(Protocol):
    """What commands work on: a cloud's Karbor, or the folder of a karbor-standalone."""

    def run(self, name: str, main: Callable[[], int], config_files: Sequence[str]) -> int:
        """The life of a process; see :func:`karbor.cmd.assembly.run`."""

    def inventory(self) -> Inventory:
        """What Karbor has in Cinder."""

    def job_board(self) -> boards.Board:
        """Where jobs wait for a worker."""

    def used_trusts(self) -> trusts.KeystoneTrusts | trusts.NoTrusts:
        """Those of a command that does no jobs."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says; returns the exit code."""
    options = _parser().parse_args(arguments)
    options.surroundings = (
        assembly.Surroundings()
        if options.state_dir is None
        else standalone.Surroundings(options.state_dir, options.os_cloud)
    )
    return options.surroundings.run(
        'karbor-manage', functools.partial(_act, options), options.config_file
    )


def _parser() -> argparse.ArgumentParser:
    parser = ending.Parser(prog='karbor-manage', description=__doc__)
    parser.add_argument(
        '--config-file',
        metavar='FILE',
        action='append',
        default=[],
        help='karbor.conf; may be repeated',
    )
    parser.add_argument(
        '--state-dir',
        metavar='DIR',
        type=pathlib.Path,
        help='folder of a karbor-standalone that is stopped, to work on that',
    )
    parser.add_argument(
        '--os-cloud',
        metavar='NAME',
        help='its cloud in clouds.yaml (OS_CLOUD, or other OS_* variables)',
    )
    areas = parser.add_subparsers(required=True, metavar='AREA')
    _add_db(_area(areas, 'db', 'the database'))
    _add_job(_area(areas, 'job', 'what workers do, or are to do', 'jobs'))
    _add_checkpoint(_area(areas, 'checkpoint', 'checkpoints, after a loss'))
    _command(
        _area(areas, 'service', 'the processes', 'services'),
        'list',
        _list_services,
        'show which processes there are, and which are up',
    )
    _add_reconcile(_area(areas, 'reconcile', 'what may be left after crashes'))
    _add_import(areas)
    return parser


def _area(areas: Any, name: str, text: str, *aliases: str) -> Any:
    area = areas.add_parser(name, aliases=aliases, help=text)
    return area.add_subparsers(required=True, metavar='COMMAND')


def _command(
    area: Any, name: str, act: Callable[[argparse.Namespace], None], text: str
) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = area.add_parser(name, help=text, description=text)
    command.set_defaults(act=act)
    return command


def _add_db(area: Any) -> None:
    _command(area, 'sync', _sync, 'bring the tables to what this Karbor needs')
    purge = _command(area, 'purge', _purge, 'remove rows of what has been over for long')
    purge.add_argument(
        '--days', type=_days, required=True, help='for how many days at least, 1 to 100000'
    )
    purge.add_argument('--dry-run', action='store_true', help='only count them')


def _add_job(area: Any) -> None:
    listed = _command(area, 'list', _list_jobs, 'show the newest jobs')
    listed.add_argument(
        '--state',
        choices=job_admin.STATES,
        action='append',
        help='only those in this state; may be repeated',
    )
    listed.add_argument('--limit', type=int, default=100, help='how many (%(default)s)')
    for name, act, text in (
        ('show', _show_job, 'show one as JSON'),
        ('retry', _retry_job, 'have one that is parked done again'),
        ('cancel', _cancel_job, 'end one that no worker has'),
    ):
        _command(area, name, act, text).add_argument('id')


def _add_checkpoint(area: Any) -> None:
    rebuild = _command(
        area,
        'rebuild',
        _rebuild,
        'write the checkpoints again that the '
        'database lacks, from the bank; or the bank, from Cinder',
    )
    rebuild.add_argument(
        '--from',
        dest='source',
        choices=('bank', 'cinder'),
        required=True,
        help='what has the checkpoints',
    )
    rebuild.add_argument('--provider', metavar='ID', help='only this one; without it, all')
    rebuild.add_argument('--dry-run', action='store_true', help='only tell what would be written')


def _add_reconcile(area: Any) -> None:
    now = _command(
        area,
        'now',
        _reconcile,
        'do at once what the workers do now and then: '
        'jobs whose workers are gone, orphans in Cinder, trusts',
    )
    now.add_argument('--dry-run', action='store_true', help='only tell what would be done')
    now.add_argument(
        '--remove-orphans',
        action='store_true',
        help='remove orphans older than [protection] orphan_grace, also without '
        '[protection] remove_orphans',
    )


def _add_import(areas: Any) -> None:
    taken = _command(
        areas,
        'import',
        _import,
        'take over plans, triggers, scheduled operations and quotas of a Karbor of old, whose '
        'database is only read',
    )
    taken.add_argument(
        '--from',
        dest='url',
        metavar='URL',
        required=True,
        help='its [database] connection; the password may be in the place of the driver, such '
        'as ~/.pgpass or read_default_file=~/.my.cnf',
    )
    taken.add_argument('--dry-run', action='store_true', help='only tell what would be made')


def _days(text: str) -> int:
    number = int(text)
    if not 1 <= number <= 100_000:
        raise ValueError(text)
    return number


def _act(options: argparse.Namespace) -> int:
    try:
        if options.act is not _sync:
            schema_gate.check()
        options.act(options)
    except (schema_gate.SchemaError, exception.KarborException) as exc:
        return ending.failed('karbor-manage', exc)
    return 0


def _sync(_options: argparse.Namespace) -> None:
    done = migration.upgrade()
    if done.before == done.after:
        _tell(f'The schema of the database is {done.after}; there is nothing to do.')
    elif done.before is None:
        _tell(f'The database had no tables; its schema is {done.after} now.')
    else:
        _tell(f'The schema of the database was {done.before}, and is {done.after} now.')


def _purge(options: argparse.Namespace) -> None:
    before = timeutils.utcnow() - datetime.timedelta(days=options.days)
    counts = (
        purging.count(before)
        if options.dry_run
        else purging.purge(before, job_kinds.JOB_KINDS.by_table())
    )
    for table, number in counts.items():
        _tell(f'{table}: {number}')


def _list_jobs(options: argparse.Namespace) -> None:
    _table(
        _JOB_COLUMNS,
        [
            [getattr(job, name) for name in _JOB_COLUMNS]
            for job in job_admin.newest(options.state or job_admin.STATES, options.limit)
        ],
    )


def _show_job(options: argparse.Namespace) -> None:
    job = job_admin.get(options.id)
    _tell(
        shown.lines_of(
            json.dumps(
                {column.key: getattr(job, column.key) for column in models.Job.__table__.columns},
                indent=2,
                default=str,
            )
        )
    )


def _retry_job(options: argparse.Namespace) -> None:
    job_admin.retry(job_kinds.JOB_KINDS, options.id)


def _cancel_job(options: argparse.Namespace) -> None:
    job_admin.cancel(job_kinds.JOB_KINDS, options.id)


def _import(options: argparse.Namespace) -> None:
    checks = plans.Plans(assembly.providers(), protectables.load())
    is_whole = True
    with old_karbor.opened(options.url) as old:
        for report in taking_over.take_over(old, checks, is_dry_run=options.dry_run):
            _tell(
                f'{report.what}: {report.made} {"would be made" if options.dry_run else "made"}, '
                f'{report.known} known, {len(report.left_out)} left out'
            )
            for row_id, text in report.left_out.items():
                _tell(f'{report.what}: {row_id}: {text}')
            is_whole = is_whole and not report.left_out
    _tell('Scheduled operations that are taken over are disabled until a person enables them.')
    if not is_whole:
        raise exception.KarborException('Not everything is taken over.')


def _rebuild(options: argparse.Namespace) -> None:
    registry = assembly.providers()
    is_whole = True
    for provider in [registry.get(options.provider)] if options.provider else registry:
        report = _rebuilt(options, provider)
        _tell(
            f'provider {provider.id}: {len(report.restored)} '
            f'{"would be written" if options.dry_run else "written"}, {len(report.known)} known, '
            f'{len(report.faulty)} faulty'
        )
        for checkpoint_id, text in (*report.remarks.items(), *report.faulty.items()):
            _tell(f'checkpoint {checkpoint_id}: {text}')
        is_whole = is_whole and not report.faulty
    if not is_whole:
        raise exception.KarborException('Some checkpoints are left out.')


def _rebuilt(options: argparse.Namespace, provider: providers.Provider) -> bank_rebuilding.Report:
    if options.source == 'bank':
        return bank_rebuilding.from_bank(provider, options.dry_run)
    inventory = options.surroundings.inventory()
    inventory.check()
    return cinder_rebuilding.from_cinder(provider, inventory, options.dry_run)


def _reconcile(options: argparse.Namespace) -> None:
    is_good = True
    registry = assembly.providers()
    for lines, went_well in reconciling.reconcile(
        registry,
        board=options.surroundings.job_board(),
        scope=job_kinds.JOB_KINDS.scope(registry),
        inventory=options.surroundings.inventory,
        used_trusts=options.surroundings.used_trusts(),
        is_dry_run=options.dry_run,
        is_removing=options.remove_orphans or cfg.CONF.protection.remove_orphans,
    ):
        for line in lines:
            _tell(line)
        is_good = is_good and went_well
    if not is_good:
        raise exception.KarborException('Not everything could be done.')


def _list_services(_options: argparse.Namespace) -> None:
    columns = ('host', 'binary', 'up', 'disabled', 'reported_at')
    known = processes.Processes()
    now = known.now()
    _table(
        columns,
        [
            [
                row.host,
                row.binary,
                known.is_up(row, now),
                row.disabled_reason or row.disabled,
                row.reported_at,
            ]
            for row in known.all_of({})
        ],
    )


def _table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    texts = [
        columns,
        *([shown.escaped(str('' if value is None else value)) for value in row] for row in rows),
    ]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    for text in texts:
        _tell('  '.join(map(str.ljust, text, widths)).rstrip())


def _tell(text: str) -> None:
    print(shown.sentence(text))  # noqa: T201


if __name__ == '__main__':
    sys.exit(main())
