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

"""Work of all kinds for a cloud's Karbor whose processes are killed or stand still."""

import collections
import datetime
import itertools
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Self

from oslo_utils import timeutils

from karbor.common import constants
from karbor.db import models
from karbor.tests.integration import audit, cloud, patient, scene

_CLIENTS = 3
_KEEP = 2
_LEAD = datetime.timedelta(seconds=15)
_MINUTE = datetime.timedelta(minutes=1)
# Fires are a minute apart at least: beside them, the operation is run by hand, in seconds.
_RUN_INTERVAL = 5
# By then every job has been tried often enough, in seconds.
_LONGEST = 300


class Load:
    """Clients that protect, restore and delete, and a schedule with retention.

    Within its context the clients go on; its end waits for what they have begun.

    :param stage: the project; its API is there while this is made.
    :param aftermath: how long after a restore its volumes are looked at, in seconds.
    """

    def __init__(self, stage: scene.Scene, aftermath: float = 0) -> None:
        self._scene = stage
        self._aftermath = aftermath
        # Restores whose volumes were not looked at yet, and when they ended.
        self._restored: list[tuple[float, str]] = []
        self._looking = threading.Lock()
        #: whether the database has the schema of this release, by which restores are looked at
        self.may_look = threading.Event()
        self.may_look.set()
        self._stopping = threading.Event()
        self._callers = [stage.new_caller() for _ in range(_CLIENTS)]
        runner = stage.new_caller()
        self._threads = [
            *(
                threading.Thread(target=self._go_on, args=(self._round, caller), daemon=True)
                for caller in self._callers
            ),
            threading.Thread(target=self._go_on, args=(self._run, runner), daemon=True),
        ]
        self._callers.append(runner)
        self.findings: list[audit.Finding] = []
        self._scheduled_plan = stage.caller.plan(stage.volume_ids)
        second = (timeutils.utcnow() + _LEAD).second
        self._trigger_id = stage.caller.trigger(
            format='calendar',
            pattern=f'BEGIN:VEVENT\nRRULE:FREQ=MINUTELY;BYSECOND={second}\nEND:VEVENT',
        )
        operation_id = stage.caller.scheduled_operation(
            self._trigger_id,
            self._scheduled_plan,
            operation_type='retention_protect',
            keep_last=_KEEP,
        )
        self._path = f'/scheduled_operations/{operation_id}'

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def troubles(self) -> collections.Counter[str]:
        """What came in place of answers."""
        return sum((caller.troubles for caller in self._callers), collections.Counter())

    def _go_on(
        self, act: Callable[[patient.PatientCaller], None], caller: patient.PatientCaller
    ) -> None:
        try:
            while not self._stopping.is_set():
                act(caller)
        except Exception as exc:  # noqa: BLE001 - told as a finding
            self.findings.append(audit.Finding(audit.WRONG, f'a client ended: {exc!r}'))

    def _round(self, caller: patient.PatientCaller) -> None:
        """Protect, restore and delete; volumes of restores are removed after a look at them."""
        checkpoint_id = caller.protect(self._scene.plan_id)
        checkpoint = caller.wait_for_checkpoint(
            checkpoint_id, 'available', 'error', seconds=_LONGEST
        )
        if checkpoint['status'] == 'available' and not self._stopping.is_set():
            restore_id = caller.use('restore', checkpoint_id)
            caller.wait_for_use('restore', restore_id, seconds=_LONGEST)
            with self._looking:
                self._restored.append((time.monotonic(), restore_id))
        self._look_at_restored()
        caller.ask_to_delete(checkpoint_id)

    def _look_at_restored(self) -> None:
        """Look at the volumes of restores that ended long enough ago, and remove them.

        Those that are left are looked at with all that is left.
        """
        if not self.may_look.is_set():
            return
        with self._looking:
            before = time.monotonic() - self._aftermath
            due = [restore_id for ended, restore_id in self._restored if ended <= before]
            self._restored = [found for found in self._restored if found[1] not in due]
        for restore_id in due:
            self.findings += self._scene.audit.of_restore(restore_id)
            self._scene.remove_restored(restore_id)

    def _run(self, caller: patient.PatientCaller) -> None:
        """Run the operation by hand; while a run goes on, that is refused."""
        caller.attempt('POST', f'{self._path}/action', {'run': {}})
        self._stopping.wait(_RUN_INTERVAL)

    def calm_down(self, seconds: float) -> list[audit.Finding]:
        """Let all come to an end, then a last run; returns what is wrong with the schedule."""
        caller = self._scene.caller
        caller.call('PUT', self._path, {'scheduled_operation': {'enabled': False}})
        self._scene.settle(seconds)
        findings = self._fires()
        caller.call('POST', f'{self._path}/action', {'run': {}})
        cloud.wait_until(self._scene.rows.unfinished, 'the begin of the last run')
        self._scene.settle(seconds)
        findings += self._kept()
        caller.call('DELETE', self._path)
        return findings

    def _kept(self) -> Iterator[audit.Finding]:
        """Each volume has as many good recovery points by the schedule as it is to have."""
        points = collections.Counter(
            point.resource_id
            for point in self._scene.rows.all(
                models.RecoveryPoint,
                models.RecoveryPoint.plan_id == self._scheduled_plan,
                models.RecoveryPoint.state == constants.RecoveryPointState.GOOD,
            )
        )
        for volume_id in self._scene.volume_ids:
            if points[volume_id] != _KEEP:
                yield audit.Finding(
                    audit.WRONG,
                    f'retention is to keep {_KEEP} of volume {volume_id}, not {points[volume_id]}',
                )

    def _fires(self) -> list[audit.Finding]:
        """Every fire is there, and has one log."""
        found = []
        fires = self._scene.rows.fires(self._trigger_id)
        for earlier, later in itertools.pairwise(fires):
            if later - earlier != _MINUTE:
                found.append(audit.Finding(audit.MISSING, f'a fire between {earlier} and {later}'))
        told = collections.Counter(
            log.extra_info['fire_time']
            for log in self._scene.logs()
            if 'fire_time' in (log.extra_info or {})
        )
        if told != collections.Counter(map(str, fires)):
            found.append(audit.Finding(audit.WRONG, f'{len(fires)} fires, and logs of {told}'))
        return found
