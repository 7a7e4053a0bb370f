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

"""Rules of plans."""

from karbor.policies.base import MEMBER, READER, rule

RULES = (
    rule('plan:get_all', READER, 'List plans.', ('GET', '/plans')),
    rule('plan:get', READER, 'Show a plan.', ('GET', '/plans/{plan_id}')),
    rule(
        'plan:get_resources',
        READER,
        'Look what a plan covers now.',
        ('GET', '/plans/{plan_id}/resources'),
    ),
    rule(
        'plan:preview_retention',
        READER,
        'Look which checkpoints of a plan a retention would keep.',
        ('POST', '/plans/{plan_id}/retention'),
    ),
    rule('plan:create', MEMBER, 'Make a plan.', ('POST', '/plans')),
    rule('plan:update', MEMBER, 'Change a plan.', ('PUT', '/plans/{plan_id}')),
    rule('plan:delete', MEMBER, 'Remove a plan.', ('DELETE', '/plans/{plan_id}')),
)
