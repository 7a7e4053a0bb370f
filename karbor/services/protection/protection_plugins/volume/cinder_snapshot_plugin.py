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

"""Protects Cinder volumes by snapshots.

Specification: https://blueprints.launchpad.net/karbor/+spec/cinder-volume-snapshot-plugin
"""

import functools
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from oslo_config import cfg
from oslo_log import log as logging

from karbor import context as karbor_context
from karbor import exception
from karbor.common import constants
from karbor.resource import Resource
from karbor.services import retrying
from karbor.services.cinder import records, statuses
from karbor.services.cinder.faults import FAULTS, CinderFault, describe, is_unanswered
from karbor.services.cinder.job import CinderJob
from karbor.services.cinder.marks import Marks
from karbor.services.protection import bank_plugin, protection_plugin, steps
from karbor.services.protection.protection_plugins.volume import (
    cinder_snapshot_in_place_checks as in_place_checks,
)
from karbor.services.protection.protection_plugins.volume import (
    cinder_snapshot_operations as operations,
)
from karbor.services.protection.protection_plugins.volume import (
    cinder_snapshot_plugin_schemas as schemas,
)
from karbor.services.protection.protection_plugins.volume import (
    cinder_snapshot_texts as texts,
)
from karbor.services.protection.protection_plugins.volume.cinder_snapshot_restore import (
    RestoreOperation,
)

LOG = logging.getLogger(__name__)

GROUP = 'volume_snapshot_plugin'

_NOT_KNOWN = protection_plugin.Loss('which snapshot it has is not known', is_gone=False)

# Looked at beside the schema, which is the specification's to the letter.
_TEXTS = ('snapshot_name', 'description')

_FORCE_DEFAULT = schemas.OPTIONS_SCHEMA['properties']['force']['default']


_SHORTEST = 0.05


def _is_zero(value: Any) -> bool:
    try:
        return float(value) == 0
    except ValueError:
        return False


class _Interval(cfg.types.Float):
    """The time between two looks; none, as tests of old set it, is taken as the smallest."""

    def __call__(self, value: Any) -> Any:
        return super().__call__(_SHORTEST if _is_zero(value) else value)


OPTS = [
    cfg.Opt(
        'poll_interval',
        type=_Interval(min=_SHORTEST),
        default=15,
        help='Longest time between two looks at what Cinder is working on, in '
        'seconds, from 0.05. The first looks follow faster.',
    ),
    cfg.FloatOpt(
        'snapshot_timeout',
        default=3600,
        min=1,
        help='Longest time that a snapshot may take to become available, in seconds.',
    ),
    cfg.FloatOpt(
        'restore_timeout',
        default=21600,
        min=1,
        help='Longest time that a volume may take to be made from a snapshot, in seconds.',
    ),
    cfg.FloatOpt(
        'delete_timeout',
        default=3600,
        min=1,
        help='Longest time to get a snapshot deleted, in seconds; as long, a busy '
        'one is tried again.',
    ),
    cfg.FloatOpt(
        'settle_timeout',
        default=300,
        min=0,
        help='Longest time to wait for a volume that is between two states '
        '(attaching, extending, ...) before its snapshot is taken, and for a '
        'failed volume of a restore to be removed, in seconds.',
    ),
    cfg.FloatOpt(
        'in_flight_timeout',
        default=60,
        min=0,
        help='For how long Cinder may get to a request after it was sent, in '
        'seconds. A job that runs again after it was killed waits as long for '
        'what the killed one asked for, before it asks a second time.',
    ),
    cfg.FloatOpt(
        'retry_timeout',
        default=300,
        min=0,
        help='For how long a request is tried again that Cinder answers with 429, '
        '500, 503 or not at all, in seconds.',
    ),
    cfg.IntOpt(
        'max_creating',
        default=500,
        min=1,
        help='How many snapshots, or volumes of a restore, Cinder may be making at once '
        'for one job. Storage that copies bytes for them may want few.',
    ),
]


