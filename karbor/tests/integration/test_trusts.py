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

"""Trusts, with a real Keystone and a real Cinder."""

from concurrent import futures
from typing import Any
from unittest import mock

import fixtures
from keystoneauth1 import session as ks_session
from keystoneauth1.identity import v3
from oslo_config import cfg

from karbor import context as karbor_context
from karbor import db, exception
from karbor.api import middleware
from karbor.conf import cinder_client as cinder_client_conf
from karbor.db import jobs
from karbor.db import trusts as rows
from karbor.services.identity import trusts
from karbor.services.protection import client_factory
from karbor.tests import base, runners
from karbor.tests.integration import cloud


class TrustsTest(base.TestCase):
    def setUp(self) -> None:
        self.useFixture(fixtures.EnvironmentVariable('OS_TEST_TIMEOUT', '600'))
        super().setUp()
        self.project = cloud.Project()
        self.trusts = self.new_trusts()

    def new_trusts(self, **options: Any) -> trusts.KeystoneTrusts:
        """Those of a process of its own, with the sandbox's user for Karbor."""
        path = self.temp_dir / 'trustee.conf'
        lines = {
            'auth_type': 'password',
            'auth_url': cloud.settings()['keystone_url'],
            'username': 'karbor',
            'password': 'karbor',
            'user_domain_id': 'default',
            'project_name': 'service',
            'project_domain_id': 'default',
            **options,
        }
        path.write_text(
            '[trustee]\n' + ''.join(f'{name} = {value}\n' for name, value in lines.items())
        )
        conf = cfg.ConfigOpts()
        conf(args=[], default_config_files=[str(path)], default_config_dirs=[])
        return trusts.KeystoneTrusts(conf)

    def context(
        self, session: ks_session.Session | None = None, **changes: Any
    ) -> karbor_context.RequestContext:
        """What a request brings that has a token of the session, or of the user's own."""
        session = session or self.project.login()
        access = session.auth.get_access(session)
        return karbor_context.RequestContext(
            **{
                'user_id': access.user_id,
                'project_id': access.project_id,
                'roles': list(access.role_names),
                'auth_token': access.auth_token,
                'auth_token_info': access._data,
                'is_delegated': middleware.is_delegated(access._data),
                **changes,
            }
        )

    def new_job(self, trust_id: str) -> str:
        with db.writer() as session:
            rows.hold(session, trust_id)
            return runners.create_job(
                session,
                project_id=self.project.id,
                user_id=self.project.user_id,
                trust_id=trust_id,
            ).id

    def in_keystone(self) -> dict[str, dict[str, Any]]:
        """The trusts of the user, by id."""
        answer = cloud.admin().identity.get(
            '/OS-TRUST/trusts', params={'trustor_user_id': self.project.user_id}
        )
        return {trust['id']: trust for trust in answer.json()['trusts']}

    def test_one_for_many_calls_with_the_least_roles(self) -> None:
        identity = cloud.admin().identity
        identity.assign_project_role_to_user(
            self.project.id, self.project.user_id, identity.find_role('manager').id
        )
        context = self.context()
        self.assertLess({'manager', 'member'}, set(context.roles))

        trust_id = self.trusts.of(context)

        self.assertEqual(trust_id, self.trusts.of(context))
        self.assertEqual(trust_id, self.new_trusts().of(self.context()))
        self.assertEqual([trust_id], list(self.in_keystone()))
        trust = identity.get(f'/OS-TRUST/trusts/{trust_id}').json()['trust']
        self.assertEqual(['member'], [role['name'] for role in trust['roles']])
        self.assertEqual(self.project.id, trust['project_id'])

    def test_many_first_calls_at_once(self) -> None:
        context = self.context()
        processes = [self.new_trusts() for _ in range(6)]
        with futures.ThreadPoolExecutor(len(processes)) as pool:
            found = set(pool.map(lambda process: process.of(context), processes))
        self.assertEqual(list(found), list(self.in_keystone()))

    def test_a_job_makes_snapshots_in_the_users_project(self) -> None:
        [volume_id] = self.project.volumes(1)
        trust_id = self.trusts.of(self.context())
        cinder_client_conf.register_opts(cfg.CONF)
        client_factory.use_sessions(self.trusts.session)
        self.addCleanup(client_factory.use_sessions, None)
        context = karbor_context.RequestContext(
            user_id=self.project.user_id, project_id=self.project.id, trust_id=trust_id
        )
        self.trusts.check(trust_id)

        cinder = client_factory.ClientFactory.create_client('cinder', context)
        snapshot_id = cinder.volume_snapshots.create(volume_id).id

        self.assertEqual({volume_id: [snapshot_id]}, self.project.snapshots())
        snapshot = cloud.admin_cinder().volume_snapshots.get(snapshot_id)
        self.assertEqual(
            self.project.id, getattr(snapshot, 'os-extended-snapshot-attributes:project_id')
        )
        self.assertEqual(self.project.user_id, snapshot.user_id)

    def test_a_request_reaches_cinder_by_its_own_token(self) -> None:
        [volume_id] = self.project.volumes(1)
        session = self.trusts.session(self.context())
        answer = session.get('/volumes', endpoint_filter={'service_type': 'block-storage'})
        self.assertEqual([volume_id], [volume['id'] for volume in answer.json()['volumes']])
        self.assertEqual({}, self.in_keystone())

    def test_a_trust_scoped_token_makes_none_and_uses_none(self) -> None:
        trust_id = self.trusts.of(self.context())
        scoped = self.context(self.trusts.session(self.context(trust_id=trust_id)))
        self.assertTrue(scoped.is_delegated)
        self.assertRaises(exception.TrustNotPossible, self.trusts.of, scoped)
        db.transaction(rows.retire_dead)(trust_id)

        self.assertRaises(exception.TrustNotPossible, self.trusts.of, scoped)
        scoped.is_delegated = False  # Keystone says so, too
        error = self.assertRaises(exception.TrustNotPossible, self.trusts.of, scoped)
        self.assertIn('HTTP 403', str(error))
        self.assertEqual([trust_id], list(self.in_keystone()))

    def test_an_application_credential_makes_none_and_uses_none(self) -> None:
        credential = self.project.session.post(
            f'/users/{self.project.user_id}/application_credentials',
            endpoint_filter={'service_type': 'identity'},
            json={'application_credential': {'name': 'test'}},
        ).json()['application_credential']
        session = ks_session.Session(
            v3.ApplicationCredential(
                cloud.settings()['keystone_url'],
                application_credential_id=credential['id'],
                application_credential_secret=credential['secret'],
            )
        )
        context = self.context(session)
        self.assertTrue(context.is_delegated)
        context.is_delegated = False  # Keystone says so, too
        error = self.assertRaises(exception.TrustNotPossible, self.trusts.of, context)
        self.assertIn('HTTP 403', str(error))
        self.assertIn('Ask with a token of a login of your own', str(error))

        self.trusts.of(self.context())  # by a password

        error = self.assertRaises(exception.TrustNotPossible, self.trusts.of, self.context(session))
        self.assertIn('Ask with a token of a login of your own', str(error))

    def test_the_end_of_the_last_job_deletes_it(self) -> None:
        trust_id = self.trusts.of(self.context())
        self.new_job(trust_id)
        self.trusts.release(trust_id)
        self.assertEqual([trust_id], list(self.in_keystone()))
        self._end_jobs()

        # The worker of a cloud whose Keystone lets only users themselves delete trusts.
        self.new_trusts(project_name='').release(trust_id)

        self.assertEqual({}, self.in_keystone())
        self.assertNotEqual(trust_id, self.trusts.of(self.context()))

    def _end_jobs(self) -> None:
        with db.writer() as session:
            for job in session.query(jobs.models.Job):
                job.state = jobs.JobState.DONE

    def test_what_makes_it_die(self) -> None:
        identity = cloud.admin().identity
        for end, told in (
            (
                lambda project, trust_id: identity.unassign_project_role_from_user(
                    project.id, project.user_id, project.role_id
                ),
                'has lost the role member',
            ),
            (
                lambda project, trust_id: identity.update_user(project.user_id, is_enabled=False),
                'The user or the project is disabled',
            ),
            (
                lambda project, trust_id: identity.update_project(project.id, is_enabled=False),
                'The user or the project is disabled',
            ),
            (
                lambda project, trust_id: identity.delete_user(project.user_id),
                'It has been deleted there',
            ),
            (
                lambda project, trust_id: identity.delete_project(project.id),
                'It has been deleted there',
            ),
            (
                lambda project, trust_id: project.session.delete(
                    f'/OS-TRUST/trusts/{trust_id}', endpoint_filter={'service_type': 'identity'}
                ),
                'It has been deleted there',
            ),
        ):
            self.project = cloud.Project()
            trust_id = self.trusts.of(self.context())
            self.new_job(trust_id)
            self.trusts.check(trust_id)
            end(self.project, trust_id)

            error = str(self.assertRaises(exception.TrustDied, self.trusts.check, trust_id))

            for part in (
                trust_id,
                f'user {self.project.user_id}',
                f'project {self.project.id}',
                '(HTTP 40',
                told,
                'a new trust is made',
            ):
                self.assertIn(part, error)
            self.assertRaises(exception.TrustGone, self.new_job, trust_id)
            self._end_jobs()
            self.trusts.release(trust_id)
            self.assertEqual({}, self.in_keystone())

    def test_after_a_death_comes_a_new_one(self) -> None:
        identity = cloud.admin().identity
        trust_id = self.trusts.of(self.context())
        self.new_job(trust_id)
        identity.unassign_project_role_from_user(
            self.project.id, self.project.user_id, self.project.role_id
        )
        self.assertRaises(exception.TrustDied, self.trusts.check, trust_id)
        identity.assign_project_role_to_user(
            self.project.id, self.project.user_id, self.project.role_id
        )

        new = self.trusts.of(self.context())

        self.assertEqual({trust_id, new}, set(self.in_keystone()))
        self.trusts.check(trust_id)  # its job has its role back
        self.trusts.check(new)
        self._end_jobs()
        self.trusts.release(trust_id)
        self.assertEqual([new], list(self.in_keystone()))

    def test_wrong_credentials_are_not_the_trusts_fault(self) -> None:
        trust_id = self.trusts.of(self.context())
        self.assertRaises(
            exception.IdentityUnavailable, self.new_trusts(password='wrong').check, trust_id
        )
        self.new_job(trust_id)

    def test_sweep(self) -> None:
        crashed = self.new_trusts(trust_mark=self.project.id)
        with mock.patch.object(rows, 'add', side_effect=SystemExit), self.assertRaises(SystemExit):
            crashed.of(self.context())
        foreign = self.trusts.of(self.context())
        [lost] = set(self.in_keystone()) - {foreign}
        mine = self.new_trusts(trust_mark=self.project.id)
        mine.sweep()
        self.assertEqual({lost, foreign}, set(self.in_keystone()))
        with mock.patch.object(trusts, '_YOUNG', 0):
            db.transaction(rows.remove)(foreign)
            mine.sweep()
        self.assertEqual({foreign}, set(self.in_keystone()))
