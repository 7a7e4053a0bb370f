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

"""Plugins of third parties, written from the contract alone, as for the Karbor of old.

A server is the parent, a volume the child. They import what section B.1 of the contract
lists, by those paths, and note each call of a hook in :data:`JOURNAL`.
"""

import dataclasses
from typing import Any

from oslo_config import cfg
from oslo_log import log as logging

from karbor import exception
from karbor.common import constants
from karbor.resource import Resource
from karbor.services.protection import protectable_plugin, protection_plugin
from karbor.services.protection.client_factory import ClientFactory
from karbor.services.protection.protection_plugins import utils

LOG = logging.getLogger(__name__)

HERE = __name__


@dataclasses.dataclass
class Call:
    """One call of a hook."""

    kind: str
    hook: str
    resource: Resource
    operation: Any
    context: Any
    parameters: dict[str, Any]
    keywords: dict[str, Any]


JOURNAL: list[Call] = []
#: Plugin objects in the order in which they were made.
MADE: list[protection_plugin.ProtectionPlugin] = []
#: What hooks raise, by operation, resource id and hook.
FAULTS: dict[tuple[str, str, str], Exception] = {}
#: Children by the id of their parent.
CHILDREN: dict[str, list[Resource]] = {}


def reset() -> None:
    for notes in (JOURNAL, MADE, FAULTS, CHILDREN):
        notes.clear()


def _note(
    kind: str,
    hook: str,
    operation: Any,
    resource: Resource,
    context: Any,
    parameters: dict[str, Any],
    keywords: dict[str, Any],
) -> None:
    JOURNAL.append(Call(kind, hook, resource, operation, context, parameters, keywords))
    fault = FAULTS.get((kind, resource.id, hook))
    if fault is not None:
        raise fault


class _Noting(protection_plugin.Operation):
    """All four hooks, with the extras through ``**kwargs``."""

    kind = ''

    def __init__(self, plugin: Any) -> None:
        super().__init__()
        self.plugin = plugin

    def on_prepare_begin(self, checkpoint, resource, context, parameters, **kwargs):
        _note(self.kind, 'on_prepare_begin', self, resource, context, parameters, kwargs)
        self.began = True

    def on_prepare_finish(self, checkpoint, resource, context, parameters, **kwargs):
        _note(self.kind, 'on_prepare_finish', self, resource, context, parameters, kwargs)

    def on_main(self, checkpoint, resource, context, parameters, **kwargs):
        _note(self.kind, 'on_main', self, resource, context, parameters, kwargs)
        self.work(checkpoint, resource, context, parameters, **kwargs)

    def on_complete(self, checkpoint, resource, context, parameters, **kwargs):
        _note(self.kind, 'on_complete', self, resource, context, parameters, kwargs)

    def work(self, checkpoint, resource, context, parameters, **kwargs):
        pass


class ChildProtect(_Noting):
    kind = constants.OperationType.PROTECT

    def work(self, checkpoint, resource, context, parameters, **kwargs):
        section = checkpoint.get_resource_bank_section(resource.id)
        section.update_object('status', constants.ResourceStatus.PROTECTING)
        client = ClientFactory.create_client('cinder', context)
        snapshot = client.volume_snapshots.create(
            resource.id, name=parameters['name'], force=parameters['force']
        )
        ready = utils.status_poll(
            lambda: client.volume_snapshots.get(snapshot.id).status,
            interval=self.plugin.poll_interval,
            success_statuses={'available'},
            failure_statuses={'error'},
            ignore_statuses={'creating'},
        )
        if not ready:
            section.update_object('status', constants.ResourceStatus.ERROR)
            raise exception.CreateResourceFailed(
                name='Child Snapshot',
                reason='the snapshot is in error',
                resource_id=resource.id,
                resource_type=resource.type,
            )
        section.update_object('metadata', {'snapshot_id': snapshot.id})
        section.update_object('status', constants.ResourceStatus.AVAILABLE)


