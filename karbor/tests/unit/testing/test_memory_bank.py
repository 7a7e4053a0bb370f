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

"""The bank in memory is a bank."""

from typing import Any

from oslotest import base

from karbor import exception
from karbor.testing import bank_suite, memory_bank


class MemoryBankTest(bank_suite.BankPluginSuite, base.BaseTestCase):
    def make_plugin(self) -> memory_bank.MemoryBankPlugin:
        return memory_bank.MemoryBankPlugin()

    def make_another(self, plugin: Any) -> memory_bank.MemoryBankPlugin:
        return memory_bank.MemoryBankPlugin(objects=plugin.objects)

    def test_a_test_says_which_write_fails(self) -> None:
        def refuse_b(key: str, value: Any) -> None:
            if value == 'b':
                raise exception.BankUpdateObjectFailed(key=key, reason='full')

        self.plugin.before_update = refuse_b

        self.plugin.update_object('/k', 'a')
        self.assertRaises(exception.BankUpdateObjectFailed, self.plugin.update_object, '/k', 'b')
        self.assertEqual('a', self.plugin.get_object('/k'))
