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

"""What restores and verifications have in common: they use a checkpoint and leave it as it is."""

from collections.abc import Sequence
from typing import Any

from karbor import context as karbor_context
from karbor.api import query, schema
from karbor.api.media import Object
from karbor.api.services import Handler
from karbor.db import models, paging
from karbor.services.checkpoints import queries

FILTERS = {'status': schema.FILTER, 'checkpoint_id': schema.FILTER, 'provider_id': schema.FILTER}
SORT_KEYS = ('id', 'status', 'created_at')

_COLUMNS = {
    'id': schema.UUID,
    'project_id': schema.TEXT,
    'provider_id': schema.UUID,
    'checkpoint_id': schema.UUID,
    'parameters': schema.OBJECT,
    'status': schema.TEXT,
    'status_reason': schema.TEXT_OR_NULL,
}
PROPERTIES = {
    **_COLUMNS,
    'resources_done': schema.INTEGER,
    'resources_failed': schema.INTEGER,
    'resources_status': schema.OBJECT,
    'resources_reason': schema.OBJECT,
}


class UseHandler(Handler):
    """What answers requests about restores, or about verifications.

    Each form says its ``model``, the table that they are in.
    """

    model: type[Any]  # queries know them by the table itself

    def page(self, selection: paging.Selection) -> query.Items:
        checkpoint_queries = self.services.queries
        items, has_more = checkpoint_queries.page_of_uses(self.model, selection)
        ids = [item.id for item in items]
        results, progress = checkpoint_queries.results(ids), checkpoint_queries.progress(ids)
        shown = [self.view(item, results.get(item.id, ()), progress[item.id]) for item in items]
        return shown, has_more

    def one(self, context: karbor_context.RequestContext, use_id: str) -> Object:
        checkpoint_queries = self.services.queries
        use = checkpoint_queries.get_use(context, self.model, use_id)
        results, progress = (
            checkpoint_queries.results([use.id]),
            checkpoint_queries.progress([use.id]),
        )
        return self.view(use, results.get(use.id, ()), progress[use.id])

    def begun(self, use: Any) -> Object:
        """One that was just asked for."""
        return self.view(use, (), queries.Progress(0, 0))

    def view(
        self, use: Any, results: Sequence[models.ResourceResult], progress: queries.Progress
    ) -> Object:
        return {
            **{name: getattr(use, name) for name in _COLUMNS},
            'resources_done': progress.done,
            'resources_failed': progress.failed,
            'resources_status': {result.resource_key: result.status for result in results},
            'resources_reason': {
                result.resource_key: result.reason for result in results if result.reason
            },
        }
