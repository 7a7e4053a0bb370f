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

"""Shows what coverage costs in projects of different sizes.

Run it by ``tools/bench coverage``. The API is in process; KARBOR_TEST_DATABASE says on which
database, SQLite's if it is not set. Half of the volumes are in one plan by name and half in another
by a label, each of which has a schedule, and each volume has ten recovery points. The ratios are
those of the time a volume of the project takes, to that of the smallest one: more than 1 would say
that it grows faster than the project.
"""

import datetime
import logging
import sys
import time
import unittest
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from karbor import db
from karbor.common import constants
from karbor.db import looks, models
from karbor.tests import personas
from karbor.tests.base import PROJECT_ID, new_id
from karbor.tests.functional import base, lists

_COUNTS = (100, 1_000, 10_000)
_POINTS = 10
_RUNS = 5
_PROPERTIES = {'format': 'crontab', 'pattern': '0 2 * * *', 'window': 900}


class Covering(base.ApiTestCase):
    """Not a test: the set-up of one, for each number of volumes."""

    count = 0
    #: microseconds a volume, of each kind of question in the smallest project
    first: dict[str, float] = {}

    def runTest(self) -> None:
        logging.disable(logging.INFO)
        ids = sorted(new_id() for _ in range(self.count))
        with db.reader() as session:
            self.now = db.now(session)
        self._measure('look, all new', lambda: self._look(ids), runs=1)
        self._measure('look, as before', lambda: self._look(ids))
        self._fill(ids)
        middle = ids[self.count // 2]
        for name, query in (
            ('first 20', {'limit': 20}),
            ('first 1000', {'limit': 1_000}),
            ('next 20', {'limit': 20, 'marker': middle}),
            ('next 1000', {'limit': 1_000, 'marker': middle}),
            ('20 protected', {'limit': 20, 'state': 'protected'}),
            ('20 of a plan', {'limit': 20, 'plan_id': self.plan_ids[1]}),
        ):
            self._measure(name, lambda query=query: self._ask(query))  # type: ignore[misc]

    def _look(self, ids: list[str]) -> None:
        """What a look at the cloud writes."""
        self.now += datetime.timedelta(seconds=1)
        volumes = [
            looks.SeenVolume(
                id=volume_id,
                name=volume_id,
                status='in-use',
                size=10,
                metadata={'backup': 'yes' if number % 2 else 'no'},
            )
            for number, volume_id in enumerate(ids)
        ]
        db.transaction(looks.write_volumes)(PROJECT_ID, volumes, self.now)

    def _fill(self, ids: list[str]) -> None:
        """Plans, schedules and recovery points; the last look is of now."""
        by_name = [{'type': constants.VOLUME_RESOURCE_TYPE, 'id': each} for each in ids[::2]]
        labelled = {'include': {'metadata': {'backup': 'yes'}}}
        by_label = {
            'type': constants.PROJECT_RESOURCE_TYPE,
            'id': PROJECT_ID,
            'extra_info': labelled,
        }
        self.plan_ids = [
            self.add_row(models.Plan, resources=resources).id for resources in (by_name, [by_label])
        ]
        trigger = self.add_row(
            models.Trigger,
            properties=_PROPERTIES,
            last_fire_at=self.now - datetime.timedelta(hours=9),
            next_fire_at=self.now + datetime.timedelta(hours=15),
        )
        for plan_id in self.plan_ids:
            self.add_row(
                models.ScheduledOperation, plan_id=plan_id, trigger_id=trigger.id, enabled=True
            )
        shared = {**base.fields_of(models.RecoveryPoint), 'state': 'good'}
        for number in range(_POINTS):
            checkpoint_id, created_at = new_id(), self.now - datetime.timedelta(days=number)
            rows = [
                {
                    **shared,
                    'id': new_id(),
                    'checkpoint_id': checkpoint_id,
                    'resource_type': constants.VOLUME_RESOURCE_TYPE,
                    'resource_id': volume_id,
                    'resource_name': volume_id,
                    'created_at': created_at,
                }
                for volume_id in ids
            ]
            with db.writer() as session:
                session.execute(sa.insert(models.RecoveryPoint), rows)
        self.now += datetime.timedelta(hours=1)
        with db.writer() as session:
            session.execute(sa.update(models.ProjectLook).values(volumes_seen_at=self.now))

    def _ask(self, query: dict[str, Any]) -> None:
        answer = self.client.simulate_get(
            f'/v1/{PROJECT_ID}/coverage',
            params=query,
            headers={'X-Auth-Token': personas.token('member', PROJECT_ID)},
        )
        assert answer.json['coverage'], answer.text

    def _measure(self, name: str, act: Callable[[], None], runs: int = _RUNS) -> None:
        seconds = []
        for _ in range(runs):
            with lists.cost() as cost:
                begun = time.perf_counter()
                act()
                seconds.append(time.perf_counter() - begun)
        a_volume = 1e6 * min(seconds) / self.count
        ratio = a_volume / self.first.setdefault(name, a_volume)
        print(
            f'{name:16} {self.count:7} {len(cost.statements):10} {1000 * min(seconds):9.1f} '
            f'{a_volume:11.1f} {ratio:6.2f}',
            flush=True,
        )


def main(counts: list[int]) -> bool:
    print(
        f'{"what":16} {"volumes":>7} {"statements":>10} {"ms":>9} {"us a volume":>11} {"ratio":>6}'
    )
    for count in counts:
        Covering.count = count
        if not unittest.TextTestRunner(verbosity=0).run(Covering()).wasSuccessful():
            return False
    return True


if __name__ == '__main__':
    sys.exit(not main([int(argument) for argument in sys.argv[1:]] or list(_COUNTS)))
