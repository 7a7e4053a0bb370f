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

"""The contract of protection plugins: what a plugin subclasses and what it is called with.

A plugin is registered under the entry-point group ``karbor.protections`` and named in a
provider file by its entry point or its dotted class path. Its schemas are read from the
class when the provider loads. For every job the class is instantiated anew, once for each
resource type it serves, and asked for one :class:`Operation` a resource.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from oslo_config import cfg

from karbor import context as karbor_context
from karbor.resource import Resource
from karbor.services.protection import bank_plugin
from karbor.services.protection import checkpoint as bank_checkpoint

Schema = dict[str, Any]


@dataclasses.dataclass(frozen=True, slots=True)
class Loss:
    """Why what a plugin keeps of a resource is not good any more.

    :ivar reason: for a person.
    :ivar is_gone: whether it is not there, seen as its owner sees it.
    """

    reason: str
    is_gone: bool


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class AskedInPlace:
    """A resource onto which what a checkpoint has of it is to be written.

    :ivar size: of its recovery point, in GiB; None when that is not known.
    :ivar choices: of the restore, for it.
    """

    size: int | None
    choices: Mapping[str, Any]

    @property
    def has_safety(self) -> bool:
        """Whether what it is now is kept first."""
        return self.choices.get('safety') != 'none'

    @property
    def accepts_grown(self) -> bool:
        """Whether it may be larger than its recovery point."""
        return bool(self.choices.get('accept_grown', False))


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class SafetyPoint:
    """What was kept of a resource before it is overwritten.

    :ivar checkpoint_id: where it is; None where nothing is.
    :ivar cloud_id: what it is in the cloud; None when it could not be kept.
    :ivar reason: why not.
    """

    checkpoint_id: str | None
    cloud_id: str | None
    reason: str | None


class Operation:
    """Four optional hooks around one resource; the same object serves all four.

    Every hook is called with keywords beyond the four named arguments: ``operation_log``
    always, ``restore`` and ``new_resources`` in a restore, ``verify`` and
    ``new_resources`` in a verification. An exception fails this resource only; the
    resource's later hooks are left out.
    """

    def on_prepare_begin(
        self,
        checkpoint: bank_checkpoint.Checkpoint,
        resource: Resource,
        context: karbor_context.RequestContext,
        parameters: dict[str, Any],
        **kwargs: Any,
    ) -> None:
        """After the parent's ``on_prepare_begin``, before any hook of the children."""

    def on_prepare_finish(
        self,
        checkpoint: bank_checkpoint.Checkpoint,
        resource: Resource,
        context: karbor_context.RequestContext,
        parameters: dict[str, Any],
        **kwargs: Any,
    ) -> None:
        """After the own begin and all children's ``on_prepare_finish``."""

    def on_main(
        self,
        checkpoint: bank_checkpoint.Checkpoint,
        resource: Resource,
        context: karbor_context.RequestContext,
        parameters: dict[str, Any],
        **kwargs: Any,
    ) -> None:
        """After the own finish; beside other resources' mains."""

    def on_complete(
        self,
        checkpoint: bank_checkpoint.Checkpoint,
        resource: Resource,
        context: karbor_context.RequestContext,
        parameters: dict[str, Any],
        **kwargs: Any,
    ) -> None:
        """After the own main and all children's ``on_complete``."""


