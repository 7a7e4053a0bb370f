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

"""What was done, by whom, and how it ended."""

from karbor import context as karbor_context
from karbor import db
from karbor.db import models, operation_logs, paging


class OperationLogs:
    """What the API asks about operation logs. What does something writes its own."""

    def get(self, context: karbor_context.RequestContext, log_id: str) -> models.OperationLog:
        """:raises OperationLogNotFound: the project has none of that id."""
        with db.reader() as session:
            return operation_logs.get(session, context.project_id, log_id)

    def page(self, selection: paging.Selection) -> tuple[list[models.OperationLog], bool]:
        """One page of operation logs, and whether more follow."""
        with db.plain_reader() as connection:
            return operation_logs.page(connection, selection)
