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

"""The web server of ``karbor-api`` and ``karbor-standalone``: cheroot's, set up for an API."""

from typing import Any, BinaryIO

from cheroot import server, wsgi

_LARGEST_HEADERS = 64 * 1024  # bytes, with the request line
# The API refuses less; but cheroot 11.1 fails on a Content-Length that it cannot count to.
_LARGEST_BODY = 1024**3
_NAME = 'karbor'


def create(address: tuple[str, int], application: Any, threads: int) -> wsgi.Server:
    """A server that has not been prepared yet.

    :param address: host and port it will listen on; port 0 takes a free one.
    :param application: what it serves, after PEP 3333.
    :param threads: how many requests are answered at a time.
    """
    web_server = wsgi.Server(address, application, numthreads=threads, server_name=_NAME)
    web_server.max_request_header_size = _LARGEST_HEADERS
    web_server.max_request_body_size = _LARGEST_BODY
    web_server.ConnectionClass = _Connection
    return web_server


class _HeaderReader(server.HeaderReader):
    def __call__(self, rfile: BinaryIO, hdict: dict[bytes, bytes] | None = None) -> Any:
        try:
            return super().__call__(rfile, hdict)
        except UnboundLocalError:  # cheroot 11.1 would answer 500
            raise ValueError('The first header line continues none.') from None


class _Request(server.HTTPRequest):
    header_reader = _HeaderReader()


class _Connection(server.HTTPConnection):
    RequestHandlerClass = _Request
