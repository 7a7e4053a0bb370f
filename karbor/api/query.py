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
import datetime
import json
import math
from collections.abc import Collection
from typing import Any

import falcon
from oslo_config import cfg
from oslo_utils import strutils, uuidutils

from karbor import exception
from karbor.api import media
from karbor.db import paging

_LARGEST_OFFSET = 2147483647
_LONGEST_LITERAL = 4096


def check_uuid(what: str, value: str) -> None:
    """:raises InvalidInput: an id of the path is not a UUID."""
    if not uuidutils.is_uuid_like(value):
        raise exception.InvalidInput(reason=f'The {what} id {value!r} is not a UUID.')


def page(req: falcon.Request, sort_keys: Collection[str]) -> paging.Page:
    """The page that ``limit``, ``marker``, ``offset`` and ``sort`` ask for.

    :param sort_keys: what the list may be sorted by.
    :raises InvalidInput: names the parameter and the fault.
    """
    return paging.Page(limit=_limit(req), marker=text(req, 'marker'),
                       offset=_integer(req, 'offset', 0, 0, _LARGEST_OFFSET),
                       sort=_sort(req, sort_keys))


def _limit(req: falcon.Request) -> int:
    largest = cfg.CONF.osapi_max_limit
    return min(_integer(req, 'limit', largest, 1), largest)


def _integer(req: falcon.Request, name: str, default: int, smallest: int,
             largest: float = math.inf) -> int:
    given = text(req, name)
    if given is None:
        return default
    try:
        value = int(given)
    except ValueError:
        value = -1
    if not smallest <= value <= largest:
        end = '' if largest == math.inf else f' to {largest}'
        raise exception.InvalidInput(
            reason=f'{name}: {given!r} is not a whole number from {smallest}{end}.')
    return value


def _sort(req: falcon.Request, sort_keys: Collection[str]) -> list[tuple[str, str]]:
    given = text(req, 'sort')
    if given is None:
        given = (f'{text(req, "sort_key") or "created_at"}:{text(req, "sort_dir") or "desc"}')
    elif text(req, 'sort_key') or text(req, 'sort_dir'):
        raise exception.InvalidInput(reason='sort does not go with sort_key and sort_dir.')
    pairs = []
    for item in given.split(','):
        key, _, direction = item.strip().partition(':')
        if key not in sort_keys:
            raise exception.InvalidInput(
                reason=f'sort: {key!r} is none of {", ".join(sorted(sort_keys))}.')
        if direction not in ('', 'asc', 'desc'):
            raise exception.InvalidInput(reason=f'sort: {direction!r} is not asc or desc.')
        pairs.append((key, direction or 'desc'))
    return pairs


def filters(req: falcon.Request, names: Collection[str]) -> dict[str, str]:
    """The filters that are given; parameters of other names are left alone.

    :raises InvalidInput: ``all_tenants`` is not a boolean, or a text cannot be compared.
    """
    given = text(req, 'all_tenants')
    if given is not None:
        try:
            strutils.bool_from_string(given, strict=True)
        except ValueError:
            raise exception.InvalidInput(
                reason=f'all_tenants: {given!r} is not true or false.') from None
    found = {name: text(req, name) for name in names}
    return {name: value for name, value in found.items() if value is not None}


def date(req: falcon.Request, name: str) -> datetime.datetime | None:
    """The beginning of a day given as YYYY-MM-DD.

    :raises InvalidInput: it is not such a day.
    """
    given = text(req, name)
    if given is None:
        return None
    try:
        return datetime.datetime.strptime(given, '%Y-%m-%d')
    except ValueError:
        raise exception.InvalidInput(
            reason=f'{name}: {given!r} is not a date YYYY-MM-DD.') from None


def mapping(req: falcon.Request, name: str) -> dict[str, Any] | None:
    """A mapping, as JSON or in the Python form that python-karborclient sends.

    :raises InvalidInput: it is neither.
    """
    given = text(req, name)
    if given is None:
        return None
    value = None
    if len(given) <= _LONGEST_LITERAL:
        for read in (json.loads, ast.literal_eval):
            try:
                value = read(given)
                break
            except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
                continue
    if not isinstance(value, dict):
        raise exception.InvalidInput(
            reason=f'{name} is not a mapping of at most {_LONGEST_LITERAL} characters.')
    return value


def text(req: falcon.Request, name: str) -> str | None:
    """A parameter's value; None when it is not given or empty."""
    value = req.get_param(name)
    if value:
        try:
            media.check_text(value)
        except ValueError:
            raise exception.InvalidInput(
                reason=f'{name} has a character that is not allowed.') from None
    return value or None


def listed(req: falcon.Request, collection: str, items: list[dict[str, Any]],
           has_more: bool) -> dict[str, Any]:
    """The body of a list, with the link to the next page when there is one."""
    document: dict[str, Any] = {collection: items}
    if has_more:
        parameters = {**req.params, 'marker': items[-1]['id']}
        parameters.pop('offset', None)  # it is behind the marker; again it would leave out more
        document[f'{collection}_links'] = [{
            'rel': 'next', 'href': req.prefix + req.path + falcon.to_query_str(
                parameters, comma_delimited_lists=False)}]
    return document


def slice_of(req: falcon.Request, items: list[Any]) -> tuple[list[Any], bool]:
    """The part of a list in memory that ``marker`` and ``limit`` ask for.

    :param items: objects with an ``id``, in the order of the list.
    """
    marker = text(req, 'marker')
    ids = [item.id for item in items]
    if marker in ids:
        items = items[ids.index(marker) + 1:]
    limit = _limit(req)
    return items[:limit], len(items) > limit
