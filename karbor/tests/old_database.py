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

"""A database as a Karbor of old has left it: the tables of its last release, and rows for them.

Names and columns are those of the Karbor contract, section I.
"""

import datetime
import json
import pathlib
from typing import Any

import sqlalchemy as sa

from karbor.tests import base, database_servers
from karbor.tests.base import PROJECT_ID, PROVIDER_ID, new_id

CREATED_AT = datetime.datetime(2020, 11, 5, 10, 15, 2)
VOLUME = 'OS::Cinder::Volume'
CALENDAR = 'BEGIN:VCALENDAR\nBEGIN:VEVENT\nRRULE:FREQ=WEEKLY;BYDAY=TU\nEND:VEVENT\nEND:VCALENDAR'

METADATA = sa.MetaData()


def _table(name: str, *columns: sa.Column[Any], key: Any = None) -> sa.Table:
    return sa.Table(
        name,
        METADATA,
        sa.Column('created_at', sa.DateTime),
        sa.Column('updated_at', sa.DateTime),
        sa.Column('deleted_at', sa.DateTime),
        sa.Column('deleted', sa.Boolean),
        sa.Column('id', key or sa.String(36), primary_key=True, nullable=False),
        *columns,
    )


def _texts(length: int, *names: str) -> list[sa.Column[Any]]:
    return [sa.Column(name, sa.String(length)) for name in names]


def _long(*names: str) -> list[sa.Column[Any]]:
    return [sa.Column(name, sa.Text) for name in names]


def _numbers(*names: str) -> list[sa.Column[Any]]:
    return [sa.Column(name, sa.Integer) for name in names]


def _moments(*names: str) -> list[sa.Column[Any]]:
    return [sa.Column(name, sa.DateTime) for name in names]


MIGRATE_VERSION = sa.Table(
    'migrate_version',
    METADATA,
    sa.Column('repository_id', sa.String(250), primary_key=True),
    sa.Column('repository_path', sa.Text),
    sa.Column('version', sa.Integer),
)
SERVICES = _table(
    'services',
    *_texts(255, 'host', 'binary', 'topic', 'disabled_reason'),
    *_numbers('report_count'),
    sa.Column('disabled', sa.Boolean),
    *_moments('modified_at'),
    *_texts(36, 'rpc_current_version', 'rpc_available_version'),
    key=sa.Integer,
)
PLANS = _table(
    'plans',
    *_texts(255, 'name', 'description', 'project_id'),
    *_texts(36, 'provider_id'),
    *_texts(64, 'status'),
    *_long('parameters'),
)
RESOURCES = _table(
    'resources',
    sa.Column('plan_id', sa.String(36), sa.ForeignKey('plans.id')),
    *_texts(36, 'resource_id'),
    *_texts(64, 'resource_type'),
    *_texts(255, 'resource_name'),
    *_long('resource_extra_info'),
    key=sa.Integer,
)
_USE = ('parameters', 'resources_status', 'resources_reason')
RESTORES = _table(
    'restores',
    *_texts(255, 'project_id', 'restore_target'),
    *_texts(36, 'provider_id', 'checkpoint_id'),
    *_texts(64, 'status'),
    *_long(*_USE),
)
VERIFICATIONS = _table(
    'verifications',
    *_texts(255, 'project_id'),
    *_texts(36, 'provider_id', 'checkpoint_id'),
    *_texts(64, 'status'),
    *_long(*_USE),
)
OPERATION_LOGS = _table(
    'operation_logs',
    *_texts(255, 'project_id', 'operation_type'),
    *_texts(36, 'checkpoint_id', 'plan_id', 'provider_id', 'restore_id', 'scheduled_operation_id'),
    *_texts(64, 'status'),
    *_moments('started_at', 'ended_at'),
    *_long('error_info', 'extra_info'),
)
TRIGGERS = _table(
    'triggers', *_texts(255, 'name', 'project_id'), *_texts(64, 'type'), *_long('properties')
)
TRIGGER_EXECUTIONS = _table(
    'trigger_executions',
    sa.Column('trigger_id', sa.String(36), unique=True),
    sa.Column('execution_time', sa.DateTime, index=True),
)
SCHEDULED_OPERATIONS = _table(
    'scheduled_operations',
    *_texts(255, 'name', 'description', 'project_id'),
    *_texts(64, 'operation_type', 'user_id'),
    sa.Column('trigger_id', sa.String(36), sa.ForeignKey('triggers.id')),
    *_long('operation_definition'),
    sa.Column('enabled', sa.Boolean),
)
SCHEDULED_OPERATION_STATES = _table(
    'scheduled_operation_states',
    sa.Column(
        'operation_id',
        sa.String(36),
        sa.ForeignKey('scheduled_operations.id', ondelete='CASCADE'),
        unique=True,
    ),
    sa.Column('service_id', sa.Integer, sa.ForeignKey('services.id')),
    *_texts(64, 'trust_id'),
    *_texts(32, 'state'),
    *_moments('end_time_for_run'),
    key=sa.Integer,
)
SCHEDULED_OPERATION_LOGS = _table(
    'scheduled_operation_logs',
    sa.Column(
        'operation_id', sa.String(36), sa.ForeignKey('scheduled_operations.id', ondelete='CASCADE')
    ),
    *_moments('expect_start_time', 'triggered_time', 'actual_start_time', 'end_time'),
    *_texts(32, 'state'),
    *_long('extend_info'),
    key=sa.Integer,
)
CHECKPOINT_RECORDS = _table(
    'checkpoint_records',
    *_texts(
        36,
        'project_id',
        'checkpoint_id',
        'checkpoint_status',
        'provider_id',
        'plan_id',
        'operation_id',
        'create_by',
    ),
    *_long('extend_info'),
)
QUOTAS = _table(
    'quotas', *_texts(255, 'project_id', 'resource'), *_numbers('hard_limit'), key=sa.Integer
)
QUOTA_CLASSES = _table(
    'quota_classes', *_texts(255, 'class_name', 'resource'), *_numbers('hard_limit'), key=sa.Integer
)
QUOTA_USAGES = _table(
    'quota_usages',
    *_texts(255, 'project_id', 'resource'),
    *_numbers('in_use', 'reserved', 'until_refresh'),
    key=sa.Integer,
)
RESERVATIONS = _table(
    'reservations',
    *_texts(36, 'uuid'),
    sa.Column('usage_id', sa.Integer, sa.ForeignKey('quota_usages.id')),
    *_texts(255, 'project_id', 'resource'),
    *_numbers('delta'),
    *_moments('expire'),
    key=sa.Integer,
)


