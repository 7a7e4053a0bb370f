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

"""What jobs about a checkpoint share: hooks on its resources, and what to tell of them."""

from collections.abc import Mapping

from karbor.db import models
from karbor.resource import Resource
from karbor.services.cinder import requests as cinder_requests
from karbor.services.jobs import hooks
from karbor.services.jobs.kinds import Attempt
from karbor.services.protection import graph


def run_hooks(
    attempt: Attempt, row: models.Checkpoint, job_hooks: hooks.JobHooks
) -> hooks.Failures:
    """Run the hooks on all resources of a checkpoint; returns those that failed, and why."""
    return job_hooks.run(
        graph.deserialize(row.resource_graph), attempt.environment.max_concurrent_resources
    )


def summary(failures: Mapping[Resource, str], total: int) -> str | None:
    """One line about all failures; None when there is none."""
    if not failures:
        return None
    resource, reason = next(
        (item for item in failures.items() if is_of_quota(item[1])), next(iter(failures.items()))
    )
    more = f'; and {len(failures) - 1} more' if len(failures) > 1 else ''
    return f'{len(failures)} of {total} resources failed: {resource.key}: {reason}{more}'


def is_of_quota(reason: str | None) -> bool:
    return cinder_requests.QUOTA_EXCEEDED in (reason or '')
