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

"""Somebody with a token who asks a cloud's Karbor."""

from typing import Any

import requests

from karbor.tests.integration import base, cloud, service


class Caller:
    """Asks for things of one project with one token.

    :param url: of karbor-api.
    :param project_id: the project in the paths.
    :param token: sent in ``X-Auth-Token``; None sends none.
    """

    def __init__(self, url: str, project_id: str, token: str | None) -> None:
        self._url = f'{url}/v1/{project_id}'
        self._session = requests.Session()
        self._session.headers.update({'X-Auth-Token': token} if token else {})

    def ask(self, method: str, path: str, body: Any = None) -> requests.Response:
        """A request, whatever comes of it."""
        return self._session.request(method, self._url + path, json=body, timeout=60)

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """A request that is to succeed; returns the object under the answer's one key."""
        answer = self.ask(method, path, body)
        assert answer.status_code == 200, f'{method} {path}: {answer.status_code} {answer.text}'
        document = answer.json() if answer.content else {}
        return next(iter(document.values()), None)

    def plan(
        self, resource_ids: list[str], name: str = 'test', resource_type: str = base.VOLUME
    ) -> str:
        return self.call('POST', '/plans', plan_body(resource_ids, name, resource_type))['id']

    def protect(self, plan_id: str, **extra_info: str) -> str:
        """Begin to protect what a plan covers; returns the id of the checkpoint."""
        body = {'checkpoint': {'plan_id': plan_id, 'extra_info': extra_info}}
        return self.call('POST', CHECKPOINTS, body)['id']

    def checkpoint(self, checkpoint_id: str) -> Any:
        return self.call('GET', f'{CHECKPOINTS}/{checkpoint_id}')

    def wait_for_checkpoint(self, checkpoint_id: str, *statuses: str, seconds: float = 120) -> Any:
        """Wait until it has one of the statuses; returns the checkpoint."""

        def ended() -> Any:
            checkpoint = self.checkpoint(checkpoint_id)
            return checkpoint if checkpoint['status'] in statuses else None

        return cloud.wait_until(ended, f'checkpoint {checkpoint_id} {statuses}', seconds)

    def protected(self, plan_id: str, **extra_info: str) -> str:
        """The id of a new checkpoint that is available."""
        checkpoint_id = self.protect(plan_id, **extra_info)
        checkpoint = self.wait_for_checkpoint(checkpoint_id, 'available', 'error')
        assert checkpoint['status'] == 'available', checkpoint
        return checkpoint_id

    def use(self, kind: str, checkpoint_id: str, **fields: Any) -> str:
        """Begin a ``restore`` or a ``verification``; returns its id.

        :param fields: what it asks for beside the parameters.
        """
        return self.call(
            'POST',
            f'/{kind}s',
            {
                kind: {
                    'provider_id': service.PROVIDER_ID,
                    'checkpoint_id': checkpoint_id,
                    'parameters': {},
                    **fields,
                }
            },
        )['id']

    def wait_for_use(self, kind: str, use_id: str, seconds: float = 60) -> Any:
        """Wait for its end; returns the restore or verification."""

        def ended() -> Any:
            use = self.call('GET', f'/{kind}s/{use_id}')
            return use if use['status'] != 'in_progress' else None

        return cloud.wait_until(ended, f'{kind} {use_id}', seconds)

    def trigger(self, name: str = 'test', **properties: Any) -> str:
        return self.call(
            'POST',
            '/triggers',
            {
                'trigger_info': {
                    'name': name,
                    'type': 'time',
                    'properties': properties or {'format': 'crontab', 'pattern': '0 3 * * *'},
                }
            },
        )['id']

    def scheduled_operation(
        self,
        trigger_id: str,
        plan_id: str,
        name: str = 'test',
        operation_type: str = 'protect',
        **rules: Any,
    ) -> str:
        return self.call(
            'POST',
            '/scheduled_operations',
            {
                'scheduled_operation': {
                    'name': name,
                    'operation_type': operation_type,
                    'trigger_id': trigger_id,
                    'operation_definition': {
                        'provider_id': service.PROVIDER_ID,
                        'plan_id': plan_id,
                        **rules,
                    },
                }
            },
        )['id']

    def runs(self, operation_id: str) -> list[Any]:
        """The logs of the runs of a scheduled operation, oldest first."""
        return self.call(
            'GET',
            f'/operation_logs?scheduled_operation_id={operation_id}'
            f'&operation_type=protect&sort=created_at:asc',
        )

    def available(self) -> list[Any]:
        """The checkpoints that are available, oldest first."""
        return self.call('GET', f'{CHECKPOINTS}?status=available&sort=created_at:asc')


CHECKPOINTS = f'/providers/{service.PROVIDER_ID}/checkpoints'


def of(session: Any, url: str) -> Caller:
    """Who asks with the token of a session."""
    return Caller(url, session.get_project_id(), session.get_token())


def plan_body(resource_ids: list[str], name: str = 'test', resource_type: str = base.VOLUME) -> Any:
    """The body of a request for a plan."""
    return {
        'plan': {
            'name': name,
            'provider_id': service.PROVIDER_ID,
            'resources': [
                {'type': resource_type, 'id': resource_id, 'name': 'v'}
                for resource_id in resource_ids
            ],
            'parameters': base.PARAMETERS,
        }
    }
