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

"""Cinder volumes as protectable resources."""

import functools
import weakref
from collections.abc import MutableMapping, Sequence
from typing import Any

from cinderclient import exceptions as cinder_exc
from oslo_utils import uuidutils

from karbor import context as karbor_context
from karbor import exception
from karbor.common import constants
from karbor.resource import Resource
from karbor.services.cinder import requests as cinder_requests
from karbor.services.protection import choices, client_factory, protectable_plugin
from karbor.services.protection.protectable_plugins import pod_volumes

# Statuses of volumes that are not offered to be put into a plan.
_UNUSABLE_STATUSES = frozenset(('error', 'deleting', 'error_deleting'))

# A person or a program waits for the answer, so a failing Cinder is not tried for long.
_PATIENCE = 10.0

# More than so many volumes are found in the list of all, not one by one.
_MOST_REQUESTS = 20


class VolumeProtectablePlugin(protectable_plugin.ProtectablePlugin):
    """The volumes of the caller's project, each also a child of that project.

    And of the servers that it is attached to, and of the pods that mount it.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._listings: MutableMapping[karbor_context.RequestContext, list[Any]] = (
            weakref.WeakKeyDictionary()
        )

    def get_resource_type(self) -> str:
        return constants.VOLUME_RESOURCE_TYPE

    def get_parent_resource_types(self) -> tuple[str, ...]:
        return (
            constants.SERVER_RESOURCE_TYPE,
            constants.POD_RESOURCE_TYPE,
            constants.PROJECT_RESOURCE_TYPE,
        )

    def list_resources(
        self, context: karbor_context.RequestContext, parameters: dict[str, Any] | None = None
    ) -> list[Resource]:
        return [
            _resource(volume)
            for volume in _listed(context)
            if volume.status not in _UNUSABLE_STATUSES
        ]

    def page_of_resources(
        self,
        context: karbor_context.RequestContext,
        parameters: dict[str, Any] | None,
        marker: str | None,
        limit: int,
    ) -> tuple[list[Resource], bool]:
        manager, has_all = _manager(context), False
        if marker is not None and _own(manager, context, marker) is None:
            raise exception.MarkerNotFound(marker=marker)
        usable: list[Any] = []
        while not has_all and len(usable) <= limit:
            volumes = _page(manager, limit + 1, marker)
            usable += [volume for volume in volumes if volume.status not in _UNUSABLE_STATUSES]
            has_all = len(volumes) <= limit
            marker = volumes[-1].id if volumes else None
        return [_resource(volume) for volume in usable[:limit]], len(usable) > limit

    def show_resource(
        self,
        context: karbor_context.RequestContext,
        resource_id: str,
        parameters: dict[str, Any] | None = None,
    ) -> Resource:
        found = _finding(resource_id, _own(_manager(context), context, resource_id))
        if isinstance(found, Resource):
            return found
        raise found

    def find_resources(
        self, context: karbor_context.RequestContext, resource_ids: Sequence[str]
    ) -> dict[str, protectable_plugin.Finding]:
        if len(resource_ids) <= _MOST_REQUESTS:
            return super().find_resources(context, resource_ids)
        volumes = {volume.id: volume for volume in _listed(context)}
        return {
            resource_id: _finding(resource_id, volumes.get(resource_id))
            for resource_id in resource_ids
        }

    def get_dependent_resources(
        self, context: karbor_context.RequestContext, parent_resource: Resource
    ) -> list[Resource]:
        """The volumes of a project, which must be the caller's, whatever their status.

        One that cannot be protected now is to be missed, not left out without a word. Those are
        left out that the project's ``extra_info`` leaves out. Of a server or a pod it is the
        project's volumes that it has.

        :raises ProtectableResourceNotFound: it is another project.
        """
        if parent_resource.type == constants.SERVER_RESOURCE_TYPE:
            return [
                _resource(volume)
                for volume in self._listed_once(context)
                if any(each.get('server_id') == parent_resource.id for each in volume.attachments)
            ]
        if parent_resource.type == constants.POD_RESOURCE_TYPE:
            ids = pod_volumes.volume_ids(context, parent_resource)
            return [_resource(each) for each in self._listed_once(context) if each.id in ids]
        _check_project(context, parent_resource)
        choice = choices.stored(parent_resource.extra_info)
        return [
            _resource(volume)
            for volume in _listed(context)
            if choice.judge(volume.name or '', volume.metadata).is_in
        ]

    def page_of_children(
        self,
        context: karbor_context.RequestContext,
        parent_resource: Resource,
        marker: str | None,
        limit: int,
    ) -> list[protectable_plugin.Child]:
        if parent_resource.type != constants.PROJECT_RESOURCE_TYPE:
            return super().page_of_children(context, parent_resource, marker, limit)
        _check_project(context, parent_resource)
        choice = choices.stored(parent_resource.extra_info)
        manager = _manager(context)
        if marker is not None and _own(manager, context, marker) is None:
            raise exception.MarkerNotFound(marker=marker)
        return [
            (_resource(volume), _judge(choice, volume)) for volume in _page(manager, limit, marker)
        ]

    def _listed_once(self, context: karbor_context.RequestContext) -> list[Any]:
        """All volumes, listed once a context: Cinder cannot be asked for those of one server."""
        if context not in self._listings:
            self._listings[context] = _listed(context)
        return self._listings[context]


def _check_project(context: karbor_context.RequestContext, resource: Resource) -> None:
    """:raises ProtectableResourceNotFound: it is not the caller's project."""
    if resource.id != context.project_id:
        raise exception.ProtectableResourceNotFound(
            type=resource.type, id=resource.id, reason='it is not the project that you act in.'
        )


