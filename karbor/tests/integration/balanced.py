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

"""Requests to several karbor-api in turn, as a load balancer sends them."""

import contextlib
import itertools
import time
import urllib.parse
from collections.abc import Iterator, Sequence
from typing import Any

import requests
from requests import adapters

from karbor.tests.integration import patient

# What has been sent to a server is taken by it by then, in seconds.
_REST = 0.5


class Balancer(adapters.HTTPAdapter):
    """Sends each request to the next server, once.

    :param urls: of the servers.
    """

    def __init__(self, urls: Sequence[str]) -> None:
        super().__init__()
        self._urls = urls
        self._left_out: str | None = None
        self._turns = itertools.cycle(urls)

    @contextlib.contextmanager
    def without(self, url: str) -> Iterator[None]:
        """Send nothing to one of the servers, which may end meanwhile."""
        self._left_out = url
        time.sleep(_REST)
        yield
        self._left_out = None

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> Any:
        server = next(url for url in self._turns if url != self._left_out)
        there = urllib.parse.urlsplit(server).netloc
        request.url = urllib.parse.urlsplit(request.url)._replace(netloc=there).geturl()
        # A connection that is kept may be closed at the moment of its next request.
        request.headers['Connection'] = 'close'
        return super().send(request, *args, **kwargs)


class BalancedCaller(patient.PatientCaller):
    """Asks through a balancer; requests that failed are in ``troubles``."""

    def __init__(self, balancer: Balancer, session: Any) -> None:
        super().__init__('http://karbor.example', session)
        self._session.mount('http://', balancer)