class CinderSnapshotProtectionPlugin(protection_plugin.ProtectionPlugin):
    """The plugin; one object serves one job.

    :param config: the provider file's own ``ConfigOpts``, group
        ``[volume_snapshot_plugin]``.
    :param clock: what pauses between requests are made with.
    """

    _SUPPORT_RESOURCE_TYPES = [constants.VOLUME_RESOURCE_TYPE]

    def __init__(
        self, config: cfg.ConfigOpts | None = None, *, clock: retrying.Clock = time
    ) -> None:
        config = cfg.ConfigOpts() if config is None else config
        super().__init__(config)
        config.register_opts(OPTS, GROUP)
        self.options = config[GROUP]
        self._clock = clock
        self._lock = threading.Lock()
        self._job: CinderJob | None = None
        self._protected: set[str] = set()

    def _cinder(self, context: karbor_context.RequestContext) -> CinderJob:
        """What the job's resources share of Cinder, made when it is first needed."""
        with self._lock:
            if self._job is None:
                self._job = CinderJob(
                    context,
                    self.options.poll_interval,
                    self.options.retry_timeout,
                    self._clock,
                    max_creating=self.options.max_creating,
                )
            return self._job

    @classmethod
    def get_supported_resources_types(cls) -> list[str]:
        return cls._SUPPORT_RESOURCE_TYPES

    @classmethod
    def get_options_schema(cls, resource_type: str) -> protection_plugin.Schema:
        return schemas.OPTIONS_SCHEMA

    @classmethod
    def get_default_options(cls, resource_type: str, plan_name: str) -> dict[str, Any]:
        # In the plan's name, braces are text.
        name = '{plan_name}' if '{' in plan_name else plan_name
        return {'snapshot_name': name, 'description': '', 'force': _FORCE_DEFAULT}

    @classmethod
    def check_options(cls, resource_type: str, values: dict[str, Any]) -> None:
        for name in _TEXTS:
            length = len(values.get(name) or '')
            if length > texts.LONGEST:
                raise ValueError(
                    f'{name} has {length} characters; Cinder takes {texts.LONGEST} at most.'
                )

    @classmethod
    def check_new_options(cls, resource_type: str, values: dict[str, Any]) -> None:
        for name in _TEXTS:
            for word in texts.unknown_words(values.get(name) or ''):
                known = ', '.join(f'{{{each}}}' for each in texts.WORDS)
                raise ValueError(f'{name}: {{{word}}} stands for nothing; there are {known}.')
        for character in values.get('description') or '':
            if not texts.is_taken(character):
                raise ValueError(f'description: Cinder takes no {character!a} in it.')

    @classmethod
    def get_restore_schema(cls, resource_type: str) -> protection_plugin.Schema:
        return schemas.RESTORE_SCHEMA

    @classmethod
    def get_restore_choices(cls, resource_type: str) -> frozenset[str]:
        return frozenset(
            (
                'name_suffix',
                'volume_type',
                'availability_zone',
                'size',
                'in_place',
                'safety',
                'accept_grown',
            )
        )

    def check_in_place(
        self,
        asked: Mapping[str, protection_plugin.AskedInPlace],
        context: karbor_context.RequestContext,
    ) -> None:
        in_place_checks.check_asked(asked, context)

    @classmethod
    def get_verify_schema(cls, resource_type: str) -> protection_plugin.Schema:
        return schemas.VERIFY_SCHEMA

    @classmethod
    def get_saved_info_schema(cls, resource_type: str) -> protection_plugin.Schema:
        return schemas.SAVED_INFO_SCHEMA

    @classmethod
    @steps.quick
    def get_saved_info(cls, metadata_store: bank_plugin.BankSection, resource: Resource) -> Any:
        return metadata_store.get_object(records.SNAPSHOT_KEY)

    def get_protect_operation(self, resource: Resource) -> operations.ProtectOperation:
        self._protected.add(resource.id)
        return operations.ProtectOperation(
            self._cinder, self.options, self._clock, protected=self._protected
        )

    def get_restore_operation(self, resource: Resource) -> RestoreOperation:
        return RestoreOperation(self._cinder, self.options, self._clock)

    def get_delete_operation(self, resource: Resource) -> operations.DeleteOperation:
        return operations.DeleteOperation(self._cinder, self.options, self._clock)

    def get_verify_operation(self, resource: Resource) -> operations.VerifyOperation:
        return operations.VerifyOperation(self._cinder, self.options, self._clock)

    def find_losses(
        self,
        checkpoint_id: str,
        kept: Mapping[str, str | None],
        context: karbor_context.RequestContext,
    ) -> Mapping[str, protection_plugin.Loss]:
        """Look for the snapshots in the list of the checkpoint's, and then one by one.

        :raises InventoryFailed: Cinder cannot tell.
        """
        marks = Marks(checkpoint_id=checkpoint_id)
        snapshots = self._cinder(context).snapshots(marks)
        losses = {}
        try:
            listed = {snapshot.id: snapshot for snapshot in steps.drive(snapshots.find(marks))}
            for volume_id, snapshot_id in kept.items():
                snapshot = listed.get(snapshot_id or '')
                if snapshot is None and snapshot_id is not None:
                    snapshot = steps.drive(snapshots.get_or_none(snapshot_id))
                loss = _loss(snapshot) if snapshot_id is not None else _NOT_KNOWN
                if loss is not None:
                    losses[volume_id] = loss
        except FAULTS as exc:
            raise exception.InventoryFailed(
                reason=describe(exc), is_passing=is_unanswered(exc)
            ) from exc
        return losses

    def look_again(
        self,
        operation: str,
        checkpoint: Any,
        resources: Sequence[Resource],
        context: karbor_context.RequestContext,
        **kwargs: Any,
    ) -> None:
        """Remove what requests have made whose answers were lost, beside what is kept."""
        cinder = self._cinder(context)
        kept_id: Callable[[str], str | None]
        if operation == constants.OperationType.PROTECT:
            items = cinder.snapshots(Marks(checkpoint_id=checkpoint.id))
            kept_id = functools.partial(_recorded, checkpoint, {each.id for each in resources})
        elif operation == constants.OperationType.RESTORE:
            restore = kwargs['restore']
            items = cinder.volumes(Marks(restore_id=restore['id']))
            kept_id = kwargs['new_resources'].get
            if any(restore.choices_of(each.type, each.id).get('in_place') for each in resources):
                _remove_images(cinder, restore)
        else:
            return
        if items.is_doubtful or not cinder.is_first_attempt:
            steps.drive(items.remove_doubles(kept_id, self.options.settle_timeout))