class ChildRestore(_Noting):
    kind = constants.OperationType.RESTORE

    def work(self, checkpoint, resource, context, parameters, **kwargs):
        metadata = checkpoint.get_resource_bank_section(resource.id).get_object('metadata')
        client = ClientFactory.create_client('cinder', context)
        volume = client.volumes.create(
            snapshot_id=metadata['snapshot_id'], name=parameters.get('restore_name')
        )
        kwargs.get('new_resources')[resource.id] = volume.id
        record = kwargs.get('restore')
        for status in (constants.ResourceStatus.RESTORING, constants.ResourceStatus.AVAILABLE):
            utils.update_resource_restore_result(record, resource.type, volume.id, status)


class ChildDelete(_Noting):
    kind = constants.OperationType.DELETE

    def work(self, checkpoint, resource, context, parameters, **kwargs):
        section = checkpoint.get_resource_bank_section(resource.id)
        section.update_object('status', constants.ResourceStatus.DELETING)
        try:
            metadata = section.get_object('metadata')
        except exception.BankGetObjectFailed:
            metadata = None
        if metadata:
            client = ClientFactory.create_client('cinder', context)
            client.volume_snapshots.delete(metadata['snapshot_id'])
        for key in section.list_objects():
            if key != 'status':
                section.delete_object(key)
        section.update_object('status', constants.ResourceStatus.DELETED)


class ChildVerify(_Noting):
    kind = constants.OperationType.VERIFY

    def work(self, checkpoint, resource, context, parameters, **kwargs):
        status = checkpoint.get_resource_bank_section(resource.id).get_object('status')
        utils.update_resource_verify_result(
            kwargs.get('verify'), resource.type, resource.id, status, 'as the bank says'
        )


class _Plugin(protection_plugin.ProtectionPlugin):
    """What both plugins have in common: an option of their own and the four getters."""

    group = ''
    types: list[str] = []
    operations: dict[str, Any] = {}

    def __init__(self, config=None):
        super().__init__(config)
        self._config.register_opts([cfg.FloatOpt('poll_interval', default=15)], self.group)
        self.poll_interval = self._config[self.group].poll_interval
        MADE.append(self)

    @classmethod
    def get_supported_resources_types(cls):
        return cls.types

    def get_protect_operation(self, resource):
        return self.operations['protect'](self)

    def get_restore_operation(self, resource):
        return self.operations['restore'](self)

    def get_delete_operation(self, resource):
        return self.operations['delete'](self)

    def get_verify_operation(self, resource):
        return self.operations['verify'](self)


class ChildPlugin(_Plugin):
    """Serves volumes."""

    group = 'child_plugin'
    types = [constants.VOLUME_RESOURCE_TYPE]
    operations = {
        'protect': ChildProtect,
        'restore': ChildRestore,
        'delete': ChildDelete,
        'verify': ChildVerify,
    }

    @classmethod
    def get_options_schema(cls, resources_type):
        return {
            'title': 'Child',
            'type': 'object',
            'properties': {
                'name': {'type': 'string'},
                'force': {'type': 'boolean', 'default': False},
                'copies': {'type': 'integer', 'default': 1},
                'description': {'type': 'string', 'default': None},
            },
            'required': ['name'],
        }

    @classmethod
    def get_restore_schema(cls, resources_type):
        return {
            'title': 'Child Restore',
            'type': 'object',
            'properties': {
                'restore_name': {'type': 'string', 'default': None},
                'bootable': {'type': 'boolean', 'default': False},
            },
        }

    @classmethod
    def get_saved_info_schema(cls, resources_type):
        return {'title': 'Child Saved', 'type': 'object', 'properties': {}}

    @classmethod
    def get_verify_schema(cls, resources_type):
        return {
            'title': 'Child Verify',
            'type': 'object',
            'properties': {'deep': {'type': 'boolean', 'default': False}},
        }


