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

"""Two projects that have the same things, and everybody who may ask for them."""

import datetime
import functools
import json
import pathlib
import re
import sqlite3
import time
import uuid
from collections.abc import Mapping
from typing import Any

from keystoneauth1 import session as ks_session
from keystoneauth1.identity import v3

from karbor.tests.integration import callers, cloud, service

Rows = dict[str, list[dict[str, Any]]]

ROLES = ('reader', 'member', 'manager', 'admin', 'service', 'stranger')
_UUID = re.compile('[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}')
_SEEN = ('alembic_version', 'volumes', 'project_looks')
_HEARTBEAT = ('reported_at', 'updated_at')
_LISTS = (
    '/plans',
    callers.CHECKPOINTS,
    '/recovery_points',
    '/restores',
    '/verifications',
    '/triggers',
    '/scheduled_operations',
    '/schedules',
    '/operation_logs',
    '/protectables/OS::Cinder::Volume/instances',
)


class Side:
    """A project with one of everything, whose names all have a mark in them.

    :param url: of karbor-api.
    """

    def __init__(self, url: str) -> None:
        self.project = cloud.Project()
        self.owner = callers.of(self.project.session, url)
        self.mark = f'mark-{uuid.uuid4().hex}'
        volume = self.project.cinder.volumes.create(1, name=f'{self.mark} volume').id
        cloud.wait_until(
            lambda: self.project.cinder.volumes.get(volume).status == 'available', 'a new volume'
        )
        self.values = {'project': self.project.id, 'name': self.mark, 'volume': volume}
        for what in (
            'plan',
            'trigger',
            'scheduled_operation',
            'checkpoint',
            'restore',
            'restore_group',
            'verification',
        ):
            self.values[what] = self.new(what)
        self.values['recovery_point'] = self.owner.call('GET', '/recovery_points?limit=1')[0]['id']
        self.values['operation_log'] = self.owner.call('GET', '/operation_logs?limit=1')[0]['id']
        self.values['trouble'] = self._trouble()

    def _trouble(self) -> str:
        """The id of that of a schedule whose volume is gone."""
        volume = self.project.cinder.volumes.create(1, name=f'{self.mark} gone')
        cloud.wait_until(
            lambda: self.project.cinder.volumes.get(volume.id).status == 'available', 'a new volume'
        )
        plan = self.owner.plan([volume.id], f'{self.mark} plan of nothing')
        volume.delete()
        name = f'{self.mark} operation of nothing'
        operation = self.owner.scheduled_operation(self.owner.trigger(name), plan, name)
        self.owner.call('POST', f'/scheduled_operations/{operation}/action', {'run': {}})
        troubles = cloud.wait_until(
            lambda: self.owner.call('GET', '/troubles?kind=run_failed'), 'a run that fails'
        )
        return str(troubles[0]['id'])

    def new(self, what: str) -> str:
        """The id of another one of something, that nothing needs yet."""
        if what == 'plan':
            return self.owner.plan([self.values['volume']], f'{self.mark} plan')
        if what == 'checkpoint':
            return self.owner.protected(
                self.values['plan'],
                created_by='operation-engine',
                scheduled_operation_id=self.values['scheduled_operation'],
            )
        if what == 'trigger':
            return self.owner.trigger(f'{self.mark} trigger')
        if what == 'scheduled_operation':
            return self.owner.scheduled_operation(
                self.values['trigger'], self.values['plan'], f'{self.mark} operation'
            )
        if what == 'restore_group':
            resource = {'type': 'OS::Cinder::Volume', 'id': self.values['volume']}
            group = self.owner.call(
                'POST', '/restore_groups', {'restore_group': {'resources': [resource]}}
            )
            (restore,) = group['restores']
            assert self.owner.wait_for_use('restore', restore['id'])['status'] == 'success'
            return str(group['id'])
        use_id = self.owner.use(what, self.values['checkpoint'])
        assert self.owner.wait_for_use(what, use_id)['status'] == 'success'
        return use_id

    def view(self) -> dict[str, Any]:
        """All that the project's member sees of it."""
        return {
            path: self.owner.ask('GET', path).json()
            for path in (*_LISTS, f'/quotas/{self.project.id}/detail')
        }

    def in_cinder(self) -> dict[str, Any]:
        cinder = self.project.cinder
        return {
            thing.id: thing.to_dict()
            for manager in (cinder.volumes, cinder.volume_snapshots)
            for thing in manager.list()
        }

    def secrets(self, rows: Rows) -> frozenset[str]:
        """What an answer to somebody else must not have in it: ids, and the mark in names."""
        own = [
            row
            for table in rows.values()
            for row in table
            if row.get('project_id') == self.project.id
        ]
        found = _UUID.findall(json.dumps([own, *self.in_cinder().values()], default=str))
        return frozenset(
            {*found, self.project.id, self.project.user_id, self.mark} - {service.PROVIDER_ID}
        )


