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

"""How the fake is reached: as a transport of the requests library, and over HTTP."""

import http.client
import io
from typing import Any, Protocol

import requests

from karbor.testing import cut_server
from karbor.testing.fake_cinder.answers import Answer


class Handles(Protocol):
    """Answers requests."""

    def handle(self, method: str, path_and_query: str, body: bytes | None) -> Answer:
        """Answer one request.

        :raises ConnectionResetError: the connection is to be reset.
        """


class Adapter(requests.adapters.BaseAdapter):
    """Hands requests of the requests library to a fake."""

    def __init__(self, cinder: Handles) -> None:
        super().__init__()
        self._cinder = cinder

    def send(
        self, request: requests.PreparedRequest, *args: Any, **kwargs: Any
    ) -> requests.Response:
        body = request.body.encode() if isinstance(request.body, str) else request.body
        if body is not None and not isinstance(body, bytes):
            raise TypeError('a body is text or bytes')
        try:
            status, headers, content = self._cinder.handle(
                request.method or '', request.path_url, body
            )
        except ConnectionResetError as exc:
            raise requests.exceptions.ConnectionError(exc, request=request) from exc
        response = requests.Response()
        response.status_code = status
        response.reason = http.client.responses.get(status, '')
        response.headers.update(headers)
        response.raw = io.BytesIO(content)
        response.url, response.request, response.encoding = request.url or '', request, 'utf-8'
        return response

    def close(self) -> None:
        """Nothing is open."""


class Server(cut_server.CutServer):
    """Serves a fake over HTTP on a port of 127.0.0.1."""

    def __init__(self, cinder: Handles) -> None:
        self.cinder = cinder
        super().__init__(_Handler)


class _Handler(cut_server.CuttingHandler):
    wbufsize = -1  # one packet an answer
    server: Server

    def serve_request(self) -> None:
        body = self.rfile.read(int(self.headers.get('Content-Length', 0)))
        try:
            status, headers, content = self.server.cinder.handle(self.command, self.path, body)
        except ConnectionResetError:
            self.reset()
            return
        self.send_response_only(status)
        for name, value in {**headers, 'Content-Length': str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_DELETE = serve_request  # noqa: N815
