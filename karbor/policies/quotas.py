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

"""Rules of quotas and quota classes."""

from karbor.policies.base import ADMIN, READER, rule

_QUOTA = '/quotas/{quota_project_id}'
_CLASS = '/quota_classes/{class_name}'

RULES = (
    rule(
        'quota:get',
        READER,
        'Show the limits of the project, and what it uses.',
        ('GET', _QUOTA),
        ('GET', f'{_QUOTA}/detail'),
    ),
    rule(
        'quota:get_default',
        READER,
        'Show the limits that a project has by default.',
        ('GET', f'{_QUOTA}/defaults'),
    ),
    rule(
        'quota:get_all_tenants',
        ADMIN,
        'Show the limits of another project.',
        ('GET', _QUOTA),
        ('GET', f'{_QUOTA}/detail'),
        ('GET', f'{_QUOTA}/defaults'),
    ),
    rule('quota:update', ADMIN, 'Change the limits of a project.', ('PUT', _QUOTA)),
    rule('quota:delete', ADMIN, 'Put a project back on the default limits.', ('DELETE', _QUOTA)),
    rule('quota_class:get', ADMIN, 'Show the limits of a class.', ('GET', _CLASS)),
    rule('quota_class:update', ADMIN, 'Change the limits of a class.', ('PUT', _CLASS)),
)
