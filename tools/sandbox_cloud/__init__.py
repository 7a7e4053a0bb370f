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
"""A real Keystone, Cinder and Glance on one machine, without root or a broker.

Three processes make a sandbox: Keystone and Glance under cheroot, and Cinder's API, scheduler
and volume service together in one, so that oslo.messaging's in-memory transport is enough.

The modules come in two kinds. Those behind the command ``tools/sandbox`` use nothing but the
standard library: accounts, cloud, commands, configuration, console, databases, installation,
locking, processes and settings. The others run inside the sandbox's virtualenv:
cinder_all_in_one, cinder_services, file_driver, glance_server, keystone_server, seed,
sparse_files, sqlite_transactions, volume_bytes and volume_manager.
"""
