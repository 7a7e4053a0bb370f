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

"""Every command of python-karborclient, as it is typed in both of its shells, and its outcome.

Texts have ``{names}`` of what the scenario knows: ids that commands before have made, and
what it began with. What differs in the two shells for all commands is such a name, too.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from karbor.tests.integration import cloud
from karbor.tests.integration.client_shells import NEWEST, OLD

VOLUME = 'OS::Cinder::Volume'
PROJECT = 'OS::Keystone::Project'

MEMBER = 'member'
ADMIN = 'admin'


class Holds(str):
    """A text of which only this part is known."""

    __slots__ = ()


class AsJson:
    """A value that is printed as JSON by one shell or both, and what is in it."""

    def __init__(self, value: Any) -> None:
        self.value = value


@dataclasses.dataclass(frozen=True)
class Command:
    """A command, what it prints, and what it does.

    :param karbor: as typed after ``karbor``.
    :param osc: as typed after ``openstack data protection``.
    :param arguments: what follows, in both.
    :param who: as whom; the project is the same, but for the administrator.
    :param login: 'environment', 'options' or 'token'.
    :param shows: values of the thing that is printed, by name; it may have others.
    :param lists: the same of each row of a list, of which there is no other. Rows are in this
        order if ``--sort`` is among the arguments.
    :param among: there may be other rows.
    :param karbor_hides: columns that the list of ``karbor`` does not have.
    :param keep: the name under which the id of what is printed is kept.
    :param refused: it ends with 1 and this as a part of what it says: the service, or the
        client on its behalf, refuses what is asked for. By shell where the other one can.
    :param fails: it ends with 1 and exactly this in ``openstack data protection``, by
        virtualenv, by no fault of the service: ``karbor`` in the same virtualenv works.
    :param ends: path of an object, below the project, and the status to wait for.
    :param server: path of an object and what the service has in it; None if it is not there.
    :param effect: what else is so then.
    """

    karbor: str
    osc: str
    arguments: str = ''
    who: str = MEMBER
    login: str = 'environment'
    shows: Mapping[str, Any] | None = None
    lists: Sequence[Mapping[str, Any]] | None = None
    among: bool = False
    karbor_hides: Sequence[str] = ()
    keep: str | None = None
    refused: str | Mapping[str, str] | None = None
    fails: Mapping[str, str] = dataclasses.field(default_factory=dict)
    ends: tuple[str, str] | None = None
    server: tuple[str, Mapping[str, Any] | None] | None = None
    effect: Callable[[Any], None] | None = None


@dataclasses.dataclass(frozen=True)
class Plain:
    """A command that needs no service; what it prints has these texts.

    :param karbor: as typed after ``karbor``.
    :param openstack: as typed after ``openstack``.
    """

    karbor: str
    openstack: str
    prints: Sequence[str]


# osc-lib 4 refuses the functions with which these commands write the cells of a column.
_FORMATTER = {NEWEST: 'Invalid formatter provided.'}

_PARAMETERS = f'resource_type={VOLUME},snapshot_name=night,description=night'
_NIGHTLY = {
    'id': '{plan}',
    'name': 'nightly',
    'description': 'every night',
    'provider_id': '{provider}',
    'status': 'suspended',
}
_WIDE = {
    'id': '{wide}',
    'name': 'wide',
    'description': None,
    'provider_id': '{provider}',
    'status': 'suspended',
}
_INSTANCES = tuple(
    {'id': f'{{{name}}}', 'type': VOLUME, 'name': label, 'dependent_resources': AsJson([])}
    for name, label in (('first', '{first_name}'), ('second', '{second_name}'))
)
_CHECKPOINT = '/providers/{provider}/checkpoints'
_MADE = {
    'id': '{checkpoint}',
    'project_id': '{project}',
    'status': 'available',
    'protection_plan': 'Name: nightly\nId: {plan}',
}
_MADE_WIDE = {
    'id': '{checkpoint_wide}',
    'project_id': '{project}',
    'status': 'available',
    'protection_plan': 'Name: wide\nId: {wide}',
}
_USE = {'project_id': '{project}', 'provider_id': '{provider}', 'checkpoint_id': '{checkpoint}'}
_RESTORE_PARAMETERS = {VOLUME: {'restore_name': 'back', 'restore_description': 'by a test'}}
_TARGET = 'http://127.0.0.1/identity'
_RESTORES = (
    {
        **_USE,
        'id': '{restore}',
        'restore_target': None,
        'parameters': AsJson({}),
        'status': 'success',
    },
    {
        **_USE,
        'id': '{restore_named}',
        'restore_target': _TARGET,
        'parameters': AsJson(_RESTORE_PARAMETERS),
        'status': 'success',
    },
)
_VERIFICATIONS = tuple(
    {**_USE, 'id': f'{{{name}}}', 'parameters': AsJson(parameters), 'status': 'success'}
    for name, parameters in (('verification', {}), ('verification_with', {VOLUME: {}}))
)
# Once a year: a trigger that is due while it is changed fires, an hourly one at each full hour.
_YEARLY = AsJson({'format': 'crontab', 'pattern': '0 4 1 1 *', 'window': 900})
_YEARLY_EARLIER = AsJson({'format': 'crontab', 'pattern': '30 3 1 1 *', 'window': 900})
_SCHEDULE = {
    'id': '{schedule}',
    'name': 'at night',
    'operation_type': 'protect',
    'trigger_id': '{trigger}',
    'operation_definition': AsJson({'provider_id': '{provider}', 'plan_id': '{plan}'}),
}
_SCHEDULE_HIDES = ('operation_type', 'trigger_id', 'operation_definition')
_LIMITS = {'id': '{project}', 'plans': '50', 'checkpoints': '50000', 'schedules': '100'}
_PROCESS = {
    'id': '{process}',
    'binary': 'karbor-protection',
    'status': 'enabled',
    'state': 'up',
    'disabled_reason': None,
}


def _snapshots(*counts: tuple[str, int]) -> Callable[[Any], None]:
    """Cinder has so many snapshots of each volume, by name, or will have them soon."""

    def check(scenario: Any) -> None:
        wanted = {scenario.values[name]: count for name, count in counts}
        cloud.wait_until(
            lambda: (
                wanted
                == {
                    volume: len(snapshots)
                    for volume, snapshots in scenario.project.snapshots().items()
                }
            ),
            f'snapshots {counts}',
        )

    return check


def _restored(restore: str, name: str | None = None) -> Callable[[Any], None]:
    """Cinder has the volume that a restore made, as large as the first, under a name."""

    def check(scenario: Any) -> None:
        made = scenario.server(f'/restores/{{{restore}}}')['new_resources']
        volume = scenario.project.cinder.volumes.get(made[f'{VOLUME}#{scenario.values["first"]}'])
        scenario.test.assertEqual((1, 'available'), (volume.size, volume.status))
        if name:
            scenario.test.assertEqual(name, volume.name)

    return check


_BEFORE = (
    Plain('--version', '--version', ('{version}',)),
    Plain('help', 'data protection --help', ('restore', 'trigger')),
    Plain('bash-completion', 'complete', ('scheduledoperation',)),
    Plain('help plan-create', 'help data protection plan create', ('--parameters-json',)),
    Command(
        'protectable-list',
        'protectable list',
        lists=[{'protectable_type': VOLUME}, {'protectable_type': PROJECT}],
    ),
    Command(
        'protectable-list',
        'protectable list',
        login='options',
        among=True,
        lists=[{'protectable_type': VOLUME}],
    ),
    Command(
        'protectable-list',
        'protectable list',
        login='token',
        among=True,
        lists=[{'protectable_type': VOLUME}],
    ),
    Command('protectable-show', 'protectable show', VOLUME, shows={'name': VOLUME}),
    Command(
        'protectable-show',
        'protectable show',
        PROJECT,
        shows={'name': PROJECT, 'dependent_types': Holds(VOLUME)},
    ),
    Command(
        'protectable-list-instances',
        'protectable instance list',
        VOLUME,
        lists=_INSTANCES,
        fails=_FORMATTER,
    ),
    Command(
        'protectable-list-instances',
        'protectable instance list',
        f'{VOLUME} --type {VOLUME} --limit 1 --marker {{first}}',
        lists=_INSTANCES[1:],
        fails=_FORMATTER,
    ),
    Command(
        'protectable-list-instances',
        'protectable instance list',
        f'{VOLUME} --parameters region_id=RegionOne',
        lists=_INSTANCES,
        fails=_FORMATTER,
    ),
    Command(
        'protectable-show-instance',
        'protectable instance show',
        f'{VOLUME} {{first}}',
        shows=_INSTANCES[0],
    ),
    Command(
        'protectable-show-instance',
        'protectable instance show',
        f'{VOLUME} {{second}} --parameters region_id=RegionOne',
        shows=_INSTANCES[1],
    ),
    Command(
        'protectable-show-instance',
        'protectable instance show',
        f'{PROJECT} {{project}}',
        shows={'id': '{project}', 'dependent_resources': Holds('{second}')},
    ),
    Command('provider-list', 'provider list', lists=[{'id': '{provider}', 'name': 'test'}]),
    Command(
        'provider-list',
        'provider list',
        '--name test --limit 1',
        lists=[{'id': '{provider}', 'name': 'test'}],
    ),
    Command('provider-list', 'provider list', '--name other', lists=[]),
    Command(
        'provider-show',
        'provider show',
        '{provider}',
        shows={'name': 'test', 'extended_info_schema': Holds('snapshot_name')},
    ),
    Command(
        'provider-show',
        'provider show',
        'test',
        shows={'id': '{provider}'},
        refused={'karbor': "The provider id 'test' is not a UUID. (HTTP 400)"},
    ),
    Command('quota-show', 'quotas show', shows=_LIMITS),
    Command('quota-show', 'quotas show', '--tenant {project}', shows=_LIMITS),
    Command('quota-show', 'quotas show', '--tenant {other_project}', refused='(HTTP 404)'),
    Command('quota-defaults', 'quotas default', shows=_LIMITS),
    Command('quota-defaults', 'quotas default', '--tenant {project}', shows=_LIMITS),
    Command(
        'plan-create',
        'plan create',
        f'nightly {{provider}} {{first}}={VOLUME}=db --parameters {_PARAMETERS} '
        "--description 'every night'",
        keep='plan',
        shows={
            **_NIGHTLY,
            'resources': AsJson([{'id': '{first}', 'type': VOLUME, 'name': 'db'}]),
            'parameters': AsJson({VOLUME: {'snapshot_name': 'night'}}),
        },
        server=('/plans/{plan}', {'name': 'nightly', 'project_id': '{project}'}),
    ),
    Command(
        'plan-create',
        'plan create',
        f'wide {{provider}} {{first}}={VOLUME}=db,{{second}}={VOLUME}=logs '
        '--parameters-json {wide_parameters}',
        keep='wide',
        shows={**_WIDE, 'resources': AsJson([{'id': '{first}'}, {'id': '{second}'}])},
    ),
    Command(
        'plan-create',
        'plan create',
        f'lost {{provider}} {{provider}}={VOLUME}=db --parameters {_PARAMETERS}',
        refused='The resource: {provider} can not be found.',
    ),
    Command(
        'trigger-create',
        'trigger create',
        "hourly time 'format=crontab,pattern=0 4 1 1 *,window=900'",
        keep='trigger',
        shows={'name': 'hourly', 'type': 'time', 'properties': _YEARLY},
        server=('/triggers/{trigger}', {'name': 'hourly'}),
        fails=dict.fromkeys((NEWEST, OLD), "'str' object has no attribute 'get'"),
    ),
)

_PLANS = (
    # In an order that lets a checkpoint be made while the others are looked at.
    Command(
        'checkpoint-create',
        'checkpoint create',
        "{provider} {plan} --extra_info why=test 'note=a b'",
        keep='checkpoint',
        shows={
            'status': 'protecting',
            'project_id': '{project}',
            'protection_plan': Holds('{plan}'),
            'resource_graph': Holds('{first}'),
            'extra_info': AsJson({'created_by': 'manual', 'why': 'test', 'note': 'a b'}),
        },
        ends=(f'{_CHECKPOINT}/{{checkpoint}}', 'available'),
    ),
    Command(
        'checkpoint-create',
        'checkpoint create',
        '{provider} {wide}',
        keep='checkpoint_wide',
        shows={'status': 'protecting', 'extra_info': AsJson({'created_by': 'manual'})},
        ends=(f'{_CHECKPOINT}/{{checkpoint_wide}}', 'available'),
    ),
    Command('plan-list', 'plan list', lists=[_NIGHTLY, _WIDE]),
    Command(
        'plan-list',
        'plan list',
        "--name nightly --description 'every night' --status suspended --limit 2 --sort name:desc",
        lists=[_NIGHTLY],
    ),
    Command('plan-list', 'plan list', '--sort name:desc', lists=[_WIDE, _NIGHTLY]),
    Command('plan-list', 'plan list', '--sort name:asc --limit 1 --marker {plan}', lists=[_WIDE]),
    Command('plan-list', 'plan list', '--status started', lists=[]),
    Command('plan-list', 'plan list', '{all}', lists=[_NIGHTLY, _WIDE]),
    Command('plan-list', 'plan list', '{of} {other_project}', refused='(HTTP 404)'),
    Command('plan-list', 'plan list', who=ADMIN, lists=[]),
    Command('plan-list', 'plan list', '{all}', who=ADMIN, among=True, lists=[_NIGHTLY, _WIDE]),
    Command('plan-list', 'plan list', '{of} {project}', who=ADMIN, lists=[_NIGHTLY, _WIDE]),
    Command('plan-show', 'plan show', '{plan}', shows=_NIGHTLY),
    Command(
        'plan-show',
        'plan show',
        'nightly',
        shows=_NIGHTLY,
        refused={'karbor': "The plan id 'nightly' is not a UUID. (HTTP 400)"},
    ),
    Command(
        'trigger-list',
        'trigger list',
        '--name hourly --type time',
        lists=[{'id': '{trigger}', 'name': 'hourly', 'type': 'time', 'properties': _YEARLY}],
    ),
    Command('trigger-list', 'trigger list', '--name other', lists=[]),
    Command(
        'trigger-show',
        'trigger show',
        '{trigger}',
        shows={'name': 'hourly', 'type': 'time', 'properties': _YEARLY},
    ),
    Command(
        'trigger-show',
        'trigger show',
        'hourly',
        shows={'id': '{trigger}'},
        refused={'karbor': "The trigger id 'hourly' is not a UUID. (HTTP 400)"},
    ),
    Command(
        'scheduledoperation-create',
        'scheduledoperation create',
        "'at night' protect {trigger} provider_id={provider},plan_id={plan}",
        keep='schedule',
        shows={**_SCHEDULE, 'enabled': 'True'},
        server=(
            '/scheduled_operations/{schedule}',
            {'operation_definition': {'provider_id': '{provider}', 'plan_id': '{plan}'}},
        ),
    ),
)

_CHECKPOINTS = (
    Command(
        'restore-create',
        'restore create',
        '{provider} {checkpoint}',
        keep='restore',
        shows={**_USE, 'status': 'in_progress', 'restore_target': None, 'parameters': AsJson({})},
        ends=('/restores/{restore}', 'success'),
        effect=_restored('restore'),
    ),
    Command(
        'restore-create',
        'restore create',
        f'{{provider}} {{checkpoint}} --restore_target {_TARGET} --restore_username u '
        f'--restore_password p --parameters resource_type={VOLUME},resource_id={{first}},'
        'restore_name=other --parameters-json {restore_parameters}',
        refused='Must provide parameters or parameters-json, not both',
    ),
    Command(
        'restore-create',
        'restore create',
        f'{{provider}} {{checkpoint}} --restore_target {_TARGET} --restore_username u '
        f'--restore_password p --parameters resource_type={VOLUME},restore_name=back,'
        "'restore_description=by a test'",
        keep='restore_named',
        shows={
            **_USE,
            'status': 'in_progress',
            'restore_target': _TARGET,
            'parameters': AsJson(_RESTORE_PARAMETERS),
        },
        ends=('/restores/{restore_named}', 'success'),
        effect=_restored('restore_named', 'back'),
    ),
    Command(
        'verification-create',
        'verification create',
        '{provider} {checkpoint}',
        keep='verification',
        shows={**_USE, 'status': 'in_progress'},
        ends=('/verifications/{verification}', 'success'),
    ),
    Command(
        'verification-create',
        'verification create',
        f'{{provider}} {{checkpoint}} --parameters resource_type={VOLUME}',
        keep='verification_with',
        shows={**_USE, 'status': 'in_progress', 'parameters': AsJson({VOLUME: {}})},
        ends=('/verifications/{verification_with}', 'success'),
    ),
    Command(
        'checkpoint-show',
        'checkpoint show',
        '{provider} {checkpoint}',
        shows={
            'id': '{checkpoint}',
            'status': 'available',
            'protection_plan': Holds('{plan}'),
            'resource_graph': Holds('{first}'),
            'resources_done': '1',
        },
        effect=_snapshots(('first', 2), ('second', 1)),
    ),
    Command(
        'checkpoint-list',
        'checkpoint list',
        '{provider}',
        fails=_FORMATTER,
        lists=[_MADE, _MADE_WIDE],
    ),
    Command(
        'checkpoint-list',
        'checkpoint list',
        '{provider} --plan_id {plan} --start_date {yesterday} --end_date {tomorrow} '
        '--limit 2 --sort created_at:desc',
        fails=_FORMATTER,
        lists=[_MADE],
    ),
    Command('checkpoint-list', 'checkpoint list', '{provider} --end_date {yesterday}', lists=[]),
    Command(
        'checkpoint-list',
        'checkpoint list',
        '{provider} --sort id:asc --limit 1 --marker {unknown}',
        refused='(HTTP 404)',
    ),
    Command(
        'checkpoint-list',
        'checkpoint list',
        '{provider} {all}',
        who=ADMIN,
        fails=_FORMATTER,
        among=True,
        lists=[_MADE, _MADE_WIDE],
    ),
    Command(
        'checkpoint-list',
        'checkpoint list',
        '{provider} --project_id {project}',
        who=ADMIN,
        fails=_FORMATTER,
        lists=[_MADE, _MADE_WIDE],
    ),
    Command(
        'scheduledoperation-list',
        'scheduledoperation list',
        fails=_FORMATTER,
        lists=[_SCHEDULE],
        karbor_hides=_SCHEDULE_HIDES,
    ),
    Command(
        'scheduledoperation-list',
        'scheduledoperation list',
        "--name 'at night' --operation_type protect --trigger_id {trigger}",
        fails=_FORMATTER,
        lists=[_SCHEDULE],
        karbor_hides=_SCHEDULE_HIDES,
    ),
    Command(
        'scheduledoperation-list',
        'scheduledoperation list',
        '--operation_type retention_protect',
        lists=[],
    ),
    Command('scheduledoperation-show', 'scheduledoperation show', '{schedule}', shows=_SCHEDULE),
    Command('trigger-delete', 'trigger delete', '{trigger}', refused='(HTTP 409)'),
    Command(
        'trigger-update',
        'trigger update',
        '{trigger} --name daily',
        shows={'id': '{trigger}', 'name': 'daily', 'properties': _YEARLY},
        server=('/triggers/{trigger}', {'name': 'daily'}),
        fails=dict.fromkeys((NEWEST, OLD), "'properties'"),
    ),
)

_USES = (
    Command('restore-list', 'restore list', fails=_FORMATTER, lists=_RESTORES),
    Command('restore-list', 'restore list', '--status fail', lists=[]),
    Command('restore-show', 'restore show', '{restore_named}', shows=_RESTORES[1]),
    Command(
        'verification-list',
        'verification list',
        '--status success',
        fails=_FORMATTER,
        lists=_VERIFICATIONS,
    ),
    Command('verification-list', 'verification list', '--status fail', lists=[]),
    Command('verification-show', 'verification show', '{verification}', shows=_VERIFICATIONS[0]),
    Command(
        'operationlog-list',
        'operationlog list',
        among=True,
        lists=[
            {
                'operation_type': 'protect',
                'checkpoint_id': '{checkpoint}',
                'plan_id': '{plan}',
                'status': 'available',
                'error_info': None,
            },
            {'operation_type': 'restore', 'restore_id': '{restore}', 'status': 'success'},
            {'operation_type': 'plan_create', 'plan_id': '{wide}', 'restore_id': None},
        ],
    ),
    Command(
        'operationlog-list',
        'operationlog list',
        '--status success --limit 1',
        keep='log',
        lists=[{'status': 'success'}],
    ),
    Command('operationlog-list', 'operationlog list', '--status error', lists=[]),
    Command(
        'quota-show',
        'quotas show',
        '--detail',
        shows={
            'id': '{project}',
            'plans': 'in_use = 2\nlimit = 50\nreserved = 0',
            'schedules': 'in_use = 1\nlimit = 100\nreserved = 0',
        },
    ),
    Command(
        'checkpoint-reset-state',
        'checkpoint reset state',
        '{provider} {checkpoint}',
        server=(f'{_CHECKPOINT}/{{checkpoint}}', {'status': 'error'}),
    ),
    Command(
        'plan-update',
        'plan update',
        f'{{wide}} --name narrow --description less --resources {{second}}={VOLUME}=logs '
        '--status started',
        shows={
            'id': '{wide}',
            'name': 'narrow',
            'description': 'less',
            'status': 'started',
            'resources': Holds('{second}'),
        },
        server=(
            '/plans/{wide}',
            {'name': 'narrow', 'status': 'started', 'resources': [{'id': '{second}'}]},
        ),
    ),
    Command(
        'trigger-update',
        'trigger update',
        "{trigger} --name nightly --properties 'format=crontab,pattern=30 3 1 1 *'",
        shows={'id': '{trigger}', 'name': 'nightly', 'properties': _YEARLY_EARLIER},
    ),
)

_RESET = (
    Command(
        'scheduledoperation-delete',
        'scheduledoperation delete',
        '{schedule}',
        server=('/scheduled_operations/{schedule}', None),
    ),
    Command(
        'checkpoint-reset-state',
        'checkpoint reset state',
        '{provider} {checkpoint} {checkpoint_wide} --available',
        server=(f'{_CHECKPOINT}/{{checkpoint}}', {'status': 'available'}),
    ),
    Command(
        'operationlog-show',
        'operationlog show',
        '{log}',
        shows={'id': '{log}', 'status': 'success', 'user_id': '{user}', 'project_id': '{project}'},
    ),
    Command(
        'trigger-list', 'trigger list', among=True, lists=[{'id': '{trigger}', 'name': 'nightly'}]
    ),
    Command('service-list', 'service list', refused='(HTTP 403)'),
    Command(
        'service-list',
        'service list',
        '--binary karbor-protection',
        who=ADMIN,
        keep='process',
        lists=[
            {'binary': 'karbor-protection', 'host': '{host}', 'status': 'enabled', 'state': 'up'}
        ],
    ),
)

_REMOVED = (
    Command(
        'checkpoint-delete',
        'checkpoint delete',
        '{provider} {checkpoint} {checkpoint_wide}',
        ends=(f'{_CHECKPOINT}/{{checkpoint_wide}}', 'deleted'),
        effect=_snapshots(),
    ),
    Command('trigger-delete', 'trigger delete', 'nightly', server=('/triggers/{trigger}', None)),
    Command('plan-delete', 'plan delete', 'nightly {wide}', server=('/plans/{plan}', None)),
    Command('quota-update', 'quotas update', '{project} --plans 7', refused='(HTTP 403)'),
    Command('quota-class-show', 'quotaclass show', 'default', refused='(HTTP 403)'),
    Command(
        'quota-class-show',
        'quotaclass show',
        'default',
        who=ADMIN,
        shows={'id': 'default', 'plans': '50'},
    ),
    Command('service-list', 'service list', '--host {host}', who=ADMIN, lists=[_PROCESS]),
    Command('service-list', 'service list', '--host other', who=ADMIN, lists=[]),
)

_LIMITED = (
    Command(
        'plan-delete',
        'plan delete',
        '{plan}',
        refused="No plan with a name or ID of '{plan}' exists.",
    ),
    Command(
        'checkpoint-show', 'checkpoint show', '{provider} {checkpoint}', shows={'status': 'deleted'}
    ),
    Command(
        'quota-update',
        'quotas update',
        '{project} --plans 7',
        who=ADMIN,
        shows={'id': '{project}', 'plans': '7'},
        server=('/quotas/{project}', {'plans': 7}),
    ),
    Command(
        'quota-class-update',
        'quotaclass update',
        'default --plans 60',
        who=ADMIN,
        shows={'id': 'default', 'plans': '60'},
        server=('/quotas/{project}/defaults', {'plans': 60}),
    ),
    Command(
        'service-disable',
        'service disable',
        "{process} --reason 'new disk'",
        who=ADMIN,
        shows={**_PROCESS, 'status': 'disabled', 'disabled_reason': 'new disk'},
    ),
)

# Without --plans, the client asks for 50.
_BACK = (
    Command(
        'quota-update',
        'quotas update',
        '{project}',
        who=ADMIN,
        shows=_LIMITS,
        server=('/quotas/{project}', {'plans': 50}),
    ),
    Command(
        'quota-class-update',
        'quotaclass update',
        'default',
        who=ADMIN,
        shows={'id': 'default', 'plans': '50'},
        server=('/quotas/{project}/defaults', {'plans': 50}),
    ),
    Command('service-enable', 'service enable', '{process}', who=ADMIN, shows=_PROCESS),
)

# Commands of one phase need nothing from each other and run side by side.
PHASES: Sequence[Sequence[Command | Plain]] = (
    _BEFORE,
    _PLANS,
    _CHECKPOINTS,
    _USES,
    _RESET,
    _REMOVED,
    _LIMITED,
    _BACK,
)


def all_commands() -> list[Command]:
    return [command for phase in PHASES for command in phase if isinstance(command, Command)]
