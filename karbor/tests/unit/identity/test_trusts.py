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

"""Trusts, against a fake Keystone; what the real one does is in the integration tests."""

import contextlib
import datetime
import functools
import threading
import time
from collections.abc import Callable
from concurrent import futures
from typing import Any
from unittest import mock

import fixtures
import sqlalchemy as sa
from keystoneauth1 import fixture as ks_fixture
from oslo_config import cfg
from oslo_db import exception as db_exc
from oslo_utils import timeutils

from karbor import context as karbor_context
from karbor import db, exception
from karbor.common import constants
from karbor.conf import trustee
from karbor.db import jobs, models
from karbor.db import trusts as rows
from karbor.services.identity import keystone, trusts
from karbor.testing import fake_keystone
from karbor.tests import base, runners


class TrustsTestCase(base.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.keystone = fake_keystone.FakeKeystone()
        self.server = contextlib.ExitStack()
        self.auth_url = self.server.enter_context(self.keystone.serve())
        self.addCleanup(self.server.close)
        self.trusts = self.new_trusts()

    def options(self, **options: Any) -> cfg.ConfigOpts:
        """Configuration of a process of its own."""
        path = self.temp_dir / 'trustee.conf'
        lines = {
            'auth_type': 'password',
            'auth_url': self.auth_url,
            'username': 'karbor',
            'password': fake_keystone.PASSWORD,
            'user_domain_id': 'default',
            'project_name': 'service',
            'project_domain_id': 'default',
            **options,
        }
        path.write_text(
            '[trustee]\n'
            + ''.join(f'{name} = {value}\n' for name, value in lines.items() if value is not None)
        )
        conf = cfg.ConfigOpts()
        conf(args=[], default_config_files=[str(path)], default_config_dirs=[])
        return conf

    def new_trusts(self, **options: Any) -> trusts.KeystoneTrusts:
        return trusts.KeystoneTrusts(self.options(**options))

    def context(self, **changes: Any) -> karbor_context.RequestContext:
        return karbor_context.RequestContext(
            **{
                'user_id': 'user',
                'project_id': base.PROJECT_ID,
                'roles': ['member', 'reader'],
                'auth_token': fake_keystone.USER_TOKEN,
                **changes,
            }
        )

    def new_job(self, trust_id: str) -> str:
        @db.transaction
        def write(session: Any) -> str:
            rows.hold(session, trust_id)
            return runners.create_job(session, trust_id=trust_id).id

        return write()

    def new_operation(self, trust_id: str) -> None:
        """A scheduled operation that acts by a trust."""
        with db.writer() as session:
            plan = models.Plan(
                project_id=base.PROJECT_ID,
                name='p',
                provider_id='p',
                status='x',
                resources=[],
                parameters={},
            )
            trigger = models.Trigger(
                project_id=base.PROJECT_ID, name='t', type='time', properties={}
            )
            session.add_all((plan, trigger))
            session.flush()
            session.add(
                models.ScheduledOperation(
                    project_id=base.PROJECT_ID,
                    name='o',
                    operation_type='protect',
                    trigger_id=trigger.id,
                    plan_id=plan.id,
                    operation_definition={},
                    trust_id=trust_id,
                )
            )

    def end(self, job_id: str) -> None:
        with db.writer() as session:
            session.execute(
                sa.update(models.Job)
                .where(models.Job.id == job_id)
                .values(state=jobs.JobState.DONE)
            )

    def rows(self) -> dict[str, bool]:
        """Ids of the trusts of the table, and which are live."""
        with db.reader() as session:
            return {
                row.id: row.live_key is not None for row in session.scalars(sa.select(models.Trust))
            }

    def assert_live(self, *trust_ids: str) -> None:
        """Keystone and the table agree on what there is."""
        self.assertEqual(set(trust_ids), set(self.keystone.trusts))
        self.assertEqual(dict.fromkeys(trust_ids, True), self.rows())

    def age(self, seconds: float) -> None:
        with db.writer() as session:
            session.execute(
                sa.update(models.Trust).values(
                    created_at=timeutils.utcnow() - datetime.timedelta(seconds=seconds)
                )
            )


class OptionsTest(TrustsTestCase):
    def test_the_sample_file_has_all(self) -> None:
        [(group, opts)] = trustee.list_opts()
        self.assertEqual('trustee', group)
        self.assertLessEqual(
            {
                'auth_type',
                'auth_url',
                'username',
                'password',
                'cafile',
                'timeout',
                'trust_roles',
                'trust_mark',
            },
            {opt.dest for opt in opts},
        )

    def test_no_request_waits_for_ever(self) -> None:
        conf = self.options()
        trustee.register_opts(conf)
        trustee.register_opts(conf)
        self.assertEqual(60, conf.trustee.timeout)
        self.keystone.before_create = functools.partial(time.sleep, 1)
        self.assertRaises(
            exception.IdentityUnavailable, self.new_trusts(timeout=0.2).of, self.context()
        )

    def test_credentials_that_cannot_use_trusts_are_refused(self) -> None:
        for options in (
            {'auth_type': None},
            {'auth_type': 'none'},
            {'auth_type': 'nonsense'},
            {'auth_url': None},
            {
                'auth_type': 'v3applicationcredential',
                'application_credential_id': 'i',
                'application_credential_secret': 's',
            },
        ):
            error = self.assertRaises(exception.KarborException, self.new_trusts, **options)
            self.assertIn('[trustee]', str(error))

    def test_an_auth_url_without_version(self) -> None:
        self.new_trusts(auth_url=self.auth_url.removesuffix('/v3')).of(self.context())
        self.assertEqual(1, len(self.keystone.trusts))


class OfTest(TrustsTestCase):
    def test_one_request_makes_it_and_none_finds_it_again(self) -> None:
        trust_id = self.trusts.of(self.context())
        self.assertEqual({'password': 1, 'create': 1}, self.keystone.requests)
        self.keystone.requests.clear()

        self.assertEqual(trust_id, self.trusts.of(self.context()))
        self.assertEqual(trust_id, self.new_trusts().of(self.context(roles=['member'])))

        self.assertEqual({}, self.keystone.requests)
        self.assert_live(trust_id)

    def test_what_is_asked_for_is_the_least(self) -> None:
        trust_id = self.trusts.of(self.context(roles=['admin', 'manager', 'member', 'reader']))
        self.assertEqual(
            {
                'id': trust_id,
                'trustor_user_id': 'user',
                'trustee_user_id': fake_keystone.ME,
                'project_id': base.PROJECT_ID,
                'impersonation': True,
                'roles': [{'name': 'member'}],
                'karbor': 'karbor',
            },
            self.keystone.trusts[trust_id],
        )

    def test_one_for_each_user_project_and_set_of_roles(self) -> None:
        several = self.new_trusts(trust_roles='Member,creator')
        contexts = [
            self.context(**changes)
            for changes in (
                {},
                {'user_id': 'other'},
                {'project_id': base.OTHER_PROJECT_ID},
                {'roles': ['member', 'creator']},
                {'roles': ['creator']},
            )
        ]
        found = [several.of(context) for context in contexts]
        self.assertEqual(5, len(set(found)))
        self.assertEqual(found[3], several.of(self.context(roles=['creator', 'x', 'member'])))
        self.assert_live(*found)

    def test_no_role_to_delegate(self) -> None:
        error = self.assertRaises(
            exception.TrustNotPossible, self.trusts.of, self.context(roles=['reader', 'observer'])
        )
        self.assertEqual(403, error.code)
        self.assertIn(
            'one of the roles member ([trustee] trust_roles), and your roles are: '
            'observer, reader.',
            str(error),
        )
        self.assertEqual({}, self.keystone.requests)

    def test_a_delegated_token_makes_none_and_uses_none(self) -> None:
        """What acts by it would go on when what was delegated has ended."""
        delegated = self.context(is_delegated=True)
        error = self.assertRaises(exception.TrustNotPossible, self.trusts.of, delegated)
        self.assertEqual(403, error.code)
        self.assertIn('Ask with a token of a login of your own', str(error))
        self.assertEqual({}, self.keystone.requests)

        self.trusts.of(self.context())

        self.assertRaises(exception.TrustNotPossible, self.trusts.of, delegated)

    def test_what_keystone_refuses(self) -> None:
        for status in (400, 401, 403, 404, 409):
            self.keystone.answers['create'] = status
            error = self.assertRaises(exception.TrustNotPossible, self.trusts.of, self.context())
            self.assertIn(f'(HTTP {status})', str(error))
            self.assertIn('not of an application credential', str(error))
        self.assertEqual({}, self.rows())

    def test_what_passes_is_not_the_users_fault(self) -> None:
        for status in (408, 429, 500, 502, 503):
            self.keystone.answers['create'] = status
            error = self.assertRaises(exception.IdentityUnavailable, self.trusts.of, self.context())
            self.assertEqual(503, error.code)
        self.assertRaises(
            exception.IdentityUnavailable, self.new_trusts(password='wrong').of, self.context()
        )
        self.server.close()
        self.assertRaises(exception.IdentityUnavailable, self.trusts.of, self.context())
        self.assertEqual({}, self.rows())

    def test_a_race_leaves_one(self) -> None:
        count = 8
        barrier = threading.Barrier(count)
        self.keystone.before_create = lambda: barrier.wait(20)
        processes = [self.new_trusts() for _ in range(count)]
        with futures.ThreadPoolExecutor(count) as pool:
            found = set(pool.map(lambda process: process.of(self.context()), processes))
        self.assertEqual(count, self.keystone.requests['create'])
        self.assert_live(*found)
        self.assertEqual(1, len(found))

    def test_the_winner_of_a_race_may_be_gone_again(self) -> None:
        def be_quicker() -> None:
            self.keystone.before_create = lambda: None
            winner = self.keystone.add(karbor='karbor')
            with db.writer() as session:
                rows.add(session, winner, 'user', base.PROJECT_ID, roles=['member'])

        release = trusts.KeystoneTrusts.release

        def release_both(process: trusts.KeystoneTrusts, trust_id: str) -> None:
            for each in self.rows():
                release(process, each)

        self.keystone.before_create = be_quicker
        with mock.patch.object(trusts.KeystoneTrusts, 'release', release_both):
            trust_id = self.trusts.of(self.context())
        self.assertEqual(2, self.keystone.requests['create'])
        self.assert_live(trust_id)

    def test_nothing_secret_is_logged_or_told(self) -> None:
        log = self.useFixture(fixtures.FakeLogger(level=0))
        trust_id = self.trusts.of(self.context())
        self.trusts.check(trust_id)
        self.keystone.answers.update({'create': 403, 'trust token': 403})
        told = [
            str(
                self.assertRaises(
                    exception.TrustNotPossible, self.trusts.of, self.context(user_id='other')
                )
            ),
            str(self.assertRaises(exception.TrustDied, self.trusts.check, trust_id)),
        ]
        self.trusts.release(trust_id)
        for text in (log.output, *told):
            for secret in (fake_keystone.USER_TOKEN, fake_keystone.PASSWORD, 'secret-'):
                self.assertNotIn(secret, text)


class SessionTest(TrustsTestCase):
    def test_of_a_trust(self) -> None:
        trust_id = self.trusts.of(self.context())
        context = self.context(auth_token=None, trust_id=trust_id)
        session = self.trusts.session(context)
        self.assertEqual(trust_id, self.keystone.tokens[session.get_token()])
        self.assertEqual('user', session.get_user_id())
        self.assertIs(session, self.trusts.session(context))
        self.assertEqual(1, self.keystone.requests['trust token'])

    def test_few_are_kept(self) -> None:
        with mock.patch.object(keystone, '_MOST_SESSIONS', 2):
            few = self.new_trusts()
        sessions = [few.session(self.context(trust_id=str(number))) for number in range(3)]
        self.assertIs(sessions[2], few.session(self.context(trust_id='2')))
        self.assertIsNot(sessions[0], few.session(self.context(trust_id='0')))

    def test_sessions_share_connections_and_no_cookies(self) -> None:
        first, second = (
            self.trusts.session(self.context(trust_id=name)).session for name in ('1', '2')
        )
        self.assertIs(first.get_adapter(self.auth_url), second.get_adapter(self.auth_url))
        self.assertIsNot(first.cookies, second.cookies)

    def test_of_a_token(self) -> None:
        info = ks_fixture.V3Token(user_id='user', project_id=base.PROJECT_ID)
        info.add_service('block-storage').add_standard_endpoints(public='http://cinder')
        session = self.trusts.session(self.context(auth_token_info=info))
        self.assertEqual(fake_keystone.USER_TOKEN, session.get_token())
        self.assertEqual('http://cinder', session.get_endpoint(service_type='block-storage'))
        self.assertEqual({}, self.keystone.requests)

    def test_of_neither(self) -> None:
        self.assertRaises(
            exception.KarborException, self.trusts.session, self.context(auth_token=None)
        )


class CheckTest(TrustsTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.trust_id = self.trusts.of(self.context())
        self.job_id = self.new_job(self.trust_id)
        self.trusts.check(self.trust_id)
        self.keystone.requests.clear()

    def died(self) -> str:
        text = str(self.assertRaises(exception.TrustDied, self.trusts.check, self.trust_id))
        for part in (
            self.trust_id,
            'user user',
            f'project {base.PROJECT_ID}',
            '(HTTP 40',
            'ask again with a token of your own',
        ):
            self.assertIn(part.lower(), text.lower())
        return text

    def test_a_good_one_costs_one_request(self) -> None:
        self.trusts.check(self.trust_id)
        self.assertEqual({'trust token': 1}, self.keystone.requests)

    def test_refused(self) -> None:
        self.keystone.answers['trust token'] = 403
        self.assertIn('or the user has lost the role member', self.died())
        self.assertEqual({self.trust_id: False}, self.rows())

    def test_deleted(self) -> None:
        self.keystone.trusts.clear()
        self.assertIn('It has been deleted there', self.died())

    def test_nobody_knows_it(self) -> None:
        error = self.assertRaises(exception.TrustDied, self.trusts.check, 'unknown')
        self.assertIn('Keystone does not honour trust unknown any more', str(error))

    def test_the_next_request_makes_a_new_one(self) -> None:
        self.keystone.answers['trust token'] = 403
        self.died()
        self.assertRaises(exception.TrustGone, self.new_job, self.trust_id)
        del self.keystone.answers['trust token']
        self.assertNotEqual(self.trust_id, self.trusts.of(self.context()))

    def test_a_dead_one_stays_until_its_jobs_have_ended(self) -> None:
        self.keystone.answers['trust token'] = 403
        self.died()
        self.trusts.release(self.trust_id)
        self.trusts.sweep()
        self.died()
        self.end(self.job_id)
        self.trusts.release(self.trust_id)
        self.assert_live()
        self.assertEqual(1, self.keystone.requests['delete'])

    def test_one_that_comes_to_life_again_serves_its_jobs(self) -> None:
        self.keystone.answers['trust token'] = 403
        self.died()
        del self.keystone.answers['trust token']
        self.trusts.check(self.trust_id)

    def test_keystones_faults_are_not_the_trusts(self) -> None:
        self.keystone.answers['trust token'] = 503
        self.assertRaises(exception.IdentityUnavailable, self.trusts.check, self.trust_id)
        self.keystone.answers.update({'trust token': 403, 'get': 503})
        self.assertRaises(exception.IdentityUnavailable, self.trusts.check, self.trust_id)
        self.server.close()
        self.assertRaises(exception.IdentityUnavailable, self.trusts.check, self.trust_id)
        self.assertEqual({self.trust_id: True}, self.rows())

    def test_wrong_credentials_of_our_own_are_not_the_trusts(self) -> None:
        self.assertRaises(
            exception.IdentityUnavailable, self.new_trusts(password='wrong').check, self.trust_id
        )
        with mock.patch.object(fake_keystone, 'PASSWORD', 'changed'):
            self.assertRaises(exception.IdentityUnavailable, self.trusts.check, self.trust_id)
        self.assertEqual({self.trust_id: True}, self.rows())


class ReleaseTest(TrustsTestCase):
    def test_the_last_job_deletes_it(self) -> None:
        trust_id = self.trusts.of(self.context())
        first, second = self.new_job(trust_id), self.new_job(trust_id)
        for job_id in (first, second):
            self.trusts.release(trust_id)
            self.assert_live(trust_id)
            self.end(job_id)

        self.trusts.release(trust_id)

        self.assert_live()
        self.assertEqual(1, self.keystone.requests['delete by trust'])
        self.assertEqual(0, self.keystone.requests['delete'])
        self.assertRaises(exception.TrustGone, self.new_job, trust_id)

    def test_a_checkpoint_that_expires_keeps_it(self) -> None:
        trust_id = self.trusts.of(self.context())
        job_id = self.new_job(trust_id)
        with db.writer() as session:
            job = session.get_one(models.Job, job_id)
            job.kind = constants.OperationType.SAFETY_PROTECT
            checkpoint = models.Checkpoint(
                id=job.subject_id,
                project_id=base.PROJECT_ID,
                provider_id='p',
                plan_id='p',
                status=constants.CheckpointStatus.AVAILABLE,
                protection_plan={},
                resource_graph='[]',
                resources_total=0,
                extra_info={},
                expires_at=datetime.datetime(2020, 1, 1),
            )
            session.add(checkpoint)
        self.end(job_id)

        self.trusts.release(trust_id)
        self.trusts.sweep()
        self.assert_live(trust_id)

        with db.writer() as session:
            checkpoint = session.get_one(models.Checkpoint, checkpoint.id)
            checkpoint.status = constants.CheckpointStatus.DELETED
        self.trusts.release(trust_id)
        self.assert_live()

    def test_a_scheduled_operation_keeps_it(self) -> None:
        trust_id = self.trusts.of(self.context())
        job_id = self.new_job(trust_id)
        self.new_operation(trust_id)
        self.end(job_id)
        self.trusts.release(trust_id)
        self.age(10**6)
        self.trusts.sweep()
        self.assert_live(trust_id)

        with db.writer() as session:
            session.execute(sa.delete(models.ScheduledOperation))
        self.trusts.release(trust_id)
        self.assert_live()

    def test_a_job_gives_its_own_trust_to_another(self) -> None:
        """Even one that Keystone has once refused, and honours again."""
        trust_id = self.trusts.of(self.context())
        self.new_job(trust_id)
        db.transaction(rows.retire_dead)(trust_id)
        context = karbor_context.RequestContext('user', base.PROJECT_ID, trust_id=trust_id)
        self.assertEqual(
            trust_id, trusts.with_trust(self.trusts, context, lambda _session, found: found)
        )

    def test_none_and_unknown_ones(self) -> None:
        self.trusts.release(None)
        self.trusts.release('unknown')
        self.assertEqual({}, self.keystone.requests)

    def test_as_administrator_when_keystone_refuses_the_user(self) -> None:
        for request in ('trust token', 'delete by trust'):
            trust_id = self.trusts.of(self.context())
            self.keystone.answers = {request: 403}
            self.trusts.release(trust_id)
            self.assert_live()

    def test_one_that_is_deleted_already(self) -> None:
        trust_id = self.trusts.of(self.context())
        self.keystone.trusts.clear()
        self.trusts.release(trust_id)
        self.assert_live()

    def test_what_fails_is_left_to_the_sweep(self) -> None:
        trust_id = self.trusts.of(self.context())
        self.keystone.answers = {'delete by trust': 403, 'delete': 403}
        self.trusts.release(trust_id)
        self.assertEqual({trust_id: False}, self.rows())
        self.trusts.sweep()
        self.assertEqual({trust_id: False}, self.rows())
        self.keystone.answers = {}
        self.trusts.sweep()
        self.assert_live()

    def test_it_never_raises_for_a_keystone_or_database_that_is_away(self) -> None:
        trust_id = self.trusts.of(self.context())
        self.server.close()
        self.trusts.release(trust_id)
        self.trusts.sweep()
        self.assertEqual({trust_id: False}, self.rows())
        with mock.patch.object(rows, 'retire_unneeded', side_effect=db_exc.DBConnectionError):
            self.trusts.release(trust_id)

    def test_no_job_gets_a_trust_that_is_being_deleted(self) -> None:
        processes = [self.new_trusts() for _ in range(4)]
        self.keystone.answers = {}

        def work(process: trusts.KeystoneTrusts) -> None:
            for _ in range(15):
                trust_id, job_id = self._begin(process)
                self.assertIn(trust_id, self.keystone.trusts)
                process.check(trust_id)
                self.end(job_id)
                process.release(trust_id)

        with futures.ThreadPoolExecutor(len(processes)) as pool:
            list(pool.map(work, processes))
        processes[0].sweep()
        self.assert_live()

    def _begin(self, process: trusts.KeystoneTrusts) -> tuple[str, str]:
        while True:
            trust_id = process.of(self.context())
            with contextlib.suppress(exception.TrustGone):
                return trust_id, self.new_job(trust_id)


class SweepTest(TrustsTestCase):
    def test_what_no_job_needs_goes_when_it_is_old(self) -> None:
        needed = self.trusts.of(self.context())
        self.new_job(needed)
        idle = self.trusts.of(self.context(user_id='other'))
        self.age(590)
        self.trusts.sweep()
        self.assert_live(needed, idle)
        self.age(610)
        self.trusts.sweep()
        self.assert_live(needed)

    def test_what_only_keystone_knows_goes_in_time(self) -> None:
        mine = self.trusts.of(self.context())
        lost = self.keystone.add(karbor='karbor')
        foreign = {self.keystone.add(), self.keystone.add(karbor='another')}
        for passed, left in ((0, {lost}), (599, {lost}), (600, set())):
            with mock.patch.object(trusts.time, 'monotonic', return_value=1000 + passed):
                self.trusts.sweep()
            self.assertEqual({mine, *left, *foreign}, set(self.keystone.trusts))

    def test_what_comes_to_be_known_stays(self) -> None:
        late = self.keystone.add(karbor='karbor')
        with mock.patch.object(trusts, '_YOUNG', 0.001):
            with mock.patch.object(trusts.time, 'monotonic', return_value=0):
                self.trusts.sweep()
            with db.writer() as session:
                rows.add(session, late, 'user', base.PROJECT_ID, roles=['member'])
            self.new_job(late)
            self.trusts.sweep()
        self.assert_live(late)

    def test_one_that_cannot_be_deleted_does_not_keep_the_others(self) -> None:
        with mock.patch.object(trusts, '_YOUNG', 0):
            lost = [self.keystone.add(karbor='karbor') for _ in range(2)]
            self.keystone.answers = {'trust token': 403, 'delete': 403}
            self.trusts.sweep()
            self.assertEqual(2, self.keystone.requests['delete'])
            self.keystone.answers = {}
            self.trusts.sweep()
        self.assertEqual(2, len(lost))
        self.assert_live()

    def test_a_sweep_is_bounded(self) -> None:
        """150 trusts of one tenant held up the sweep, and Keystone, for 14 s."""
        for number in range(45):
            self.trusts.of(self.context(user_id=f'user {number}'))
            self.keystone.add(karbor='karbor')
        self.age(610)
        left = []
        with mock.patch.object(trusts, '_YOUNG', 0):
            for _ in range(3):
                self.trusts.sweep()
                left.append(len(self.keystone.trusts))
        self.assertEqual([50, 10, 0], left)

    def test_an_answer_that_is_none(self) -> None:
        self.keystone.answers.update({'list': 502})
        self.trusts.sweep()
        self.keystone.answers.update({'list': 200, 'create': 200})
        self.trusts.sweep()
        self.assertRaises(exception.IdentityUnavailable, self.trusts.of, self.context())


class SurveyTest(TrustsTestCase):
    def test_each_kind(self) -> None:
        needed = self.trusts.of(self.context())
        self.new_job(needed)
        idle = self.trusts.of(self.context(user_id='other'))
        dead = self.trusts.of(self.context(user_id='third'))
        self.new_job(dead)
        self.age(610)
        del self.keystone.trusts[dead]
        unknown = self.keystone.add(karbor='karbor')
        before = dict(self.keystone.trusts), self.rows()
        self.assertEqual(
            trusts.Survey(frozenset({idle}), frozenset({dead}), frozenset({unknown})),
            self.trusts.survey(),
        )
        self.assertEqual(before, (self.keystone.trusts, self.rows()))
        self.trusts.retire([dead])
        self.assertFalse(self.rows()[dead])

    def test_those_of_another_mark_are_not_dead(self) -> None:
        needed, gone = self.trusts.of(self.context()), self.trusts.of(self.context(user_id='o'))
        del self.keystone.trusts[gone]
        changed = self.new_trusts(trust_mark='changed')
        self.assertEqual(frozenset({gone}), changed.survey().dead)
        changed.retire(changed.survey().dead)
        self.assertEqual({needed: True, gone: False}, self.rows())

    def test_keystone_is_away(self) -> None:
        self.keystone.answers['list'] = 502
        self.assertRaises(exception.IdentityUnavailable, self.trusts.survey)


class NoTrustsTest(TrustsTestCase):
    def test_standalone_needs_none(self) -> None:
        none = trusts.NoTrusts()
        self.assertIsNone(none.of(self.context()))
        calls: list[Callable[[], None]] = [
            lambda: none.check('x'),
            lambda: none.release(None),
            none.sweep,
        ]
        for call in calls:
            call()
        self.assertEqual({}, self.keystone.requests)
