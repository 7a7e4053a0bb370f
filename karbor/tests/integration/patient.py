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

"""Somebody who asks a cloud's Karbor whose processes die, and in whose cloud services are away."""

import collections
import time
import uuid
from collections.abc import Callable
from typing import Any

import requests

from karbor.tests.integration import base, callers, cloud, service

# Between a request that broke and the look at what came of it, in seconds.
_PAUSE = 0.3


class PatientCaller(callers.Caller):
    """Asks again until there is an answer, and has nothing made twice.

    What a broken request was to make carries a name that nothing else has, and is looked for
    before the request is repeated. ``troubles`` counts what came in place of answers.

    :param url: of karbor-api.
    :param session: whose token is used.
    :param patience: for how long it asks, in seconds.
    """

    def __init__(self, url: str, session: Any, patience: float = 60) -> None:
        super().__init__(url, session.get_project_id(), session.get_token())
        self._patience = patience
        self.troubles: collections.Counter[str] = collections.Counter()

    def attempt(self, method: str, path: str, body: Any = None) -> requests.Response | None:
        """A request; None when nobody answers, or the answer is that this cannot be done now."""
        try:
            answer = super().ask(method, path, body)
        except requests.RequestException as exc:
            self.troubles[type(exc).__name__] += 1
        else:
            if answer.status_code < 500:
                return answer
            self.troubles[f'{answer.status_code} {_message(answer)}'] += 1
        time.sleep(_PAUSE)
        return None

    def ask(self, method: str, path: str, body: Any = None) -> requests.Response:
        """A request that may be sent any number of times."""

        def answers() -> list[requests.Response]:
            answer = self.attempt(method, path, body)
            return [] if answer is None else [answer]  # a Response with an error is false

        return cloud.wait_until(answers, f'{method} {path}', self._patience)[0]

    def make(self, path: str, body: Any, find: Callable[[], Any]) -> Any:
        """A POST whose effect is to be there once.

        :param find: looks for what a request has made whose answer was lost.
        """

        def made() -> Any:
            answer = self.attempt('POST', path, body)
            if answer is None:
                return find()
            assert answer.status_code == 200, f'POST {path}: {answer.status_code} {answer.text}'
            return next(iter(answer.json().values()))

        return cloud.wait_until(made, f'POST {path}', self._patience)

    def plan(
        self, resource_ids: list[str], name: str = '', resource_type: str = base.VOLUME
    ) -> str:
        name = name or uuid.uuid4().hex
        return self.make(
            '/plans',
            callers.plan_body(resource_ids, name, resource_type),
            lambda: self._named('/plans', 'name', name),
        )['id']

    def protect(self, plan_id: str) -> str:
        name = uuid.uuid4().hex
        return self.make(
            callers.CHECKPOINTS,
            {'checkpoint': {'plan_id': plan_id, 'extra_info': {'name': name}}},
            lambda: self._named(f'{callers.CHECKPOINTS}?plan_id={plan_id}', 'extra_info', name),
        )['id']

    def use(self, kind: str, checkpoint_id: str) -> str:
        """Begin a ``restore``, or the ``verification`` that is the only one of a checkpoint."""
        name = uuid.uuid4().hex
        is_restore = kind == 'restore'
        body = {
            'provider_id': service.PROVIDER_ID,
            'checkpoint_id': checkpoint_id,
            'parameters': {base.VOLUME: {'restore_name': name}} if is_restore else {},
        }
        return self.make(
            f'/{kind}s',
            {kind: body},
            lambda: self._named(
                f'/{kind}s?checkpoint_id={checkpoint_id}', 'parameters', name if is_restore else ''
            ),
        )['id']

    def ask_to_delete(self, checkpoint_id: str) -> None:
        """Returns when it is being deleted; as long as it is in use, it is asked for again."""

        def is_going() -> bool:
            if self.checkpoint(checkpoint_id)['status'] in ('deleting', 'deleted'):
                return True
            answer = self.attempt('DELETE', f'{callers.CHECKPOINTS}/{checkpoint_id}')
            return answer is not None and answer.status_code == 200

        cloud.wait_until(is_going, f'delete of {checkpoint_id}', self._patience)

    def _named(self, path: str, key: str, name: str) -> Any:
        return next((item for item in self.call('GET', path) if name in str(item[key])), None)


def _message(answer: requests.Response) -> str:
    """What the user is told; a body that is not an error of the API's is shown as it is."""
    try:
        return next(iter(answer.json().values()))['message']
    except (ValueError, TypeError, KeyError, AttributeError):
        return answer.text[:200]
