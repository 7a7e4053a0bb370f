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

"""Checkpoints."""

import datetime
import itertools
from collections.abc import Iterator, Mapping
from typing import Any, Literal, Unpack

from openstack.resource import URI, Body

from karbor.client import base, providers, waiting
from karbor.client.plans import Plan
from karbor.client.providers import Provider

_ENDS = {'available': True, 'deleted': True, 'error': False, 'error-deleting': False}


class Checkpoint(base.Resource):
    """What a plan covered, protected together."""

    resource_key = 'checkpoint'
    resources_key = 'checkpoints'
    base_path = '/providers/%(provider_id)s/checkpoints'
    allow_delete = True

    #: of the provider that it belongs to
    provider_id: str = URI('provider_id')

    project_id: str = Body('project_id')
    #: ``protecting``, ``available``, ``error``, ``deleting``, ``deleted`` or ``error-deleting``
    status: str = Body('status')
    #: what is waited for, or what failed
    status_reason: str | None = Body('status_reason')
    #: the plan as it was then: ``id`` and ``name``; where one checkpoint is shown, ``provider_id``,
    #: ``resources`` and ``parameters``, too
    protection_plan: dict[str, Any] = Body('protection_plan')
    #: JSON of what is in it, and what in what; where one checkpoint is shown
    resource_graph: str | None = Body('resource_graph')
    resources_total: int = Body('resources_total')
    #: how many are done by what works on it now, or did last
    resources_done: int = Body('resources_done')
    resources_failed: int = Body('resources_failed')
    #: why some failed, by ``TYPE#ID``; where one checkpoint is shown
    resources_reason: dict[str, str | None] | None = Body('resources_reason')
    #: each has ``type``, ``id``, ``name``, ``state``, ``reason``, ``taken_at`` and ``size``; where
    #: one checkpoint is shown
    resources: list[dict[str, Any]] | None = Body('resources')
    #: whether retention leaves it alone
    pinned: bool = Body('pinned')
    region: str | None = Body('region')
    created_at: str = Body('created_at')
    #: when it is deleted, if that is known already
    expires_at: str | None = Body('expires_at')
    #: JSON of what was given when it was made
    extra_info: str | None = Body('extra_info')


class CheckpointQuery(base.ProjectsPage, total=False):
    """What checkpoints are listed; deleted ones only with ``status='deleted'``.

    :ivar start_date: the first day, or moment; a moment without a zone is in UTC.
    :ivar end_date: the last, which is included.
    """

    plan_id: str
    status: str
    resource_id: str
    resource_type: str
    start_date: datetime.date | str
    end_date: datetime.date | str


class Calls(providers.Calls):
    """A checkpoint is a :class:`Checkpoint`, or its id with that of its provider."""

    def checkpoints(
        self, provider: Provider | str | None = None, **query: Unpack[CheckpointQuery]
    ) -> Iterator[Checkpoint]:
        """List checkpoints, the newest first.

        :param provider: whose; without one, those of all providers, one after the other.
        """
        if provider is None:
            return itertools.chain.from_iterable(
                self.checkpoints(each, **query) for each in self.providers()
            )
        return self._listed(Checkpoint, _path(provider), query, provider_id=base.id_of(provider))

    def create_checkpoint(
        self, plan: Plan, extra_info: Mapping[str, Any] | None = None
    ) -> Checkpoint:
        """Begin to protect what a plan covers; :meth:`wait_for_checkpoint` sees the end.

        :param extra_info: texts and numbers to be kept with it.
        """
        fields = {'plan_id': plan.id, **base.given(extra_info=extra_info)}
        return self._sent(
            'POST', _path(plan.provider_id), Checkpoint, fields, provider_id=plan.provider_id
        )

    def get_checkpoint(
        self, checkpoint: Checkpoint | str, provider: Provider | str | None = None
    ) -> Checkpoint:
        """Show one checkpoint, with what is in it."""
        provider_id = _provider_id(checkpoint, provider)
        shown = self._ask('GET', base.part(_path(provider_id), checkpoint))['checkpoint']
        return self._shown(Checkpoint, shown, provider_id=provider_id)

    def delete_checkpoint(
        self,
        checkpoint: Checkpoint | str,
        provider: Provider | str | None = None,
        ignore_missing: bool = True,
    ) -> None:
        """Begin to delete a checkpoint and its snapshots."""
        self._removed(_path_of(checkpoint, provider), ignore_missing)

    def pin_checkpoint(
        self, checkpoint: Checkpoint | str, provider: Provider | str | None = None
    ) -> None:
        """Keep a checkpoint from retention."""
        self._ask('PUT', _path_of(checkpoint, provider) + '/pin')

    def unpin_checkpoint(
        self, checkpoint: Checkpoint | str, provider: Provider | str | None = None
    ) -> None:
        """Leave a checkpoint to retention again."""
        self._ask('DELETE', _path_of(checkpoint, provider) + '/pin')

    def reset_checkpoint(
        self,
        checkpoint: Checkpoint | str,
        state: Literal['available', 'error'],
        provider: Provider | str | None = None,
    ) -> None:
        """Set the status of a checkpoint that no job works on."""
        body = {'os-resetState': {'state': state}}
        self._ask('PUT', _path_of(checkpoint, provider), body)

    def copy_checkpoints(
        self, plan: Plan, parameters: Mapping[str, Mapping[str, Any]] | None = None
    ) -> None:
        """Copy what there is of a plan.

        :raises BadRequestException: no plugin of the provider can copy, which none that is
            shipped can.
        """
        body = {'copy': {'plan_id': plan.id, **base.given(parameters=parameters)}}
        self._ask('POST', _path(plan.provider_id) + '/action', body)

    def wait_for_checkpoint(
        self,
        checkpoint: Checkpoint | str,
        provider: Provider | str | None = None,
        **patience: Unpack[waiting.Patience],
    ) -> Checkpoint:
        """Wait until a checkpoint is ``available`` or, if it is being deleted, ``deleted``.

        :raises Failed: it ends otherwise; says the reason.
        :raises TimedOut: it goes on after ``timeout``.
        """
        provider_id = _provider_id(checkpoint, provider)
        return waiting.until_ended(
            lambda: self.get_checkpoint(base.id_of(checkpoint), provider_id), _judge, patience
        )


def progress(checkpoint: Checkpoint) -> waiting.Progress:
    return waiting.Progress(
        checkpoint.resources_done, checkpoint.resources_failed, checkpoint.resources_total
    )


def _judge(checkpoint: Checkpoint) -> waiting.Look:
    return waiting.Look(
        checkpoint.status,
        checkpoint.status_reason,
        progress(checkpoint),
        _ENDS.get(checkpoint.status),
    )


def _path(provider: Provider | str) -> str:
    return base.part('/providers', provider) + '/checkpoints'


def _path_of(checkpoint: Checkpoint | str, provider: Provider | str | None) -> str:
    return base.part(_path(_provider_id(checkpoint, provider)), checkpoint)


def _provider_id(checkpoint: Checkpoint | str, provider: Provider | str | None) -> str:
    if provider is not None:
        return base.id_of(provider)
    if isinstance(checkpoint, Checkpoint):
        return checkpoint.provider_id
    raise ValueError(f'Of which provider the checkpoint {checkpoint} is, must be said, too.')
