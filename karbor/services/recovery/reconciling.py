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

"""What the workers do now and then against losses, at once and with a report.

That is: jobs whose workers are gone or that the job board has lost, snapshots and volumes that
nobody knows, and trusts.
"""

from collections.abc import Callable, Iterator
from typing import ParamSpec

from oslo_config import cfg
from oslo_db import exception as db_exc

from karbor import db, exception
from karbor.db import job_counts
from karbor.db import jobs as job_rows
from karbor.services.identity import trusts
from karbor.services.jobs import boards
from karbor.services.protection import provider as providers
from karbor.services.recovery import leftovers, orphans
from karbor.services.recovery.inventory import Inventory

# Lines of a report, and whether all went well.
Part = tuple[list[str], bool]
Arguments = ParamSpec('Arguments')


def reconcile(
    registry: providers.ProviderRegistry,
    *,
    board: boards.Board,
    scope: job_rows.Scope,
    inventory: Callable[[], Inventory],
    used_trusts: trusts.KeystoneTrusts | trusts.NoTrusts,
    is_dry_run: bool,
    is_removing: bool,
) -> Iterator[Part]:
    """Do one thing after the other; one that fails does not keep the others.

    :param scope: which jobs the workers can do.
    :param inventory: Cinder, as who may see everything of Karbor's sees it.
    :param is_dry_run: only tell what would be done.
    :param is_removing: whether orphans are removed, if it is no dry run.
    :returns: lines of a report, and whether all went well, of each.
    """
    check = orphans.OrphanCheck(registry, inventory)
    yield _told('jobs are not looked at', _jobs, is_dry_run)
    yield _told('the job board is not looked at', _post_again, board, scope, is_dry_run)
    yield _told('banks are not looked at', _leftovers, registry, is_dry_run)
    yield _told('orphans are not looked for', _orphans, check, is_removing, is_dry_run)
    yield _told('trusts are not looked at', _trusts, used_trusts, is_dry_run)


def _told(
    failure: str,
    act: Callable[Arguments, Part],
    *args: Arguments.args,
    **kwargs: Arguments.kwargs,
) -> Part:
    try:
        return act(*args, **kwargs)
    except exception.KarborException as exc:
        return [f'{failure}: {exc.msg}'], False
    except db_exc.DBError as exc:  # the rest of its text is the statement
        first, _, _ = str(exc).partition('\n')
        return [f'{failure}: {first or type(exc).__name__}'], False


def _jobs(is_dry_run: bool) -> Part:
    with db.reader() as session:
        counts, expired = job_counts.by_state(session), job_counts.expired(session)
    if not is_dry_run:
        expired = db.transaction(job_rows.hand_back_expired)(cfg.CONF.protection.job_lease)
    states = ', '.join(
        f'{counts.get(state, 0)} {state}'
        for state in (*job_rows.UNFINISHED, job_rows.JobState.PARKED)
    )
    return [
        f'jobs: {states}; {expired} whose workers are gone '
        f'{"would be" if is_dry_run else "were"} handed back'
    ], True


def _post_again(board: boards.Board, scope: job_rows.Scope, is_dry_run: bool) -> Part:
    lost = board.lost(scope)
    if not is_dry_run:
        board.tidy()
        for job_id in lost:
            board.post_now(job_id)
    return [
        f'job board: {len(lost)} jobs that it lost '
        f'{"would be" if is_dry_run else "were"} posted again'
    ], True


def _leftovers(registry: providers.ProviderRegistry, is_dry_run: bool) -> Part:
    return leftovers.check(registry, is_dry_run=is_dry_run), True


def _orphans(check: orphans.OrphanCheck, is_removing: bool, is_dry_run: bool) -> Part:
    lines, is_good = [], True
    is_removing = is_removing and not is_dry_run
    grace = cfg.CONF.protection.orphan_grace
    for report in check.reports(grace, is_removing, is_dry_run=is_dry_run):
        lines += [f'provider {report.provider_id}: {report.summary()}', *report.details()]
        is_good = is_good and not report.left and not (is_removing and report.refusal)
    return lines, is_good


def _trusts(used_trusts: trusts.KeystoneTrusts | trusts.NoTrusts, is_dry_run: bool) -> Part:
    if isinstance(used_trusts, trusts.NoTrusts):
        return [], True
    before = used_trusts.survey()
    lines = [
        f'trusts: {len(before.idle)} that nothing needs'
        + (' would be deleted' if is_dry_run else '')
        + f', {len(before.dead)} that Keystone has no more, '
        f'{len(before.unknown)} that no job knows, which karbor-protection deletes in time'
    ]
    if not is_dry_run:
        used_trusts.retire(before.dead)
        used_trusts.sweep()
        left = used_trusts.survey().idle & before.idle
        lines.append(f'trusts: {len(before.idle - left)} deleted, {len(left)} could not be')
        return lines, not left
    return lines, True