def _remove_images(cinder: CinderJob, restore: Any) -> None:
    """Remove what is left in Glance of a restore, whose hooks are all over, and of earlier ones."""
    restore_id = restore['id']
    try:
        left = steps.drive(cinder.images.restores())
        for each in {restore_id} & left | restore.ended(left - {restore_id}):
            steps.drive(cinder.images.remove(Marks(restore_id=each)))
    except (CinderFault, exception.ServiceMissing) as exc:
        LOG.warning('Images of restores in place may be left in Glance: %s', exc)


def _loss(snapshot: Any) -> protection_plugin.Loss | None:
    """Why a snapshot is not good, if it is not."""
    if snapshot is None:
        return protection_plugin.Loss('its snapshot is not in Cinder any more', is_gone=True)
    if snapshot.status in statuses.FAILED:
        return protection_plugin.Loss(
            f'its snapshot {snapshot.id} is in status {snapshot.status}', is_gone=False
        )
    return None


def _recorded(checkpoint: Any, volume_ids: Collection[str], volume_id: str) -> str | None:
    """The id of the snapshot that the bank has of a volume; None when it has none.

    :param volume_ids: of those that the checkpoint is of.
    """
    if volume_id not in volume_ids:
        return None
    section = checkpoint.get_resource_bank_section(volume_id)
    record = records.of_snapshot(section, volume_id).read()
    return None if record is None else record.snapshot_id
