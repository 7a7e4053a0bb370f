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

"""What a bank still has of checkpoints whose rows say that they are deleted.

A row that says so outweighs what the bank says: an attempt that had lost its job may have
written something late. A checkpoint without a row is left alone, since its row may be what was
lost.
"""

import datetime
from collections.abc import Iterable

from oslo_log import log as logging

from karbor import db, exception
from karbor.db import inventory as rows
from karbor.db import models
from karbor.services.checkpoints import plugin_records
from karbor.services.protection import checkpoint as bank_checkpoint
from karbor.services.protection import provider
from karbor.services.recovery import bank_rebuilding

LOG = logging.getLogger(__name__)

# For so long after a job was done more than once, what its first attempts may write is looked for
# also where no index names it.
_LATE = datetime.timedelta(days=7)


def find(found: provider.Provider) -> list[str]:
    """Ids of the deleted checkpoints that a provider's bank still has something of.

    :raises BankListObjectsFailed: the bank cannot be listed.
    """
    deleted: dict[str, None] = {}
    for batch in rows.batches(bank_rebuilding.ids_in_bank(found.bank, found.id)):
        with db.reader() as session:
            deleted.update(dict.fromkeys(rows.deleted_checkpoints(session, batch)))
    with db.reader() as session:
        doubtful = rows.deleted_after_reruns(session, found.id, db.now(session) - _LATE)
    for checkpoint_id in doubtful:
        if found.bank.list_objects(f'/checkpoints/{checkpoint_id}/', limit=1):
            deleted[checkpoint_id] = None
    return list(deleted)


def check(registry: Iterable[provider.Provider], *, is_dry_run: bool = False) -> list[str]:
    """Remove them from the banks of all providers; returns a line for each checkpoint.

    A bank that fails is logged, and left to the next time.

    :param is_dry_run: only tell of them.
    """
    lines = []
    for found in registry:
        try:
            for checkpoint_id in find(found):
                if not is_dry_run:
                    _in_bank(found, checkpoint_id).erase()
                lines.append(
                    f'provider {found.id}: what the bank had of the deleted checkpoint '
                    f'{checkpoint_id} {"would be" if is_dry_run else "is"} removed'
                )
        except exception.BankError as exc:
            LOG.warning('The bank of provider %s is not looked at: %s', found.id, exc.msg)
    return lines


def _in_bank(found: provider.Provider, checkpoint_id: str) -> bank_checkpoint.Checkpoint:
    """A checkpoint as its row has it: of what the bank has, any part may be missing."""
    with db.reader() as session:
        row = session.get_one(models.Checkpoint, checkpoint_id)
    return plugin_records.draft_checkpoint(row, found.checkpoints)
