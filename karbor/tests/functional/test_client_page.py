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

"""The examples of the page about the client library, run one after the other."""

import io
import pathlib
import re
import textwrap
from contextlib import redirect_stdout
from unittest import mock

import karbor
from karbor.tests.functional import calling

_PAGE = pathlib.Path(karbor.__file__).parents[1] / 'doc/source/client-library.rst'
_BLOCK = re.compile(r'\.\. code-block:: python\n\n((?:   .*\n|\n)+)')


class ExamplesTest(calling.CallsTestCase):
    def test_all_of_them(self) -> None:
        for name in ('db', 'web'):
            self.volume(name=name, status='in-use')
        examples = '\n'.join(map(textwrap.dedent, _BLOCK.findall(_PAGE.read_text())))
        printed = io.StringIO()
        connected = mock.patch('openstack.connect', return_value=self.calls._get_connection())
        with connected as connect, redirect_stdout(printed):
            exec(compile(examples, _PAGE, 'exec'), {})

        connect.assert_called_once_with(cloud='mycloud')
        lines = printed.getvalue().splitlines()
        self.assertIn('2 of 2 done, 0 failed', lines)
        self.assertIn('0 volumes are protected', lines)
        self.assertIn('db unprotected no schedule covers it; ', printed.getvalue())
        self.assertIn('22 snapshots at most', lines)
        names = {volume['name'] for volume in self.cinder.volumes.values()}
        self.assertEqual({'db', 'web', 'as-it-was'}, names)
        self.assertEqual(2, len([line for line in lines if ' available 2' in line]))
        self.assertIn('cannot be deleted: the scheduled operation', lines[-1])
