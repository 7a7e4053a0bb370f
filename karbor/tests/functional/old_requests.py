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

"""The requests of the old client and of the old dashboard, as they were recorded.

Words in capitals stand for ids of what the test has. The dashboard sends what the client sends,
and in forms null for what nobody filled in.
"""

import dataclasses
from typing import Any

VOLUME_TYPE = 'OS::Cinder::Volume'
RESOURCE = {'id': 'VOLUME', 'type': VOLUME_TYPE, 'name': 'v'}
PROPERTIES = {'format': 'crontab', 'pattern': '0 * * * *', 'window': 60}
CHECKPOINTS = '/providers/PROVIDER/checkpoints'
CHECKPOINT = f'{CHECKPOINTS}/CHECKPOINT'
USE = {'provider_id': 'PROVIDER', 'checkpoint_id': 'CHECKPOINT'}
NO_TARGET = {'restore_target': None, 'restore_auth': None}
OPERATION = {'name': 's', 'operation_type': 'protect', 'trigger_id': 'TRIGGER'}


@dataclasses.dataclass(frozen=True)
class Request:
    """One request, and what its caller cannot do without in the answer.

    :ivar wrapper: the key that the answer is under; None when the answer is not looked at.
    :ivar needed: fields that must be there.
    :ivar not_null: fields that are not null, if they are there.
    """

    method: str
    path: str
    body: Any = None
    code: int = 200
    wrapper: str | None = None
    needed: tuple[str, ...] = ()
    not_null: tuple[str, ...] = ()
    persona: str = 'member'


def _get(path: str, wrapper: str | None, *needed: str, **more: Any) -> Request:
    return Request('GET', path, wrapper=wrapper, needed=needed, **more)


def _post(path: str, wrapper: str, fields: Any, *, key: str | None = None, **more: Any) -> Request:
    return Request('POST', path, {key or wrapper: fields}, wrapper=wrapper, **more)


def _plan(**fields: Any) -> dict[str, Any]:
    return {'name': 'p', 'provider_id': 'PROVIDER', 'resources': [RESOURCE], **fields}


_NOT_NULL = ('protection_plan', 'resource_graph')
_INSTANCE = f'/protectables/{VOLUME_TYPE}/instances/VOLUME'
_FILTERS = 'limit=2&marker=PLAN&name=p&sort=name%3Adesc&status=suspended'
_DATES = 'end_date=2020-01-02&limit=3&marker=CHECKPOINT&plan_id=PLAN&sort=created_at%3Adesc'
_LITERAL = '%7B%27region_id%27%3A+%27R1%27%7D'

READS = [
    _get(_INSTANCE, 'instance'),
    _get('/plans', 'plans'),
    _get(f'/plans?all_tenants=1&{_FILTERS}', 'plans'),
    _get(f'/plans?all_tenants=True&{_FILTERS}', 'plans'),
    _get('/plans/PLAN', 'plan', 'id'),
    _get('/plans/p', None, code=400),  # openstack lists, and looks for the name
    _get(CHECKPOINTS, 'checkpoints', 'protection_plan', not_null=('protection_plan',)),
    _get(f'{CHECKPOINTS}?{_DATES}&start_date=2020-01-01', 'checkpoints'),
    _get(f'{CHECKPOINTS}?all_tenants=True&{_DATES}&start_date=2020-01-01', 'checkpoints'),
    _get(CHECKPOINT, 'checkpoint', 'id', *_NOT_NULL, not_null=_NOT_NULL),
    _get('/restores', 'restores', 'parameters'),
    _get('/restores/RESTORE', 'restore'),
    _get('/protectables', 'protectable_type'),
    _get(
        f'/protectables/{VOLUME_TYPE}',
        'protectable_type',
        'dependent_types',
        not_null=('dependent_types',),
    ),
    _get(f'/protectables/{VOLUME_TYPE}/instances', 'instances', 'dependent_resources'),
    _get(
        f'/protectables/{VOLUME_TYPE}/instances?parameters={_LITERAL}',
        'instances',
        'dependent_resources',
    ),
    _get('/providers', 'providers'),
    _get('/providers/PROVIDER', 'provider', 'id', 'extended_info_schema'),
    _get('/providers/snap', None, code=400),
    _get('/triggers', 'triggers', 'properties'),
    _get('/triggers/TRIGGER', 'trigger_info', 'id'),
    _get('/scheduled_operations', 'operations'),
    _get('/scheduled_operations/OPERATION', 'scheduled_operation', 'id'),
    _get('/operation_logs', 'operation_logs'),
    _get('/operation_logs/LOG', 'operation_log'),
    _get('/verifications', 'verifications', 'parameters'),
    _get('/verifications/VERIFICATION', 'verification'),
    _get('/os-services?host=h', 'services', persona='admin'),
    _get('/quotas/PROJECT', 'quota'),
    _get('/quotas/PROJECT/detail', 'quota'),
    _get('/quotas/PROJECT/defaults', 'quota'),
    _get('/quota_classes/default', 'quota_class', persona='admin'),
]

