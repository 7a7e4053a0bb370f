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

"""Restores and verifications: they use a checkpoint."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypedDict, Unpack

from openstack import exceptions
from openstack.resource import Body

from karbor.client import base, checkpoints, waiting
from karbor.client.checkpoints import Checkpoint
from karbor.client.providers import Provider

_RESTORES, _GROUPS, _VERIFICATIONS = '/restores', '/restore_groups', '/verifications'
_ENDS = {'success': True, 'fail': False}

Parameters = Mapping[str, Mapping[str, Any]]


class Use(base.Resource):
    """What restores and verifications have in common."""

    project_id: str = Body('project_id')
    provider_id: str = Body('provider_id')
    checkpoint_id: str = Body('checkpoint_id')
    parameters: dict[str, dict[str, Any]] = Body('parameters')
    #: ``in_progress``, ``success`` or ``fail``
    status: str = Body('status')
    status_reason: str | None = Body('status_reason')
    resources_done: int = Body('resources_done')
    resources_failed: int = Body('resources_failed')
    #: by ``TYPE#ID``
    resources_status: dict[str, str] = Body('resources_status')
    #: why some failed, by ``TYPE#ID``
    resources_reason: dict[str, str] = Body('resources_reason')


class Restore(Use):
    """A checkpoint of which resources are made anew, or overwritten."""

    resource_key = 'restore'
    resources_key = 'restores'
    base_path = _RESTORES

    restore_target: str | None = Body('restore_target')
    #: of a restore by time, see :class:`RestoreGroup`
    group_id: str | None = Body('group_id')
    #: what was asked for, of a part of the checkpoint
    resources: list[dict[str, Any]] | None = Body('resources')
    partial: bool = Body('partial')
    name_suffix: str | None = Body('name_suffix')
    volume_type: str | None = Body('volume_type')
    availability_zone: str | None = Body('availability_zone')
    #: in GiB
    size: int | None = Body('size')
    #: whether it is onto the resources themselves
    in_place: bool | None = Body('in_place')
    #: ``none`` where what is overwritten is not kept
    safety: str | None = Body('safety')
    accept_grown: bool | None = Body('accept_grown')
    #: for how many days what is overwritten is kept
    safety_keep: int | None = Body('safety_keep')
    #: in which checkpoint that is
    safety_checkpoint_id: str | None = Body('safety_checkpoint_id')
    #: ids of what is made, by ``TYPE#ID`` of the original; where one restore is shown
    new_resources: dict[str, str] | None = Body('new_resources')
    #: what has become of each resource; where one restore is shown
    results: list[dict[str, Any]] | None = Body('results')


class RestoreGroup(base.Resource):
    """Restores that were asked for together, of what was at a moment."""

    resource_key = 'restore_group'
    base_path = _GROUPS

    project_id: str = Body('project_id')
    #: the day, or the moment, as it was asked for
    at: str | None = Body('at')
    #: of all together: ``in_progress``, ``success`` or ``fail``
    status: str = Body('status')
    #: each as a restore is shown
    restores: list[dict[str, Any]] = Body('restores')


class Verification(Use):
    """A checkpoint that is looked at, whether all of it is still there."""

    resource_key = 'verification'
    resources_key = 'verifications'
    base_path = _VERIFICATIONS


class UseQuery(base.ProjectsPage, total=False):
    """What restores or verifications are listed."""

    status: str
    checkpoint_id: str
    provider_id: str


class Choices(TypedDict, total=False):
    """How what is restored is to differ from what was; or that it overwrites what is.

    :ivar size: in GiB.
    :ivar in_place: onto the resources themselves, which must be detached.
    :ivar safety: ``none`` to keep nothing of what is overwritten.
    :ivar accept_grown: also where a volume is larger than its snapshot.
    :ivar safety_keep: for how many days what is overwritten is kept.
    """

    name_suffix: str
    volume_type: str
    availability_zone: str
    size: int
    in_place: bool
    safety: str
    accept_grown: bool
    safety_keep: int


class RestoreChoices(Choices, total=False):
    """The same, and what is restored.

    :ivar resources: each with ``type`` and ``id``, and with choices for it alone.
    :ivar partial: leave out what is not good.
    """

    resources: Sequence[Mapping[str, Any]]
    partial: bool


class Calls(checkpoints.Calls):
    def restores(self, **query: Unpack[UseQuery]) -> Iterator[Restore]:
        """List restores, the newest first."""
        return self._listed(Restore, _RESTORES, query)

    def create_restore(
        self,
        checkpoint: Checkpoint,
        parameters: Parameters | None = None,
        *,
        restore_target: str | None = None,
        restore_auth: Mapping[str, Any] | None = None,
        **choices: Unpack[RestoreChoices],
    ) -> Restore:
        """Begin to restore a checkpoint.

        :param parameters: options by ``OS::Cinder::Volume``, or ``OS::Cinder::Volume#ID`` for one
            resource; see ``restore_schema`` of the provider.
        :param restore_target: is kept and shown.
        :param restore_auth: for the target.
        :param choices: what of it, if not all, and how.
        """
        fields = {
            **_used(checkpoint, parameters),
            **base.given(restore_target=restore_target, restore_auth=restore_auth),
            **choices,
        }
        return self._sent('POST', _RESTORES, Restore, fields)

    def get_restore(self, restore: Restore | str) -> Restore:
        """Show one restore, with what it has made so far."""
        return self._fetched(Restore, base.part(_RESTORES, restore))

    def wait_for_restore(
        self, restore: Restore | str, **patience: Unpack[waiting.Patience]
    ) -> Restore:
        """Wait until a restore has ended well.

        :raises Failed: it has not; says the reason.
        :raises TimedOut: it goes on after ``timeout``.
        """
        first = self.get_restore(restore)
        return waiting.until_ended(
            lambda: self.get_restore(first.id), self._judge_of(first), patience
        )

    def create_restore_group(
        self,
        resources: Sequence[Mapping[str, Any]],
        at: str | None = None,
        *,
        provider: Provider | str | None = None,
        parameters: Parameters | None = None,
        **choices: Unpack[Choices],
    ) -> RestoreGroup:
        """Begin to restore of each resource the newest good recovery point that is not too late.

        :param resources: each with ``type`` and ``id``, and with choices for it alone.
        :param at: the last day, or moment, that may be gone back to; None is now.
        :param provider: whose recovery points; None is any.
        :param parameters: see :meth:`create_restore`.
        """
        provider_id = None if provider is None else base.id_of(provider)
        fields = {
            'resources': resources,
            'parameters': parameters or {},
            **base.given(at=at, provider_id=provider_id),
            **choices,
        }
        return self._sent('POST', _GROUPS, RestoreGroup, fields)

    def get_restore_group(self, group: RestoreGroup | str) -> RestoreGroup:
        """Show restores that were asked for together, with what they have made so far."""
        return self._fetched(RestoreGroup, base.part(_GROUPS, group))

    def wait_for_restore_group(
        self, group: RestoreGroup | str, **patience: Unpack[waiting.Patience]
    ) -> RestoreGroup:
        """Wait until all restores of a group have ended well.

        :raises Failed: one has not; says the reason.
        :raises TimedOut: one goes on after ``timeout``.
        """
        first = self.get_restore_group(group)
        return waiting.until_ended(lambda: self.get_restore_group(first.id), _judge_group, patience)

    def verifications(self, **query: Unpack[UseQuery]) -> Iterator[Verification]:
        """List verifications, the newest first."""
        return self._listed(Verification, _VERIFICATIONS, query)

    def create_verification(
        self, checkpoint: Checkpoint, parameters: Parameters | None = None
    ) -> Verification:
        """Begin to verify a checkpoint.

        :param parameters: see ``verify_schema`` of the provider.
        """
        return self._sent('POST', _VERIFICATIONS, Verification, _used(checkpoint, parameters))

    def get_verification(self, verification: Verification | str) -> Verification:
        """Show one verification."""
        return self._fetched(Verification, base.part(_VERIFICATIONS, verification))

    def wait_for_verification(
        self, verification: Verification | str, **patience: Unpack[waiting.Patience]
    ) -> Verification:
        """Wait until a verification has ended well.

        :raises Failed: it has not; says the reason.
        :raises TimedOut: it goes on after ``timeout``.
        """
        first = self.get_verification(verification)
        return waiting.until_ended(
            lambda: self.get_verification(first.id), self._judge_of(first), patience
        )

    def _judge_of(self, use: Use) -> waiting.Judge:
        """It has as many resources as its checkpoint, or as it was asked to restore."""
        results = getattr(use, 'results', None)
        try:
            total = (
                len(results)
                if results
                else self.get_checkpoint(use.checkpoint_id, use.provider_id).resources_total
            )
        except exceptions.NotFoundException:
            total = None

        def judge(use: Any) -> waiting.Look:
            progress = waiting.Progress(use.resources_done, use.resources_failed, total)
            return waiting.Look(use.status, use.status_reason, progress, _ENDS.get(use.status))

        return judge


def _used(checkpoint: Checkpoint, parameters: Parameters | None) -> base.Body:
    return {
        'provider_id': checkpoint.provider_id,
        'checkpoint_id': checkpoint.id,
        'parameters': parameters or {},
    }


def _judge_group(group: Any) -> waiting.Look:
    """How the restores of a group are, together."""
    results = [result for restore in group.restores for result in restore['results']]
    ends = [result['end'] for result in results]
    reasons = [restore['status_reason'] for restore in group.restores]
    return waiting.Look(
        group.status,
        '; '.join(reason for reason in reasons if reason) or None,
        waiting.Progress(ends.count('restored'), ends.count('failed'), len(ends)),
        _ENDS.get(group.status),
    )
