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

"""The personas that rules are made of.

A reader sees, a member makes, mends and removes, an administrator sees all projects and sets
limits, a service looks after Karbor's processes. A manager is a member that an operator's rules may
leave more to. Each can do what the one before can, if Keystone implies the roles, as it does by
default.
"""

from collections.abc import Sequence

from oslo_policy import policy

ADMIN = 'rule:context_is_admin'
SERVICE_OR_ADMIN = 'rule:service_or_admin'
READER = 'rule:project_reader'
MEMBER = 'rule:project_member'

ALL_TENANTS = 'all_tenants:get'

_IN_PROJECT = 'project_id:%(project_id)s'


def rule(
    name: str, persona: str, description: str, *operations: tuple[str, str]
) -> policy.DocumentedRuleDefault:
    """One rule.

    :param persona: who may.
    :param operations: pairs of method and path, below ``/v1/{project_id}``.
    """
    return policy.DocumentedRuleDefault(
        name=name,
        check_str=persona,
        description=description,
        scope_types=['project'],
        operations=[
            {'method': method, 'path': f'/v1/{{project_id}}{path}'} for method, path in operations
        ],
    )


RULES: Sequence[policy.RuleDefault] = (
    policy.RuleDefault('context_is_admin', 'role:admin', 'An administrator.'),
    policy.RuleDefault(
        'service_or_admin',
        f'role:service or {ADMIN}',
        'Another service of the cloud, or an administrator.',
    ),
    policy.RuleDefault(
        'project_reader',
        f'(role:reader and {_IN_PROJECT}) or rule:project_member',
        'Who may look at what the project has.',
    ),
    policy.RuleDefault(
        'project_member',
        f'(role:member and {_IN_PROJECT}) or rule:project_manager',
        'Who may change what the project has.',
    ),
    policy.RuleDefault(
        'project_manager',
        f'(role:manager and {_IN_PROJECT}) or {ADMIN}',
        'Who may do what a member may, and what an operator leaves to managers.',
    ),
    rule(
        ALL_TENANTS,
        ADMIN,
        'List what other projects have, with all_tenants or project_id.',
        *(
            ('GET', path)
            for path in (
                '/plans',
                '/providers/{provider_id}/checkpoints',
                '/recovery_points',
                '/restores',
                '/verifications',
                '/triggers',
                '/scheduled_operations',
                '/schedules',
                '/operation_logs',
                '/troubles',
            )
        ),
    ),
)
