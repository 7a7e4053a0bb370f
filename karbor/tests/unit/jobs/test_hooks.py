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

"""What is remembered of a hook that failed."""

from oslotest import base

from karbor import exception
from karbor.services.jobs.hooks import Failure


class FailureTest(base.BaseTestCase):
    def test_as_text_it_is_its_reason(self) -> None:
        self.assertEqual('no room', f'{Failure("no room")}')

    def test_of_a_quota(self) -> None:
        for is_over_quota in (False, True):
            error = exception.CreateResourceFailed(
                name='n',
                reason='no room',
                resource_id='v',
                resource_type='t',
                is_over_quota=is_over_quota,
            )
            self.assertEqual(Failure('no room', is_over_quota), Failure.of(error))

    def test_of_anything_else(self) -> None:
        for error, reason in (
            (exception.OverLimit(allowed=3), 'The quota of 3 is used up.'),
            (LookupError('a quota would be exceeded'), 'LookupError: a quota would be exceeded'),
        ):
            self.assertEqual(Failure(reason), Failure.of(error))
