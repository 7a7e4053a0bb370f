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

"""Query strings: which part of a list is asked for, filters, and the way to the next page."""

import ast
import dataclasses
import datetime
import json
import math
import operator
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import falcon
from oslo_config import cfg
from oslo_utils import strutils

from karbor import exception, policy
from karbor.api.media import Object
from karbor.api.schema import FILTER, Schema
from karbor.common import documents, moments
from karbor.db import paging
from karbor.policies import base as policies_base

_LARGEST_OFFSET = 2147483647
_LONGEST_LITERAL = 4096

# What python-karborclient sends with lists that do not look at it, by their collections.
_SENT_BY_OLD_CLIENT: Mapping[str, Collection[str]] = {
    'providers': ('sort',),
    'instances': ('sort', 'type'),
    'triggers': ('properties',),
    'operations': ('operation_definition',),
}

# A page of a list as a handler returns it: the items, whether more follow, and perhaps what the
# answer has beside the list.
Items = tuple[list[Object], bool] | tuple[list[Object], bool, Object]


@dataclasses.dataclass(frozen=True)
class Parameter:
    """One parameter of a query string.

    :param name: its name.
    :param schema: of its value, for the OpenAPI document.
    :param reader: finds and checks the value of that name in a request.
    """

    name: str
    schema: Schema
    reader: Callable[[falcon.Request, str], Any]

    def read(self, req: falcon.Request) -> Any:
        """:raises InvalidInput: names the parameter and the fault."""
        return self.reader(req, self.name)


@dataclasses.dataclass(frozen=True)
class Listing:
    """What a list understands.

    :param collection: the key of the list in the answer.
    :param filters: what the list can be filtered by, and the schema of each.
    :param sort_keys: what it can be sorted by; none when the order is fixed.
    :param has_tenants: whether an administrator may see what other projects have.
    :param marker: what the marker of the page after an item is.
    """

    collection: str
    filters: Mapping[str, Schema]
    sort_keys: Sequence[str] = ()
    has_tenants: bool = True
    marker: Callable[[Object], str] = operator.itemgetter('id')

    def read(self, req: falcon.Request) -> paging.Selection:
        """:raises InvalidInput: names the parameter and the fault.
        :raises ProjectNotFound: the caller may not see what that project has.
        """
        values = {name: _filter(req, name, schema) for name, schema in self.filters.items()}
        return paging.Selection(
            _whose(req) if self.has_tenants else req.context.karbor.project_id,
            paging.Page(
                limit=_limit(req),
                marker=text(req, 'marker'),
                offset=_integer(req, 'offset', 0, largest=_LARGEST_OFFSET),
                sort=_sort(req, self.sort_keys),
            ),
            {name: value for name, value in values.items() if value is not None},
        )

    def parameters(self) -> list[tuple[str, Schema]]:
        """Names and schemas of all parameters, for the OpenAPI document."""
        schemas: list[tuple[str, Schema]] = [
            ('limit', {'type': 'integer', 'minimum': 1}),
            ('marker', {'type': 'string'}),
            *self.filters.items(),
        ]
        if self.sort_keys:
            schemas += [
                ('offset', {'type': 'integer', 'minimum': 0, 'maximum': _LARGEST_OFFSET}),
                ('sort', {'type': 'string'}),
                ('sort_key', {'enum': list(self.sort_keys)}),
                ('sort_dir', {'enum': ['asc', 'desc']}),
            ]
        if self.has_tenants:
            schemas += [('all_tenants', {'type': 'boolean'}), ('project_id', {'type': 'string'})]
        return schemas


