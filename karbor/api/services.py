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

"""What the handlers of the API ask, and how they come by it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol, Self

from karbor.services.checkpoints.commands import Commands
from karbor.services.checkpoints.coverage import Coverage
from karbor.services.checkpoints.operation_logs import OperationLogs
from karbor.services.checkpoints.plan_resources import PlanResources
from karbor.services.checkpoints.plans import Plans
from karbor.services.checkpoints.queries import Queries
from karbor.services.checkpoints.recovery_points import RecoveryPoints
from karbor.services.identity.trusts import Trusts
from karbor.services.notifications.project_health import ProjectHealth
from karbor.services.notifications.troubles import Troubles
from karbor.services.processes import Processes
from karbor.services.protection.protectables import Protectables
from karbor.services.protection.provider import ProviderRegistry
from karbor.services.quotas import Quotas
from karbor.services.schedules.previews import SchedulePreviews
from karbor.services.schedules.retention_jobs import Retention
from karbor.services.schedules.scheduled_operations import ScheduledOperations
from karbor.services.schedules.schedules import Schedules
from karbor.services.schedules.triggers import Triggers


class JobBoard(Protocol):
    """Where the jobs are left that requests ask for."""

    def post(self, job_id: str) -> None:
        """Have a job done, whose row is there already."""

    def check(self) -> None:
        """:raises Exception: nobody would take it."""


@dataclass(frozen=True, kw_only=True)
class Services:
    """All that the API asks. What has a default is the same in every process."""

    providers: ProviderRegistry
    protectables: Protectables
    plans: Plans
    plan_resources: PlanResources
    coverage: Coverage
    commands: Commands
    queries: Queries
    scheduled_operations: ScheduledOperations
    schedules: Schedules
    schedule_previews: SchedulePreviews
    troubles: Troubles
    project_health: ProjectHealth
    check_board: Callable[[], None]  # raises when the job board does not work
    recovery_points: RecoveryPoints = field(default_factory=RecoveryPoints)
    triggers: Triggers = field(default_factory=Triggers)
    retention: Retention = field(default_factory=Retention)
    operation_logs: OperationLogs = field(default_factory=OperationLogs)
    quotas: Quotas = field(default_factory=Quotas)
    processes: Processes = field(default_factory=Processes)

    @classmethod
    def on(
        cls,
        registry: ProviderRegistry,
        protectable_plugins: Protectables,
        used_trusts: Trusts,
        board: JobBoard,
    ) -> Self:
        """Those of a process.

        :param registry: the providers.
        :param protectable_plugins: what finds resources.
        :param used_trusts: where the trusts come from that jobs act by.
        :param board: where jobs are left.
        """
        plan_resources = PlanResources(registry, protectable_plugins)
        coverage, troubles = Coverage(), Troubles()
        return cls(
            providers=registry,
            protectables=protectable_plugins,
            plans=Plans(registry, protectable_plugins),
            plan_resources=plan_resources,
            commands=Commands(registry, protectable_plugins, board.post, used_trusts),
            queries=Queries(registry),
            scheduled_operations=ScheduledOperations(used_trusts, board.post),
            schedules=Schedules(used_trusts),
            schedule_previews=SchedulePreviews(plan_resources, coverage),
            coverage=coverage,
            troubles=troubles,
            project_health=ProjectHealth(coverage, troubles),
            check_board=board.check,
        )


class Handler:
    """What answers the requests for one path.

    :param services: what it asks.
    """

    def __init__(self, services: Services) -> None:
        self.services = services
