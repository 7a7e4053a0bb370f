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

"""Looks at which volumes projects have, so that it can be said which are protected."""

import datetime
from collections.abc import Iterable
from typing import Any

from karbor import context as karbor_context
from karbor import db, exception
from karbor.db import looks, recovery_points
from karbor.services.cinder import requests as cinder_requests
from karbor.services.protection import client_factory

_PATIENCE = 10.0  # seconds; somebody waits for the answer


def look_as(context: karbor_context.RequestContext) -> None:
    """Look which volumes a caller's project has, as the caller.

    :raises InventoryFailed: Cinder cannot tell.
    """
    with db.reader() as session:
        seen_at = db.now(session)
    try:
        client = client_factory.ClientFactory.create_client('cinder', context)
        volumes = cinder_requests.listed(client.volumes, {}, _PATIENCE)
    except cinder_requests.CLIENT_ERRORS as exc:
        raise exception.InventoryFailed(reason=cinder_requests.describe(exc)) from exc
    write(context.project_id, volumes, seen_at)


def write(project_id: str, volumes: Iterable[Any], seen_at: datetime.datetime) -> None:
    """Write what a list of cinderclient's has of a project's volumes.

    :param seen_at: before they were listed, by the database's clock.
    """
    db.transaction(looks.write_volumes)(project_id, [_seen(each) for each in volumes], seen_at)


def _seen(volume: Any) -> looks.SeenVolume:
    return looks.SeenVolume(
        id=volume.id,
        name=recovery_points.stored_name(volume.name),
        status=volume.status,
        size=volume.size,
        metadata=dict(volume.metadata),
    )
