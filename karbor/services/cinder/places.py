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

"""How many things Cinder may be making at once: for a job, for a project, and in the cloud."""

import collections
import threading
import weakref
from collections.abc import Generator, Sequence
from concurrent import futures
from typing import Any, TypeVar

from oslo_config import cfg
from oslo_log import log as logging

from karbor.conf import cinder_client as cinder_client_conf
from karbor.services.protection.steps import Steps, Wait

LOG = logging.getLogger(__name__)

Result = TypeVar('Result')


class Places:
    """Places that are given in the order in which they are asked for.

    :param number: how many there are.
    :param whose: of what, for the log.
    """

    def __init__(self, number: int, whose: str) -> None:
        self._number = number
        self._whose = whose
        self._free = number
        self._waiting: collections.deque[futures.Future[None]] = collections.deque()
        # What Python collects may close steps, and so come here, at any moment.
        self._lock = threading.RLock()
        self._is_told = False

    def take(self) -> Wait | None:
        """Take a place; returns what ends when it is taken, None when it is taken now."""
        with self._lock:
            if self._free:
                self._free -= 1
                return None
            place: futures.Future[None] = futures.Future()
            self._waiting.append(place)
            is_told, self._is_told = self._is_told, True
        if not is_told:
            LOG.info('Cinder makes %d things for %s; more have to wait', self._number, self._whose)
        return place

    def give_back(self) -> None:
        """Give a place back: who has waited longest has it then."""
        while True:
            with self._lock:
                if not self._waiting:
                    self._free += 1
                    self._is_told = False
                    return
                place = self._waiting.popleft()
            if place.set_running_or_notify_cancel():
                place.set_result(None)
                return


class JobPlaces:
    """The places of one job, each of which is one of its project's and one of the cloud's.

    :param bounds: of the job, of its project and of the cloud.
    """

    def __init__(self, bounds: Sequence[Places]) -> None:
        self._bounds = bounds

    def take(self) -> Steps:
        """Take a place; it is to be given back, whatever happens."""
        taken: list[Places] = []
        try:
            for bound in self._bounds:
                place = bound.take()
                if place is not None:
                    yield from _wait_for(bound, place)
                taken.append(bound)
        except BaseException:
            for bound in taken:
                bound.give_back()
            raise

    def holding(self, going: Generator[Wait, Any, Result]) -> Generator[Wait, Any, Result]:
        """Steps that have a place from their begin to their end."""
        yield from self.take()
        try:
            return (yield from going)
        finally:
            self.give_back()

    def give_back(self) -> None:
        """Give a place back."""
        for bound in reversed(self._bounds):
            bound.give_back()


def _wait_for(bound: Places, place: Wait) -> Steps:
    try:
        yield place
    except GeneratorExit:
        if not place.cancel():  # it was given in this very moment
            bound.give_back()
        raise


class _Cloud:
    """The places of the cloud and of its projects, of this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._all: Places | None = None
        # As long as a job has them.
        self._projects: weakref.WeakValueDictionary[str, Places] = weakref.WeakValueDictionary()

    def of_job(self, project_id: str, most_of_job: int) -> JobPlaces:
        cinder_client_conf.register_opts(cfg.CONF)
        options = cfg.CONF[cinder_client_conf.GROUP]
        with self._lock:
            if self._all is None:
                self._all = Places(options.max_creating, 'all projects together')
            project = self._projects.get(project_id)
            if project is None:
                project = Places(options.max_creating_per_project, f'the project {project_id}')
                self._projects[project_id] = project
            return JobPlaces((Places(most_of_job, 'one job'), project, self._all))


#: Gives the places of a job: ``of_job(project_id, most_of_job)``.
of_job = _Cloud().of_job
