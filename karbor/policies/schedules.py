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

"""Rules of schedules.

Each asks for what the triggers and scheduled operations ask for, which a schedule consists of. So
what an operator has changed of their rules holds here, too.
"""

from karbor.policies.base import rule

_ALL = '/schedules'
_ONE = _ALL + '/{schedule_id}'


def _both(action: str) -> str:
    """Who may do something with a trigger and with a scheduled operation."""
    return f'rule:trigger:{action} and rule:scheduled_operation:{action}'


RULES = (
    rule('schedule:list', _both('list'), 'List schedules.', ('GET', _ALL)),
    rule('schedule:get', _both('get'), 'Show a schedule.', ('GET', _ONE)),
    rule('schedule:create', _both('create'), 'Make a schedule.', ('POST', _ALL)),
    rule(
        'schedule:update',
        _both('update'),
        'Change a schedule, which may then act for the caller.',
        ('PUT', _ONE),
    ),
    rule('schedule:delete', _both('delete'), 'Remove a schedule.', ('DELETE', _ONE)),
    rule(
        'schedule:preview',
        'rule:plan:get_resources',
        'Look what a schedule would come to.',
        ('POST', _ALL + '/preview'),
    ),
)
