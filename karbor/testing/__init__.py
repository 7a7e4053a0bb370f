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

"""Fakes of what Karbor needs, for the tests of plugins and for its own.

:mod:`karbor.testing.plugin_jobs`
    jobs of one plugin on one checkpoint, without a service
:mod:`karbor.testing.fake_cinder`, :mod:`karbor.testing.fake_keystone`,
:mod:`karbor.testing.fake_object_store`
    services in memory, over HTTP; :mod:`karbor.testing.fake_glance` with as much of Glance as
    restores in place need
:mod:`karbor.testing.fault_proxy`
    a proxy that makes a real service look unreliable
:mod:`karbor.testing.memory_bank`, :mod:`karbor.testing.clock`,
:mod:`karbor.testing.provider_files`
    a bank, a clock and the options of a provider file, for one process
:mod:`karbor.testing.bank_suite`
    what every bank plugin must do; the only one that needs testtools and hypothesis

Nothing here knows of Karbor's own tests.
"""