class World:
    """A cloud's Karbor with the project that everybody asks from, and another one.

    :param folder: for the service.
    """

    def __init__(self, folder: pathlib.Path) -> None:
        self._folder = folder
        self.service = service.Service(folder)
        self._fresh: dict[str, str] = {}
        self._rows: Rows = {}
        self._version: int | None = None

    def build(self) -> None:
        self.service.start()
        self._database = sqlite3.connect(f'file:{self._folder}/karbor.db?mode=ro', uri=True)
        self._database.row_factory = sqlite3.Row
        self.own, self.other = Side(self.service.url), Side(self.service.url)
        self.own.values['plan_of_other_project'] = self.own.owner.plan(
            [self.other.project.id], resource_type='OS::Keystone::Project'
        )
        self.tokens = {**_tokens_with_roles(self.own.project), **_other_tokens(self.own.project)}
        # What the own project may be answered, since somebody in it has said it himself.
        self.told = {self.own.project.id, self.other.project.id}
        self.settle()
        self.secrets = {side: side.secrets(self.rows()) for side in (self.own, self.other)}

    def value(self, placeholder: str) -> str:
        """What stands for ``own.plan``, ``OTHER.plan`` or ``fresh.plan`` and the like."""
        whose, _, what = placeholder.partition('.')
        if whose != 'fresh':
            return (self.own if whose == 'own' else self.other).values[what]
        if what not in self._fresh:
            self._fresh[what] = self.own.new(what)
            self.settle()
        return self._fresh[what]

    def use_up_fresh(self) -> None:
        """What was fresh has been changed or removed."""
        self._fresh.clear()

    def unknown(self, placeholder: str) -> str:
        """A value such as the placeholder's could have, of nothing that there is."""
        if placeholder.endswith('.project'):
            return uuid.uuid4().hex
        return f'mark-{uuid.uuid4().hex}' if placeholder.endswith('.name') else str(uuid.uuid4())

    def rows(self) -> Rows:
        """All rows of the database, but for heartbeats; they are read when something was written
        since."""
        (version,) = self._database.execute('PRAGMA data_version').fetchone()
        if version != self._version:
            # What is read now is of this version or a later one, which will be read anew.
            self._rows, self._version = self._read_rows(), version
        return self._rows

    def _read_rows(self) -> Rows:
        found = {
            table: [dict(row) for row in self._database.execute(f'SELECT * FROM {table}')]
            for table in self._tables
        }
        for row in found['services']:
            for name in _HEARTBEAT:
                del row[name]
        return found

    @functools.cached_property
    def _tables(self) -> list[str]:
        """All but what was seen of the cloud, which is written again when somebody asks."""
        return [
            name
            for (name,) in self._database.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table'"
            )
            if name not in _SEEN
        ]

    def settle(self) -> None:
        """Wait until no job is under way and no trust is left but those of schedules."""

        def is_settled() -> bool:
            rows = self.rows()
            needed = {operation['trust_id'] for operation in rows['scheduled_operations']}
            return {trust['id'] for trust in rows['trusts']} <= needed and all(
                job['state'] in ('done', 'failed') for job in rows['jobs']
            )

        cloud.wait_until(is_settled, 'the end of all jobs')

    def outside(self) -> dict[str, Any]:
        """What there is outside of the database: in Cinder, in Keystone and in the bank."""
        trusts = cloud.admin().identity.get('/OS-TRUST/trusts').json()['trusts']
        bank = self._folder / 'bank'
        return {
            'own': self.own.in_cinder(),
            'other': self.other.in_cinder(),
            'trusts': sorted(trust['id'] for trust in trusts),
            'bank': {
                str(path): path.stat().st_mtime_ns for path in bank.rglob('*') if path.is_file()
            },
        }


def _token(**login: Any) -> str:
    settings = {'user_domain_id': 'default', **login}
    return ks_session.Session(v3.Password(cloud.settings()['keystone_url'], **settings)).get_token()


def _tokens_with_roles(project: cloud.Project) -> dict[str, str]:
    found = {}
    for role in ROLES:
        auth = project.add_user(role)
        found[role] = _token(
            username=auth['username'], password=auth['password'], project_id=project.id
        )
    return found


def _other_tokens(project: cloud.Project) -> dict[str, str | None]:
    """Tokens that are not of a project, or not good; all but one of an administrator."""
    auth = project.add_user('admin')
    identity = cloud.admin().identity
    user = identity.find_user(auth['username'])
    admin = identity.find_role('admin')
    identity.assign_domain_role_to_user('default', user.id, admin.id)
    identity.assign_system_role_to_user(user.id, admin.id, 'all')
    login = {'username': auth['username'], 'password': auth['password']}
    revoked = _token(**login, project_id=project.id)
    identity.delete('/auth/tokens', headers={'X-Subject-Token': revoked})
    return {
        'domain': _token(**login, domain_id='default'),
        'unscoped': _token(**login, unscoped=True),
        'system': _token(**login, system_scope='all'),
        'expired': _expired_token(project),
        'revoked': revoked,
        'invalid': 'gAAAAABinvalid',
        'none': None,
    }


def _expired_token(project: cloud.Project) -> str:
    """That of an application credential, whose end is the token's."""
    end = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=2)
    made = project.session.post(
        f'/users/{project.user_id}/application_credentials',
        endpoint_filter={'service_type': 'identity'},
        json={
            'application_credential': {
                'name': 'short',
                'expires_at': end.strftime('%Y-%m-%dT%H:%M:%S'),
            }
        },
    )
    credential = made.json()['application_credential']
    token = ks_session.Session(
        v3.ApplicationCredential(
            cloud.settings()['keystone_url'],
            application_credential_id=credential['id'],
            application_credential_secret=credential['secret'],
        )
    ).get_token()
    time.sleep(max(0, (end - datetime.datetime.now(datetime.UTC)).total_seconds()))
    return token


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Names of what is not as it was."""
    return [name for name in {**before, **after} if before.get(name) != after.get(name)]
