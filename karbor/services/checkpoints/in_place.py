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

"""Whether a restore in place can be done, before anything of it is written."""

from collections.abc import Sequence

from sqlalchemy import orm

from karbor import context as karbor_context
from karbor import db, exception
from karbor.db import models, recovery_points
from karbor.db import safety as rows
from karbor.resource import Key, Resource
from karbor.services.checkpoints import regions, restore_choices
from karbor.services.protection import graph, protection_plugin
from karbor.services.protection import provider as providers


def check(
    context: karbor_context.RequestContext,
    provider: providers.Provider,
    checkpoint: models.Checkpoint,
    resources: Sequence[Resource],
    choices: restore_choices.Choices,
) -> None:
    """Let plugins look whether what is to be overwritten can be.

    :param resources: that are asked for.
    :raises InPlaceNotPossible: not in this cloud, or not as they are; tells what is lacking.
    :raises ResourceHeld: something holds one of them now.
    :raises CloudUnavailable: the cloud cannot tell.
    :raises OtherRegion: the checkpoint was made elsewhere.
    """
    chosen = restore_choices.in_place(choices, resources)
    if not chosen or not restore_choices.is_begun_of(checkpoint, choices):
        return
    if checkpoint.region is not None:
        regions.check(checkpoint.region, regions.acting(context))
    sizes = _sizes(checkpoint.id)
    by_type: dict[str, dict[str, protection_plugin.AskedInPlace]] = {}
    for resource, values in chosen:
        by_type.setdefault(resource.type, {})[resource.id] = protection_plugin.AskedInPlace(
            size=sizes.get((resource.type, resource.id)), choices=values
        )
    plugins = provider.new_plugins(by_type)
    for resource_type, asked in by_type.items():
        plugins[resource_type].check_in_place(asked, context)


def check_free(
    session: orm.Session,
    project_id: str,
    resources: Sequence[Resource],
    choices: restore_choices.Choices,
) -> None:
    """Look whether another restore, which is not finished, is to overwrite one of the resources.

    :param resources: that are asked for.
    :raises ResourceHeld:
    """
    chosen = {(each.type, each.id) for each, _ in restore_choices.in_place(choices, resources)}
    for restore, resource_graph in rows.choosing(session, project_id) if chosen else ():
        others = restore.choices or {}
        meant = restore_choices.meant(graph.deserialize(resource_graph), others)
        for each, _ in restore_choices.in_place(others, meant):
            if (each.type, each.id) in chosen:
                raise exception.ResourceHeld(
                    reason=f'the restore {restore.id} of {each.key} is not finished.'
                )


def _sizes(checkpoint_id: str) -> dict[Key, int | None]:
    """Of the recovery points of a checkpoint, in GiB."""
    with db.reader() as session:
        return {
            (point.resource_type, point.resource_id): point.size
            for point in recovery_points.of_checkpoints(session, [checkpoint_id])
        }
