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

"""What of a checkpoint is restored, and how: what a restore asks for beside its parameters.

The row of a restore has it as it was asked for: ``resources``, ``partial``, ``at`` of a restore by
time, and choices, which say how new resources are to differ from the old ones. A choice stands for
all resources, or in an entry of ``resources`` for that one.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import orm

from karbor import exception
from karbor.common import constants
from karbor.common.constants import RecoveryPointState as State
from karbor.db import models, recovery_points
from karbor.resource import Key, Resource
from karbor.services.protection import graph
from karbor.services.protection import provider as providers

Choices = Mapping[str, Any]

#: what a plugin may be able to do, if it says so; see ``ProtectionPlugin.get_restore_choices``
NAMES = (
    'name_suffix',
    'volume_type',
    'availability_zone',
    'size',
    'in_place',
    'safety',
    'accept_grown',
)

_ASKED = ('resources', 'partial', 'at', 'safety_keep', *NAMES)

# How what is new differs from what was; in place nothing is new.
_OF_NEW = ('name_suffix', 'volume_type', 'availability_zone', 'size')
_OF_IN_PLACE = ('safety', 'accept_grown', 'safety_keep')

# Of what can be tried, and of what is good as far as anybody knows.
_TRIED = frozenset((State.GOOD, State.UNKNOWN, State.MISSING))
_GOOD = frozenset((State.GOOD, State.UNKNOWN))


def asked(fields: Mapping[str, Any]) -> dict[str, Any] | None:
    """What a request asks for of this, as a row keeps it; None when it asks for nothing of it."""
    return {name: _whole(fields[name]) for name in _ASKED if fields.get(name)} or None


def _whole(value: Any) -> Any:
    """A value with its numbers as clouds take them: in JSON, 2.0 is an integer as well."""
    if isinstance(value, float):
        return int(value)
    if isinstance(value, Mapping):
        return {name: _whole(each) for name, each in value.items()}
    return [_whole(each) for each in value] if isinstance(value, list) else value


def by_resource(choices: Choices) -> dict[Key, dict[str, Any]]:
    """The choices of entries of ``resources``, by their types and ids."""
    return {
        (entry['type'], entry['id']): {name: entry[name] for name in NAMES if name in entry}
        for entry in choices.get('resources', ())
    }


def for_all(choices: Choices) -> dict[str, Any]:
    """The choices that stand for all resources."""
    return {name: choices[name] for name in NAMES if name in choices}


def in_place(
    choices: Choices, resources: Iterable[Resource]
) -> list[tuple[Resource, dict[str, Any]]]:
    """Those of the resources that are restored onto themselves, with the choices for them."""
    all_choices, own = for_all(choices), by_resource(choices)
    chosen = [(each, {**all_choices, **own.get(_key(each), {})}) for each in resources]
    return [
        (each, values)
        for each, values in chosen
        if values.get('in_place') and each.type not in recovery_points.WITHOUT_POINTS
    ]


def meant(roots: Sequence[graph.GraphNode], choices: Choices) -> list[Resource]:
    """The resources of a checkpoint that are asked for, each with all that it is restored with.

    :param roots: its graph.
    """
    if 'resources' in choices:
        named = by_resource(choices)
        roots = [node for node in graph.walk_nodes(roots) if _key(node.value) in named]
    return [node.value for node in graph.walk_nodes(roots)]


def check(
    provider: providers.Provider, checkpoint: models.Checkpoint, choices: Choices
) -> list[Resource]:
    """The same, when all that is asked for is in the checkpoint, and plugins can do it.

    :raises InvalidInput: tells the place and the fault.
    """
    roots = graph.deserialize(checkpoint.resource_graph)
    known = {_key(node.value) for node in graph.walk_nodes(roots)}
    seen: set[Key] = set()
    for number, entry in enumerate(choices.get('resources', ())):
        where, key = f'resources[{number}]', (entry['type'], entry['id'])
        if key not in known:
            raise _fault(where, f'the checkpoint {checkpoint.id} has no {"#".join(key)}')
        if key in seen:
            raise _fault(where, f'{"#".join(key)} is named before')
        seen.add(key)
        _check_served(provider, entry['type'], entry, where)
    resources = meant(roots, choices)
    for resource_type in {each.type for each in resources} - recovery_points.WITHOUT_POINTS:
        _check_served(provider, resource_type, for_all(choices), 'restore')
    overwritten = in_place(choices, resources)
    for resource, values in overwritten:
        for name in _OF_NEW:
            if name in values:
                raise _fault(name, f'{resource.key} is restored in place, and nothing is made anew')
    _check_of_in_place(choices, {_key(each) for each, _ in overwritten})
    return resources


def _check_of_in_place(choices: Choices, overwritten: Collection[Key]) -> None:
    """Look whether something that is said of what is overwritten is said of something else.

    :param overwritten: types and ids of what is restored in place.
    """
    for name in _OF_IN_PLACE:
        if choices.get(name) and not overwritten:
            raise _fault(name, 'nothing is restored in place')
    for number, (key, own) in enumerate(by_resource(choices).items()):
        for name in _OF_IN_PLACE:
            if own.get(name) and key not in overwritten:
                raise _fault(
                    f'resources[{number}]: {name}', f'{"#".join(key)} is not restored in place'
                )


def _check_served(
    provider: providers.Provider, resource_type: str, choices: Choices, where: str
) -> None:
    served = provider.restore_choices.get(resource_type, frozenset())
    for name in NAMES:
        if name in choices and name not in served:
            known = ', '.join(sorted(served)) or 'none'
            raise _fault(
                f'{where}: {name}',
                f'the plugin of {resource_type} does not serve this choice; it serves {known}',
            )


def left_out(
    session: orm.Session,
    checkpoint: models.Checkpoint,
    resources: Iterable[Resource],
    choices: Choices,
) -> list[dict[str, str]]:
    """What is asked for and left out since it is not good, with its type, id and reason.

    :param checkpoint: its row is locked.
    :param resources: those that are asked for.
    :raises InvalidInput: something cannot be had, and is not to be left out; or nothing is left.
    """
    points = {
        (point.resource_type, point.resource_id): point
        for point in recovery_points.of_checkpoints(session, [checkpoint.id])
    }
    wanted, is_partial = by_resource(choices), choices.get('partial', False)
    left: list[dict[str, str]] = []
    is_any = False
    for resource in resources:
        point = points.get(_key(resource))
        obstacle = None if point is None else _obstacle(point, _GOOD if is_partial else _TRIED)
        if obstacle is None:
            is_any = is_any or resource.type not in recovery_points.WITHOUT_POINTS
            size = {**for_all(choices), **wanted.get(_key(resource), {})}.get('size')
            _check_size(resource, point, size)
        elif is_partial:
            left.append({'type': resource.type, 'id': resource.id, 'reason': obstacle})
        elif 'resources' in choices:
            raise _fault('resources', f'{resource.key} cannot be restored: {obstacle}')
    if is_partial and not is_any:
        raise _fault('partial', f'nothing of it is good in the checkpoint {checkpoint.id}')
    return left


def leaves_out(choices: Choices, point: models.RecoveryPoint) -> bool:
    """Whether a resource is left out for the sake of its recovery point, as it is now."""
    return bool(choices.get('partial')) and point.state not in _GOOD


def obstacles(restore: models.Restore) -> dict[Key, str]:
    """Why some of what a restore asks for is left out, by types and ids."""
    return {(each['type'], each['id']): each['reason'] for each in restore.left_out or ()}


def _obstacle(point: models.RecoveryPoint, usable: Collection[State]) -> str | None:
    if point.state in usable:
        return None
    return f'its recovery point is {point.state}' + (f': {point.reason}' if point.reason else '')


def _check_size(resource: Resource, point: models.RecoveryPoint | None, size: int | None) -> None:
    if size is not None and point is not None and point.size is not None and size < point.size:
        raise _fault(
            'size', f'{resource.key} has {point.size} GiB in the checkpoint, and cannot have {size}'
        )


def is_begun_of(checkpoint: models.Checkpoint, choices: Choices) -> bool:
    """Whether a restore of a checkpoint in its status begins.

    One that is not good as a whole is restored when it is said what of it.
    """
    return checkpoint.status == constants.CheckpointStatus.AVAILABLE or (
        checkpoint.status == constants.CheckpointStatus.ERROR
        and bool(choices.get('partial') or 'resources' in choices)
    )


def _key(resource: Resource) -> Key:
    return resource.type, resource.id


def _fault(where: str, what: str) -> exception.InvalidInput:
    return exception.InvalidInput(reason=f'{where}: {what}.')