def _judge(choice: choices.Choice, volume: Any) -> choices.Verdict:
    verdict = choice.judge(volume.name or '', volume.metadata)
    return verdict.of_unusable(volume.status) if volume.status in _UNUSABLE_STATUSES else verdict


def _finding(volume_id: str, volume: Any) -> protectable_plugin.Finding:
    """What there is of a volume.

    :param volume: None when the project has none of that id.
    """
    if volume is None:
        return exception.ProtectableResourceNotFound(
            type=constants.VOLUME_RESOURCE_TYPE,
            id=volume_id,
            reason='the project has no such volume',
        )
    if volume.status in _UNUSABLE_STATUSES:
        return exception.ProtectableResourceInvalidStatus(
            type=constants.VOLUME_RESOURCE_TYPE, id=volume_id, status=volume.status
        )
    return _resource(volume)


def _manager(context: karbor_context.RequestContext) -> Any:
    return client_factory.ClientFactory.create_client('cinder', context).volumes


def _listed(context: karbor_context.RequestContext) -> list[Any]:
    """All volumes of the caller's project."""
    try:
        return cinder_requests.listed(_manager(context), {}, _PATIENCE)
    except cinder_requests.CLIENT_ERRORS as exc:
        raise _failed(exc) from exc


def _own(manager: Any, context: karbor_context.RequestContext, volume_id: str) -> Any:
    """A volume of the caller's project; None when it has none of that id.

    Cinder shows administrators those of all projects.
    """
    if not uuidutils.is_uuid_like(volume_id):  # `detail` would be another URL
        return None
    try:
        volume = cinder_requests.retry(functools.partial(manager.get, volume_id), _PATIENCE)
    except (cinder_exc.NotFound, cinder_exc.BadRequest):
        return None
    except cinder_requests.CLIENT_ERRORS as exc:
        raise _failed(exc) from exc
    owner = getattr(volume, 'os-vol-tenant-attr:tenant_id', context.project_id)
    return volume if owner == context.project_id else None


def _page(manager: Any, limit: int, marker: str | None) -> list[Any]:
    """Some volumes by their ids.

    :param marker: id of the volume before the first.
    """

    def page() -> list[Any]:
        try:
            return cinder_requests.page(manager, {}, limit=limit, marker=marker, sort='id:asc')
        except cinder_requests.MarkerGone as exc:
            raise exception.MarkerNotFound(marker=marker) from exc

    try:
        return cinder_requests.retry(page, _PATIENCE)
    except cinder_requests.CLIENT_ERRORS as exc:
        raise _failed(exc) from exc


def _failed(error: Exception) -> exception.ListProtectableResourceFailed:
    return exception.ListProtectableResourceFailed(
        type=constants.VOLUME_RESOURCE_TYPE,
        reason=cinder_requests.describe(error),
        is_passing=cinder_requests.is_unanswered(error),
    )


def _resource(volume: Any) -> Resource:
    return Resource(
        constants.VOLUME_RESOURCE_TYPE,
        volume.id,
        volume.name or '',
        {'availability_zone': volume.availability_zone},
    )
