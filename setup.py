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

import setuptools


class WithoutTests(setuptools.Distribution):
    """Karbor's own tests are larger than all the rest of it, and are run in a checkout."""

    def finalize_options(self) -> None:
        super().finalize_options()
        self.packages = [
            name for name in self.packages or () if not f'{name}.'.startswith('karbor.tests.')
        ]
        self.exclude_package_data = {'karbor': ['tests/*']}


setuptools.setup(setup_requires=['pbr>=6.1.0'], pbr=True, distclass=WithoutTests)
