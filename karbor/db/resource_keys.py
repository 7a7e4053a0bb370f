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

"""Finds rows that are about one of some resources."""

from collections.abc import Iterable

import sqlalchemy as sa

from karbor.db import models
from karbor.resource import Key


def is_of(
    table: type[models.RecoveryPoint | models.JobResource], resources: Iterable[Key]
) -> sa.ColumnElement[bool]:
    """Whether a row is about one of some resources.

    Each type is asked for by itself: databases do not look for pairs in an index, but go through
    all that a checkpoint, or a job, has.
    """
    by_type: dict[str, list[str]] = {}
    for resource_type, resource_id in resources:
        by_type.setdefault(resource_type, []).append(resource_id)
    return sa.or_(
        sa.false(),
        *(
            sa.and_(table.resource_type == resource_type, table.resource_id.in_(ids))
            for resource_type, ids in by_type.items()
        ),
    )