class ProtectionPlugin:
    """Base of protection plugins.

    :param config: the provider file's own ``ConfigOpts``; a plugin registers its options
        there in its constructor.
    """

    def __init__(self, config: cfg.ConfigOpts | None = None) -> None:
        self._config = config

    @classmethod
    def get_supported_resources_types(cls) -> list[str]:
        """The resource types that the plugin serves."""
        raise NotImplementedError

    @classmethod
    def get_options_schema(cls, resource_type: str) -> Schema:
        """JSON schema of a plan's parameters for the type.

        What it lists as ``required`` is published, and may be missing all the same.
        """
        raise NotImplementedError

    @classmethod
    def get_default_options(cls, resource_type: str, plan_name: str) -> dict[str, Any]:
        """What a plan's parameters are completed with, beyond the defaults in their schema.

        Asked when a plan is made or changed, and when a run begins. Not in the contract of old;
        a plugin that leaves it as it is gets no more than was given.
        """
        return {}

    @classmethod
    def check_options(cls, resource_type: str, values: dict[str, Any]) -> None:
        """Look at a plan's parameters beyond what the schema says of them.

        Called when a plan is made and when a run begins, with what holds for a resource, and
        with what is set for the type or for one resource alone. Not in the contract of old; a
        plugin may leave it as it is.

        :param values: fit the options schema.
        :raises ValueError: they would fail; tells the property and the fault. A caller is
            shown InvalidInput as it is, too.
        """

    @classmethod
    def check_new_options(cls, resource_type: str, values: dict[str, Any]) -> None:
        """Look at a plan's parameters that somebody has just written.

        Called after :meth:`check_options` when a plan is made and when its parameters change, but
        not when a run begins: what is refused only here stays as it is in plans that have it. Not
        in the contract of old; a plugin may leave it as it is.

        :param values: as those of :meth:`check_options`.
        :raises ValueError: tells the property and the fault; so may InvalidInput.
        """

    @classmethod
    def get_restore_schema(cls, resource_type: str) -> Schema:
        """JSON schema of a restore's parameters for the type."""
        raise NotImplementedError

    @classmethod
    def get_restore_choices(cls, resource_type: str) -> frozenset[str]:
        """Which choices of a restore the plugin serves for the type.

        They stand beside the parameters, in the body of the restore: ``name_suffix``,
        ``volume_type``, ``availability_zone`` and ``size``; ``in_place``, ``safety`` and
        ``accept_grown``. Hooks get those that are made from ``restore.choices_of(type, id)``; one
        that is not served is refused before anything is made. Not in the contract of old; a plugin
        may leave it as it is.

        Before the hooks of a restore in place, what is to be overwritten is protected in a
        checkpoint of its own, unless ``restore.has_safety(type, id)`` is false. What it has of a
        resource says ``restore.safety_of(type, id)``, a :class:`SafetyPoint`; where that has no
        ``cloud_id``, nothing is to be overwritten.
        """
        return frozenset()

    def check_in_place(
        self, asked: Mapping[str, AskedInPlace], context: karbor_context.RequestContext
    ) -> None:
        """Look whether resources could be restored in place, before anything is done.

        Called while the request waits. Not in the contract of old.

        :param asked: by the ids of the resources, all of one type.
        :raises InPlaceNotPossible: not in this cloud, or not as they are; tells what is lacking.
        :raises ResourceHeld: something holds one of them now.
        :raises CloudUnavailable: the cloud cannot tell.
        """

    @classmethod
    def get_saved_info_schema(cls, resource_type: str) -> Schema:
        """JSON schema of what the plugin keeps of a protected resource."""
        raise NotImplementedError

    @classmethod
    def get_verify_schema(cls, resource_type: str) -> Schema:
        """JSON schema of a verification's parameters for the type."""
        raise NotImplementedError

    @classmethod
    def get_saved_info(cls, metadata_store: bank_plugin.BankSection, resource: Resource) -> Any:
        """What the plugin keeps of a protected resource.

        Asked when it has been protected, and when its recovery point lacks something.

        :param metadata_store: the section of the bank that the hooks had, which can be read only.
        """
        raise NotImplementedError

    def look_again(
        self,
        operation: str,
        checkpoint: bank_checkpoint.Checkpoint,
        resources: Sequence[Resource],
        context: karbor_context.RequestContext,
        **kwargs: Any,
    ) -> None:
        """Called once after all hooks of an attempt.

        An answer may have been lost, or an earlier attempt broken off
        (``context.since_last_attempt`` is not None then), and a request of it served since then:
        what it has made beside what the hooks know is to be removed. Not in the contract of old;
        a plugin may leave it as it is.

        :param operation: 'protect', 'restore', 'delete' or 'verify'.
        :param resources: of the plugin's type.
        :param kwargs: what the hooks are given besides.
        """

    def find_losses(
        self,
        checkpoint_id: str,
        kept: Mapping[str, str | None],
        context: karbor_context.RequestContext,
    ) -> Mapping[str, Loss]:
        """Which of what the plugin keeps in a checkpoint is not good any more, and why.

        Asked before retention removes older ones, about what it would rely on. What it raises
        keeps retention from removing anything. Not in the contract of old; a plugin that leaves
        it as it is has lost nothing.

        :param kept: id of a resource -> what it is in the cloud, as ``get_saved_info`` has told.
        :returns: by the id of the resource.
        """
        return {}

    def get_protect_operation(self, resource: Resource) -> Operation:
        raise NotImplementedError

    def get_restore_operation(self, resource: Resource) -> Operation:
        raise NotImplementedError

    def get_delete_operation(self, resource: Resource) -> Operation:
        raise NotImplementedError

    def get_verify_operation(self, resource: Resource) -> Operation:
        raise NotImplementedError

    def get_copy_operation(self, resource: Resource) -> Operation:
        raise NotImplementedError
