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

"""``/restore_groups``: restores by time."""

import datetime
from collections.abc import Sequence

from karbor import context as karbor_context
from karbor.api import query, schema
from karbor.api.media import Object
from karbor.api.operation import operation
from karbor.api.v1 import restores
from karbor.common import constants
from karbor.services.checkpoints import restore_results

CREATE = schema.wrapped(
    'restore_group',
    schema.strict(
        {
            'resources': restores.RESOURCES,
            'at': {'type': 'string', 'maxLength': 64},
            'provider_id': schema.UUID,
            'parameters': schema.PARAMETERS,
            'safety_keep': restores.SAFETY_KEEP,
            **restores.CHOICES,
        },
        ['resources'],
    ),
)

RESTORE_GROUP = schema.shown(
    'RestoreGroup',
    {
        'id': schema.UUID,
        'project_id': schema.TEXT,
        'at': schema.TEXT_OR_NULL,
        'status': schema.TEXT,
        'restores': {'type': 'array', 'items': restores.RESTORE},
    },
)
ONE = schema.wrapped('restore_group', RESTORE_GROUP)


class _GroupHandler(restores.RestoreHandler):
    def group(self, members: Sequence[restore_results.WholeRestore]) -> Object:
        first = members[0].row
        return {
            'restore_group': {
                'id': first.group_id,
                'project_id': first.project_id,
                'at': (first.choices or {}).get('at'),
                'status': _status({member.row.status for member in members}),
                'restores': [self.whole(member) for member in members],
            }
        }


def _status(statuses: set[str]) -> str:
    """That of all of them together."""
    for status in (constants.OperationStatus.IN_PROGRESS, constants.OperationStatus.FAIL):
        if status in statuses:
            return status
    return constants.OperationStatus.SUCCESS


def _before(at: str | None) -> datetime.datetime:
    """The first moment that is too late.

    :raises InvalidInput: it is neither a day nor a moment.
    """
    return datetime.datetime.max if at is None else query.end_of('at', at)


class RestoreGroups(_GroupHandler):
    @operation('restore_group:create', ONE, body=CREATE)
    def on_post(self, context: karbor_context.RequestContext, body: Object) -> Object:
        fields = body['restore_group']
        begun = self.services.commands.create_restore_group(
            context, {'parameters': {}, **fields, 'before': _before(fields.get('at'))}
        )
        return self.group([self.services.queries.begun(restore) for restore in begun])


class RestoreGroup(_GroupHandler):
    @operation('restore_group:get', ONE)
    def on_get(self, context: karbor_context.RequestContext, restore_group_id: str) -> Object:
        return self.group(self.services.queries.restore_group(context, restore_group_id))