def check_names(
    req: falcon.Request, listing: Listing | None, parameters: Sequence[Parameter]
) -> None:
    """Refuse parameters that nobody would look at, and all values but one of any.

    :param listing: what is asked for, if it is a list.
    :param parameters: what is taken beside that.
    :raises InvalidInput: names one that is not known, and those that are; or one of several values.
    """
    known = [parameter.name for parameter in parameters]
    ignored: Collection[str] = ()
    if listing is not None:
        known += [name for name, _ in listing.parameters()]
        ignored = _SENT_BY_OLD_CLIENT.get(listing.collection, ())
    for name, value in req.params.items():
        if isinstance(value, list):
            raise exception.InvalidInput(reason=f'{name!r:.100} is given more than once.')
        if name not in known and name not in ignored:
            there_are = f'there are {", ".join(sorted(known))}' if known else 'there is none'
            raise exception.InvalidInput(
                reason=f'{name!r:.100} is no parameter of this request; {there_are}.'
            )


def _filter(req: falcon.Request, name: str, schema: Schema) -> str | None:
    value = text(req, name)
    longest = FILTER['maxLength']
    if value is not None and value not in schema.get('enum', (value,)):
        raise exception.InvalidInput(
            reason=f'{name}: {value!r:.100} is none of {", ".join(schema["enum"])}.'
        )
    if value is not None and len(value) > longest:
        raise exception.InvalidInput(reason=f'{name} is longer than {longest} characters.')
    return value


def _whose(req: falcon.Request) -> str | None:
    """Whose rows are listed; None is everybody's.

    Who may not list those of other projects gets the own ones, as Karbor always answered
    ``all_tenants``; another project named outright does not exist for them.
    """
    context = req.context.karbor
    wants_all, named = _boolean(req, 'all_tenants'), text(req, 'project_id')
    if named == context.project_id or not (named or wants_all):
        return str(context.project_id)
    if policy.may(context, policies_base.ALL_TENANTS):
        return named
    if named:
        raise exception.ProjectNotFound(project_id=named)
    return context.project_id


def _boolean(req: falcon.Request, name: str) -> bool | None:
    value_text = text(req, name)
    try:
        return None if value_text is None else strutils.bool_from_string(value_text, strict=True)
    except ValueError:
        raise exception.InvalidInput(
            reason=f'{name}: {value_text!r} is not true or false.'
        ) from None


def _limit(req: falcon.Request) -> int:
    largest = cfg.CONF.osapi_max_limit
    return min(_integer(req, 'limit', largest, smallest=1), largest)


def _integer(
    req: falcon.Request, name: str, default: int, *, smallest: int = 0, largest: float = math.inf
) -> int:
    value_text = text(req, name)
    if value_text is None:
        return default
    try:
        value = int(value_text)
    except ValueError:
        value = -1
    if not smallest <= value <= largest:
        end = '' if largest == math.inf else f' to {largest}'
        raise exception.InvalidInput(
            reason=f'{name}: {value_text!r} is not a whole number from {smallest}{end}.'
        )
    return value


def _sort(req: falcon.Request, sort_keys: Collection[str]) -> list[tuple[str, str]]:
    if not sort_keys:
        return []
    sort_text = text(req, 'sort')
    if sort_text is None:
        sort_text = f'{text(req, "sort_key") or "created_at"}:{text(req, "sort_dir") or "desc"}'
    elif text(req, 'sort_key') or text(req, 'sort_dir'):
        raise exception.InvalidInput(reason='sort does not go with sort_key and sort_dir.')
    pairs = []
    for item in sort_text.split(','):
        key, _, direction = item.strip().partition(':')
        if key not in sort_keys:
            raise exception.InvalidInput(
                reason=f'sort: {key!r} is none of {", ".join(sorted(sort_keys))}.'
            )
        if direction not in ('', 'asc', 'desc'):
            raise exception.InvalidInput(reason=f'sort: {direction!r} is not asc or desc.')
        pairs.append((key, direction or 'desc'))
    return pairs


def _moment(req: falcon.Request, name: str) -> datetime.datetime | None:
    """A moment, or the beginning of a day, in UTC without a zone.

    :raises InvalidInput: it is neither.
    """
    value_text = text(req, name)
    return None if value_text is None else _parsed(name, value_text)


def _end(req: falcon.Request, name: str) -> datetime.datetime | None:
    """The first moment that is too late: the day, or the moment, that is given is not yet.

    :raises InvalidInput: it is neither.
    """
    value_text = text(req, name)
    return None if value_text is None else end_of(name, value_text)


