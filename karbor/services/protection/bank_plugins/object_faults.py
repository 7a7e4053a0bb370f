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

"""What can go wrong with a request to an object store."""

import contextlib
from collections.abc import Iterator

from karbor.services import retrying

# These two are of stores alone: two writers at once, and Swift's own way to say 429.
_PASSING_CODES = frozenset({409, 498})


class Missing(Exception):
    """The store is sure that there is no such object."""


class Fault(Exception):
    """A request failed; the text tells an operator why.

    :param reason: what happened, without anything secret.
    :param is_passing: whether the same request may succeed later.
    :param retry_after: how many seconds the store asks to wait.
    :param told: the same for tenants, without address, account and container; None is the reason
        itself.
    """

    def __init__(
        self,
        reason: str,
        is_passing: bool = False,
        retry_after: float = 0,
        *,
        told: str | None = None,
    ) -> None:
        super().__init__(reason)
        self.is_passing = is_passing
        self.retry_after = retry_after
        self.told = told or reason

    def after(self, tries: int) -> 'Fault':
        """The same fault, telling how often was tried."""
        times = f'({tries} tries)'
        return Fault(
            f'{self} {times}', self.is_passing, self.retry_after, told=f'{self.told} {times}'
        )


@contextlib.contextmanager
def container_needed(text: str) -> Iterator[None]:
    """For a request that is about no object that is there: what is missing is the container.

    :param text: what to call the container.
    :raises Fault: instead of :class:`Missing`.
    """
    try:
        yield
    except Missing as exc:
        raise gone(text) from exc


def gone(text: str) -> Fault:
    """That a container is not there any more.

    :param text: what to call it before an operator.
    """
    return Fault(
        f'{text} is not there any more', told='the container of the bank is not there any more'
    )


def is_passing_code(code: int | None) -> bool:
    """Whether a store's answer with this HTTP status says that another try may help."""
    return code in _PASSING_CODES or retrying.is_passing_code(code)
