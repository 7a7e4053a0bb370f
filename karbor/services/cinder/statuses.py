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

"""The statuses that volumes and snapshots have in Cinder."""

from typing import Any

#: those from which Cinder goes on by itself
PASSING = frozenset(
    (
        'attaching',
        'backing-up',
        'creating',
        'deleting',
        'detaching',
        'downloading',
        'extending',
        'reserved',
        'restoring',
        'restoring-backup',
        'retyping',
        'uploading',
    )
)
READY = frozenset(('available', 'in-use'))
FAILED = frozenset(('error', 'error_deleting', 'error_restoring', 'deleting'))
DELETABLE = frozenset(('available', 'error'))


def is_settled(item: Any) -> bool:
    """Whether nothing goes on with an item; None is gone."""
    return item is None or item.status in READY | FAILED