def end_of(name: str, value_text: str) -> datetime.datetime:
    """The same of a text.

    :param name: what it is called in an error.
    """
    step = datetime.timedelta(days=1) if _as_day(value_text) else datetime.timedelta.resolution
    return min(_parsed(name, value_text), datetime.datetime.max - step) + step


def _parsed(name: str, value_text: str) -> datetime.datetime:
    moment = _as_day(value_text)
    if moment is None and 'T' in value_text:
        # In a query, a plus that is not written %2B is a blank; beside a T no blank is meant.
        moment = moments.read_utc(value_text.replace(' ', '+'))
    if moment is None:
        raise exception.InvalidInput(
            reason=f'{name}: {value_text!r} is neither a date YYYY-MM-DD nor a moment as '
            f'2026-11-26T08:00:00+00:00.'
        )
    return moment


def _as_day(value_text: str) -> datetime.datetime | None:
    try:
        return datetime.datetime.strptime(value_text, '%Y-%m-%d')
    except ValueError:
        return None


def shown_moment(moment: datetime.datetime) -> str:
    """A moment as it is answered, with its offset.

    :param moment: in UTC without a zone.
    """
    return moment.replace(tzinfo=datetime.UTC).isoformat(timespec='microseconds')


def shown_moment_or_none(moment: datetime.datetime | None) -> str | None:
    """The same of one that may not be there."""
    return None if moment is None else shown_moment(moment)


def _mapping(req: falcon.Request, name: str) -> dict[str, Any] | None:
    """A mapping, as JSON or in the Python form that python-karborclient sends.

    :raises InvalidInput: it is neither.
    """
    value_text = text(req, name)
    if value_text is None:
        return None
    value = None
    if len(value_text) <= _LONGEST_LITERAL:
        for read in (json.loads, ast.literal_eval):
            try:
                value = read(value_text)
                break
            except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
                continue
    if not isinstance(value, dict):
        raise exception.InvalidInput(
            reason=f'{name} is not a mapping of at most {_LONGEST_LITERAL} characters.'
        )
    return value


def text(req: falcon.Request, name: str) -> str | None:
    """A parameter's value; None when it is not given or empty."""
    value = req.get_param(name)
    if value:
        try:
            documents.check_text(value)
        except ValueError:
            raise exception.InvalidInput(
                reason=f'{name} has a character that is not allowed.'
            ) from None
    return value or None


def listed(
    req: falcon.Request,
    listing: Listing,
    items: list[Object],
    has_more: bool,
    beside: Object | None = None,
) -> Object:
    """The body of a list, with the link to the next page when there is one."""
    document: Object = {listing.collection: items, **(beside or {})}
    if has_more:
        parameters = {**req.params, 'marker': listing.marker(items[-1])}
        parameters.pop('offset', None)  # it is behind the marker; again it would leave out more
        document[f'{listing.collection}_links'] = [
            {
                'rel': 'next',
                'href': req.prefix
                + req.path
                + falcon.to_query_str(parameters, comma_delimited_lists=False),
            }
        ]
    return document


_DAY_OR_MOMENT: Schema = {
    'type': 'string',
    'description': 'A date YYYY-MM-DD, or a moment as 2026-11-26T08:00:00+00:00, in UTC unless it '
    'says otherwise; as an end, it is included.',
}
START_DATE = Parameter('start_date', _DAY_OR_MOMENT, _moment)
END_DATE = Parameter('end_date', _DAY_OR_MOMENT, _end)
SINCE = Parameter('since', _DAY_OR_MOMENT, _moment)
UNTIL = Parameter('until', _DAY_OR_MOMENT, _end)
PARAMETERS = Parameter(
    'parameters',
    {'type': 'string', 'description': 'A mapping, as JSON or as a Python literal.'},
    _mapping,
)
HOST = Parameter('host', {'type': 'string'}, text)
BINARY = Parameter('binary', {'type': 'string'}, text)
ENABLED = Parameter('enabled', {'type': 'boolean'}, _boolean)
