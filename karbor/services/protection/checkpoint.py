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

"""A checkpoint in its bank: one index object, one section a resource, three index keys.

The layout is that of the Karbor contract, section E: a bank that another Karbor wrote can
be read, and what is written here can be found by date, by plan and by provider without
a database.
"""

import datetime
import re
from typing import Any

from karbor import context as karbor_context
from karbor import exception
from karbor.common import constants, moments
from karbor.services.protection import bank_plugin, graph

_RESOURCE_ID = re.compile(r'[A-Za-z0-9_@-][A-Za-z0-9_.@-]{0,254}')

Context = karbor_context.RequestContext | None


def check_resource_id(resource_id: str) -> None:
    """Refuse an id that cannot be one part of a bank key.

    :raises InvalidParameterValue: the id has other characters than letters, digits and
        ``_.@-``, begins with a dot, or is longer than 255.
    """
    if not isinstance(resource_id, str) or not _RESOURCE_ID.fullmatch(resource_id):
        raise exception.InvalidParameterValue(
            err=f'The resource id {resource_id!r} is not valid: 1 to 255 letters, digits and '
            f'_.@- are, beginning with no dot.'
        )


class Checkpoint:
    """What plugins see of a checkpoint, and what the jobs change.

    Setting ``status``, ``extra_info`` or ``resource_graph`` changes this object only;
    :meth:`commit` writes it to the bank.

    :param section: the checkpoint's section of the bank.
    :param index: content of its index object.
    """

    VERSION = '0.9'
    SUPPORTED_VERSIONS = ('0.9',)
    INDEX_FILE_NAME = 'index.json'

    def __init__(self, section: bank_plugin.BankSection, index: dict[str, Any]) -> None:
        self._section = section
        self._index = index

    @property
    def id(self) -> str:
        return self._index['id']

    @property
    def checkpoint_section(self) -> bank_plugin.BankSection:
        return self._section

    @property
    def provider_id(self) -> str:
        return self._index['provider_id']

    @property
    def project_id(self) -> str:
        return self._index['project_id']

    @property
    def owner_id(self) -> str:
        return self._index['owner_id']

    @property
    def created_at(self) -> str:
        """Date of creation in UTC, YYYY-MM-DD."""
        return self._index['created_at']

    @property
    def timestamp(self) -> int:
        """Moment of creation, in seconds since 1970 UTC."""
        return int(self._index['timestamp'])

    @property
    def protection_plan(self) -> dict[str, Any]:
        return self._index['protection_plan']

    @property
    def status(self) -> str:
        return self._index['status']

    @status.setter
    def status(self, value: str) -> None:
        self._index['status'] = value

    @property
    def extra_info(self) -> str | None:
        return self._index.get('extra_info')

    @extra_info.setter
    def extra_info(self, value: str | None) -> None:
        self._index['extra_info'] = value

    @property
    def region(self) -> str | None:
        """The region of the cloud that it was made in; None when that is not known."""
        return self._index.get('region')

    @property
    def expires_at(self) -> datetime.datetime | None:
        """When it is to be deleted, in UTC; None of one that is kept until somebody deletes it."""
        return moments.read_utc(self._index.get('expires_at'))

    @property
    def resource_graph(self) -> list[graph.GraphNode] | None:
        text = self._index.get('resource_graph')
        return None if text is None else graph.deserialize(text)

    @resource_graph.setter
    def resource_graph(self, value: list[graph.GraphNode]) -> None:
        self._index['resource_graph'] = graph.serialize(value)

    def get_resource_bank_section(self, resource_id: str) -> bank_plugin.BankSection:
        """The part of the bank that belongs to one resource of this checkpoint.

        :raises InvalidParameterValue: the id could lead out of the checkpoint.
        """
        check_resource_id(resource_id)
        return self._section.get_sub_section(f'resource-data/{resource_id}')

    def read_only_section(self, resource_id: str) -> bank_plugin.BankSection:
        """The same part of the bank for who may only read it.

        :raises InvalidParameterValue: the id could lead out of the checkpoint.
        """
        check_resource_id(resource_id)
        return self._section.get_sub_section(f'resource-data/{resource_id}', is_writable=False)

    def erase_resource(self, resource_id: str, context: Context = None) -> None:
        """Remove all that plugins have written of a resource."""
        section = self.get_resource_bank_section(resource_id)
        for key in section.list_objects(context=context):
            section.delete_object(key, context)

    def to_dict(self) -> dict[str, Any]:
        return {
            key: self._index.get(key)
            for key in (
                'id',
                'status',
                'protection_plan',
                'extra_info',
                'project_id',
                'resource_graph',
                'created_at',
            )
        }

    def commit(self, context: Context = None) -> None:
        """Write the index object.

        :raises BankUpdateObjectFailed:
        """
        self._section.update_object(self.INDEX_FILE_NAME, self._index, context)

    def reload_meta_data(self) -> None:
        """Read the index object again.

        :raises CheckpointNotFound: it is not there.
        :raises RuntimeError: another Karbor wrote it, in a version not known here.
        """
        self._index = _read_index(self._section, self.id)

    def delete(self, context: Context = None) -> None:
        """Mark as deleted and remove from the indices; the index object stays."""
        self.status = constants.CheckpointStatus.DELETED
        self.commit(context)
        self._remove_indices(context)

    def purge(self, context: Context = None) -> None:
        """Remove the last of the checkpoint.

        What plugins left as a mark of a deleted resource (its ``status`` object) goes too.

        :raises RuntimeError: resources still have other objects.
        """
        keys = [
            key
            for key in self._section.list_objects(context=context)
            if key != self.INDEX_FILE_NAME
        ]
        marks = [key for key in keys if key.endswith('/status')]
        if len(marks) < len(keys):
            raise RuntimeError(f'Checkpoint {self.id} still has objects of its resources.')
        for key in marks:
            self._section.delete_object(key, context)
        self._remove_indices(context)
        self._section.delete_object(self.INDEX_FILE_NAME, context)

    def erase(self, context: Context = None) -> None:
        """Remove all of the checkpoint, whatever there is."""
        for key in self._section.list_objects(context=context):
            self._section.delete_object(key, context)
        self._remove_indices(context)

    def add_indices(self, context: Context = None) -> None:
        for key in self._index_keys():
            self._section.bank.update_object(key, self.id, context)

    def _remove_indices(self, context: Context) -> None:
        for key in self._index_keys():
            self._section.bank.delete_object(key, context)

    def _index_keys(self) -> list[str]:
        mark = f'{self._index["timestamp"]}@{self.id}'
        return [
            f'/indices/by-date/{self.created_at}/{self.project_id}/{mark}',
            f'/indices/by-plan/{self.protection_plan["id"]}/{self.project_id}/'
            f'{self.created_at}/{mark}',
            # The last one, so that whoever finds it may rely on the others.
            f'/indices/by-provider/{self.provider_id}/{self.project_id}/{mark}',
        ]


