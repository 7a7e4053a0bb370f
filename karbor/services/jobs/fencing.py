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

"""Keeps an attempt that has lost its lease from writing to a bank.

Requests to clouds are kept back by :mod:`karbor.services.protection.client_factory`, rows by
:func:`karbor.db.jobs.hold_claim`, and hooks by who runs them.
"""

import contextlib
from collections.abc import Callable, Iterator
from concurrent import futures
from typing import Any, TypeVar

from karbor import exception
from karbor.common import leases, progress
from karbor.services.protection import bank_plugin, checkpoint
from karbor.services.protection.steps import Wait

Result = TypeVar('Result')


class FencedBankPlugin(bank_plugin.BankPlugin):
    """A bank plugin that writes as long as a lease holds, and does not ask a bank that is away.

    :param bank: what reads and writes.
    :param lease: of the attempt that it is for.
    """

    def __init__(self, bank: bank_plugin.Bank, lease: leases.Lease) -> None:
        super().__init__()
        self._bank = bank
        self._plugin = bank.plugin
        self._lease = lease
        self.is_local = bank.is_local

    @contextlib.contextmanager
    def _asked(self) -> Iterator[None]:
        """Around each request.

        :raises BankError: it is not sent, as the bank is away.
        """
        self._check_there()
        try:
            yield
        except exception.BankError as exc:
            self._note(exc)
            raise

    def _check_there(self) -> None:
        if not self._bank.is_there():
            lasted = progress.duration(self._bank.outage.seconds or 0)
            raise exception.BankError(reason=f'no answer for {lasted}', is_passing=True)

    def _note(self, error: BaseException | None) -> None:
        """Note why a request has failed; None if it has not."""
        if isinstance(error, exception.BankError) and error.is_passing:
            self._bank.outage.begin()

    def update_object(self, key: str, value: Any, context: Any = None) -> None:
        with leases.held(self._lease), self._asked():
            self._plugin.update_object(key, value, context)

    def begin_update(self, key: str, value: Any, context: Any = None) -> Wait:
        with leases.held(self._lease), self._asked():
            written = self._plugin.begin_update(key, value, context)
        written.add_done_callback(self._note_outcome)
        return written

    def _note_outcome(self, written: Wait) -> None:
        if not written.cancelled():
            self._note(written.exception())

    def begin(self, call: Callable[[], Result]) -> 'futures.Future[Result]':
        return self._plugin.begin(call)

    def delete_object(self, key: str, context: Any = None) -> None:
        with leases.held(self._lease), self._asked():
            self._plugin.delete_object(key, context)

    def get_object(self, key: str, context: Any = None) -> Any:
        with self._asked():
            return self._plugin.get_object(key, context)

    def list_objects(
        self,
        prefix: str | None = None,
        limit: int | None = None,
        marker: str | None = None,
        sort_dir: str | None = None,
        context: Any = None,
    ) -> list[str]:
        with self._asked():
            return self._plugin.list_objects(prefix, limit, marker, sort_dir, context)

    def check(self) -> None:
        self._plugin.check()

    def get_owner_id(self, context: Any = None) -> str:
        return self._plugin.get_owner_id(context)


def checkpoints(bank: bank_plugin.Bank, lease: leases.Lease) -> checkpoint.CheckpointCollection:
    """The checkpoints of a bank, for an attempt.

    :param lease: of the attempt.
    """
    return checkpoint.CheckpointCollection(bank_plugin.Bank(FencedBankPlugin(bank, lease)))
