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

"""What the log has of an error."""

from oslotest import base

from karbor.common import causes


class InFullTest(base.BaseTestCase):
    def said(self, text: str, cause: str | None) -> str:
        error = ValueError(text)
        error.__cause__ = None if cause is None else KeyError(cause)
        return causes.in_full(error)

    def test_what_it_comes_of_is_said_once(self) -> None:
        for text, cause, said in (
            ('it broke', None, 'it broke'),
            ('it broke', 'at 10.0.0.1', "it broke: 'at 10.0.0.1'"),
            ("it broke: 'for good'", 'for good', "it broke: 'for good'"),
            ('it broke', '', "it broke: ''"),
        ):
            self.assertEqual(said, self.said(text, cause))
