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

"""The edge of what plugins do."""

import contextlib
from collections.abc import Iterator


@contextlib.contextmanager
def kept() -> Iterator[None]:
    """Let nothing out that is no Exception, as which a plugin's faults are told.

    What else a plugin may raise, such as SystemExit or a time-out of eventlet, would end a thread
    or the process where nobody looks for it.

    :raises RuntimeError: in its place; that a person ends the process is no fault.
    """
    try:
        yield
    except (Exception, KeyboardInterrupt):
        raise
    except BaseException as exc:
        raise RuntimeError(f'{type(exc).__name__} was raised: {exc}') from exc
