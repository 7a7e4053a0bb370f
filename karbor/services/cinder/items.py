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

"""Volumes or snapshots of one job: made once, found again, waited for, removed."""

import contextlib
import dataclasses
import functools
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent import futures
from typing import Any

from cinderclient import exceptions as cinder_exc
from oslo_log import log as logging

from karbor.common.progress import Progress, Silent
from karbor.services import retrying
from karbor.services.cinder import requests as cinder_requests
from karbor.services.cinder import waits
from karbor.services.cinder.marks import Marks
from karbor.services.cinder.requests import Made
from karbor.services.cinder.watcher import Waiting, WaitTimeout, Watcher

LOG = logging.getLogger(__name__)

# Statuses from which Cinder goes on by itself.
PASSING_STATUSES = frozenset(
    (
        'attaching',
        'backing-up',
        'creating',
        'deleting',
        'detaching',
        'downloading',
        'extending',
        'reserved',
        'restoring',
        'restoring-backup',
        'retyping',
        'uploading',
    )
)
_READY_STATUSES = frozenset(('available', 'in-use'))
FAILED_STATUSES = frozenset(('error', 'error_deleting', 'error_restoring', 'deleting'))
_DELETABLE_STATUSES = frozenset(('available', 'error'))

_NO_MESSAGE = (
    'Cinder gives no reason. Often the storage has refused it, since its pool is full or it is '
    'down: ask the operator of the cloud'
)


class CinderFault(Exception):
    """Cinder answered, but not with what was asked for; the text is for a person."""


class ItemGone(CinderFault):
    """What was being made is not there any more."""


FAULTS = (*cinder_requests.CLIENT_ERRORS, CinderFault, WaitTimeout)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Order:
    """What Cinder is asked to make.

    :ivar marks: what it, and nothing else, carries.
    :ivar arguments: of the manager's ``create``, by their names; without the metadata.
    """

    marks: Marks
    arguments: Mapping[str, Any]


class Hope:
    """Shared by all items of a job: lost when for none of them anything gets on.

    Else each of many items would wait for its own deadline, one batch after the other.
    """

    def __init__(self, clock: retrying.Clock = time) -> None:
        self._clock = clock
        self._last_success = float('-inf')
        self.lost: Exception | None = None

    @contextlib.contextmanager
    def attempt(self, is_hopeless: Callable[[Exception], bool]) -> Iterator[None]:
        """Around what may take long; a success brings hope back.

        :param is_hopeless: whether a fault takes it, if nothing succeeded since it began.
        """
        begun = self._clock.monotonic()
        try:
            yield
        except FAULTS as exc:
            if is_hopeless(exc) and self._last_success < begun:
                self.lost = exc
            raise
        self._last_success = self._clock.monotonic()
        self.lost = None


def describe(fault: Exception) -> str:
    """What to tell a person of one of ``FAULTS``."""
    if isinstance(fault, WaitTimeout):
        text = (
            f'{_name(fault.last)} is still in status {fault.last.status} after '
            f'{fault.seconds:.0f} seconds'
        )
        return text + (f' (the last look failed: {fault.fault})' if fault.fault else '')
    if isinstance(fault, CinderFault):
        return str(fault)
    return cinder_requests.describe(fault)


def _is_double(item: Any, kept: Mapping[str, str]) -> bool:
    """Whether an item is another one of a volume of which one is kept."""
    resource_id = Marks.read(item.metadata).resource_id
    kept_id = None if resource_id is None else kept.get(resource_id)
    if kept_id in (None, item.id):
        return False
    return getattr(item, 'volume_id', resource_id) == resource_id  # of a snapshot


def _usable(items: list[Any]) -> Any:
    return next((item for item in items if item.status not in FAILED_STATUSES), None)


def _name(item: Any) -> str:
    return f'the {type(item).__name__.lower()} {item.id}'


