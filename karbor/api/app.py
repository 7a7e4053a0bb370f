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

"""The API as one WSGI application."""

import dataclasses
from collections.abc import Callable
from typing import Any

import falcon

from karbor.api import errors, health, media, middleware, openapi
from karbor.api.v1 import (
    checkpoints,
    operation_logs,
    plans,
    protectables,
    providers,
    quotas,
    retention,
    scheduled_operations,
    triggers,
    uses,
    versions,
)
from karbor.api.v1 import services as processes
from karbor.services.checkpoints import manager as protection_manager
from karbor.services.checkpoints import plans as plan_service
from karbor.services.protection import protectables as protectable_plugins
from karbor.services.protection import provider
from karbor.services.schedules import scheduled_operations as scheduled_operation_service


@dataclasses.dataclass(frozen=True)
class Services:
    """What the API asks."""

    registry: provider.ProviderRegistry
    protectables: protectable_plugins.Protectables
    plans: plan_service.Plans
    manager: protection_manager.ProtectionManager
    scheduled_operations: scheduled_operation_service.ScheduledOperations
    check_board: Callable[[], None]


def create_app(services: Services, authentication: Any) -> falcon.App[Any, Any]:
    """The application.

    :param services: what the handlers ask.
    :param authentication: Falcon middleware that puts the caller's context into
        ``req.context.karbor`` or answers 401.
    """
    app = falcon.App(
        middleware=[
            middleware.RequestId(),
            middleware.BodyLimit(),
            middleware.JsonSuffix(),
            authentication,
            middleware.OwnProject(),
        ]
    )
    app.req_options.media_handlers = media.handlers()
    app.req_options.strip_url_path_trailing_slash = True
    errors.install(app)
    resources = routes(services)
    app.add_route('/', versions.Versions())
    app.add_route('/v1', versions.Version())
    app.add_route('/v1/openapi.json', openapi.Document(openapi.document(resources)))
    app.add_route('/healthcheck', health.Liveness())
    app.add_route('/healthcheck/ready', health.Readiness(services.registry, services.check_board))
    for path, resource in resources.items():
        app.add_route(path, resource)
    return app


def routes(services: Services) -> dict[str, Any]:
    """What answers below a project, by path."""
    return {
        f'/v1/{{project_id}}{path}': resource
        for path, resource in {
            **_protection(services),
            **_schedules(services),
            **_administration(),
        }.items()
    }


def _protection(services: Services) -> dict[str, Any]:
    registry, found, manager = services.registry, services.protectables, services.manager
    all_checkpoints = '/providers/{provider_id}/checkpoints'
    return {
        '/providers': providers.Providers(registry),
        '/providers/{provider_id}': providers.Provider(registry),
        all_checkpoints: checkpoints.Checkpoints(manager),
        f'{all_checkpoints}/action': checkpoints.Copies(manager),
        all_checkpoints + '/{checkpoint_id}': checkpoints.Checkpoint(manager),
        all_checkpoints + '/{checkpoint_id}/pin': checkpoints.Pin(manager),
        '/protectables': protectables.Types(found),
        '/protectables/{resource_type}': protectables.Type(found),
        '/protectables/{resource_type}/instances': protectables.Instances(found),
        '/protectables/{resource_type}/instances/{resource_id}': protectables.Instance(found),
        '/plans': plans.Plans(services.plans),
        '/plans/{plan_id}': plans.Plan(services.plans),
        '/plans/{plan_id}/retention': retention.Preview(),
        '/restores': uses.Restores(manager),
        '/restores/{restore_id}': uses.Restore(manager),
        '/verifications': uses.Verifications(manager),
        '/verifications/{verification_id}': uses.Verification(manager),
    }


def _schedules(services: Services) -> dict[str, Any]:
    operations = services.scheduled_operations
    one_operation = '/scheduled_operations/{scheduled_operation_id}'
    return {
        '/triggers': triggers.Triggers(),
        '/triggers/{trigger_id}': triggers.Trigger(),
        '/scheduled_operations': scheduled_operations.ScheduledOperations(operations),
        one_operation: scheduled_operations.ScheduledOperation(operations),
        f'{one_operation}/action': scheduled_operations.Runs(operations),
        '/operation_logs': operation_logs.OperationLogs(),
        '/operation_logs/{operation_log_id}': operation_logs.OperationLog(),
    }


def _administration() -> dict[str, Any]:
    return {
        '/os-services': processes.Services(),
        '/os-services/{service_id}': processes.Service(),
        '/quotas/{quota_project_id}': quotas.Quota(),
        '/quotas/{quota_project_id}/detail': quotas.QuotaDetail(),
        '/quotas/{quota_project_id}/defaults': quotas.QuotaDefaults(),
        '/quota_classes/{class_name}': quotas.QuotaClass(),
    }
