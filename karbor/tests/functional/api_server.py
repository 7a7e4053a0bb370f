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

"""The API as operators run it: several processes of gunicorn, and HTTP to them."""

import contextlib
import http.client
import json as jsonlib
import os
import pathlib
import signal
import socket
import threading
from collections.abc import Mapping
from typing import Any, NoReturn
from urllib import parse

import falcon
from falcon import testing
from gunicorn import arbiter
from gunicorn.app import base

from karbor import db
from karbor.tests import processes

_TIMEOUT = 60


class HttpClient(testing.TestClient):
    """Falcon's TestClient, whose requests go by HTTP to worker processes.

    They are forked from the test's process with its first request, and so have the options,
    providers and patches that the test has made before.

    :param app: the application.
    :param workers: how many processes serve it.
    :param log: file for all that they log and print.
    :param other_threads: held while forking, so that a thread that holds it at work does not
        leave its locks locked in the child.
    """

    def __init__(
        self,
        app: falcon.App[Any, Any],
        workers: int,
        log: pathlib.Path,
        other_threads: contextlib.AbstractContextManager[Any],
    ) -> None:
        super().__init__(app)
        self._workers = workers
        self._log = log
        self._other_threads = other_threads
        self._lock = threading.Lock()
        self._arbiter: int | None = None
        self._address = ('', 0)

    def simulate_request(
        self,
        method: str = 'GET',
        path: str = '/',
        *,  # type: ignore[override]
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        body: str | bytes = b'',
        json: Any = None,
        host: str = testing.DEFAULT_HOST,
        port: int | None = None,
    ) -> testing.Result:
        """The answer to one request on a connection of its own."""
        self._start()
        headers = dict(headers or {})
        if json is not None:
            body = jsonlib.dumps(json)
            headers['Content-Type'] = falcon.MEDIA_JSON
        body = body.encode() if isinstance(body, str) else body
        headers.setdefault('Host', host if port is None else f'{host}:{port}')
        if body:
            headers.setdefault('Content-Length', str(len(body)))
        if params:
            path += falcon.to_query_str(params, comma_delimited_lists=False)
        return self._answer(method, _quoted(path), headers, body)

    def _answer(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes
    ) -> testing.Result:
        connection = http.client.HTTPConnection(*self._address, timeout=_TIMEOUT)
        with contextlib.closing(connection):
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            for name, value in headers.items():
                connection.putheader(name, value)
            # A server that refuses a body may have closed the connection to it.
            with contextlib.suppress(ConnectionError):
                connection.endheaders(body or None)
            answer = connection.getresponse()
            return testing.Result(
                [answer.read()], f'{answer.status} {answer.reason}', answer.getheaders()
            )

    def url(self) -> str:
        """Where it is now, without a path; the processes begin if they do not run."""
        self._start()
        return 'http://{}:{}'.format(*self._address)

    def _start(self) -> None:
        with self._lock:
            if self._arbiter is not None:
                return
            with socket.create_server(('127.0.0.1', 0), backlog=128) as listener:
                self._address = listener.getsockname()
                db.engine()  # so that no other thread is just about to make it
                with self._other_threads:
                    self._arbiter = self._fork(listener)

    def _fork(self, listener: socket.socket) -> int:
        child = os.fork()
        if child == 0:
            try:
                self._serve(listener)
            finally:
                os._exit(1)  # whatever happens, the child must not go on with the tests
        with contextlib.suppress(OSError):  # the child may have been quicker
            os.setpgid(child, child)
        return child

    def _serve(self, listener: socket.socket) -> NoReturn:
        os.setpgid(0, 0)
        processes.write_to(self._log)
        _Application(self.app, self._workers, listener.detach()).run()
        raise AssertionError('the arbiter of gunicorn does not return')

    def stop(self) -> None:
        """End every process. The next request starts them anew."""
        with self._lock:
            if self._arbiter is None:
                return
            # No request is on its way, so nothing is lost by not asking them to end.
            os.killpg(self._arbiter, signal.SIGKILL)
            os.waitpid(self._arbiter, 0)
            self._arbiter = None


class _Application(base.BaseApplication):
    """What gunicorn asks for its settings and for the application to serve."""

    def __init__(self, app: falcon.App[Any, Any], workers: int, listener: int) -> None:
        self._app = app
        self._settings = {
            'bind': f'fd://{listener}',
            'workers': workers,
            'worker_class': 'sync',
            'control_socket_disable': True,
            'post_fork': _after_fork,
            'errorlog': '-',
            'loglevel': 'warning',
            # The tests are about the answers of Karbor, not about those of gunicorn.
            'limit_request_line': 0,
            'limit_request_field_size': 65536,
        }
        super().__init__()

    def load_config(self) -> None:
        for name, value in self._settings.items():
            self.cfg.set(name, value)

    def load(self) -> falcon.App[Any, Any]:
        return self._app

    def run(self) -> None:
        _Arbiter(self).run()


class _Arbiter(arbiter.Arbiter):
    def __init__(self, application: _Application) -> None:
        super().__init__(application)
        self._parent = os.getppid()

    def maybe_promote_master(self) -> None:
        """Called every second: to end when the tests have ended without a word."""
        if os.getppid() != self._parent:
            os._exit(1)  # and the workers with it

    def spawn_workers(self) -> None:
        """All at once, without gunicorn's pauses."""
        for _ in range(self.num_workers - len(self.WORKERS)):
            self.spawn_worker()


def _after_fork(master: arbiter.Arbiter, _worker: Any) -> None:
    processes.die_with_parent(master.pid)
    # The connections are those of the tests' process, which goes on to use them.
    db.engine().dispose(close=False)


def _quoted(path: str) -> str:
    """A path as a request can carry it; what is quoted already stays as it is."""
    return parse.quote(path, safe="%/:?#[]@!$&'()*+,;=~")
