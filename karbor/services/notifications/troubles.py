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

"""What the API asks about troubles."""

import dataclasses
import enum

from karbor import context as karbor_context
from karbor import db
from karbor.db import models, paging
from karbor.db import troubles as rows


class Standing(enum.StrEnum):
    """Whether a trouble is over."""

    OPEN = 'open'
    CLOSED = 'closed'
    ALL = 'all'


_IS_OPEN = {Standing.OPEN: True, Standing.CLOSED: False, Standing.ALL: None}


class Troubles:
    """What stands, and what is over."""

    def get(self, context: karbor_context.RequestContext, trouble_id: str) -> models.Trouble:
        """:raises TroubleNotFound: the project has none of that id."""
        with db.plain_reader() as connection:
            return rows.get(connection, context.project_id, trouble_id)

    def page(self, selection: paging.Selection) -> tuple[list[models.Trouble], bool]:
        """One page of troubles, and whether more follow; those that stand unless it says else."""
        filters = dict(selection.filters)
        standing = Standing(filters.pop('state', Standing.OPEN))
        with db.plain_reader() as connection:
            return rows.page(
                connection,
                dataclasses.replace(selection, filters=filters),
                is_open=_IS_OPEN[standing],
            )
