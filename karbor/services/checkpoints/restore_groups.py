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

"""Restores by time: of each resource the newest good recovery point that is not too late.

They may be in several checkpoints, of each of which there is a restore of its own; the restores
share the id of the group.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from oslo_utils import uuidutils

from karbor import context as karbor_context
from karbor import db, exception
from karbor.db import models, recovery_points
from karbor.resource import Key
from karbor.services.checkpoints import restore_choices, use_begins
from karbor.services.protection import provider as providers

Entries = Sequence[Mapping[str, Any]]


def ask(
    context: karbor_context.RequestContext,
    registry: providers.ProviderRegistry,
    fields: Mapping[str, Any],
) -> list[use_begins.Asked[models.Restore]]:
    """The restores of a group, in the order in which their checkpoints are locked.

    :param fields: ``resources``; ``before``, a moment in UTC that is too late, and ``at``, as it
        was said; ``provider_id``, or None for any; ``parameters``; choices.
    :raises ProviderNotFound:
    :raises InvalidInput: tells the place and the fault.
    """
    if fields.get('provider_id') is not None:
        registry.get(fields['provider_id'])
    group_id = uuidutils.generate_uuid()
    return [
        use_begins.restore(
            context,
            registry.get(provider_id),
            {
                'checkpoint_id': checkpoint_id,
                'parameters': fields['parameters'],
                'resources': entries,
                'at': fields.get('at'),
                'safety_keep': fields.get('safety_keep'),
                **restore_choices.for_all(fields),
            },
            group_id=group_id,
        )
        for (checkpoint_id, provider_id), entries in sorted(_by_checkpoint(context, fields).items())
    ]


def _by_checkpoint(
    context: karbor_context.RequestContext, fields: Mapping[str, Any]
) -> dict[tuple[str, str], list[Mapping[str, Any]]]:
    """What is restored from each checkpoint, by the ids of it and of its provider."""
    keys = _keys(fields['resources'])
    with db.reader() as session:
        newest = recovery_points.newest_good(
            session, context.project_id, keys, fields['before'], fields.get('provider_id')
        )
    found: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for number, (key, entry) in enumerate(zip(keys, fields['resources'], strict=True)):
        point = newest.get(key)
        if point is None:
            when = f' that is not after {fields["at"]}' if fields.get('at') else ''
            raise exception.InvalidInput(
                reason=f'resources[{number}]: there is no good recovery point of '
                f'{"#".join(key)}{when}.'
            )
        found.setdefault((point.checkpoint_id, point.provider_id), []).append(entry)
    return found


def _keys(entries: Entries) -> list[Key]:
    keys: dict[Key, None] = {}
    for number, entry in enumerate(entries):
        key = (entry['type'], entry['id'])
        if key in keys:
            raise exception.InvalidInput(
                reason=f'resources[{number}]: {"#".join(key)} is named before.'
            )
        keys[key] = None
    return list(keys)
