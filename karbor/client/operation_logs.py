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

"""Operation logs, and runs, which are such logs."""

from collections.abc import Iterator
from typing import Any, Unpack

from openstack import exceptions
from openstack.resource import Body

from karbor.client import base, checkpoints, waiting

_PATH = '/operation_logs'
_WELL = ('available', 'success')
_UNKNOWN = waiting.Progress(0, 0, None)


class OperationLog(base.Resource):
    """What was done, by whom, and how it ended."""

    resource_key = 'operation_log'
    resources_key = 'operation_logs'
    base_path = _PATH

    operation_type: str = Body('operation_type')
    checkpoint_id: str | None = Body('checkpoint_id')
    plan_id: str | None = Body('plan_id')
    provider_id: str | None = Body('provider_id')
    restore_id: str | None = Body('restore_id')
    scheduled_operation_id: str | None = Body('scheduled_operation_id')
    #: of a run ``queued``, ``protecting``, ``available``, ``error`` or ``skipped``
    status: str = Body('status')
    #: in UTC, without a zone
    started_at: str = Body('started_at')
    #: in UTC, without a zone
    ended_at: str | None = Body('ended_at')
    #: what failed, or why it was left out
    error_info: str | None = Body('error_info')
    extra_info: dict[str, Any] | None = Body('extra_info')
    project_id: str = Body('project_id')
    user_id: str | None = Body('user_id')
    request_id: str | None = Body('request_id')


class OperationLogQuery(base.ProjectsPage, total=False):
    """What operation logs are listed."""

    checkpoint_id: str
    plan_id: str
    restore_id: str
    scheduled_operation_id: str
    operation_type: str
    status: str


class Calls(checkpoints.Calls):
    def operation_logs(self, **query: Unpack[OperationLogQuery]) -> Iterator[OperationLog]:
        """List operation logs, the newest first."""
        return self._listed(OperationLog, _PATH, query)

    def get_operation_log(self, operation_log: OperationLog | str) -> OperationLog:
        """Show one operation log."""
        return self._fetched(OperationLog, base.part(_PATH, operation_log))

    def wait_for_run(
        self, run: OperationLog | str, **patience: Unpack[waiting.Patience]
    ) -> OperationLog:
        """Wait until a run of a scheduled operation has ended well.

        :raises Failed: it has not, or was left out; says the reason.
        :raises TimedOut: it goes on after ``timeout``.
        """
        run_id = base.id_of(run)
        return waiting.until_ended(lambda: self.get_operation_log(run_id), self._judge, patience)

    def _judge(self, run: OperationLog) -> waiting.Look:
        is_well = None if run.ended_at is None else run.status in _WELL
        return waiting.Look(run.status, run.error_info, self._progress(run), is_well)

    def _progress(self, run: OperationLog) -> waiting.Progress:
        """That of its checkpoint, which it does not have from the beginning."""
        if run.checkpoint_id is None or run.provider_id is None:
            return _UNKNOWN
        try:
            return checkpoints.progress(self.get_checkpoint(run.checkpoint_id, run.provider_id))
        except exceptions.NotFoundException:
            return _UNKNOWN
