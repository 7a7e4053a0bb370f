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

"""What all calls and resources have in common."""

import datetime
import functools
import json
import uuid
from collections.abc import Iterator, Mapping
from typing import Any, TypedDict, TypeVar
from urllib import parse

from openstack import exceptions, proxy, resource

Body = dict[str, Any]


class Resource(resource.Resource):
    """Something that the API shows.

    Its attributes are named as in the API; moments are texts, as there.
    """

    allow_fetch = True

    @classmethod
    @functools.cache
    def _attributes_iterator(cls, *components: Any, **named: Any) -> Any:
        """The same as the parent's, which looks through all its classes for each object anew: that
        is most of the time that a list takes.
        """
        return tuple(super()._attributes_iterator(*components, **named))


ResourceT = TypeVar('ResourceT', bound=Resource)


class Page(TypedDict, total=False):
    """Which part of a list is asked for.

    All of it is, unless there is a ``marker``; pages are asked for as the list is gone through.

    :ivar limit: how many are in a page.
    :ivar marker: id of the one before the first.
    """

    limit: int
    marker: str


class SortedPage(Page, total=False):
    """The same of a list that can be sorted.

    :ivar sort: as ``name:asc,created_at:desc``.
    :ivar offset: how many are left out at the beginning.
    """

    sort: str
    sort_key: str
    sort_dir: str
    offset: int


class ProjectsPage(SortedPage, total=False):
    """The same of a list that shows an administrator what other projects have.

    :ivar all_tenants: what all of them have.
    """

    all_tenants: bool
    project_id: str


class ServiceProxy(proxy.Proxy):
    """How the API is asked."""

    api_version = '1'
    skip_discovery = True  # an endpoint in the catalog is that of a project already

    @property
    def own_project_id(self) -> str:
        """The project that is asked for; it is the last part of the endpoint."""
        return self._endpoint().rpartition('/')[2]

    def _endpoint(self) -> str:
        """:raises SDKException: there is none."""
        endpoint = self.get_endpoint()
        if endpoint is None:
            raise exceptions.SDKException('There is no endpoint of data-protect.')
        return str(endpoint).rstrip('/')

    def _ask(self, method: str, path: str, body: Body | None = None, **query: Any) -> Any:
        """The body of an answer.

        :param path: below the project.
        :raises HttpException: its ``details`` are the sentence of the API.
        """
        response = self.request(
            path,
            method,
            params={name: _text(value) for name, value in query.items() if value is not None},
            json=body,
        )
        exceptions.raise_from_response(response)
        return response.json() if response.content else None

    def _shown(self, resource_type: type[ResourceT], shown: Body, **uri: str) -> ResourceT:
        """What the API shows, as a resource."""
        return resource_type.existing(connection=self._get_connection(), **uri, **shown)

    def _sent(
        self,
        method: str,
        path: str,
        resource_type: type[ResourceT],
        fields: Mapping[str, Any],
        **uri: str,
    ) -> ResourceT:
        """Make or change something; gives what it is then.

        :param fields: are sent; those that are None, too.
        """
        key = str(resource_type.resource_key)
        return self._shown(resource_type, self._ask(method, path, {key: fields})[key], **uri)

    def _fetched(self, resource_type: type[ResourceT], path: str, **query: Any) -> ResourceT:
        return self._shown(
            resource_type, self._ask('GET', path, **query)[resource_type.resource_key]
        )

    def _removed(self, path: str, ignore_missing: bool) -> None:
        try:
            self._ask('DELETE', path)
        except exceptions.NotFoundException:
            if not ignore_missing:
                raise

    def _listed(
        self,
        resource_type: type[ResourceT],
        path: str,
        query: Mapping[str, Any],
        **uri: str,
    ) -> Iterator[ResourceT]:
        """All of a list, of which pages are asked for when they are needed."""
        key = str(resource_type.resources_key)
        for page in self._pages(path, key, query):
            for item in page[key]:
                yield self._shown(resource_type, item, **uri)

    def _pages(self, path: str, key: str, query: Mapping[str, Any]) -> Iterator[Body]:
        """The answers that a list consists of.

        Of a link only the query is used: behind a proxy its host may be one that nobody reaches.
        """
        asked: Mapping[str, Any] = query
        while True:
            page = self._ask('GET', path, **asked)
            yield page
            links = page.get(f'{key}_links')
            if not links:
                return
            asked = parse.parse_qs(parse.urlsplit(links[0]['href']).query)

    def _found(
        self, resource_type: type[ResourceT], path: str, name_or_id: str, ignore_missing: bool
    ) -> ResourceT | None:
        """What has an id or, if there is only one, a name.

        :raises NotFoundException: there is none, and that is not to be ignored.
        :raises DuplicateResource: there are several; names their ids.
        """
        if is_id(name_or_id):
            try:
                return self._fetched(resource_type, part(path, name_or_id))
            except exceptions.NotFoundException:
                pass  # a name may look like an id
        # The API looks for a part of the name.
        listed = self._listed(resource_type, path, {'name': name_or_id})
        found = [item for item in listed if item.name == name_or_id]
        what = f'{resource_type.__name__} is called {name_or_id}'
        if len(found) > 1:
            ids = ', '.join(item.id for item in found)
            raise exceptions.DuplicateResource(f'More than one {what}; take one by its ID: {ids}')
        if not found and not ignore_missing:
            raise exceptions.NotFoundException(f'No {what}.')
        return found[0] if found else None


def part(path: str, *values: Resource | str | int) -> str:
    """A path with ids below it; whatever stands in them is quoted.

    :param values: things that have ids, or the ids.
    :raises ValueError: an id would lead elsewhere.
    """
    ids = [id_of(value) for value in values]
    for wrong in {'', '.', '..'}.intersection(ids):
        raise ValueError(f'{wrong!r} is no id.')
    return '/'.join([path, *(parse.quote(each, safe=':') for each in ids)])


def id_of(value: Resource | str | int) -> str:
    return str(value.id if isinstance(value, Resource) else value)


def given(**fields: Any) -> Body:
    """Those that are not None."""
    return {name: value for name, value in fields.items() if value is not None}


def is_id(text: str) -> bool:
    """Whether something can be the id of what Karbor or Cinder has; it may be a name."""
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True


def _text(value: Any) -> Any:
    """A value as it stands in a query."""
    if isinstance(value, datetime.date):  # or a moment
        return value.isoformat()
    if isinstance(value, Mapping):
        return json.dumps(value)
    return value
