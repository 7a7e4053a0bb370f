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

"""Lists of the fake: filters, order and pages."""

import ast
import contextlib
import json
from collections.abc import Callable, Mapping

from karbor.testing.fake_cinder.answers import Item, Refused
from karbor.testing.fake_cinder.store import Store


def page(store: Store, collection: str, options: Mapping[str, str], limit: int) -> list[Item]:
    """The next items, looked at: what is gone by this look is not shown any more.

    :param collection: 'volumes' or 'snapshots'.
    :param options: the query, without filters that this Cinder does not know.
    :raises Refused: there is no such marker, or the metadata cannot be read.
    """
    passes = _filter(options)
    # Who is no administrator is told nothing of the filter that is left out.
    sees_all = store.is_admin and options.get('all_tenants') in ('1', 'True', 'true')

    def wanted(item: Item) -> bool:
        return passes(item) and (sees_all or store.is_own(collection, item))

    shown: list[Item] = []
    for item in _following(store, collection, options, wanted):
        if len(shown) == limit:
            break
        seen = store.look(collection, item)
        if seen is not None and wanted(seen):
            shown.append(seen)
    return shown


def _following(
    store: Store, collection: str, options: Mapping[str, str], wanted: Callable[[Item], bool]
) -> list[Item]:
    """All items behind the marker, in order."""
    name, _, direction = options.get('sort', 'created_at:desc').partition(':')
    descending = direction != 'asc'

    def key(item: Item) -> tuple[str, str]:
        return store.shown_time(item[name]), item['id']

    found = [item for item in store.items(collection).values() if wanted(item)]
    if 'marker' in options:
        marker = key(store.find(collection, options['marker']))
        found = [
            item for item in found if (key(item) < marker if descending else key(item) > marker)
        ]
    return sorted(found, key=key, reverse=descending)


def _filter(options: Mapping[str, str]) -> Callable[[Item], bool]:
    """What a list's options let through."""
    metadata = _parsed(options['metadata']) if 'metadata' in options else {}
    fields = {name: options[name] for name in ('status', 'volume_id', 'name') if name in options}

    def wanted(item: Item) -> bool:
        return metadata.items() <= item['metadata'].items() and all(
            item.get(name) == value for name, value in fields.items()
        )

    return wanted


def _parsed(text: str) -> Item:
    """The metadata of a query, which cinderclient writes as Python and others as JSON."""
    for read in (json.loads, ast.literal_eval):
        with contextlib.suppress(ValueError, SyntaxError):
            return dict(read(text))
    raise Refused(400, f'Could not evaluate value {text}, please check the query.')
