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

"""Jobs of a protection plugin without a service: what a plugin's unit tests stand on."""

import contextlib
import datetime
import uuid
from collections.abc import Collection, Iterator
from typing import Any

from keystoneauth1 import session as ks_session
from oslo_config import cfg

from karbor import context as karbor_context
from karbor.common import constants
from karbor.conf import cinder_client, glance_client
from karbor.db import models
from karbor.resource import Resource
from karbor.services.checkpoints import parameters as job_parameters
from karbor.services.checkpoints import plugin_records
from karbor.services.jobs import hooks, operations, order
from karbor.services.protection import bank_plugin, client_factory, protection_plugin, steps
from karbor.services.protection import checkpoint as bank_checkpoint
from karbor.testing import memory_bank, provider_files
from karbor.testing.fake_cinder import FakeCinder, transport
from karbor.testing.fake_glance import FakeGlance

PROVIDER_ID = '6a1f0f6e-93d4-4a4b-9d0e-2b6b7a9c5e10'
PLAN_ID = 'c2b5c1f0-3a52-4d0e-8f37-6d6d0f6a1b11'
PLAN_NAME = 'nightly'
PROJECT_ID = 'p'  # as the fake of Cinder has it

Values = dict[str, Any]


class RecordOfUse(plugin_records.UseRecord):
    """A restore or verification that remembers what a plugin tells it, and stores nothing.

    :ivar told: type, id, status and reason, as often as a status was told.
    :ivar saved: how many of these there were when it was saved last.
    """

    def __init__(self, **fields: Any) -> None:
        super().__init__(models.Job(), {'id': str(uuid.uuid4()), **fields})
        self.told: list[tuple[str, str, str, str | None]] = []
        self.saved = 0

    def update_resource_status(
        self,
        resource_type: str,
        resource_id: str,
        status: str,
        reason: str | None = None,
        *,
        name: str | None = None,
    ) -> None:
        self.told.append((resource_type, resource_id, status, reason))

    def save(self) -> None:
        self.saved = len(self.told)

    def ended(self, restore_ids: Collection[str]) -> set[str]:
        return set()


@contextlib.contextmanager
def clients_of(cinder: FakeCinder, glance: FakeGlance | None = None) -> Iterator[None]:
    """Let plugins meanwhile get clients of fakes, whoever they ask for."""
    cinder_client.register_opts(cfg.CONF)
    glance_client.register_opts(cfg.CONF)

    def session(_context: Any) -> ks_session.Session:
        made = cinder.session()
        if glance is not None:
            made.session.mount(glance.url, transport.Adapter(glance))
        return made

    client_factory.use_sessions(session)
    if glance is not None:
        cinder.glance = glance
        cfg.CONF.set_override('glance_endpoint', glance.url, glance_client.GROUP)
    try:
        yield
    finally:
        client_factory.use_sessions(None)
        cfg.CONF.clear_override('glance_endpoint', glance_client.GROUP)


def new_checkpoint(bank: bank_plugin.Bank) -> bank_checkpoint.Checkpoint:
    """A checkpoint in a bank, as it is when a protect job begins."""
    plan = {
        'id': PLAN_ID,
        'name': PLAN_NAME,
        'provider_id': PROVIDER_ID,
        'resources': [],
        'parameters': {},
    }
    return bank_checkpoint.CheckpointCollection(bank).create(
        str(uuid.uuid4()),
        plan,
        project_id=PROJECT_ID,
        resource_graph='[]',
        extra_info=None,
        created_at=datetime.datetime(2026, 1, 2),
    )


def run_hooks(
    operation: Any,
    *,
    checkpoint: bank_checkpoint.Checkpoint,
    resource: Resource,
    context: karbor_context.RequestContext,
    parameters: Values,
    **keywords: Any,
) -> None:
    """Call the four hooks of one operation, in their order; what one raises ends it.

    :param operation: as a plugin's ``get_<kind>_operation`` gives it.
    :param parameters: given to the hooks as they are.
    :param keywords: beyond the contract's four; a hook gets those that it declares.
    """
    four: Values = {
        'checkpoint': checkpoint,
        'resource': resource,
        'context': context,
        'parameters': parameters,
    }
    for hook in order.HOOKS:
        going = hooks.call(getattr(operation, hook, None), four, keywords)
        if going is not None:
            steps.drive(going)


