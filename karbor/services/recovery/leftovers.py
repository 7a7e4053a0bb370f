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

from oslo_log import log as logging

from karbor import db, exception
from karbor.db import inventory as rows
from karbor.db import models
from karbor.services.checkpoints import plugin_records
from karbor.services.protection import checkpoint as bank_checkpoint
from karbor.services.protection import provider
from karbor.services.recovery import bank_rebuilding

LOG = logging.getLogger(__name__)


def find(found: provider.Provider) -> list[str]:
    """Ids of the deleted checkpoints that a provider's bank still has something of.

    :raises BankListObjectsFailed: the bank cannot be listed.
    """
    deleted: list[str] = []
    for batch in rows.batches(bank_rebuilding.ids_in_bank(found.bank, found.id)):
        with db.reader() as session:
            deleted += rows.deleted_checkpoints(session, batch)
    return deleted


def remove(found: provider.Provider) -> list[str]:
    """Remove them; returns the ids of the checkpoints of which something was removed.

    A bank that fails is logged, and left to the next time.
    """
    removed = []
    try:
        for checkpoint_id in find(found):
            _in_bank(found, checkpoint_id).erase()
            LOG.info('Checkpoint %s: what the bank had of it is removed', checkpoint_id)
            removed.append(checkpoint_id)
    except exception.BankError as exc:
        LOG.warning('What is left of deleted checkpoints is not removed now: %s', exc.msg)
    return removed


def _in_bank(found: provider.Provider, checkpoint_id: str) -> bank_checkpoint.Checkpoint:
    """A checkpoint as its row has it: of what the bank has, any part may be missing."""
    with db.reader() as session:
        row = session.get_one(models.Checkpoint, checkpoint_id)
    return plugin_records.draft_checkpoint(row, found.checkpoints)
