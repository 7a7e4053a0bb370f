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

"""What ``pip install karbor`` leaves out, and who is told when it is needed: the extras.

The libraries of an extra are imported by nothing that karbor-standalone loads with its bank in
files. Whoever needs one asks :func:`check` first, or imports within :func:`explaining`.
"""

import contextlib
import dataclasses
import importlib.util
from collections.abc import Iterator

from karbor import exception


@dataclasses.dataclass(frozen=True)
class Extra:
    """A set of libraries, as ``[extras]`` of setup.cfg has them.

    :ivar modules: their names in Python.
    :ivar use: what needs them.
    """

    name: str
    modules: tuple[str, ...]
    use: str

    @property
    def is_installed(self) -> bool:
        return all(map(_is_there, self.modules))


EXTRAS = {
    extra.name: extra
    for extra in (
        Extra(
            'service',
            ('cotyledon', 'keystonemiddleware', 'oslo_middleware', 'webob'),
            'the service of a cloud',
        ),
        Extra('swift', ('swiftclient',), 'karbor-swift-bank-plugin'),
        Extra('s3', ('boto3',), 'karbor-s3-bank-plugin'),
        Extra('redis', ('redis', 'taskflow'), '[jobboard] connection = redis://'),
        Extra('etcd', ('etcd3gw', 'taskflow'), '[jobboard] connection = etcd://'),
        Extra('zookeeper', ('kazoo', 'taskflow'), '[jobboard] connection = zookeeper://'),
        Extra('mysql', ('pymysql',), '[database] connection = mysql+pymysql://'),
        Extra('postgresql', ('psycopg2',), '[database] connection = postgresql+psycopg2://'),
    )
}


def check(name: str, what: str) -> None:
    """Look whether an extra is installed.

    :param name: of the extra.
    :param what: needs it.
    :raises ExtraMissing: one of its modules is not there.
    """
    if not EXTRAS[name].is_installed:
        raise exception.ExtraMissing(what=what, extra=name)


@contextlib.contextmanager
def explaining(what: str) -> Iterator[None]:
    """Name the extra that brings a module, should its import fail.

    :param what: needs the modules that are imported meanwhile.
    :raises ExtraMissing: in place of a ModuleNotFoundError; of a module that no extra brings,
        or of a part of one that is there, that is left as it is.
    """
    try:
        yield
    except ModuleNotFoundError as exc:
        module = (exc.name or '').partition('.')[0]
        for extra in EXTRAS.values():
            # Of a library that is there, only a part may be missing, as of another release.
            if module in extra.modules and not _is_there(module):
                raise exception.ExtraMissing(what=what, extra=extra.name) from exc
        raise


def _is_there(module: str) -> bool:
    return importlib.util.find_spec(module) is not None
