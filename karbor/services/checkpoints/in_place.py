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
    points = _points(checkpoint.id)
    by_type: dict[str, dict[str, protection_plugin.AskedInPlace]] = {}
    for resource, values in chosen:
        point = points.get((resource.type, resource.id))
        if point is None or not restore_choices.leaves_out(choices, point):
            by_type.setdefault(resource.type, {})[resource.id] = protection_plugin.AskedInPlace(
                size=None if point is None else point.size, choices=values
            )
    if not by_type:
        return
    if checkpoint.region is not None:
        regions.check(checkpoint.region, regions.acting(context))
    plugins = provider.new_plugins(by_type)
    for resource_type, asked in by_type.items():
        plugins[resource_type].check_in_place(asked, context)


def check_free(
    session: orm.Session,
    restore: models.Restore,
    resources: Sequence[Resource],
) -> None:
    """Look whether another restore, which is not finished, overwrites the same as a new one.

    :param resources: that are asked for.
    :raises ResourceHeld:
    """
    overwritten = _overwritten(restore, resources)
    for other, resource_graph in rows.choosing(session, restore.project_id) if overwritten else ():
        meant = restore_choices.meant(graph.deserialize(resource_graph), other.choices or {})
        both = overwritten & _overwritten(other, meant)
        if both:
            raise exception.ResourceHeld(
                reason=f'the restore {other.id} of {"#".join(min(both))} is not finished.'
            )


def _overwritten(restore: models.Restore, resources: Sequence[Resource]) -> set[Key]:
    """Types and ids of what a restore is to overwrite.

    :param resources: that it is about.
    """
    chosen = restore_choices.in_place(restore.choices or {}, resources)
    return {(each.type, each.id) for each, _ in chosen} - set(restore_choices.obstacles(restore))


def _points(checkpoint_id: str) -> dict[Key, models.RecoveryPoint]:
    with db.reader() as session:
        return {
            (point.resource_type, point.resource_id): point
            for point in recovery_points.of_checkpoints(session, [checkpoint_id])
        }
