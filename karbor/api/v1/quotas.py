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

"""``/quotas`` and ``/quota_classes``"""

import uuid

from karbor import context as karbor_context
from karbor import exception, policy
from karbor.api import schema
from karbor.api.media import Object
from karbor.api.operation import operation
from karbor.api.services import Handler
from karbor.services import quotas

LARGEST = 2147483647

_LIMIT: schema.Schema = {
    'type': ['integer', 'string'],
    'minimum': -1,
    'maximum': LARGEST,
    'pattern': r'^(-1|[0-9]{1,10})\Z',
}
_LIMITS: schema.Schema = {
    **schema.strict(dict.fromkeys(quotas.RESOURCES, _LIMIT), []),
    'minProperties': 1,
}

UPDATE = schema.wrapped('quota', _LIMITS)
UPDATE_CLASS = schema.wrapped('quota_class', _LIMITS)

_SHOWN_LIMIT: schema.Schema = {'type': 'integer', 'minimum': -1}
_SHOWN: schema.Schema = dict.fromkeys(quotas.RESOURCES, _SHOWN_LIMIT)

QUOTA = schema.wrapped('quota', schema.shown('Quota', {**_SHOWN, 'id': schema.TEXT}))
QUOTA_CLASS = schema.wrapped(
    'quota_class', schema.shown('QuotaClass', {**_SHOWN, 'id': schema.TEXT})
)

DETAIL = schema.shown(
    'QuotaDetail',
    {
        **{
            resource: schema.shown(
                'QuotaUsage',
                {'limit': _SHOWN_LIMIT, 'in_use': schema.INTEGER, 'reserved': schema.INTEGER},
            )
            for resource in quotas.RESOURCES
        },
        'id': schema.TEXT,
    },
)


class Quota(Handler):
    @operation('quota:get', QUOTA)
    def on_get(self, context: karbor_context.RequestContext, quota_project_id: str) -> Object:
        project_id = _own_or_any(context, quota_project_id)
        return {'quota': {**self.services.quotas.limits(project_id), 'id': quota_project_id}}

    @operation('quota:update', QUOTA, body=UPDATE)
    def on_put(
        self, context: karbor_context.RequestContext, quota_project_id: str, body: Object
    ) -> Object:
        limits = self.services.quotas.set_limits(
            context, _as_keystone_has_it(quota_project_id), _numbers(body['quota'])
        )
        return {'quota': {**limits, 'id': quota_project_id}}

    @operation('quota:delete')
    def on_delete(self, context: karbor_context.RequestContext, quota_project_id: str) -> None:
        self.services.quotas.unset_limits(context, _as_keystone_has_it(quota_project_id))


class QuotaDetail(Handler):
    @operation('quota:get', schema.wrapped('quota', DETAIL))
    def on_get(self, context: karbor_context.RequestContext, quota_project_id: str) -> Object:
        project_id = _own_or_any(context, quota_project_id)
        return {'quota': {**self.services.quotas.usage(project_id), 'id': quota_project_id}}


class QuotaDefaults(Handler):
    @operation('quota:get_default', QUOTA)
    def on_get(self, context: karbor_context.RequestContext, quota_project_id: str) -> Object:
        _own_or_any(context, quota_project_id)
        return {'quota': {**self.services.quotas.defaults(), 'id': quota_project_id}}


class QuotaClass(Handler):
    @operation('quota_class:get', QUOTA_CLASS)
    def on_get(self, _context: karbor_context.RequestContext, class_name: str) -> Object:
        return {'quota_class': {**self.services.quotas.class_limits(class_name), 'id': class_name}}

    @operation('quota_class:update', QUOTA_CLASS, body=UPDATE_CLASS)
    def on_put(
        self, context: karbor_context.RequestContext, class_name: str, body: Object
    ) -> Object:
        limits = self.services.quotas.set_class_limits(
            context, class_name, _numbers(body['quota_class'])
        )
        return {'quota_class': {**limits, 'id': class_name}}


def _own_or_any(context: karbor_context.RequestContext, project_id: str) -> str:
    """The project, if the caller may see its quotas.

    :raises ProjectNotFound: it is another's.
    """
    project_id = _as_keystone_has_it(project_id)
    if project_id != context.project_id and not policy.may(context, 'quota:get_all_tenants'):
        raise exception.ProjectNotFound(project_id=project_id)
    return project_id


def _as_keystone_has_it(project_id: str) -> str:
    """Keystone's ids of projects are without dashes; a limit under another would be lost."""
    return uuid.UUID(project_id).hex


def _numbers(limits: dict[str, int | str]) -> dict[str, int]:
    """:raises InvalidInput: a number in a text is too large."""
    numbers = {resource: int(limit) for resource, limit in limits.items()}
    for resource, number in numbers.items():
        if number > LARGEST:
            raise exception.InvalidInput(reason=f'{resource}: {number} is greater than {LARGEST}.')
    return numbers
