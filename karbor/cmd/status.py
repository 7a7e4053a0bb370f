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

"""``karbor-status upgrade check``: whether the processes of this Karbor could be started."""

import sys
from collections.abc import Callable, Mapping, Sequence

from oslo_config import cfg
from oslo_db import exception as db_exc
from oslo_upgradecheck import common_checks, upgradecheck
from sqlalchemy import exc as sa_exc

from karbor import conf, db, exception, shown
from karbor.cmd import assembly, ending
from karbor.common import extras
from karbor.db import jobs as job_rows
from karbor.db import schema_gate
from karbor.services.jobs import admin as job_admin
from karbor.services.jobs import failures

_Check = Callable[['Checks'], upgradecheck.Result]


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a table of what was checked.

    :returns: the exit code, by oslo.upgradecheck: 0 all is well, 1 a warning, 2 something must
        be done first, 255 the check itself failed.
    """
    conf.set_defaults()
    conf.register_opts(cfg.CONF)
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        return upgradecheck.main(cfg.CONF, 'karbor', Checks(), words)
    except cfg.Error as exc:
        ending.failed('karbor-status', exc)
        return 255


def _without_database(check: _Check) -> _Check:
    """Decorates a check that needs the database: without one it fails, with a reason."""

    def guarded(self: 'Checks') -> upgradecheck.Result:
        try:
            return check(self)
        except exception.KarborException as exc:
            return _failure(exc.msg)
        except cfg.Error as exc:
            return _failure(conf.told(exc))
        except (db_exc.DBError, sa_exc.SQLAlchemyError) as exc:
            return _failure(f'The database does not answer: {str(exc).partition(chr(10))[0]}')

    return guarded


class Checks(upgradecheck.UpgradeCommands):
    """What is checked."""

    _has_tables = False

    @_without_database
    def _schema(self) -> upgradecheck.Result:
        db.configure(cfg.CONF)
        if not cfg.CONF.database.connection:
            return _failure('[database] connection is not set.')
        schema, known = schema_gate.look(), schema_gate.known()
        refusal = schema.refusal(known)
        if refusal is not None:
            return _failure(refusal)
        self._has_tables = True
        return _success(
            f'The schema is {schema.revision}, for code of {schema.oldest_code} or newer; '
            f'this code is of {known[-1]}.'
        )

    @_without_database
    def _parked_jobs(self) -> upgradecheck.Result:
        if not self._has_tables:
            return _warning('Not known before the schema is right.')
        parked = job_admin.newest([job_rows.JobState.PARKED], limit=100)
        if parked:
            return _warning(
                f'{len(parked)} jobs wait for an administrator: see "karbor-manage '
                'job list --state parked".'
            )
        return _success()

    def _providers(self) -> upgradecheck.Result:
        registry = assembly.providers()
        if registry.failures:
            return _failure(_as_line(registry.failures))
        if registry.remarks:
            return _warning(_as_line(registry.remarks))
        if not list(registry):
            return _warning(f'There is no enabled provider in {cfg.CONF.provider_config_dir}.')
        return _success()

    def _banks(self) -> upgradecheck.Result:
        faults: dict[str, str] = {}
        for provider in assembly.providers():
            try:
                provider.bank.check()
            except Exception as exc:  # noqa: BLE001 - a plugin may raise anything
                faults[f'provider {provider.id}'] = failures.reason_of(exc)
        return _warning(_as_line(faults)) if faults else _success()

    def _job_board(self) -> upgradecheck.Result:
        try:
            is_there = assembly.job_board().answers()
        except exception.KarborException as exc:
            return _failure(exc.msg)
        return (
            _success()
            if is_there
            else _warning(
                'The server of [jobboard] connection does not answer; jobs would go by their rows.'
            )
        )

    def _extras(self) -> upgradecheck.Result:
        try:
            extras.check('service', extras.EXTRAS['service'].use)
        except exception.ExtraMissing as exc:
            return _failure(exc.msg)
        left_out = [
            f'{extra.name} ({extra.use})'
            for extra in extras.EXTRAS.values()
            if not extra.is_installed
        ]
        return _success(f'Not installed: {", ".join(left_out)}.' if left_out else None)

    def _region(self) -> upgradecheck.Result:
        try:
            region = assembly.Surroundings().inventory().region
        except exception.RegionNotChosen as exc:
            return _failure(exc.msg)
        except exception.KarborException as exc:
            return _warning(f'It cannot be told now: {exc.msg}')
        if region is None:
            return _warning(
                'Nothing tells it, so checkpoints are made without one: set [cinder_client] '
                'region_id to the region that cinder_endpoint is in.'
            )
        return _success(f'Karbor acts in region {region}.')

    _upgrade_checks = (
        ('Extras', _extras),
        ('Database schema', _schema),
        ('Parked jobs', _parked_jobs),
        ('Provider files', _providers),
        ('Banks', _banks),
        ('Job board', _job_board),
        ('Region of Cinder', _region),
        ('Policy file', (common_checks.check_policy_json, {'conf': cfg.CONF})),
    )


def _success(text: str | None = None) -> upgradecheck.Result:
    return upgradecheck.Result(upgradecheck.Code.SUCCESS, text and _shown(text))


def _warning(text: str) -> upgradecheck.Result:
    return upgradecheck.Result(upgradecheck.Code.WARNING, _shown(text))


def _failure(text: str) -> upgradecheck.Result:
    return upgradecheck.Result(upgradecheck.Code.FAILURE, _shown(text))


def _shown(text: str) -> shown.Shown:
    return shown.lines_of(shown.without_credentials(text))


def _as_line(told: Mapping[str, str]) -> str:
    return '; '.join(f'{name}: {text}' for name, text in told.items())


if __name__ == '__main__':
    sys.exit(main())
