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

"""Who may do what: oslo.policy rules, one module a resource.

Names are those of Karbor (contract, section H.1). What a rule allows is only ever done in
the caller's own project, since every query is scoped by it.
"""

from oslo_policy import policy

from karbor.policies import (
    base,
    checkpoints,
    copies,
    coverage,
    operation_logs,
    plans,
    protectables,
    providers,
    quotas,
    recovery_points,
    restores,
    scheduled_operations,
    schedules,
    services,
    triggers,
    troubles,
    verifications,
)

_MODULES = (
    base,
    providers,
    protectables,
    plans,
    checkpoints,
    recovery_points,
    coverage,
    copies,
    restores,
    verifications,
    triggers,
    scheduled_operations,
    schedules,
    operation_logs,
    troubles,
    services,
    quotas,
)


def list_rules() -> list[policy.RuleDefault]:
    """For oslopolicy-sample-generator, by the entry point ``oslo.policy.policies``."""
    return [rule for module in _MODULES for rule in module.RULES]
