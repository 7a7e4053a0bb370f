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
from typing import Any

import falcon

from karbor.api import errors, media, middleware
from karbor.api.v1 import checkpoints, plans, protectables, providers, uses, versions
from karbor.services.protection import manager as protection_manager
from karbor.services.protection import plans as plan_service
from karbor.services.protection import protectables as protectable_plugins
from karbor.services.protection import provider


@dataclasses.dataclass(frozen=True)
class Services:
    """What the API asks."""

    registry: provider.ProviderRegistry
    protectables: protectable_plugins.Protectables
    plans: plan_service.Plans
    manager: protection_manager.ProtectionManager


def create_app(services: Services, authentication: Any) -> falcon.App[Any, Any]:
    """The application.

    :param services: what the handlers ask.
    :param authentication: Falcon middleware that puts the caller's context into
        ``req.context.karbor`` or answers 401.
    """
    app = falcon.App(middleware=[middleware.RequestId(), middleware.BodyLimit(), authentication,
                                 middleware.OwnProject()])
    app.req_options.media_handlers = media.handlers()
    app.req_options.strip_url_path_trailing_slash = True
    errors.install(app)
    app.add_route('/', versions.Versions())
    app.add_route('/v1', versions.Version())
    for path, resource in _routes(services).items():
        app.add_route('/v1/{project_id}' + path, resource)
    return app


def _routes(services: Services) -> dict[str, Any]:
    registry, found, manager = services.registry, services.protectables, services.manager
    return {
        '/providers': providers.Providers(registry),
        '/providers/{provider_id}': providers.Provider(registry),
        '/providers/{provider_id}/checkpoints': checkpoints.Checkpoints(manager),
        '/providers/{provider_id}/checkpoints/{checkpoint_id}': checkpoints.Checkpoint(manager),
        '/protectables': protectables.Types(found),
        '/protectables/{resource_type}': protectables.Type(found),
        '/protectables/{resource_type}/instances': protectables.Instances(found),
        '/protectables/{resource_type}/instances/{resource_id}': protectables.Instance(found),
        '/plans': plans.Plans(services.plans),
        '/plans/{plan_id}': plans.Plan(services.plans),
        '/restores': uses.Restores(manager),
        '/restores/{use_id}': uses.Restore(manager),
        '/verifications': uses.Verifications(manager),
        '/verifications/{use_id}': uses.Verification(manager),
    }
