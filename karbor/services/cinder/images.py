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

"""The images through which Cinder writes a snapshot over a volume.

Such an image has no bytes, but a property that names the snapshot. Its name and its tags say what
it is for, by which it is found again; nothing but the request to Cinder needs it.
"""

import contextlib
import json
import time
from collections.abc import Callable, Generator
from typing import Any, TypeVar

from keystoneauth1 import exceptions as ks_exc
from oslo_utils import uuidutils

from karbor.services import retrying
from karbor.services.cinder import requests as cinder_requests
from karbor.services.cinder.faults import CinderFault
from karbor.services.cinder.marks import Marks
from karbor.services.protection.clients.glance import GlanceClient, Image
from karbor.services.protection.steps import Steps, Wait

NAME_PREFIX = 'karbor-restore-'

_TAG = 'karbor-restore'
_ACTIVE = 'active'

Result = TypeVar('Result')


class ImageFault(CinderFault):
    """Glance has not done what was asked for; the text is for a person."""


class SnapshotImages:
    """The images of one job; many threads use it at once.

    :param client: Glance, as the job's user sees it.
    :param patience: for how long a passing fault of a request is tried again, in seconds.
    :param pause: gives what ends after so many seconds.
    """

    def __init__(
        self,
        client: GlanceClient,
        patience: float,
        pause: Callable[[float], Wait],
        clock: retrying.Clock = time,
    ) -> None:
        self._client = client
        self._patience = patience
        self._pause = pause
        self._clock = clock

    def make(self, marks: Marks, snapshot: Any) -> Generator[Wait, Any, str]:
        """The id of an image of a snapshot, made unless there is one.

        :param marks: of the restore and the volume; what they were made with before is found.
        :param snapshot: its ``id`` and its ``size`` in GiB.
        :raises ImageFault:
        """
        fields = _fields(marks, snapshot)

        def attempt(_number: int) -> str:
            found = self._client.images(name=fields['name'])
            image = found[0] if found else self._client.create(fields)
            if image.get('status') != _ACTIVE:
                self._upload_nothing(image)
            return str(image['id'])

        return self._answered(attempt)

    def _upload_nothing(self, image: Image) -> None:
        with contextlib.suppress(ks_exc.Conflict):  # an earlier request has, unanswered
            self._client.upload(image['id'], b'')

    def remove(self, marks: Marks) -> Steps:
        """Remove what there is of a restore, or of one of its volumes.

        :raises ImageFault:
        """

        def attempt(_number: int) -> None:
            tag = _tags(marks)[-1]
            for image in self._client.images(tag=tag):
                if tag in image.get('tags', ()):
                    self._delete(image['id'])

        yield from self._answered(attempt)

    def restores(self) -> Generator[Wait, Any, set[str]]:
        """The ids of all restores of which there are images.

        :raises ImageFault:
        """
        found = yield from self._answered(lambda _: self._client.images(tag=_TAG))
        return {
            tag.removeprefix(NAME_PREFIX)
            for image in found
            for tag in image.get('tags', ())
            if tag.startswith(NAME_PREFIX) and uuidutils.is_uuid_like(tag.removeprefix(NAME_PREFIX))
        }

    def _delete(self, image_id: str) -> None:
        with contextlib.suppress(ks_exc.NotFound):
            self._client.delete(image_id)

    def _answered(self, attempt: Callable[[int], Result]) -> Generator[Wait, Any, Result]:
        going = retrying.attempts(
            attempt,
            service='Glance',
            errors=ks_exc.ClientException,
            is_passing=retrying.is_passing,
            retry_after=lambda error: retrying.seconds_of(getattr(error, 'retry_after', None)),
            pauses=cinder_requests.pauses(),
            patience=self._patience,
            clock=self._clock,
        )
        try:
            while True:
                yield self._pause(next(going))
        except StopIteration as end:
            return end.value
        except ks_exc.ClientException as exc:
            raise ImageFault(described(exc)) from exc


def described(error: ks_exc.ClientException) -> str:
    """What to tell a person of a fault of Glance."""
    code = getattr(error, 'http_status', None)
    if code is None:
        return 'Glance could not be reached'
    return f'Glance answered {code}: {getattr(error, "message", None) or error}'


def _fields(marks: Marks, snapshot: Any) -> dict[str, Any]:
    """What Nova makes when it takes an image of a server whose disk is a volume."""
    mapping = {
        'source_type': 'snapshot',
        'snapshot_id': snapshot.id,
        'boot_index': 0,
        'volume_size': snapshot.size,
        'destination_type': 'volume',
    }
    return {
        'name': f'{NAME_PREFIX}{marks.restore_id}-{marks.resource_id}-{snapshot.id}',
        'disk_format': 'raw',
        'container_format': 'bare',
        'visibility': 'private',
        'bdm_v2': 'True',
        'block_device_mapping': json.dumps([mapping]),
        'tags': _tags(marks),
    }


def _tags(marks: Marks) -> list[str]:
    """Those by which images are found again: all, those of a restore, those of a volume in it.

    Unlike properties, Cinder does not copy them to the volume.
    """
    of_restore = f'{NAME_PREFIX}{marks.restore_id}'
    of_volume = [] if marks.resource_id is None else [f'{of_restore}-{marks.resource_id}']
    return [_TAG, of_restore, *of_volume]
