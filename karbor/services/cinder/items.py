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

import dataclasses
import functools
import time
from collections.abc import Callable, Generator, Iterable, Mapping
from typing import Any, NamedTuple, TypeVar

from cinderclient import exceptions as cinder_exc
from oslo_log import log as logging

from karbor.common import timers
from karbor.common.progress import Progress, Silent, duration
from karbor.services import retrying
from karbor.services.cinder import requests as cinder_requests
from karbor.services.cinder import statuses, waits
from karbor.services.cinder.faults import (
    FAULTS,
    CinderFault,
    ItemFailed,
    ItemGone,
    describe,
    name_of,
)
from karbor.services.cinder.hope import Hope
from karbor.services.cinder.marks import Marks
from karbor.services.cinder.shared import Shared
from karbor.services.cinder.watcher import Waiting, WaitTimeout, Watcher
from karbor.services.protection.steps import Steps, Wait

LOG = logging.getLogger(__name__)

Result = TypeVar('Result')

# How often a Cinder that answers nobody is asked to make something, in seconds.
_TRIED_EVERY = 1.0

_NO_MESSAGE = (
    'Cinder gives no reason. Often the storage has refused it, since its pool is full or it is '
    'down: ask the operator of the cloud'
)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Order:
    """What Cinder is asked to make.

    :ivar marks: what it, and nothing else, carries.
    :ivar arguments: of the manager's ``create``, by their names; without the metadata.
    :ivar metadata: what it carries beside the marks.
    """

    marks: Marks
    arguments: Mapping[str, Any]
    metadata: Mapping[str, str] = dataclasses.field(default_factory=dict)


def _by_resource(items: Iterable[Any]) -> dict[str, list[Any]]:
    """The items by what they are of, as Cinder knows of snapshots and marks say of volumes."""
    by_resource: dict[str, list[Any]] = {}
    for item in items:
        resource_id = getattr(item, 'volume_id', None) or Marks.read(item.metadata).resource_id
        if resource_id is not None:
            by_resource.setdefault(resource_id, []).append(item)
    return by_resource


def _usable(items: Iterable[Any], marks: Marks) -> Any:
    """The first of some items that carries all marks and has not failed; None if none has."""
    sought = marks.sought().items()
    return next(
        (
            item
            for item in items
            if item.status not in statuses.FAILED and sought <= item.metadata.items()
        ),
        None,
    )


class _Listed(NamedTuple):
    """A list of what there is.

    :ivar begun: when it was asked for, by the clock.
    :ivar items: by the resources that they are of.
    """

    begun: float
    items: dict[str, list[Any]]