class CinderItems:
    """What a job makes or removes of one kind; many threads use it at once.

    :param manager: cinderclient's ``volumes`` or ``volume_snapshots``.
    :param marks: what everything of the job carries.
    :param user_message: finds Cinder's message for users about an item, or ''.
    :param poll_interval: longest time between two looks at what is waited for, in seconds.
    :param patience: for how long a passing fault of a request is tried again, in seconds.
    :param clock: what pauses between requests are made with.
    :param sleep: lets the time between two looks at what is waited for pass.
    :param progress: where it is told what is waited for.
    """

    def __init__(
        self,
        manager: Any,
        marks: Marks,
        *,
        user_message: Callable[[str], str],
        poll_interval: float,
        patience: float,
        clock: retrying.Clock = time,
        sleep: Callable[[float], None] = time.sleep,
        progress: Progress | None = None,
    ) -> None:
        self.manager = manager
        self._marks = marks
        self._user_message = user_message
        self._poll_interval = poll_interval
        self._longest_patience = patience
        self._clock = clock
        self._sleep = sleep
        self._progress = progress or Silent()
        self._answers = Hope(clock)
        self._outcomes = Hope(clock)
        # What is being made is the newest of a job; what is being removed, the oldest.
        self._made = self._watcher('created_at:desc', newest_first=True)
        self._removed = self._watcher('created_at:asc', newest_first=False)
        self._lock = threading.Lock()
        self._inventory: futures.Future[dict[str, list[Any]]] | None = None

    def _watcher(self, sort: str, *, newest_first: bool) -> Watcher:
        def list_page(limit: int, marker: str | None) -> list[Any]:
            return cinder_requests.page(
                self.manager, self._marks.sought(), limit=limit, marker=marker, sort=sort
            )

        return Watcher(
            list_page,
            self.manager.get,
            newest_first=newest_first,
            is_gone=cinder_requests.is_gone,
            is_passing=cinder_requests.is_passing,
            longest_interval=self._poll_interval,
            sleep=self._sleep,
            monotonic=self._clock.monotonic,
            looked=functools.partial(self._tell, sort),
        )

    def _tell(self, source: str, waiting: Waiting) -> None:
        text = waits.text(waiting, describe) if waiting.items else ''
        self._progress.tell((self, source), text, waiting.seconds)

    @property
    def _patience(self) -> float:
        """With a Cinder that answers nobody, each request is tried once."""
        return 0 if self._answers.lost else self._longest_patience

    def get(self, item_id: str) -> Any:
        """:raises cinderclient.exceptions.NotFound: there is none."""
        with self._answers.attempt(cinder_requests.is_passing):
            return self._retry(self.manager.get, item_id)

    def _retry(self, call: Callable[[str], Any], item_id: str) -> Any:
        return cinder_requests.retry(functools.partial(call, item_id), self._patience, self._clock)

    def get_or_none(self, item_id: str) -> Any:
        try:
            return self.get(item_id)
        except cinder_exc.NotFound:
            return None

    def find(self, marks: Marks) -> list[Any]:
        """Everything that carries the marks, oldest first."""
        with self._answers.attempt(cinder_requests.is_passing):
            return self._listed(marks, self._patience)

    def _listed(self, marks: Marks, patience: float) -> list[Any]:
        return cinder_requests.listed(self.manager, marks.sought(), patience, self._clock)

    def at_start(self, volume_id: str) -> list[Any]:
        """The snapshots of a volume that carried the job's marks when first asked.

        All volumes' are listed at once, the first time, while the other threads wait; a list
        that fails fails for all, instead of once a volume.
        """
        with self._lock:
            is_first = self._inventory is None
            inventory = self._inventory = self._inventory or futures.Future()
        if is_first:
            try:
                inventory.set_result(self._by_volume())
            except BaseException as exc:  # noqa: BLE001 - raised again for each that asks
                inventory.set_exception(exc)
        return inventory.result().get(volume_id, [])

    def _by_volume(self) -> dict[str, list[Any]]:
        by_volume: dict[str, list[Any]] = {}
        for snapshot in self.find(self._marks):
            by_volume.setdefault(snapshot.volume_id, []).append(snapshot)
        return by_volume

    def adopt(self, marks: Marks, in_flight: float) -> Any:
        """What an earlier run has asked for; None when that has made nothing.

        :param marks: what it, and nothing else, carries.
        :param in_flight: for how long Cinder may still get to that request, in seconds.
        """
        deadline = retrying.Deadline(in_flight, self._clock)
        for pause in cinder_requests.pauses():
            item = _usable(self.find(marks))
            if item is not None or not deadline.remaining():
                return item
            self._clock.sleep(min(pause, deadline.remaining()))
        raise AssertionError('pauses never end')

    def make(self, order: Order, look_first: bool) -> Made:
        """Make an item once, though an answer may get lost.

        :param look_first: whether it was asked for before.
        :raises CinderFault: it is not asked for, since nothing gets on.
        """
        if self._outcomes.lost is not None:
            raise CinderFault(f'not asked for: with the others, {describe(self._outcomes.lost)}')
        with self._answers.attempt(cinder_requests.is_passing):
            return cinder_requests.create(
                lambda: self.manager.create(**order.arguments, metadata=order.marks.metadata()),
                lambda: _usable(self._listed(order.marks, patience=0)),
                self._patience,
                look_first=look_first,
                clock=self._clock,
            )

    def wait_until_available(self, item: Any, timeout: float) -> None:
        """Wait for a new item.

        :raises CinderFault: it ended in another status, or was deleted by somebody.
        :raises WaitTimeout: it did not end in time.
        """

        def settled(current: Any) -> bool:
            return current is None or current.status in _READY_STATUSES | FAILED_STATUSES

        deadline = retrying.Deadline(timeout, self._clock)
        with self._outcomes.attempt(lambda fault: isinstance(fault, WaitTimeout)):
            current = (
                item
                if settled(item)
                else (
                    self._made.wait(item, settled, timeout)
                    # not in the list any more: gone, or only without its metadata?
                    or self._made.wait(item, settled, deadline.remaining(), listed=False)
                )
            )
        if current is None:
            raise ItemGone(f'{_name(item)} was deleted while it was being made')
        if current.status in FAILED_STATUSES:
            raise CinderFault(f'{_name(item)} {self._status_and_message(current)}')

    def remove_doubles(self, marks: Marks, kept: Mapping[str, str], timeout: float) -> None:
        """Remove what requests made whose answers were lost, beside what is kept.

        One that stays is logged: what is kept is good all the same.

        :param marks: what all of it carries.
        :param kept: id of a protected volume -> id of the item that is kept of it; of other
            volumes nothing is removed.
        """
        try:
            doubles = [item for item in self.find(marks) if _is_double(item, kept)]
        except FAULTS as exc:
            LOG.warning('Whether something was made twice is not known: %s', describe(exc))
            return
        for double in doubles:
            LOG.warning('%s was made a second time', _name(double))
            try:
                self.remove(double, timeout, listed=False)
            except FAULTS as exc:
                LOG.warning('%s is left: %s', _name(double), describe(exc))

    def remove(self, item: Any, timeout: float, listed: bool = True) -> None:
        """Delete an item and see it gone; a busy one is tried again until the time is over.

        :param listed: False when it may be without its metadata.
        :raises CinderFault: it is still there.
        """
        deadline = retrying.Deadline(timeout, self._clock)
        reason = ''
        for pause in cinder_requests.pauses():
            if self._ask_to_delete(item):
                try:
                    left = self._removed.wait(
                        item,
                        lambda current: current is None or current.status != 'deleting',
                        deadline.remaining(),
                        listed,
                    )
                except WaitTimeout:
                    if reason:  # of the tries before; this one may have been too short to see
                        break
                    raise
                if left is None:
                    return
                reason = self._status_and_message(left, ' after it was deleted')
                if left.status == 'error_deleting':
                    raise CinderFault(f'{_name(item)} {reason}')
            else:
                reason = 'cannot be deleted while Cinder is working on it'
            if deadline.remaining() < pause:
                break
            self._clock.sleep(pause)
        raise CinderFault(f'{_name(item)} {reason}; tried for {timeout:.0f} seconds')

    def _ask_to_delete(self, item: Any, is_second: bool = False) -> bool:
        """Send the DELETE; False when Cinder refuses for now.

        That it is gone or being deleted already counts as accepted.

        :param is_second: whether one was refused although the item can be deleted.
        :raises CinderFault: Cinder refuses for good.
        """
        try:
            with self._answers.attempt(cinder_requests.is_passing):
                self._retry(self.manager.delete, item.id)
        except cinder_exc.NotFound:
            return True
        except cinder_exc.BadRequest as exc:
            current = self.get_or_none(item.id)
            if current is None or current.status == 'deleting':
                return True
            if current.status in _DELETABLE_STATUSES and not is_second:
                return self._ask_to_delete(item, is_second=True)  # only since the refusal?
            if current.status not in PASSING_STATUSES:
                raise CinderFault(
                    f'{_name(item)} is in status {current.status}; {cinder_requests.describe(exc)}'
                ) from exc
            return False
        return True

    def _status_and_message(self, item: Any, when: str = '') -> str:
        message = self._user_message(item.id)
        if not message and item.status == 'error':
            message = _NO_MESSAGE
        return f'is in status {item.status}{when}' + (f': {message}' if message else '')
