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

"""Crontab lines and when they fire, by cronsim."""

import datetime
import zoneinfo
from collections.abc import Iterator

import cronsim

_FIELDS = 5


def check(pattern: str) -> None:
    """Refuse what is not a crontab line.

    :param pattern: minute, hour, day of the month, month, day of the week.
    :raises ValueError: says what is wrong.
    """
    if len(pattern.split()) != _FIELDS:
        raise ValueError('it is not a crontab line of five fields')
    try:
        cronsim.CronSim(pattern, datetime.datetime(2000, 1, 1))
    except cronsim.CronSimError as exc:
        raise ValueError(f'it is not a crontab line: {exc}') from exc


def fires(
    pattern: str, zone: zoneinfo.ZoneInfo, after: datetime.datetime
) -> Iterator[datetime.datetime]:
    """The moments at which a line fires, as UTC without a zone.

    A line that fires in every hour goes on in real time when the clocks change. Any other
    follows the wall clock: what falls into hours that are left out fires once, when they are
    over, and what falls into hours that come twice fires in the first of them.

    :param pattern: a line that :func:`check` takes.
    :param zone: the zone whose wall clock the line speaks of.
    :param after: UTC without a zone; the first fire is later than this.
    """
    local = after.replace(tzinfo=datetime.UTC).astimezone(zone)
    for fire in cronsim.CronSim(_without_stars(pattern), local):
        moment = fire.astimezone(datetime.UTC).replace(tzinfo=None)
        # In an hour's second coming cronsim gives times of its first.
        if moment > after:
            yield moment
            after = moment


def _without_stars(pattern: str) -> str:
    """The same line, with no star in minute and hour unless it fires in every hour.

    cronsim, as Debian's cron, takes a star at the beginning of either for a line that goes on
    in real time: ``*/60 2 * * *`` would be left out in spring and fire twice in autumn, where
    ``0 2 * * *`` fires once in both.
    """
    minute, hour, *days = pattern.split()
    if hour in ('*', '*/1'):
        return pattern
    return ' '.join((minute.replace('*', '0-59'), hour.replace('*', '0-23'), *days))
