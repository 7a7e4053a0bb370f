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

"""The connections of clients that may be hostile.

waitress reads what comes in one thread, so that a client that is slow keeps no other waiting, and
gives a request to a thread of its own once it is whole. What is added here: everything a client is
waited for has a deadline in all, a body has its length, bytes behind a request are never read as
another one, and who is refused is told so in the form of the API.
"""

import json
import logging
import re
import socket
import time
from typing import Any

from waitress import channel, parser, task, utilities

from karbor.api import errors

_LONGEST_BEGINNING = 5  # bytes by which a request is known whose answer has no body
_LINGER = 2  # seconds in which a client that is refused may still send
_CODING = re.compile(rb'^transfer-encoding[ \t]*:', re.IGNORECASE | re.MULTILINE)


class _LengthRequired(utilities.Error):
    code = 411
    reason = 'Length Required'


class _RequestTimeout(utilities.Error):
    code = 408
    reason = 'Request Timeout'


class _Request(parser.HTTPRequestParser):
    """Reads one request."""

    path = ''  # until it is known
    _beginning = b''

    @property
    def is_for_head(self) -> bool:
        """Whether no body may be answered, also of a request that cannot be read."""
        return self._beginning == b'HEAD '

    def received(self, data: bytes) -> int:
        """Gives how many of the bytes it takes: once the request is whole, all of them.

        Nobody who waits for an answer sends bytes behind a request. They are left out, and the
        connection is closed, so that no body can be taken for a request.
        """
        if len(self._beginning) < _LONGEST_BEGINNING:
            self._beginning = (self._beginning + data).lstrip()[:_LONGEST_BEGINNING]
        taken: int = super().received(data)
        if not self.completed or self.empty:
            return taken
        self.expect_continue = False  # nothing more is expected
        if taken < len(data):
            self.headers['CONNECTION'] = 'close'
        return len(data)

    def parse_header(self, header_plus: bytes) -> None:
        if _CODING.search(header_plus):
            self.error = _LengthRequired('A body needs a Content-Length; it cannot be chunked.')
            self.completed = True
            return
        try:
            super().parse_header(header_plus)
        except ValueError as exc:  # a URL that is none, or digits that nobody can count
            raise parser.ParsingError(str(exc)) from exc

    def time_out(self) -> None:
        """Let it be answered though it is not whole."""
        self.error = _RequestTimeout('The request did not arrive in time.')


class _Refusal(task.ErrorTask):
    """Answers a request that does not reach the API."""

    def execute(self) -> None:
        error = self.request.error
        body = json.dumps(errors.fault(error.code, self._sentence(error))).encode()
        self.status = f'{error.code} {error.reason}'
        self.response_headers.append(('Content-Type', 'application/json'))
        self.set_close_on_finish()
        self.content_length = len(body)
        asked = self.channel.requests[0]  # of an application that fails, not self.request
        self.write(b'' if asked.is_for_head else body)

    def _sentence(self, error: utilities.Error) -> str:
        limits = self.channel.adj
        if isinstance(error, utilities.RequestEntityTooLarge):
            return errors.too_large(limits.max_request_body_size - 1)
        if isinstance(error, utilities.RequestHeaderFieldsTooLarge):
            return f'The header is larger than {limits.max_request_header_size} bytes.'
        return str(error.body)


class _Log(logging.LoggerAdapter[logging.Logger]):
    """waitress logs paths as clients write them, perhaps with line breaks."""

    def process(self, msg: str, kwargs: Any) -> tuple[str, Any]:
        return msg.encode('unicode_escape').decode(), kwargs


class Connection(channel.HTTPChannel):
    """That of one client.

    :ivar since: when it began to be as it is, in seconds of ``time.monotonic``.
    """

    parser_class = _Request
    error_task_class = _Refusal
    logger = _Log(utilities.logger)
    request: _Request | None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.since = time.monotonic()
        self._has_begun = self._is_served = self._is_refused = self._lingers = False
        super().__init__(*args, **kwargs)

    @property
    def is_busy(self) -> bool:
        """Whether the client waits, not the server."""
        return bool(self.requests) or self._is_served

    @property
    def is_done(self) -> bool:
        """Whether nothing is to be answered any more."""
        return not self.is_busy and not self.total_outbufs_len

    @property
    def held(self) -> int:
        """Bytes of bodies that wait for the rest, or for a thread."""
        return sum(each.body_bytes_received for each in (self.request, *self.requests) if each)

    def drop(self) -> None:
        """Have it closed as soon as may be."""
        self._is_refused = False
        self.will_close = True

    def look(self, now: float) -> None:
        """End the wait for a client that has had time enough."""
        if self.is_busy or now < self.since + self._patience():
            return
        request = self.request
        if request is not None and not self.total_outbufs_len:
            self._time_out(request)
        else:
            self.drop()

    def _patience(self) -> float:
        limits = self.server.limits
        if self._lingers:
            return _LINGER
        if self.total_outbufs_len:
            return float(limits.answer_time)
        return float(limits.request_time if self._has_begun else limits.idle_time)

    def _time_out(self, request: _Request) -> None:
        with self.requests_lock:
            request.time_out()
            self.requests.append(request)
            self.request = None
            self.server.add_task(self)

    def handle_read(self) -> None:
        super().handle_read()
        request = self.request
        if request is None:
            return
        if not self._has_begun:
            self._has_begun = True
            self.since = time.monotonic()
        if request.body_bytes_received:
            self.server.bound_memory()

    def readable(self) -> bool:
        return self._lingers or bool(super().readable())

    def received(self, data: bytes) -> bool:
        return not self._lingers and bool(super().received(data))

    def service(self) -> None:
        """Have the request answered, in a thread."""
        self._is_served = True
        self._has_begun = False
        self._is_refused = self.requests[0].error is not None
        try:
            super().service()
        except BaseException:  # which waitress leaves to the thread
            self.cancel()
            raise
        finally:
            self.since = time.monotonic()
            self._is_served = False

    def handle_expt(self) -> None:
        """Close at urgent bytes: nobody reads them, so they would be told of without an end."""
        self.drop()

    def handle_close(self) -> None:
        """Close; of who is refused, leave out what comes, since else the answer may be lost."""
        if not self._is_refused:
            super().handle_close()
            return
        self._is_refused = self.will_close = False
        self._lingers = True
        self.since = time.monotonic()
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError:
            super().handle_close()
