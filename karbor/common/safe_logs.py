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

"""Logs in which nothing of others is raw, and no password of a URL: see :mod:`karbor.shown`."""

import logging
from typing import Any

from karbor import shown


class _Record(logging.LogRecord):
    """A record whose arguments stay on its line."""

    def getMessage(self) -> str:  # noqa: N802 - the name is logging's
        if not self.args:
            return str(self.msg)
        if isinstance(self.args, tuple):
            return str(self.msg) % tuple(map(_shown, self.args))
        return str(self.msg) % {key: _shown(value) for key, value in self.args.items()}


class _Escaping(logging.Formatter):
    """What another formatter makes, also tracebacks, with nothing that a terminal acts on.

    :param inner: the other one.
    """

    def __init__(self, inner: logging.Formatter) -> None:
        super().__init__()
        self._inner = inner

    def format(self, record: logging.LogRecord) -> str:
        return shown.lines_of(shown.without_credentials(self._inner.format(record)))


def install() -> None:
    """Make all logs of the process so, after their handlers are set up."""
    logging.setLogRecordFactory(_Record)
    for handler in logging.getLogger().handlers:
        if not isinstance(handler.formatter, _Escaping):
            handler.setFormatter(_Escaping(handler.formatter or logging.Formatter()))


def _shown(value: Any) -> Any:
    return shown.escaped(str(value)) if isinstance(value, str | BaseException) else value
