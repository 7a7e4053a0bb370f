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

"""What is asked of Cinder once for all resources of a job."""

import threading
from collections.abc import Callable, Generator
from concurrent import futures
from typing import Any, Generic, TypeVar

from karbor.services.protection.steps import Wait

Result = TypeVar('Result')


class Shared(Generic[Result]):
    """Answers by what they are about: the first who needs one asks, while the others wait.

    What fails, fails for all, instead of once a resource.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._answers: dict[str, futures.Future[Result]] = {}

    def get(
        self, about: str, ask: Callable[[], Generator[Wait, Any, Result]]
    ) -> Generator[Wait, Any, Result]:
        """The answer, for which is asked when it is first needed."""
        with self._lock:
            is_first = about not in self._answers
            answer = self._answers.setdefault(about, futures.Future())
        if is_first:
            try:
                answer.set_result((yield from ask()))
            except GeneratorExit:  # the walk is over, and with it those who wait
                answer.set_exception(futures.CancelledError())
                raise
            except BaseException as exc:
                answer.set_exception(exc)
                raise
        return answer.result() if answer.done() else (yield answer)
