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

from collections.abc import Mapping
from typing import Any

import falcon

from karbor.api import errors, health, media, middleware, openapi
from karbor.api.services import Handler, Services
from karbor.api.v1 import (
    checkpoints,
    coverage,
    operation_logs,
    plans,
    project_health,
    protectables,
    providers,
    quotas,
    recovery_points,
    restore_groups,
    restores,
    retention,
    scheduled_operations,
    schedules,
    triggers,
    troubles,
    verifications,
    versions,
)
from karbor.api.v1 import services as processes

# What anybody may ask for, besides the document of all the others.
_PUBLIC: Mapping[str, type[Handler]] = {
    '/': versions.Versions,
    '/v1': versions.Version,
    '/healthcheck': health.Liveness,
    '/healthcheck/ready': health.Readiness,
}

_CHECKPOINTS = '/providers/{provider_id}/checkpoints'
_SCHEDULED_OPERATION = '/scheduled_operations/{scheduled_operation_id}'
_BELOW_A_PROJECT: Mapping[str, type[Handler]] = {
    '/providers': providers.Providers,
    '/providers/{provider_id}': providers.Provider,
    _CHECKPOINTS: checkpoints.Checkpoints,
    f'{_CHECKPOINTS}/action': checkpoints.Copies,
    _CHECKPOINTS + '/{checkpoint_id}': checkpoints.Checkpoint,
    _CHECKPOINTS + '/{checkpoint_id}/pin': checkpoints.Pin,
    '/recovery_points': recovery_points.RecoveryPoints,
    '/coverage': coverage.Coverage,
    '/protectables': protectables.Types,
    '/protectables/{resource_type}': protectables.Type,
    '/protectables/{resource_type}/instances': protectables.Instances,
    '/protectables/{resource_type}/instances/{resource_id}': protectables.Instance,
    '/plans': plans.Plans,
    '/plans/{plan_id}': plans.Plan,
    '/plans/{plan_id}/resources': plans.Resources,
    '/plans/{plan_id}/retention': retention.Preview,
    '/restores': restores.Restores,
    '/restores/{restore_id}': restores.Restore,
    '/restore_groups': restore_groups.RestoreGroups,
    '/restore_groups/{restore_group_id}': restore_groups.RestoreGroup,
    '/verifications': verifications.Verifications,
    '/verifications/{verification_id}': verifications.Verification,
    '/triggers': triggers.Triggers,
    '/triggers/{trigger_id}': triggers.Trigger,
    '/scheduled_operations': scheduled_operations.ScheduledOperations,
    _SCHEDULED_OPERATION: scheduled_operations.ScheduledOperation,
    f'{_SCHEDULED_OPERATION}/action': scheduled_operations.Runs,
    f'{_SCHEDULED_OPERATION}/retention': retention.OperationPreview,
    '/schedules': schedules.Schedules,
    '/schedules/preview': schedules.Preview,
    '/schedules/{schedule_id}': schedules.Schedule,
    '/troubles': troubles.Troubles,
    '/troubles/{trouble_id}': troubles.Trouble,
    '/health': project_health.Health,
    '/operation_logs': operation_logs.OperationLogs,
    '/operation_logs/{operation_log_id}': operation_logs.OperationLog,
    '/os-services': processes.Services,
    '/os-services/{service_id}': processes.Service,
    '/quotas/{quota_project_id}': quotas.Quota,
    '/quotas/{quota_project_id}/detail': quotas.QuotaDetail,
    '/quotas/{quota_project_id}/defaults': quotas.QuotaDefaults,
    '/quota_classes/{class_name}': quotas.QuotaClass,
}

#: what answers the operations of the API, by path
ROUTES: Mapping[str, type[Handler]] = {
    f'/v1/{{project_id}}{path}': handler for path, handler in _BELOW_A_PROJECT.items()
}


def create_app(
    services: Services, authentication: middleware.Authentication
) -> falcon.App[Any, Any]:
    """The application.

    :param services: what the handlers ask.
    :param authentication: finds out who asks.
    """
    stages: list[Any] = [  # Falcon sees by the methods of each when it is to be called
        middleware.RequestId(),
        middleware.BodyLimit(),
        middleware.JsonSuffix(),
        authentication,
        middleware.OwnProject(),
    ]
    app = falcon.App(middleware=stages)
    app.req_options.media_handlers = media.handlers()
    app.req_options.strip_url_path_trailing_slash = True
    errors.install(app)
    for path, handler in {**_PUBLIC, **ROUTES}.items():
        app.add_route(path, handler(services))
    app.add_route('/v1/openapi.json', openapi.Document(openapi.document(ROUTES)))
    return app
