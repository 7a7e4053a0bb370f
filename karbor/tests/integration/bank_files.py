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

"""What a file system bank has of checkpoints, read behind Karbor's back."""

import collections
import pathlib
from typing import Any

from karbor.common import moments
from karbor.services.protection.bank_plugins import file_system_bank_plugin
from karbor.tests.integration import agreement

# Of what is written beside its place.
_PARTIAL = '~'


def read(bank: pathlib.Path, checkpoint_id: str) -> agreement.BankCheckpoint:
    """What there is of a checkpoint.

    :param bank: its folder.
    """
    folder = bank / 'karbor/checkpoints' / checkpoint_id
    resources: dict[str, dict[str, Any]] = collections.defaultdict(dict)
    for path in folder.glob('resource-data/*/*'):
        if not path.name.endswith(_PARTIAL):
            resources[path.parent.name][path.name] = _object(path)
    records = {resource_id: _record(objects) for resource_id, objects in resources.items()}
    index = folder / 'index.json'
    if not index.exists():
        return agreement.BankCheckpoint(records=records)
    found = _object(index)
    return agreement.BankCheckpoint(
        status=found['status'],
        resources=agreement.resources_of(found['resource_graph']),
        records=records,
    )


def _object(path: pathlib.Path) -> Any:
    return file_system_bank_plugin.decode(path.read_bytes())


def _record(objects: dict[str, Any]) -> agreement.BankRecord:
    saved = objects.get('metadata', {})
    return agreement.BankRecord(
        status=objects.get('status'),
        snapshot_id=saved.get('snapshot_id'),
        size=saved.get('size'),
        created_at=moments.read_utc(saved.get('created_at')),
        names=frozenset(objects),
    )
