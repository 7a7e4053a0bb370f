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

"""Takes over plans, triggers, scheduled operations and quotas of a Karbor of old.

Ids stay. What is here already is left as it is, so it may be done again at any time. No quota
keeps anything out: what is taken over has been there before.
"""

import abc
import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import orm

from karbor import db, exception
from karbor.db import fitting, models, old_karbor, present, schedules
from karbor.db import plans as plan_rows
from karbor.db import quotas as quota_rows
from karbor.services import quotas
from karbor.services.checkpoints import plans
from karbor.services.moving import old_rows
from karbor.services.moving.old_rows import Values

# Project and provider of what a dry run would have made, by its id.
_Pretended = dict[str, tuple[str, str | None]]


@dataclasses.dataclass
class Report:
    """What became of all of a kind.

    :ivar what: the kind.
    :ivar made: how many are made.
    :ivar known: how many were here.
    :ivar left_out: id -> why it is not taken over.
    """

    what: str
    made: int = 0
    known: int = 0
    left_out: dict[str, str] = dataclasses.field(default_factory=dict)

    def add(self, other: 'Report') -> None:
        self.made += other.made
        self.known += other.known
        self.left_out |= other.left_out


def take_over(
    old: old_karbor.OldKarbor, plan_checks: plans.Plans, *, is_dry_run: bool = False
) -> Iterator[Report]:
    """Make here what an old Karbor has, kind by kind; some of a kind in one transaction.

    :param plan_checks: knows the providers.
    :param is_dry_run: only tell.
    """
    pretended: _Pretended = {}
    for kind in (
        _Plans(old, pretended, plan_checks),
        _Triggers(old, pretended),
        _Operations(old, pretended),
        _Limits(old, pretended),
    ):
        yield _taken(kind, is_dry_run)


class _Kind(abc.ABC):
    """One kind of what there is."""

    what: str
    model: type[models.Base]

    def __init__(self, old: old_karbor.OldKarbor, pretended: _Pretended) -> None:
        self._old = old
        self._pretended = pretended

    @abc.abstractmethod
    def batches(self) -> old_karbor.Rows:
        """The rows there, in parts."""

    def key(self, row: Any) -> Any:
        return row.id

    def known(self, session: orm.Session, rows: Sequence[Any]) -> set[Any]:
        """Keys of those that are here."""
        return present.ids(session, self.model, [row.id for row in rows])

    @abc.abstractmethod
    def values(self, session: orm.Session, row: Any) -> Values:
        """What is to be here.

        :raises KarborException: it cannot be; the text says why.
        """

    @abc.abstractmethod
    def make(self, session: orm.Session, values: Values) -> None: ...

    def pretend(self, values: Values) -> None:
        """Remember what a dry run does not make, since others may refer to it."""
        if 'id' in values:
            self._pretended[values['id']] = values['project_id'], values.get('provider_id')


class _Plans(_Kind):
    what = 'plans'
    model = models.Plan

    def __init__(
        self, old: old_karbor.OldKarbor, pretended: _Pretended, checks: plans.Plans
    ) -> None:
        super().__init__(old, pretended)
        self._checks = checks
        self._resources: dict[str, list[Any]] = {}

    def batches(self) -> old_karbor.Rows:
        for rows in self._old.plans():
            self._resources = self._old.resources([row.id for row in rows])
            yield rows

    def values(self, session: orm.Session, row: Any) -> Values:
        fields = old_rows.plan(row, self._resources[row.id])
        return {**fields, **self._checks.contents(fields)}

    def make(self, session: orm.Session, values: Values) -> None:
        plan_rows.create(session, **values)
        quota_rows.take(session, values['project_id'], quotas.PLANS, limit=-1)


class _Triggers(_Kind):
    what = 'triggers'
    model = models.Trigger

    def batches(self) -> old_karbor.Rows:
        return self._old.triggers()

    def values(self, session: orm.Session, row: Any) -> Values:
        return old_rows.trigger(row)

    def make(self, session: orm.Session, values: Values) -> None:
        schedules.create_trigger(session, **values)


class _Operations(_Kind):
    what = 'scheduled operations'
    model = models.ScheduledOperation

    def batches(self) -> old_karbor.Rows:
        return self._old.scheduled_operations()

    def values(self, session: orm.Session, row: Any) -> Values:
        values = old_rows.scheduled_operation(row)
        trigger = self._pretended.get(row.trigger_id) or present.trigger(session, row.trigger_id)
        if trigger is None or trigger[0] != row.project_id:
            raise old_rows.LeftOutError(f'Its trigger {row.trigger_id} is not here.')
        plan_id, provider_id = values['plan_id'], values['operation_definition']['provider_id']
        plan = self._pretended.get(plan_id) or present.plan(session, plan_id)
        if plan is None or plan[0] != row.project_id:
            raise old_rows.LeftOutError(f'Its plan {plan_id} is not here.')
        if plan[1] != provider_id:
            raise old_rows.LeftOutError(
                f'Its plan is for the provider {plan[1]}, not for {provider_id}.'
            )
        return values

    def make(self, session: orm.Session, values: Values) -> None:
        schedules.create_operation(session, **values)
        quota_rows.take(session, values['project_id'], quotas.SCHEDULES, limit=-1)


class _Limits(_Kind):
    what = 'quotas'
    model = models.Quota

    def batches(self) -> old_karbor.Rows:
        return self._old.quotas()

    def key(self, row: Any) -> Any:
        return row.project_id, row.resource

    def known(self, session: orm.Session, rows: Sequence[Any]) -> set[Any]:
        return quota_rows.limits_set(session, {row.project_id for row in rows})

    def values(self, session: orm.Session, row: Any) -> Values:
        return old_rows.limit(row)

    def make(self, session: orm.Session, values: Values) -> None:
        limits = {values['resource']: values['hard_limit']}
        quota_rows.set_limits(session, values['project_id'], limits)


def _taken(kind: _Kind, is_dry_run: bool) -> Report:
    report = Report(kind.what)
    for rows in kind.batches():
        if is_dry_run:
            with db.reader() as session:
                report.add(_judged(session, kind, rows, is_dry_run))
        else:
            report.add(db.transaction(_judged)(kind, rows, is_dry_run))
    return report


def _judged(session: orm.Session, kind: _Kind, rows: Sequence[Any], is_dry_run: bool) -> Report:
    """Some of a kind, made unless they are here or it is a dry run."""
    report = Report(kind.what)
    known = kind.known(session, rows)
    for row in rows:
        if kind.key(row) in known:
            report.known += 1
            continue
        try:
            values = _fitting(kind, session, row)
        except exception.KarborException as exc:
            report.left_out[str(row.id)] = exc.msg
            continue
        if is_dry_run:
            kind.pretend(values)
        else:
            kind.make(session, values)
        report.made += 1
    return report


def _fitting(kind: _Kind, session: orm.Session, row: Any) -> Values:
    """What is to be here, and can be in any database.

    :raises KarborException: it cannot be; the text says why.
    """
    values = kind.values(session, row)
    try:
        fitting.check(kind.model, values)
    except ValueError as exc:
        raise old_rows.LeftOutError(f'It cannot be kept: {exc}.') from exc
    return values
