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

"""What the fakes need: nothing beyond what Karbor requires, and no extra."""

import pkgutil
import subprocess
import sys

from oslotest import base

from karbor import testing
from karbor.tests import libraries

# Test cases, which need a framework for tests; their documentation says so.
NEED_MORE = {'karbor.testing.bank_suite', 'karbor.testing.bank_values'}

HIDDEN = ('fixtures', 'hypothesis', 'oslotest', 'testtools', 'karbor.tests', *libraries.OF_EXTRAS)
PROGRAM = f"""
import importlib, sys
for name in {HIDDEN}:
    sys.modules[name] = None
for name in sys.argv[1:]:
    importlib.import_module(name)
"""


class RequirementsTest(base.BaseTestCase):
    def test_fakes_are_imported_without_the_test_requirements(self) -> None:
        modules = {
            found.name for found in pkgutil.walk_packages(testing.__path__, 'karbor.testing.')
        }
        self.assertLess(NEED_MORE, modules)

        subprocess.run([sys.executable, '-c', PROGRAM, *sorted(modules - NEED_MORE)], check=True)
