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

"""Moments as others write them."""

import datetime
from typing import Any


def read_utc(value: Any) -> datetime.datetime | None:
    """A moment in UTC without a zone; None when it is none.

    :param value: a moment, or its text in the form of ISO 8601; without a zone it is UTC.
    """
    try:
        moment = (
            value
            if isinstance(value, datetime.datetime)
            else datetime.datetime.fromisoformat(value)
        )
        return moment if moment.tzinfo is None else as_utc(moment)
    except (TypeError, ValueError, OverflowError):
        return None


def as_utc(moment: datetime.datetime) -> datetime.datetime:
    """The same moment in UTC without a zone.

    :param moment: with a zone, or in UTC.
    :raises OverflowError: in UTC it is before or after all of time.
    """
    if moment.tzinfo is None:
        return moment
    return moment.astimezone(datetime.UTC).replace(tzinfo=None)