class CinderItems:
    """What a job makes or removes of one kind; many threads use it at once.

    :param manager: cinderclient's ``volumes`` or ``volume_snapshots``.
    :param marks: what everything of the job carries.
    :param user_message: finds Cinder's message for users about an item, or ''.
    :param poll_interval: longest time between two looks at what is waited for, in seconds.
    :param patience: for how long a passing fault of a request is tried again, in seconds.
    :param clock: what pauses between requests are made with.
    :param sleep: lets the time between two looks at what is waited for pass.
    :param pause: gives what ends after so many seconds.
    :param progress: where it is told what is waited for.
    :param is_away: whether Cinder is known to answer nobody, so that each request is tried once.
    :ivar is_doubtful: whether an answer was lost, so that something may have been made twice.
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
        pause: Callable[[float], Wait] = timers.after,
        progress: Progress | None = None,
        is_away: Callable[[], bool] = lambda: False,
    ) -> None:
        self.manager = manager
        self._marks = marks
        self._user_message = user_message
        self._poll_interval = poll_interval
        self._longest_patience = patience
        self._clock = clock
        self._sleep = sleep
        self.pause = pause
        self._progress = progress or Silent()
        self._is_away = is_away
        self._answers = Hope(clock)
        self._outcomes = Hope(clock)
        # What is being made is the newest of a job; what is being removed, the oldest.
        self._made = self._watcher('created_at:desc', newest_first=True)
        self._removed = self._watcher('created_at:asc', newest_first=False)
        self._lists = Shared[_Listed]()
        self.is_doubtful = False

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
        return 0 if self._answers.lost or self._is_away() else self._longest_patience

    def get(self, item_id: str) -> Generator[Wait, Any, Any]:
        """:raises cinderclient.exceptions.NotFound: there is none."""
        return self._answered(lambda _: self.manager.get(item_id))

    def _answered(self, attempt: Callable[[int], Result]) -> Generator[Wait, Any, Result]:
        """Send what is safe to send twice until it is answered."""
        with self._answers.attempt(cinder_requests.is_passing):
            return (
                yield from cinder_requests.retry_in_steps(
                    attempt, self._patience, self.pause, self._clock
                )
            )

    def get_or_none(self, item_id: str) -> Generator[Wait, Any, Any]:
        """The item, or None if there is none."""
        try:
            return (yield from self.get(item_id))
        except cinder_exc.NotFound:
            return None

    def find(self, marks: Marks) -> Generator[Wait, Any, list[Any]]:
        """Everything that carries the marks, oldest first."""
        return self._answered(lambda _: self._listed(marks))

    def _listed(self, marks: Marks) -> list[Any]:
        return cinder_requests.listed_once(self.manager, marks.sought())

    def at_start(self, resource_id: str) -> Generator[Wait, Any, list[Any]]:
        """What there was of a resource, with the job's marks, when first asked."""
        listed = yield from self._shared_list('at start')
        return listed.items.get(resource_id, [])

    def _shared_list(self, occasion: str) -> Generator[Wait, Any, '_Listed']:
        """What there is of all resources, with the job's marks; listed once on each occasion."""
        return self._lists.get(occasion, self._list)

    def _list(self) -> Generator[Wait, Any, '_Listed']:
        begun = self._clock.monotonic()
        items = yield from self.find(self._marks)
        return _Listed(begun, _by_resource(items))

    def adopt(
        self, marks: Marks, made_id: str | None, in_flight_until: float
    ) -> Generator[Wait, Any, Any]:
        """What earlier attempts have made of a resource; None when that is nothing.

        :param marks: what it, and nothing else, carries.
        :param made_id: what they say that they have made, if they do.
        :param in_flight_until: when Cinder cannot get to what they have asked for any more, by the
            clock.
        :raises cinderclient.exceptions.NotFound: what they have made is gone.
        """
        resource_id = str(marks.resource_id)
        listed = yield from self._shared_list('at start')
        items = listed.items.get(resource_id, [])
        if made_id is not None:
            known = next((item for item in items if item.id == made_id), None)
            return known or (yield from self.get(made_id))
        item = _usable(items, marks)
        if item is None and listed.begun < in_flight_until:
            left = in_flight_until - self._clock.monotonic()
            if left > 0:
                yield from self._wait_for_earlier_requests(left)
            listed = yield from self._shared_list('when nothing is in flight')
            item = _usable(listed.items.get(resource_id, []), marks)
        return item

    def _wait_for_earlier_requests(self, seconds: float) -> Steps:
        source = self, 'earlier requests'
        self._progress.tell(
            source,
            'an earlier attempt was broken off; what it has asked of Cinder may come about for '
            f'{duration(seconds)} more',
            seconds,
        )
        yield self.pause(seconds)
        self._progress.tell(source, '', 0)

    def make(self, order: Order, look_first: bool = False) -> Generator[Wait, Any, Any]:
        """Make an item once, though an answer may get lost.

        :param look_first: whether it was asked for before.
        :raises NotAsked: nothing gets on.
        """
        self._outcomes.check()
        self._answers.check(_TRIED_EVERY)
        with self._answers.attempt(cinder_requests.is_passing):
            made = yield from cinder_requests.create(
                lambda: self.manager.create(
                    **order.arguments, metadata={**order.metadata, **order.marks.metadata()}
                ),
                lambda: _usable(self._listed(order.marks), order.marks),
                self._patience,
                self.pause,
                look_first=look_first,
                clock=self._clock,
            )
        self.is_doubtful = self.is_doubtful or made.is_doubtful
        return made.item

    def wait_until_available(self, item: Any, timeout: float) -> Generator[Wait, Any, Any]:
        """Wait for a new item; returns it as it is then.

        :raises CinderFault: it ended in another status, or was deleted by somebody.
        :raises WaitTimeout: it did not end in time.
        """
        if statuses.is_settled(item):
            return self._good(item, item)
        with self._outcomes.attempt(lambda fault: isinstance(fault, WaitTimeout)):
            current = yield from self.until_settled(item, timeout)
        return self._good(item, current)

    def wait_for_change(self, item: Any, timeout: float) -> Generator[Wait, Any, Any]:
        """The same of an item whose status, as it was seen last, is that of before a change."""
        return self._good(item, (yield from self.until_settled(item, timeout)))

    def until_settled(self, item: Any, timeout: float) -> Generator[Wait, Any, Any]:
        """An item that is between two states, as it is behind that; None when it is gone.

        :raises WaitTimeout: it did not end in time.
        """
        deadline = retrying.Deadline(timeout, self._clock)
        current = yield self._made.wait(item, statuses.is_settled, timeout)
        if current is None:  # in the list no more: gone, or only without its metadata?
            current = yield self._made.wait(
                item, statuses.is_settled, deadline.remaining(), listed=False
            )
        return current

    def _good(self, item: Any, current: Any) -> Any:
        """An item as it is now.

        :raises CinderFault: it is not good, or not there any more.
        """
        if current is None:
            raise ItemGone(f'{name_of(item)} was deleted while it was being made')
        if current.status in statuses.FAILED:
            raise ItemFailed(f'{name_of(item)} {self._status_and_message(current)}')
        return current

    def change(self, request: Callable[[Any], Result]) -> Generator[Wait, Any, Result]:
        """Ask Cinder for a change that may be asked for twice.

        :param request: sends it, given the manager.
        """
        return self._answered(lambda _: request(self.manager))

    def remove_doubles(self, kept_id: Callable[[str], str | None], timeout: float) -> Steps:
        """Remove what requests made whose answers were lost, beside what is kept.

        One that stays is logged: what is kept is good all the same.

        :param kept_id: gives the id of what is kept of a resource of which there are several; of
            one of which that is not known nothing is removed.
        """
        try:
            found = yield from self.find(self._marks)
        except FAULTS as exc:
            LOG.warning('Whether something was made twice is not known: %s', describe(exc))
            return
        for resource_id, items in _by_resource(found).items():
            own = [item for item in items if Marks.read(item.metadata).resource_id == resource_id]
            kept = kept_id(resource_id) if len(own) > 1 else None
            for double in own if kept is not None else ():
                if double.id != kept:
                    yield from self._remove_double(double, timeout)

    def _remove_double(self, double: Any, timeout: float) -> Steps:
        LOG.warning('%s was made a second time', name_of(double))
        try:
            yield from self.remove(double, timeout, listed=False)
        except FAULTS as exc:
            LOG.warning('%s is left: %s', name_of(double), describe(exc))

    def remove(self, item: Any, timeout: float, listed: bool = True) -> Steps:
        """Delete an item and see it gone; a busy one is tried again until the time is over.

        :param listed: False when it may be without its metadata.
        :raises CinderFault: it is still there.
        """
        deadline = retrying.Deadline(timeout, self._clock)
        reason = ''
        for pause in cinder_requests.pauses():
            if (yield from self._ask_to_delete(item)):
                try:
                    left = yield self._removed.wait(
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
                    raise CinderFault(f'{name_of(item)} {reason}')
            else:
                reason = 'cannot be deleted while Cinder is working on it'
            if deadline.remaining() < pause:
                break
            yield self.pause(pause)
        raise CinderFault(f'{name_of(item)} {reason}; tried for {timeout:.0f} seconds')

    def _ask_to_delete(self, item: Any, is_second: bool = False) -> Generator[Wait, Any, bool]:
        """Send the DELETE; False when Cinder refuses for now.

        That it is gone or being deleted already counts as accepted.

        :param is_second: whether one was refused although the item can be deleted.
        :raises CinderFault: Cinder refuses for good.
        """
        try:
            yield from self._answered(lambda _: self.manager.delete(item.id))
        except cinder_exc.NotFound:
            return True
        except cinder_exc.BadRequest as exc:
            current = yield from self.get_or_none(item.id)
            if current is None or current.status == 'deleting':
                return True
            if current.status in statuses.DELETABLE and not is_second:
                # only since the refusal?
                return (yield from self._ask_to_delete(item, is_second=True))
            if current.status not in statuses.PASSING:
                told = f'is in status {current.status}; {cinder_requests.describe(exc)}'
                raise CinderFault(f'{name_of(item)} {told}') from exc
            return False
        return True

    def message_about(self, item_id: str) -> str:
        """What Cinder tells the user about an item, or that it tells nothing."""
        return self._user_message(item_id) or _NO_MESSAGE

    def _status_and_message(self, item: Any, when: str = '') -> str:
        message = self._user_message(item.id)
        if not message and item.status == 'error':
            message = _NO_MESSAGE
        return f'is in status {item.status}{when}' + (f': {message}' if message else '')
