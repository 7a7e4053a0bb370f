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

"""What to tell a person of what is waited for."""

from collections.abc import Callable

from karbor.common.progress import duration
from karbor.services.cinder.watcher import Waiting


def text(waiting: Waiting, describe: Callable[[Exception], str]) -> str:
    """Text such as ``17 of 20 snapshots are creating, the oldest for 4 min``.

    :param waiting: for one item or more, all of one kind.
    :param describe: what to tell of a fault.
    """
    count = len(waiting.items)
    kind = type(waiting.items[0]).__name__.lower()
    statuses = ' or '.join(sorted({item.status for item in waiting.items}))
    verb = 'is' if count == 1 else 'are'
    plural = '' if waiting.total == 1 else 's'
    oldest = '' if count == 1 else 'the oldest '
    told = (
        f'{count} of {waiting.total} {kind}{plural} {verb} {statuses}, '
        f'{oldest}for {duration(waiting.seconds)}'
    )
    if waiting.fault is not None:
        told += f'; the last look failed: {describe(waiting.fault)}'
    return told
