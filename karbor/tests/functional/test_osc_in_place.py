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

"""``openstack protection restore create --in-place``"""

from karbor.db import models
from karbor.tests.functional import commanding


class InPlaceTest(commanding.CommandTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.with_glance()
        self.held = self.volume(name='db')
        self.made = self.checkpoint(self.held)
        self.cinder.contents[self.held['id']] = 'now'

    @property
    def content(self) -> str:
        return self.cinder.contents[self.held['id']]

    def test_it_says_what_it_overwrites_and_asks(self) -> None:
        line = f'restore create {self.made.id} --in-place'
        self.assertEqual('Nothing is overwritten.', self.fail_command(line, answer='n'))
        self.assertEqual(
            f'This overwrites 1 volume: db ({self.held["id"]}). What is on them now is kept for 7 '
            'days. Overwrite? [y/N] ',
            self.errors,
        )
        self.assertEqual(([], 'now'), (self.rows(models.Restore), self.content))
        shown = self.fields(f'{line} --wait', answer='y')
        self.assertEqual(('success', ''), (shown['Status'], self.content))
        self.assertEqual(f'{self.held["id"]} in place', shown['New volumes'])

    def test_the_way_back(self) -> None:
        shown = self.fields(f'restore create {self.made.id} --in-place --yes --wait', answer='')
        self.assertNotIn('Overwrite', self.errors)
        safety_id = shown['Safety checkpoint']
        self.assertIn('yes, deleted after', self.fields(f'checkpoint show {safety_id}')['Pinned'])
        self.fields(f'restore create {safety_id} --in-place --wait')
        self.assertEqual('now', self.content)

    def test_what_is_said_of_it(self) -> None:
        shown = self.json(
            f'restore create {self.made.id} --volume db --in-place --accept-grown --safety-keep 2'
        )
        self.assertEqual(
            (True, True, 2, None),
            tuple(shown[name] for name in ('in_place', 'accept_grown', 'safety_keep', 'safety')),
        )

    def test_without_safety(self) -> None:
        line = f'restore create {self.made.id} --in-place --no-safety --wait'
        shown = self.fields(line, answer='y')
        self.assertIn('is lost', self.errors)
        self.assertNotIn('Safety checkpoint', shown)
        self.assertEqual('', self.content)

    def test_by_time(self) -> None:
        line = 'restore create --volume db --in-place --wait'
        self.assertIn('Nothing', self.fail_command(line, answer=''))
        self.assertIn(f'db ({self.held["id"]})', self.errors)
        shown = self.fields(line, answer='yes')
        self.assertEqual('', self.content)
        self.fields(f'checkpoint show {shown["Safety checkpoint"]}')

    def test_what_goes_with_it_alone(self) -> None:
        for option in ('--no-safety', '--accept-grown', '--safety-keep 2'):
            told = self.fail_command(f'restore create {self.made.id} {option}')
            self.assertIn('--in-place', told)
        told = self.fail_command(f'restore create {self.made.id} --in-place --name x')
        self.assertIn('keep their names', told)
