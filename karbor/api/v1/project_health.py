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

"""``/health`` of a project"""

from karbor import context as karbor_context
from karbor.api import query, schema
from karbor.api.media import Object
from karbor.api.operation import operation
from karbor.api.services import Handler
from karbor.api.v1 import coverage, troubles

HEALTH = schema.shown(
    'ProjectHealth',
    {
        'status': {'type': 'string', 'enum': ['ok', 'troubled']},
        'reasons': {'type': 'array', 'items': schema.TEXT},
        'coverage': coverage.TOTALS,
        'look': coverage.LOOK,
        'troubles': {'type': 'array', 'items': troubles.TROUBLE},
    },
)


def _is_troubled(answer: Object) -> bool:
    return bool(answer['health']['status'] != 'ok')


class Health(Handler):
    @operation('health:get', schema.wrapped('health', HEALTH), is_unwell=_is_troubled)
    def on_get(self, context: karbor_context.RequestContext) -> Object:
        found = self.services.project_health.look(context)
        return {
            'health': {
                'status': 'troubled' if found.reasons else 'ok',
                'reasons': found.reasons,
                'coverage': found.totals,
                'look': {
                    'seen_at': query.shown_moment_or_none(found.look.seen_at),
                    'fault': found.look.fault,
                    'remark': found.look.remark,
                },
                'troubles': [troubles.view(trouble) for trouble in found.troubles],
            }
        }