WRITES = [
    _post(
        '/plans',
        'plan',
        _plan(description='d', parameters={VOLUME_TYPE: {'snapshot_name': 's1'}}),
    ),
    _post('/plans', 'plan', _plan(description=None, parameters={})),
    _post(
        '/plans',
        'plan',
        _plan(
            description='',
            parameters={
                VOLUME_TYPE: {'snapshot_name': 's', 'description': None, 'force': 'False'},
                f'{VOLUME_TYPE}#VOLUME': {'snapshot_name': None, 'force': True},
            },
        ),
    ),
    Request(
        'PUT',
        '/plans/PLAN',
        {'plan': {'name': 'n', 'resources': [RESOURCE], 'status': 'started'}},
        wrapper='plan',
    ),
    _post(CHECKPOINTS, 'checkpoint', {'plan_id': 'PLAN', 'extra-info': {'a': 'b'}}),
    _post(CHECKPOINTS, 'checkpoint', {'plan_id': 'PLAN', 'extra-info': None}, not_null=_NOT_NULL),
    Request('PUT', CHECKPOINT, {'os-resetState': {'state': 'error'}}),
    Request('PUT', CHECKPOINT, {'os-resetState': {'state': 'available'}}),
    _post('/restores', 'restore', {**USE, **NO_TARGET, 'parameters': {}}),
    _post(
        '/restores',
        'restore',
        {
            **USE,
            'restore_target': 'http://k',
            'restore_auth': {'type': 'password', 'username': 'u', 'password': 'pw'},
            'parameters': {VOLUME_TYPE: {'restore_name': 'r'}},
        },
    ),
    _post(
        '/restores',
        'restore',
        {
            **USE,
            **NO_TARGET,
            'parameters': {VOLUME_TYPE: {'restore_name': 'r', 'restore_description': None}},
        },
    ),
    _post('/verifications', 'verification', {**USE, 'parameters': {}}),
    _post('/triggers', 'trigger_info', {'name': 't', 'type': 'time', 'properties': PROPERTIES}),
    Request(
        'PUT',
        '/triggers/TRIGGER',
        {'trigger_info': {'name': 'n', 'properties': PROPERTIES}},
        wrapper='trigger_info',
    ),
    Request(
        'PUT',
        '/triggers/TRIGGER',
        {'trigger_info': {'name': 'n', 'properties': {}}},
        wrapper='trigger_info',
    ),
    *(
        _post(
            '/scheduled_operations',
            'scheduled_operation',
            {**OPERATION, 'operation_definition': definition},
        )
        for definition in (
            {'provider_id': 'PROVIDER', 'plan_id': 'PLAN'},
            'provider_id=PROVIDER,plan_id=PLAN',
        )
    ),
    Request(
        'PUT',
        '/os-services/SERVICE',
        {'status': 'disabled', 'disabled_reason': 'x'},
        wrapper='service',
        persona='admin',
    ),
    Request(
        'PUT', '/os-services/SERVICE', {'status': 'enabled'}, wrapper='service', persona='admin'
    ),
    Request('PUT', '/quotas/PROJECT', {'quota': {'plans': 7}}, wrapper='quota', persona='admin'),
    Request(
        'PUT',
        '/quota_classes/default',
        {'quota_class': {'plans': 7}},
        wrapper='quota_class',
        persona='admin',
    ),
]

DELETES = [
    Request('DELETE', '/scheduled_operations/OPERATION'),
    Request('DELETE', '/triggers/TRIGGER'),
    Request('DELETE', '/plans/PLAN'),
    Request('DELETE', CHECKPOINT),
]
