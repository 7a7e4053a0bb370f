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

"""Bodies of quota requests, and quotas as they are answered."""

from karbor.api.schemas import types
from karbor.services import quotas

LARGEST = 2147483647

_LIMIT: types.Schema = {
    'type': ['integer', 'string'],
    'minimum': -1,
    'maximum': LARGEST,
    'pattern': r'^(-1|[0-9]{1,10})\Z',
}
_LIMITS: types.Schema = {
    **types.strict(dict.fromkeys(quotas.RESOURCES, _LIMIT), []),
    'minProperties': 1,
}

UPDATE = types.wrapped('quota', _LIMITS)
UPDATE_CLASS = types.wrapped('quota_class', _LIMITS)

_SHOWN_LIMIT: types.Schema = {'type': 'integer', 'minimum': -1}
_SHOWN: types.Schema = dict.fromkeys(quotas.RESOURCES, _SHOWN_LIMIT)

QUOTA = types.shown('Quota', {**_SHOWN, 'id': types.TEXT})
QUOTA_CLASS = types.shown('QuotaClass', {**_SHOWN, 'id': types.TEXT})

DETAIL = types.shown(
    'QuotaDetail',
    {
        **{
            resource: types.shown(
                'QuotaUsage',
                {'limit': _SHOWN_LIMIT, 'in_use': types.INTEGER, 'reserved': types.INTEGER},
            )
            for resource in quotas.RESOURCES
        },
        'id': types.TEXT,
    },
)
