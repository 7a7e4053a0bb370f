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

"""Asks oslo.policy whether a caller may do something."""

import functools
from typing import Any

from oslo_config import cfg
from oslo_context import context as oslo_context
from oslo_policy import policy

from karbor import exception, policies


@functools.cache
def enforcer() -> policy.Enforcer:
    """The enforcer of this process, with the rules of ``[oslo_policy] policy_file``."""
    enforcer = policy.Enforcer(cfg.CONF)
    enforcer.register_defaults(policies.list_rules())
    return enforcer


def may(
    context: oslo_context.RequestContext, rule: str, target: dict[str, Any] | None = None
) -> bool:
    """Whether a caller may do what a rule is about.

    :param target: what it is to be done to; without it, what is the caller's own.
    """
    if target is None:
        target = {'project_id': context.project_id, 'user_id': context.user_id}
    try:
        return bool(enforcer().authorize(rule, target, context))
    except policy.InvalidScope:
        return False


def authorize(
    context: oslo_context.RequestContext, rule: str, target: dict[str, Any] | None = None
) -> None:
    """:raises PolicyNotAuthorized: the caller may not do what the rule is about."""
    if not may(context, rule, target):
        raise exception.PolicyNotAuthorized(action=rule)
