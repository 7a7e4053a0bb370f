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

"""Whether a snapshot may be written over a volume now."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from cinderclient import exceptions as cinder_exc
from keystoneauth1 import exceptions as ks_exc

from karbor import context as karbor_context
from karbor import exception
from karbor.services import retrying
from karbor.services.cinder import images
from karbor.services.cinder import requests as cinder_requests
from karbor.services.cinder.faults import CinderFault
from karbor.services.cinder.in_place_records import InPlaceRecord
from karbor.services.protection import client_factory, protection_plugin
from karbor.services.protection.clients import cinder as cinder_client
from karbor.services.protection.protection_plugins.volume import (
    cinder_snapshot_in_place_texts as texts,
)

# For how long a look is tried again while somebody waits for the answer, in seconds.
_PATIENCE = 5.0
_NOT_ACCEPTABLE = 406
_OWNER = 'os-vol-tenant-attr:tenant_id'


class Held(CinderFault):
    """Somebody or something has the volume."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Wish:
    """What is asked for, of one volume.

    :ivar project_id: of which the volume is to be: Cinder shows administrators those of all.
    :ivar size: of the snapshot, in GiB; None when that is not known.
    :ivar has_safety: whether what is overwritten is kept.
    :ivar accepts_grown: whether the volume may be larger than the snapshot.
    """

    project_id: str | None
    size: int | None
    has_safety: bool
    accepts_grown: bool


def check_volume(volume: Any, wish: Wish) -> None:
    """Look at a volume before anything is done about it.

    :raises Held: it is in use.
    :raises CinderFault: it cannot be overwritten.
    """
    if getattr(volume, _OWNER, wish.project_id) != wish.project_id:
        raise CinderFault(texts.foreign(volume))
    if volume.attachments or volume.status not in ('available', 'error'):
        raise Held(texts.held(volume))
    if volume.status == 'error' and wish.has_safety:
        raise CinderFault(texts.in_error(volume))
    if wish.size is not None and volume.size < wish.size:
        raise CinderFault(texts.shrunk(volume, wish.size))
    if wish.size is not None and volume.size > wish.size and not wish.accepts_grown:
        raise CinderFault(texts.grown(volume, wish.size))


def check_unchanged(volume: Any, record: InPlaceRecord) -> None:
    """Look at a volume right before Cinder is asked.

    :raises CinderFault: somebody has changed it since it was looked at.
    """
    wanted = 'error' if record.was_error else 'available'
    if volume.attachments or volume.status != wanted:
        raise Held(f'{texts.held(volume)}; nothing was overwritten')
    # In error nobody can attach it, and Cinder itself changes it.
    if not record.was_error and str(volume.updated_at) != record.changed_at:
        raise CinderFault(texts.changed(volume))


def check_snapshot(snapshot: Any, volume_id: str) -> None:
    """Look at a snapshot that is to be written.

    :raises CinderFault: it cannot be used.
    """
    if snapshot.status != 'available':
        raise CinderFault(f'the snapshot {snapshot.id} is in status {snapshot.status}')
    if snapshot.volume_id != volume_id:
        raise CinderFault(f'the snapshot {snapshot.id} is of the volume {snapshot.volume_id}')


def names(volume: Any, image_id: str) -> bool:
    """Whether the image metadata of a volume name an image: Cinder has written it then."""
    metadata = getattr(volume, 'volume_image_metadata', None) or {}
    return metadata.get('image_id') == image_id


def check_asked(
    asked: Mapping[str, protection_plugin.AskedInPlace], context: karbor_context.RequestContext
) -> None:
    """Look, before anything is done, whether volumes can be overwritten in this cloud now.

    :param asked: by the ids of the volumes.
    :raises InPlaceNotPossible: the cloud or a volume is not fit for it.
    :raises ResourceHeld: a volume is in use.
    :raises CloudUnavailable: the cloud cannot tell now.
    """
    volumes = _volumes(asked, context)
    _check_glance(context)
    for volume_id, each in asked.items():
        volume = volumes.get(volume_id)
        if volume is None:
            raise exception.InPlaceNotPossible(
                reason=f'there is no volume {volume_id} any more: without in_place, a new one is '
                'made.'
            )
        try:
            check_volume(
                volume,
                Wish(
                    project_id=context.project_id,
                    size=each.size,
                    has_safety=each.has_safety,
                    accepts_grown=each.accepts_grown,
                ),
            )
        except Held as exc:
            raise exception.ResourceHeld(reason=f'{exc}.') from exc
        except CinderFault as exc:
            raise exception.InPlaceNotPossible(reason=f'{exc}.') from exc


def _volumes(
    asked: Mapping[str, protection_plugin.AskedInPlace], context: karbor_context.RequestContext
) -> dict[str, Any]:
    """Those of the volumes that there are, by their ids; of several, all are listed."""
    client = client_factory.ClientFactory.create_client(
        'cinder', context, microversion=cinder_client.REIMAGING_MICROVERSION
    )

    def look() -> list[Any]:
        if len(asked) > 1:
            return cinder_requests.listed_once(client.volumes, {})
        try:
            return [client.volumes.get(volume_id) for volume_id in asked]
        except cinder_exc.NotFound:
            return []

    try:
        found = cinder_requests.retry(look, _PATIENCE)
    except cinder_requests.CLIENT_ERRORS as exc:
        if cinder_requests.status_code(exc) == _NOT_ACCEPTABLE:
            raise exception.InPlaceNotPossible(
                reason='the Cinder of this cloud is too old: it needs microversion '
                f'{cinder_client.REIMAGING_MICROVERSION}.'
            ) from exc
        raise exception.CloudUnavailable(reason=f'{cinder_requests.describe(exc)}.') from exc
    return {volume.id: volume for volume in found}


def _check_glance(context: karbor_context.RequestContext) -> None:
    """Look whether Glance is there, and knows the user."""
    try:
        client = client_factory.ClientFactory.create_client('glance', context)
        retrying.retry(
            lambda _: client.images(name=images.NAME_PREFIX),
            service='Glance',
            errors=ks_exc.ClientException,
            is_passing=retrying.is_passing,
            retry_after=lambda _: 0.0,
            pauses=cinder_requests.pauses(),
            patience=_PATIENCE,
        )
    except exception.ServiceMissing as exc:
        raise exception.InPlaceNotPossible(
            reason=f'Cinder writes a snapshot over a volume by way of an image, and: {exc.msg}'
        ) from exc
    except ks_exc.ClientException as exc:
        raise exception.CloudUnavailable(reason=f'{images.described(exc)}.') from exc
