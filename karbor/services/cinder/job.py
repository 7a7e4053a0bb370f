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

"""What all resources of one job share of Cinder."""

import contextlib
import functools
import threading
import time
from collections.abc import Callable, Collection, Generator, Iterator
from concurrent import futures
from typing import Any, TypeVar

from cinderclient import exceptions as cinder_exc
from oslo_utils import uuidutils

from karbor import context as karbor_context
from karbor.common import leases, timers
from karbor.common.progress import Silent, duration
from karbor.services import retrying
from karbor.services.cinder import places
from karbor.services.cinder import requests as cinder_requests
from karbor.services.cinder.images import SnapshotImages
from karbor.services.cinder.items import CinderItems
from karbor.services.cinder.marks import Marks
from karbor.services.cinder.properties import VolumeProperties
from karbor.services.cinder.shared import Shared
from karbor.services.protection import client_factory
from karbor.services.protection.clients import cinder as cinder_client
from karbor.services.protection.steps import Wait

Result = TypeVar('Result')

# For how long a look is tried again that can be done without, in seconds.
_SHORT_PATIENCE = 30.0


class _AttemptClock:
    """A clock whose pauses end with the lease of an attempt.

    :param clock: what time passes by.
    """

    def __init__(self, clock: retrying.Clock, lease: leases.Lease) -> None:
        self._clock = clock
        self._lease = lease

    def monotonic(self) -> float:
        return self._clock.monotonic()

    def sleep(self, seconds: float, /) -> None:
        """:raises LeaseLost: the attempt is over."""
        self._lease.check()
        self._clock.sleep(seconds)
        self._lease.check()


def _slept(clock: retrying.Clock, seconds: float) -> futures.Future[None]:
    """What has ended after so many seconds of another clock than the host's."""
    clock.sleep(seconds)
    pause: futures.Future[None] = futures.Future()
    pause.set_result(None)
    return pause