def run_attempt(
    plugin: protection_plugin.ProtectionPlugin,
    kind: str,
    *,
    checkpoint: bank_checkpoint.Checkpoint,
    resource: Resource,
    context: karbor_context.RequestContext,
    parameters: Values,
    **keywords: Any,
) -> None:
    """Call the hooks, and then ``look_again``, also when a hook has failed.

    :param kind: of the operation: 'protect', 'restore', 'delete' or 'verify'.
    :param parameters: given to the hooks as they are.
    :param keywords: beyond the contract's four.
    """
    failure: Exception | None = None
    try:
        run_hooks(
            operations.operation_of(plugin, kind, resource),
            checkpoint=checkpoint,
            resource=resource,
            context=context,
            parameters=parameters,
            **keywords,
        )
    except Exception as exc:  # noqa: BLE001 - raised below
        failure = exc
    plugin.look_again(kind, checkpoint, [resource], context, **keywords)
    if failure is not None:
        raise failure


class PluginJobs:
    """Jobs on one checkpoint, with one plugin, one resource a job.

    Each job makes the plugin anew, checks the parameters against the plugin's schema and
    completes them, and calls the hooks by the same functions as a worker.

    It is no worker: it has no database, and no other resource beside or below the one. What a
    hook raises is not turned into a reason, but raised. To break off a job, let
    ``bank.before_update`` or the fake of a service raise; to run it again, call it again: that is
    the next attempt of the same job, except of restores, each of which is a job of its own.

    :param plugin_class: the plugin.
    :param options: what the provider file says, by section and name.
    :ivar bank: the bank that the checkpoint is in.
    :ivar checkpoint: the checkpoint.
    :ivar context: who asks for the jobs.
    :ivar new_resources: ids of what restores made, by the ids of what they restored.
    """

    def __init__(
        self,
        plugin_class: type[protection_plugin.ProtectionPlugin],
        options: provider_files.Sections | None = None,
    ) -> None:
        self._plugin_class = plugin_class
        self._config = provider_files.options(options or {})
        self.bank = memory_bank.MemoryBankPlugin()
        self.checkpoint = new_checkpoint(bank_plugin.Bank(self.bank))
        self.context = karbor_context.RequestContext(
            user_id='u', project_id=PROJECT_ID, overwrite=False
        )
        self.new_resources: dict[str, str] = {}
        self._begun: set[tuple[str, str]] = set()

    def protect(self, resource: Resource, parameters: Values | None = None) -> None:
        """:raises InvalidInput: the parameters do not fit the plugin's options schema."""
        schema = self._plugin_class.get_options_schema(resource.type)
        defaults = self._plugin_class.get_default_options(resource.type, PLAN_NAME)
        values = {**defaults, **_valid(parameters, schema, resource)}
        self._run(constants.OperationType.PROTECT, resource, values)

    def delete(self, resource: Resource) -> None:
        """Delete what was made of the resource."""
        self._run(constants.OperationType.DELETE, resource, {})

    def restore(self, resource: Resource, parameters: Values | None = None) -> RecordOfUse:
        """What was told of the new resource; its id is in ``new_resources``.

        :raises InvalidInput: the parameters do not fit the plugin's restore schema.
        """
        schema = self._plugin_class.get_restore_schema(resource.type)
        values = _valid(parameters, schema, resource)
        record = self._new_record(values)
        self._run(
            constants.OperationType.RESTORE,
            resource,
            values,
            restore=record,
            new_resources=self.new_resources,
        )
        return record

    def verify(self, resource: Resource, parameters: Values | None = None) -> RecordOfUse:
        """What was found of the resource.

        :raises InvalidInput: the parameters do not fit the plugin's verify schema.
        """
        schema: protection_plugin.Schema = {}
        with contextlib.suppress(NotImplementedError):  # it is optional
            schema = self._plugin_class.get_verify_schema(resource.type)
        values = _valid(parameters, schema, resource)
        record = self._new_record(values)
        self._run(constants.OperationType.VERIFY, resource, values, verify=record, new_resources={})
        return record

    def in_bank(self, resource: Resource) -> Values:
        """The objects that the bank has of a resource, by key."""
        section = self.checkpoint.get_resource_bank_section(resource.id)
        return {key: section.get_object(key) for key in section.list_objects()}

    def _new_record(self, parameters: Values) -> RecordOfUse:
        return RecordOfUse(checkpoint_id=self.checkpoint.id, parameters=parameters)

    def _run(self, kind: str, resource: Resource, parameters: Values, **keywords: Any) -> None:
        plugin = self._plugin_class(self._config)
        keywords['operation_log'] = plugin_records.OperationLogRecord(
            operation_type=kind, checkpoint_id=self.checkpoint.id
        )
        is_again = (kind, resource.id) in self._begun and 'restore' not in keywords
        self._begun.add((kind, resource.id))
        self.context.since_last_attempt = 0.0 if is_again else None
        run_attempt(
            plugin,
            kind,
            checkpoint=self.checkpoint,
            resource=resource,
            context=self.context,
            parameters=parameters,
            **keywords,
        )


def _valid(
    parameters: Values | None, schema: protection_plugin.Schema, resource: Resource
) -> Values:
    return job_parameters.complete(parameters or {}, schema, resource.key)
