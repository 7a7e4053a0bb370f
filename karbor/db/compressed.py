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

"""Columns whose large values are compressed.

What begins with :data:`_MARK` is compressed, anything else is not. Releases before this one do not
read what is compressed, so it is written only where ``compress_checkpoints`` says that none runs.
"""

import base64
import json
import zlib
from typing import Any

import sqlalchemy as sa
from oslo_config import cfg
from sqlalchemy import types
from sqlalchemy.dialects import mysql

# No JSON begins so, and no plan or graph is a JSON text.
_MARK = 'zlib:'
_SMALLEST = 16 * 1024  # characters; what is smaller is left as it is

# MariaDB's TEXT ends at 64 KiB, which the graph of some hundred volumes exceeds.
_LongText = sa.Text().with_variant(mysql.LONGTEXT(), 'mysql', 'mariadb')


def _compressed(text: str) -> str | None:
    """The compressed form of a text; None of one that is to stay as it is."""
    if len(text) < _SMALLEST or not cfg.CONF.compress_checkpoints:
        return None
    return _MARK + base64.b64encode(zlib.compress(text.encode())).decode()


def _is_compressed(value: Any) -> bool:
    return isinstance(value, str) and value.startswith(_MARK)


def _text(compressed: str) -> str:
    return zlib.decompress(base64.b64decode(compressed.removeprefix(_MARK))).decode()


class CompressedText(types.TypeDecorator[str]):
    """A text, such as JSON that is kept as it is."""

    impl = _LongText
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Any) -> str | None:
        return None if value is None else _compressed(value) or value

    def process_result_value(self, value: str | None, dialect: Any) -> str | None:
        return _text(value) if value is not None and _is_compressed(value) else value


class CompressedJSON(types.TypeDecorator[Any]):
    """A JSON object; compressed, it is a JSON text."""

    impl = sa.JSON
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Any) -> Any:
        return _compressed(json.dumps(value)) or value

    def process_result_value(self, value: Any, dialect: Any) -> Any:
        return json.loads(_text(value)) if _is_compressed(value) else value
