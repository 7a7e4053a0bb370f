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

"""What goes wrong between the fake and who asks it."""

import dataclasses
import re
from collections.abc import Callable, Mapping

from karbor.testing.fake_cinder import answers
from karbor.testing.fake_cinder.answers import Answer


@dataclasses.dataclass(eq=False)
class Fault:
    """What goes wrong with the requests that match.

    :param method: regular expression of the whole method.
    :param path: regular expression to be found in the path, which is without version,
        project id and query: ``/snapshots``, ``/snapshots/detail``, ``/snapshots/<id>``.
    :param status: the answer instead of Cinder's; None leaves Cinder's, 200 is a page of
        HTML.
    :param headers: headers of that answer, for example Retry-After.
    :param reset: 'before' or 'after' Cinder has done what was asked for.
    :param times: how often it happens; None is always.
    :param done: with a status: Cinder has done what was asked for (a 504 of a proxy).
    :param hook: called first, outside of the fake's lock; to look or to change something
        in the middle of a request.
    """

    method: str = '.*'
    path: str = ''
    status: int | None = None
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)
    reset: str | None = None
    times: int | None = None
    done: bool = False
    hook: Callable[[], None] | None = None
    applied: int = dataclasses.field(default=0, init=False)

    def matches(self, method: str, path: str) -> bool:
        """Whether it speaks of such a request and is not used up."""
        return (
            (self.times is None or self.applied < self.times)
            and re.fullmatch(self.method, method) is not None
            and re.search(self.path, path) is not None
        )

    def answer(self, act: Callable[[], Answer]) -> Answer:
        """What a client gets that asked for something.

        :param act: does it, and gives the answer of the service.
        :raises ConnectionResetError: the connection is to be reset.
        """
        if self.hook:
            self.hook()
        if self.reset == 'before':
            raise ConnectionResetError('reset by a fault')
        if self.status == 200:
            return answers.web_page()
        if self.status is not None and not self.done:
            return answers.error(self.status, self.headers)
        answer = act()
        if self.reset == 'after':
            raise ConnectionResetError('reset by a fault')
        return answer if self.status is None else answers.error(self.status, self.headers)