class ParentProtect(_Noting):
    kind = constants.OperationType.PROTECT

    def on_main(self, checkpoint, resource, context, parameters, operation_log=None, **kwargs):
        _note(
            self.kind,
            'on_main',
            self,
            resource,
            context,
            parameters,
            {'operation_log': operation_log, **kwargs},
        )
        operation_log.extra_info = 'noted'
        operation_log.save()
        section = checkpoint.get_resource_bank_section(resource.id)
        section.update_object('metadata', {'began': self.began})
        section.update_object('status', constants.ResourceStatus.AVAILABLE)


class ParentRestore(_Noting):
    """Restores when its children are there; the arguments come in an order of its own."""

    kind = constants.OperationType.RESTORE

    def on_complete(
        self, resource, parameters, new_resources, restore, context, checkpoint, **kwargs
    ):
        _note(
            self.kind,
            'on_complete',
            self,
            resource,
            context,
            parameters,
            {'new_resources': new_resources, 'restore': restore, **kwargs},
        )
        children = next(
            node.child_nodes for node in checkpoint.resource_graph if node.value == resource
        )
        server = ClientFactory.create_client('cinder', context).boot(
            [new_resources[child.value.id] for child in children]
        )
        new_resources[resource.id] = server
        utils.update_resource_restore_result(
            restore, resource.type, server, constants.ResourceStatus.AVAILABLE
        )


class ParentDelete:
    """No subclass of anything, and the only hook it has is the one that it needs."""

    kind = constants.OperationType.DELETE

    def __init__(self, plugin: Any) -> None:
        self.plugin = plugin

    def on_main(self, checkpoint, resource, context, parameters, **kwargs):
        _note(self.kind, 'on_main', self, resource, context, parameters, kwargs)
        section = checkpoint.get_resource_bank_section(resource.id)
        section.delete_object('metadata')
        section.update_object('status', constants.ResourceStatus.DELETED)


class ParentVerify(_Noting):
    kind = constants.OperationType.VERIFY


class ParentPlugin(_Plugin):
    """Serves servers; has no schema for verify, as no plugin of old needed one."""

    group = 'parent_plugin'
    types = [constants.SERVER_RESOURCE_TYPE]
    operations = {
        'protect': ParentProtect,
        'restore': ParentRestore,
        'delete': ParentDelete,
        'verify': ParentVerify,
    }

    @classmethod
    def get_options_schema(cls, resources_type):
        return {}

    get_restore_schema = get_saved_info_schema = get_options_schema


class ParentWithoutVerify(ParentPlugin):
    get_verify_operation = protection_plugin.ProtectionPlugin.get_verify_operation


class ParentThatLeavesObjects(ParentPlugin):
    """Deletes nothing, which the Karbor of old did not mind."""

    operations = {**ParentPlugin.operations, 'delete': lambda _: object()}


class ParentThatFailsToBegin(ParentPlugin):
    def get_protect_operation(self, resource):
        raise exception.KarborException('')


class ParentProtectable(protectable_plugin.ProtectablePlugin):
    """Servers, which are in nothing."""

    def get_resource_type(self):
        return constants.SERVER_RESOURCE_TYPE

    def get_parent_resource_types(self):
        return ()

    def list_resources(self, context, parameters=None):
        return []

    def show_resource(self, context, resource_id, parameters=None):
        raise exception.ProtectableResourceNotFound(
            id=resource_id, type=self.get_resource_type(), reason='nothing is listed'
        )

    def get_dependent_resources(self, context, parent_resource):
        return []


class ChildProtectable(ParentProtectable):
    """Volumes, which are on servers."""

    def get_resource_type(self):
        return constants.VOLUME_RESOURCE_TYPE

    def get_parent_resource_types(self):
        return (constants.SERVER_RESOURCE_TYPE,)

    def get_dependent_resources(self, context, parent_resource):
        return CHILDREN.get(parent_resource.id, [])
