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

"""Rules of scheduled operations."""

from karbor.policies.base import MEMBER, READER, rule

_ALL = '/scheduled_operations'
_ONE = _ALL + '/{scheduled_operation_id}'

RULES = (
    rule('scheduled_operation:list', READER, 'List scheduled operations.', ('GET', _ALL)),
    rule('scheduled_operation:get', READER, 'Show a scheduled operation.', ('GET', _ONE)),
    rule('scheduled_operation:create', MEMBER, 'Make a scheduled operation.', ('POST', _ALL)),
    rule(
        'scheduled_operation:update',
        MEMBER,
        'Change a scheduled operation, which may then act for the caller.',
        ('PUT', _ONE),
    ),
    rule(
        'scheduled_operation:run',
        MEMBER,
        'Run a scheduled operation now.',
        ('POST', _ONE + '/action'),
    ),
    rule(
        'scheduled_operation:preview_retention',
        READER,
        'Look what the retention of a scheduled operation would keep.',
        ('POST', _ONE + '/retention'),
    ),
    rule('scheduled_operation:delete', MEMBER, 'Remove a scheduled operation.', ('DELETE', _ONE)),
)
