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

from karbor.api import middleware
from karbor.db import models
from karbor.tests.base import OTHER_PROJECT_ID, PROJECT_ID, PROVIDER_ID
from karbor.tests.functional import base

_ID = '5b0f3a52-6c7e-4b0e-9d0c-0f6c7a1b2c3d'
ROUTES = [
    ('GET', '/providers'),
    ('GET', f'/providers/{_ID}'),
    ('GET', f'/providers/{_ID}/checkpoints'),
    ('POST', f'/providers/{_ID}/checkpoints'),
    ('GET', f'/providers/{_ID}/checkpoints/{_ID}'),
    ('PUT', f'/providers/{_ID}/checkpoints/{_ID}'),
    ('DELETE', f'/providers/{_ID}/checkpoints/{_ID}'),
    ('GET', '/protectables'),
    ('GET', '/protectables/OS::Cinder::Volume'),
    ('GET', '/protectables/OS::Cinder::Volume/instances'),
    ('GET', f'/protectables/OS::Cinder::Volume/instances/{_ID}'),
    ('GET', '/plans'),
    ('POST', '/plans'),
    ('GET', f'/plans/{_ID}'),
    ('PUT', f'/plans/{_ID}'),
    ('DELETE', f'/plans/{_ID}'),
    ('GET', '/restores'),
    ('POST', '/restores'),
    ('GET', f'/restores/{_ID}'),
    ('GET', '/verifications'),
    ('POST', '/verifications'),
    ('GET', f'/verifications/{_ID}'),
]
TOKEN = 'the-token-of-this-karbor'
WRONG_TOKENS = ['', 'wrong', TOKEN + 'x', TOKEN[:-1], TOKEN.upper(), 't\xf6ken', 'x' * 10000]


class TokenTest(base.ApiTestCase):
    """The one token of karbor-standalone."""

    def authentication(self) -> middleware.TokenAuth:
        return middleware.TokenAuth(TOKEN, 'user-of-the-test', PROJECT_ID, 'demo')

    def test_the_token_is_the_owners(self):
        self.assertEqual([], self.get('/plans', headers={'X-Auth-Token': TOKEN})['plans'])
        self.assertEqual([], self.get('/os-services', headers={'X-Auth-Token': TOKEN})['services'])

    def test_every_route_wants_the_token(self):
        for method, path in ROUTES:
            self.request(method, path, 401, headers={})

    def test_a_wrong_token_is_no_token(self):
        for token in WRONG_TOKENS:
            self.get('/plans', 401, headers={'X-Auth-Token': token})

    def test_a_stranger_is_not_told_which_urls_there_are(self):
        for path in ('/no-such-thing', f'/plans/{_ID}/no-such-thing'):
            self.get(path, 401, headers={})
            self.get(path, 401, headers={}, project_id=OTHER_PROJECT_ID)

    def test_paths_like_the_public_ones_are_not_public(self):
        for path in ('/v1/x', '/V1', '/v1;', f'//v1/{PROJECT_ID}/plans'):
            self.assertEqual(401, self.client.simulate_get(path).status_code, path)

    @base.in_process_only('of whom the web server says who it is')
    def test_the_owner_needs_no_token(self):
        for headers in ({}, {'X-Auth-Token': 'wrong'}):
            for extras in ({middleware.IS_OWNER: True}, None):
                code = 401 if extras is None else 200
                self.get('/plans', code, headers=headers, extras=extras)
        owner = {middleware.IS_OWNER: True}
        self.get('/plans', 400, headers={}, extras=owner, project_id=OTHER_PROJECT_ID)

    def test_no_header_makes_an_owner(self):
        for name in (middleware.IS_OWNER, middleware.IS_OWNER.replace('.', '-')):
            self.get('/plans', 401, headers={name: 'True'})

    def test_a_refused_request_changes_nothing(self):
        self.post('/plans', self.plan_body(), 401, headers={'X-Auth-Token': 'wrong'})
        self.assertEqual([], self.rows(models.Plan))


class OwnProjectTest(base.ApiTestCase):
    def test_another_project_in_the_path(self):
        for method, path in ROUTES:
            message = self.request(method, path, 400, project_id=OTHER_PROJECT_ID)
            self.assertIn(OTHER_PROJECT_ID, message)

    def test_the_project_is_compared_as_it_is(self):
        for project_id in (PROJECT_ID.upper(), PROJECT_ID + ' ', '..', 'None', '%00'):
            self.get('/plans', 400, project_id=project_id)

    def test_objects_of_another_project_are_not_found(self):
        theirs = {'project_id': OTHER_PROJECT_ID}
        plan = self.add_row(models.Plan, **theirs)
        checkpoint = self.add_row(models.Checkpoint, **theirs)
        restore = self.add_row(models.Restore, **theirs)
        verification = self.add_row(models.Verification, **theirs)
        member = self.checkpoints_path(checkpoint.id)
        use = {'provider_id': PROVIDER_ID, 'checkpoint_id': checkpoint.id, 'parameters': {}}
        reset = {'os-resetState': {'state': 'error'}}
        for method, path, body in (
            ('GET', f'/plans/{plan.id}', None),
            ('DELETE', f'/plans/{plan.id}', None),
            ('PUT', f'/plans/{plan.id}', {'plan': {'name': 'mine'}}),
            ('POST', self.checkpoints_path(), {'checkpoint': {'plan_id': plan.id}}),
            ('GET', member, None),
            ('DELETE', member, None),
            ('PUT', member, reset),
            ('POST', '/restores', {'restore': use}),
            ('POST', '/verifications', {'verification': use}),
            ('GET', f'/restores/{restore.id}', None),
            ('GET', f'/verifications/{verification.id}', None),
        ):
            kwargs = {} if body is None else {'json': body}
            self.request(method, path, 404, **kwargs)
        self.assertEqual(
            ('row', 'available'),
            (self.rows(models.Plan)[0].name, self.rows(models.Checkpoint)[0].status),
        )
        self.assertEqual([], self.rows(models.Job))

    def test_lists_do_not_show_other_projects(self):
        for model in (models.Plan, models.Checkpoint, models.Restore, models.Verification):
            self.add_row(model, project_id=OTHER_PROJECT_ID)
        for path in ('/plans', self.checkpoints_path(), '/restores', '/verifications'):
            for query in ('', '?all_tenants=1', f'?project_id={PROJECT_ID}'):
                document = self.get(path + query)
                self.assertEqual([[]], list(document.values()))
            for query in (
                f'?project_id={OTHER_PROJECT_ID}',
                f'?all_tenants=True&project_id={OTHER_PROJECT_ID}',
            ):
                self.get(path + query, 404)
