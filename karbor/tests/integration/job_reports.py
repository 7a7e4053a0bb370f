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

"""What became of each job, from its row, its log and what the processes have logged of it."""

import dataclasses
import datetime
import pathlib
import re
from typing import Any

from karbor.db import models
from karbor.tests.integration import audit

_LINE = re.compile(r'^(\S+ \S+) (\d+) .*? Job (\S+): (.*)$', re.MULTILINE)
_BEGIN = re.compile(r'(\w+) of \S+ begins \(attempt (\d+)\)')
_WAITS = ('is tried again later', 'held back since')
_TIME = '%Y-%m-%d %H:%M:%S.%f'
_WIDTH = 110


@dataclasses.dataclass(frozen=True)
class Begin:
    """One begin of a job, as the log has it."""

    job_id: str
    kind: str
    attempt: int
    pid: int
    at: datetime.datetime


def begins(log: str) -> list[Begin]:
    """Every begin of a job, in the order of the log."""
    found = []
    for moment, pid, job_id, text in _LINE.findall(log):
        begin = _BEGIN.match(text)
        if begin:
            found.append(Begin(job_id, begin[1], int(begin[2]), int(pid), _utc(moment)))
    return found


class Follower:
    """Reads a log as it grows.

    :param path: of the log.
    """

    def __init__(self, path: pathlib.Path) -> None:
        self._path = path
        self._read = 0
        self._begins: list[Begin] = []

    def begins(self) -> list[Begin]:
        """Every begin of a job that was logged so far."""
        with self._path.open('rb') as log:
            log.seek(self._read)
            whole_lines, end, _ = log.read().rpartition(b'\n')
        self._read += len(whole_lines + end)
        self._begins += begins(whole_lines.decode(errors='replace'))
        return self._begins


def _utc(moment: str) -> datetime.datetime:
    """The log has the time of this machine's zone, rows have that of UTC."""
    return datetime.datetime.strptime(moment, _TIME).astimezone(datetime.UTC).replace(tzinfo=None)


def table(rows: audit.Rows, log: str) -> str:
    """A line for each job: attempts, times, what it waited for, and how it ended."""
    first: dict[str, datetime.datetime] = {}
    for begin in begins(log):
        first.setdefault(begin.job_id, begin.at)
    waits = [job_id for _, _, job_id, text in _LINE.findall(log) if text.startswith(_WAITS)]
    ends = {row.id: row for row in rows.all(models.OperationLog)}
    lines = [f'{"job":<10}{"attempts":>8}{"began s":>9}{"ended s":>9}{"waits":>6}  end']
    for job in rows.all(models.Job):
        end = ends[job.id]
        text = f'{job.state}, {end.status}' + (f': {end.error_info}' if end.error_info else '')
        lines.append(
            f'{job.kind:<10}{job.attempts:>8}'
            f'{_after(job, first.get(job.id)):>9}{_after(job, end.ended_at):>9}'
            f'{waits.count(job.id):>6}  {text[:_WIDTH]}'
        )
    return '\n'.join(lines)


def _after(job: Any, moment: datetime.datetime | None) -> str:
    """When something was, in seconds after the job was made."""
    return '-' if moment is None else f'{(moment - job.created_at).total_seconds():.1f}'
