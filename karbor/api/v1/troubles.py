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

"""``/troubles``"""

from karbor import context as karbor_context
from karbor.api import query, schema
from karbor.api.media import Object
from karbor.api.operation import operation
from karbor.api.services import Handler
from karbor.common.constants import TroubleKind
from karbor.db import models, paging
from karbor.services.notifications.kinds import WORDS
from karbor.services.notifications.troubles import Standing

FILTERS: dict[str, schema.Schema] = {
    'state': {'enum': sorted(Standing)},
    'kind': {'enum': sorted(TroubleKind)},
    'subject_id': schema.FILTER,
}

TROUBLE = schema.shown(
    'Trouble',
    {
        'id': schema.UUID,
        'project_id': schema.TEXT,
        'kind': schema.TEXT,
        'subject_type': schema.TEXT,
        'subject_id': schema.TEXT,
        'subject_name': schema.TEXT,
        'reason': schema.TEXT,
        'advice': schema.TEXT,
        'count': schema.INTEGER,
        'state': schema.TEXT,
        'opened_at': schema.MOMENT,
        'updated_at': schema.MOMENT_OR_NULL,
        'closed_at': schema.MOMENT_OR_NULL,
    },
)

LISTING = query.Listing('troubles', FILTERS, ('id', 'kind', 'created_at'))


def view(trouble: models.Trouble) -> Object:
    words = WORDS[TroubleKind(trouble.kind)]
    return {
        **{
            name: getattr(trouble, name)
            for name in (
                'id',
                'project_id',
                'kind',
                'subject_id',
                'subject_name',
                'reason',
                'count',
            )
        },
        'subject_type': words.subject_type,
        'advice': words.advice,
        'state': Standing.OPEN if trouble.closed_at is None else Standing.CLOSED,
        'opened_at': query.shown_moment(trouble.created_at),
        'updated_at': query.shown_moment_or_none(trouble.updated_at),
        'closed_at': query.shown_moment_or_none(trouble.closed_at),
    }


class Troubles(Handler):
    @operation('trouble:get_all', schema.listed('troubles', TROUBLE), listing=LISTING)
    def on_get(
        self, _context: karbor_context.RequestContext, selection: paging.Selection
    ) -> query.Items:
        items, has_more = self.services.troubles.page(selection)
        return [view(item) for item in items], has_more


class Trouble(Handler):
    @operation('trouble:get', schema.wrapped('trouble', TROUBLE))
    def on_get(self, context: karbor_context.RequestContext, trouble_id: str) -> Object:
        return {'trouble': view(self.services.troubles.get(context, trouble_id))}
