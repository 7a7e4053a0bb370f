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

"""The moment by the clock of the database, which all hosts share."""

import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm
from sqlalchemy.ext import compiler
from sqlalchemy.sql import expression

from karbor.db import models


class utcnow(expression.FunctionElement[datetime.datetime]):  # noqa: N801 - as SQL has it
    """The present moment in UTC, also in the middle of a transaction."""

    type = models.Moment
    inherit_cache = True


@compiler.compiles(utcnow, 'postgresql')
def _postgresql(_element: Any, _compiler: Any, **_: Any) -> str:
    return "(clock_timestamp() AT TIME ZONE 'UTC')"


@compiler.compiles(utcnow, 'mysql')
@compiler.compiles(utcnow, 'mariadb')
def _mariadb(_element: Any, _compiler: Any, **_: Any) -> str:
    return 'UTC_TIMESTAMP(6)'


@compiler.compiles(utcnow, 'sqlite')
def _sqlite(_element: Any, _compiler: Any, **_: Any) -> str:
    return "strftime('%Y-%m-%d %H:%M:%f000', 'now')"  # milliseconds, in the form of a column


def now(transaction: orm.Session | sa.Connection) -> datetime.datetime:
    """The present moment by the database's clock, in UTC without a zone."""
    return transaction.execute(sa.select(utcnow())).scalar_one()
