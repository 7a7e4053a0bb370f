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

"""The catalog of a token as contexts have it: an entry a service, an endpoint a region."""

from collections.abc import Iterable, Mapping
from typing import Any

Catalog = list[dict[str, Any]]


def of_token(catalog: Iterable[Mapping[str, Any]]) -> Catalog:
    """The catalog in the form that plugins for the Karbor of old read.

    :param catalog: as Keystone's API v3 has it, where each interface is an endpoint.
    :returns: entries with ``type``, ``name`` and ``endpoints``, each of which has a ``region`` and
        the URLs ``publicURL``, ``internalURL`` and ``adminURL`` as far as there are.
    """
    return [
        {
            'type': entry.get('type'),
            'name': entry.get('name'),
            'endpoints': _by_region(entry.get('endpoints', ())),
        }
        for entry in catalog
    ]


def _by_region(endpoints: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    found: dict[str | None, dict[str, Any]] = {}
    for endpoint in endpoints:
        region = endpoint.get('region_id') or endpoint.get('region')
        urls = found.setdefault(region, {'region': region})
        urls.setdefault(f'{endpoint["interface"]}URL', endpoint['url'])
    return list(found.values())
