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

"""Whether values fit the columns of a table, before a database is asked."""

import datetime
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from karbor.common import documents
from karbor.db import compressed, models

_LARGEST_INTEGER = 2**31 - 1


def check(model: type[models.Base], values: Mapping[str, Any]) -> None:
    """Look at values that were never in a request, where schemas would have looked at them.

    :param values: by column; null fits any.
    :raises ValueError: names the column and the fault.
    """
    columns = model.__table__.c
    for name, value in values.items():
        if value is None:
            continue
        try:
            _check(columns[name].type, value)
        except ValueError as exc:
            raise ValueError(f'{name}: {exc}') from exc


def _check(column_type: sa.types.TypeEngine[Any], value: Any) -> None:
    if isinstance(column_type, (sa.JSON, compressed.CompressedJSON)):
        documents.check(value)
    elif not isinstance(value, column_type.python_type):
        what = _NOUNS[column_type.python_type]
        raise ValueError(f'{value!r:.100} is no {what}')  # noqa: TRY004
    elif isinstance(value, int) and abs(value) > _LARGEST_INTEGER:
        raise ValueError(f'{value} is more than {_LARGEST_INTEGER}')
    elif isinstance(value, str):
        documents.check_text(value)
        length = getattr(column_type, 'length', None)
        if length is not None and len(value) > length:
            raise ValueError(f'it has {len(value)} characters; {length} are the most')


_NOUNS = {str: 'text', int: 'whole number', bool: 'truth', datetime.datetime: 'time'}
