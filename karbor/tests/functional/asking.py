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


"""Clients that ask one server the same again and again, in a process of its own.

What is asked is read from standard input, see :class:`Question`; how long it took is printed::

    python -m karbor.tests.functional.asking ADDRESS COUNT
"""

import dataclasses
import http.client
import itertools
import json
import sys
import time
from concurrent import futures
from typing import Any

CLIENTS = 16


@dataclasses.dataclass(frozen=True)
class Question:
    """What is asked.

    :ivar paths: they take turns.
    """

    method: str
    paths: list[str]
    headers: dict[str, str]
    body: Any = None


@dataclasses.dataclass(frozen=True)
class Taken:
    """How long it took, and how long the processor was at work for the clients, in seconds."""

    seconds: float
    cpu: float


def ask(address: str, question: Question, count: int) -> Taken:
    """Ask by clients of which each keeps its connection.

    :param address: host and port.
    :param count: how many times, of all clients.
    """
    body = None if question.body is None else json.dumps(question.body)

    def be_client(number: int) -> None:
        connection = http.client.HTTPConnection(address, timeout=60)
        paths = itertools.cycle(question.paths)
        for path in itertools.islice(paths, number, number + count // CLIENTS):
            connection.request(question.method, path, body, question.headers)
            answer = connection.getresponse()
            text = answer.read()
            assert answer.status == 200, text
        connection.close()

    begun, cpu = time.monotonic(), time.process_time()
    with futures.ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(be_client, range(CLIENTS)))
    return Taken(time.monotonic() - begun, time.process_time() - cpu)


def main() -> None:
    address, count = sys.argv[1:]
    taken = ask(address, Question(**json.load(sys.stdin)), int(count))
    print(json.dumps(dataclasses.asdict(taken)))  # noqa: T201


if __name__ == '__main__':
    main()
