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

"""A fake of Cinder's volume API, for unit tests and benchmarks.

It keeps volumes, snapshots and messages in memory, and answers as Cinder 29 does at microversion
3.43, as far as Karbor uses it::

    cinder = FakeCinder()
    volume = cinder.add_volume()
    session = cinder.session()             # keystoneauth, without any network
    with cinder.serve() as url: ...        # the same over HTTP

States change by looking, not by time: a new snapshot, volume or deletion is shown as
``creating`` or ``deleting`` by the next ``looks_until_settled`` lists or gets that show it.

It is not Cinder. It has no backups, attachments, groups, transfers or quotas by project,
knows one microversion, takes any token, and checks of a request only what Karbor could get
wrong. What it says of Cinder is what its authors know of Cinder; the real one, on one machine,
is in ``tools/sandbox``.
"""

from karbor.testing.fake_cinder.answers import Answer, Item
from karbor.testing.fake_cinder.api import FakeCinder
from karbor.testing.fake_cinder.faults import Fault

__all__ = ['Answer', 'FakeCinder', 'Fault', 'Item']