class CheckpointCollection:
    """The checkpoints of one bank.

    :param bank: the bank.
    """

    def __init__(self, bank: bank_plugin.Bank) -> None:
        self._bank = bank

    def create(
        self,
        checkpoint_id: str,
        plan: dict[str, Any],
        *,
        project_id: str,
        resource_graph: str,
        extra_info: str | None,
        created_at: datetime.datetime,
        status: str = constants.CheckpointStatus.PROTECTING,
        region: str | None = None,
        expires_at: datetime.datetime | None = None,
        context: Context = None,
    ) -> Checkpoint:
        """A new checkpoint, written to the bank; again with the same id it is the same one.

        :param plan: id, name, provider_id, resources and parameters of the plan.
        :param resource_graph: the serialised graph.
        :param created_at: moment of creation in UTC.
        :param region: the one of the cloud that it is made in; None when that is not known.
        :param expires_at: when it is to be deleted, in UTC; None of one that is kept.
        :raises BankUpdateObjectFailed:
        """
        checkpoint = self.draft(
            checkpoint_id,
            plan,
            project_id=project_id,
            resource_graph=resource_graph,
            extra_info=extra_info,
            created_at=created_at,
            status=status,
            region=region,
            expires_at=expires_at,
        )
        checkpoint.commit(context)
        checkpoint.add_indices(context)
        return checkpoint

    def draft(
        self,
        checkpoint_id: str,
        plan: dict[str, Any],
        *,
        project_id: str,
        resource_graph: str,
        extra_info: str | None,
        created_at: datetime.datetime,
        status: str,
        region: str | None = None,
        expires_at: datetime.datetime | None = None,
    ) -> Checkpoint:
        """A new checkpoint of which nothing is written yet; see :meth:`create`."""
        where = {} if region is None else {'region': region}
        until = {} if expires_at is None else {'expires_at': expires_at.isoformat()}
        return Checkpoint(
            self._section(checkpoint_id),
            {
                **where,
                **until,
                'version': Checkpoint.VERSION,
                'id': checkpoint_id,
                'status': status,
                'owner_id': self._bank.get_owner_id(),
                'provider_id': plan['provider_id'],
                'project_id': project_id,
                'protection_plan': plan,
                'extra_info': extra_info,
                'created_at': created_at.strftime('%Y-%m-%d'),
                'timestamp': int(created_at.replace(tzinfo=datetime.UTC).timestamp()),
                'resource_graph': resource_graph,
            },
        )

    def get(self, checkpoint_id: str, context: Context = None) -> Checkpoint:
        """The checkpoint of an id.

        :raises CheckpointNotFound: the bank has none.
        :raises BankGetObjectFailed: the bank cannot tell.
        :raises RuntimeError: another Karbor wrote it, in a version not known here.
        """
        section = self._section(checkpoint_id)
        return Checkpoint(section, _read_index(section, checkpoint_id, context))

    def _section(self, checkpoint_id: str) -> bank_plugin.BankSection:
        return self._bank.get_sub_section('/checkpoints').get_sub_section(checkpoint_id)


def _read_index(
    section: bank_plugin.BankSection, checkpoint_id: str, context: Context = None
) -> dict[str, Any]:
    try:
        index = section.get_object(Checkpoint.INDEX_FILE_NAME, context)
    except exception.BankObjectNotFound:
        raise exception.CheckpointNotFound(checkpoint_id=checkpoint_id) from None
    version = index.get('version') if isinstance(index, dict) else None
    if version not in Checkpoint.SUPPORTED_VERSIONS:
        raise RuntimeError(
            f'Checkpoint {checkpoint_id} has version {version}, not one of '
            f'{", ".join(Checkpoint.SUPPORTED_VERSIONS)}.'
        )
    return index