class CinderJob:
    """Cinder, as one job sees it. A plugin object lives as long as a job, so it keeps this.

    :param context: who the job acts for.
    :param poll_interval: longest time between two looks at what is waited for, in seconds.
    :param patience: for how long a passing fault of a request is tried again, in seconds.
    :param clock: what pauses between requests are made with.
    :param max_creating: how many things Cinder may be making at once.
    :ivar places: which of them each one takes while it is made.
    :ivar is_first_attempt: whether nothing was asked for by earlier attempts of the job.
    """

    def __init__(
        self,
        context: karbor_context.RequestContext,
        poll_interval: float,
        patience: float,
        clock: retrying.Clock = time,
        *,
        max_creating: int = 500,
    ) -> None:
        self.places = places.of_job(context.project_id, max_creating)
        self._context = context
        self._client = client_factory.ClientFactory.create_client('cinder', context)
        self._poll_interval = poll_interval
        self._longest_patience = patience
        self._traffic = getattr(context, 'traffic', None)
        lease = getattr(context, 'lease', None)
        self._clock = clock if lease is None else _AttemptClock(clock, lease)
        since_last = getattr(context, 'since_last_attempt', None)
        self.is_first_attempt = since_last is None
        self._last_attempt_ended = self._clock.monotonic() - (since_last or 0)
        self._progress = getattr(context, 'progress', Silent())
        self._sleep = time.sleep if lease is None else self._clock.sleep
        self._pause = timers.after if clock is time else functools.partial(_slept, clock)
        self._lock = threading.Lock()
        self._items: dict[tuple[type[Any], Marks], CinderItems] = {}
        self._seen = Shared[dict[str, VolumeProperties]]()
        self._type_names = Shared[str]()

    @property
    def _patience(self) -> float:
        """With a Cinder that answers nobody in this process, each request is tried once."""
        return 0 if self._is_away() else self._longest_patience

    def _is_away(self) -> bool:
        return self._traffic is not None and self._traffic.is_away

    def in_flight_until(self, longest: float) -> float:
        """When Cinder cannot get to what an earlier attempt has asked for any more, by the clock.

        :param longest: time from its sending on, in seconds.
        """
        return self._last_attempt_ended + longest

    def in_flight_left(self, longest: float) -> float:
        """For how many seconds Cinder may still get to what an earlier attempt has asked for."""
        return max(self.in_flight_until(longest) - self._clock.monotonic(), 0)

    def snapshots(self, marks: Marks) -> CinderItems:
        """The snapshots with some marks; the same object for all resources of the job."""
        return self._shared(self._client.volume_snapshots, marks)

    def volumes(self, marks: Marks) -> CinderItems:
        """The volumes with some marks; the same object for all resources of the job."""
        return self._shared(self._client.volumes, marks)

    def volume(self, volume_id: str) -> Generator[Wait, Any, Any]:
        """Any volume, by its id.

        :raises cinderclient.exceptions.NotFound: there is none.
        """
        return cinder_requests.retry_in_steps(
            lambda _: self._client.volumes.get(volume_id), self._patience, self._pause, self._clock
        )

    @functools.cached_property
    def images(self) -> SnapshotImages:
        """The images through which snapshots are written over volumes.

        :raises ServiceMissing: the cloud has no Glance.
        """
        client = client_factory.ClientFactory.create_client('glance', self._context)
        return SnapshotImages(client, self._patience, self._pause, self._clock)

    def reimage(self, volume_id: str, image_id: str) -> None:
        """Ask once for an image to be written over a volume.

        :raises CLIENT_ERRORS: Cinder refuses, or does not answer.
        """
        self._reimaging.volumes.reimage(volume_id, image_id)

    @functools.cached_property
    def _reimaging(self) -> Any:
        """Cinder by a microversion that knows that; the usual one honours ``force``."""
        return client_factory.ClientFactory.create_client(
            'cinder', self._context, microversion=cinder_client.REIMAGING_MICROVERSION
        )

    def pause(self, seconds: float) -> Wait:
        """What ends after so many seconds."""
        return self._pause(seconds)

    def deadline(self, seconds: float) -> retrying.Deadline:
        """A moment so many seconds from now, by the clock of the job."""
        return retrying.Deadline(seconds, self._clock)

    def has_volume(self, volume_id: str) -> Generator[Wait, Any, bool]:
        """Whether there is such a volume."""
        try:
            yield from self.volume(volume_id)
        except cinder_exc.NotFound:
            return False
        return True

    def properties(
        self, volume_id: str, wanted: Collection[str]
    ) -> Generator[Wait, Any, VolumeProperties | None]:
        """What a volume is like when that is first asked of one; None when it is not there.

        It serves people, so that it is not waited for as long as for what is needed.

        :param wanted: ids of all volumes of which it may be asked: of several, all are listed.
        """
        if len(wanted) > 1:
            seen = yield from self._seen.get('volumes', lambda: self._list_volumes(wanted))
            return seen.get(volume_id)
        try:
            volume = yield from self._looked(lambda: self._client.volumes.get(volume_id))
        except cinder_exc.NotFound:
            return None
        return VolumeProperties.of_volume(volume)

    def _list_volumes(
        self, wanted: Collection[str]
    ) -> Generator[Wait, Any, dict[str, VolumeProperties]]:
        volumes = yield from self._looked(
            lambda: cinder_requests.listed_once(self._client.volumes, {})
        )
        return {
            volume.id: VolumeProperties.of_volume(volume)
            for volume in volumes
            if volume.id in wanted
        }

    def _looked(self, request: Callable[[], Result]) -> Generator[Wait, Any, Result]:
        return cinder_requests.retry_in_steps(
            lambda _: request(), min(self._patience, _SHORT_PATIENCE), self._pause, self._clock
        )

    def type_name(self, name_or_id: str) -> Generator[Wait, Any, str]:
        """The name of a volume type that is given by its name, or by its id.

        :raises cinderclient.exceptions.NotFound: there is none of the id.
        """
        if not uuidutils.is_uuid_like(name_or_id):
            return name_or_id
        return (yield from self._type_names.get(name_or_id, lambda: self._type_of(name_or_id)))

    def _type_of(self, type_id: str) -> Generator[Wait, Any, str]:
        found = yield from self._looked(lambda: self._client.volume_types.get(type_id))
        return str(found.name)

    @contextlib.contextmanager
    def telling(self, source: str) -> Iterator[Callable[[str, float], None]]:
        """Gives what tells what is waited for, and since how many seconds, until the end."""

        def tell(what: str, seconds: float) -> None:
            self._progress.tell(source, f'{what} for {duration(seconds)}', seconds)

        try:
            yield tell
        finally:
            self._progress.tell(source, '', 0)

    def _shared(self, manager: Any, marks: Marks) -> CinderItems:
        key = (type(manager), marks)
        with self._lock:
            if key not in self._items:
                self._items[key] = CinderItems(
                    manager,
                    marks,
                    user_message=self._user_message,
                    poll_interval=self._poll_interval,
                    patience=self._longest_patience,
                    clock=self._clock,
                    sleep=self._sleep,
                    pause=self._pause,
                    progress=self._progress,
                    is_away=self._is_away,
                )
            return self._items[key]

    def _user_message(self, resource_id: str) -> str:
        """The newest message that Cinder keeps for users about a volume or snapshot.

        :returns: the text, or '' when there is none or Cinder does not tell.
        """
        try:
            messages = self._client.messages.list(search_opts={'resource_uuid': resource_id})
        except cinder_requests.CLIENT_ERRORS:
            return ''
        newest = max(messages, key=lambda message: message.created_at, default=None)
        return newest.user_message if newest else ''