def new_url(folder: pathlib.Path) -> str:
    """The URL of an empty database of the kind that is tested with.

    :param folder: where it is, if it is a file.
    """
    if base.DATABASE == 'sqlite':
        return f'sqlite:///{folder}/old.db'
    return database_servers.running(base.DATABASE).create_database()


class OldDatabase:
    """One that only a test writes to.

    :param url: of an empty database.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.engine = sa.create_engine(url)
        METADATA.create_all(self.engine)
        self._insert(MIGRATE_VERSION, repository_id='karbor', repository_path='', version=3)

    def close(self) -> None:
        self.engine.dispose()

    def contents(self) -> dict[str, list[Any]]:
        """All that is in it, by tables, whoever made them."""
        with self.engine.connect() as connection:
            return {
                name: sorted(map(str, connection.exec_driver_sql(f'SELECT * FROM {name}')))
                for name in sa.inspect(connection).get_table_names()
            }

    def plan(self, *volumes: str, resources: Any = None, **fields: Any) -> str:
        """The id of a plan of some volumes, with parameters as it kept them: all are text."""
        options = {'snapshot_name': 'nightly', 'description': 'of old', 'force': 'False'}
        plan_id = self._add(
            PLANS,
            {
                'name': 'nightly',
                'description': 'db volumes',
                'provider_id': PROVIDER_ID,
                'status': 'suspended',
                'parameters': json.dumps({VOLUME: options}),
            },
            fields,
        )
        for values in resources or [{'resource_id': volume} for volume in volumes or [new_id()]]:
            self._insert(
                RESOURCES,
                **{
                    'plan_id': plan_id,
                    'resource_type': VOLUME,
                    'resource_name': 'data',
                    'created_at': CREATED_AT,
                    'deleted': fields.get('deleted', False),
                    **values,
                },
            )
        return plan_id

    def trigger(self, *, properties: Any = None, **fields: Any) -> str:
        """The id of a trigger, whose window is text, as it kept that."""
        kept = {
            'format': 'calendar',
            'pattern': CALENDAR,
            'start_time': '2020-11-05 00:00:00',
            'window': '1200',
            **(properties or {}),
        }
        given = {name: value for name, value in kept.items() if value is not None}
        return self._add(
            TRIGGERS, {'name': 'tuesdays', 'type': 'time', 'properties': json.dumps(given)}, fields
        )

    def operation(
        self, trigger_id: str, plan_id: str, definition: Any = None, **fields: Any
    ) -> str:
        """The id of a scheduled operation."""
        kept = {
            'provider_id': PROVIDER_ID,
            'plan_id': plan_id,
            'max_backups': '3',
            'retention_duration': '14',
            **(definition or {}),
        }
        return self._add(
            SCHEDULED_OPERATIONS,
            {
                'name': 'keep three',
                'operation_type': 'retention_protect',
                'user_id': 'user-of-old',
                'trigger_id': trigger_id,
                'operation_definition': json.dumps(kept),
                'enabled': True,
            },
            fields,
        )

    def quota(self, resource: str, hard_limit: int | None, **fields: Any) -> None:
        values = {'resource': resource, 'hard_limit': hard_limit, 'project_id': PROJECT_ID}
        self._insert(QUOTAS, **{'deleted': False, **values, **fields})

    def _add(self, table: sa.Table, values: dict[str, Any], fields: dict[str, Any]) -> str:
        row = {
            'id': new_id(),
            'project_id': PROJECT_ID,
            'created_at': CREATED_AT,
            'deleted': False,
            **values,
            **fields,
        }
        self._insert(table, **row)
        return str(row['id'])

    def _insert(self, table: sa.Table, **values: Any) -> None:
        with self.engine.begin() as connection:
            connection.execute(sa.insert(table).values(**values))
