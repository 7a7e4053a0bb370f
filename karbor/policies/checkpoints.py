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

"""Rules of checkpoints."""

from karbor.policies.base import MEMBER, READER, rule

_ALL = '/providers/{provider_id}/checkpoints'
_ONE = _ALL + '/{checkpoint_id}'

RULES = (
    rule('provider:checkpoint_get_all', READER, 'List checkpoints.', ('GET', _ALL)),
    rule('provider:checkpoint_get', READER, 'Show a checkpoint.', ('GET', _ONE)),
    rule('provider:checkpoint_create', MEMBER, 'Protect what a plan covers.', ('POST', _ALL)),
    rule('provider:checkpoint_delete', MEMBER, 'Delete a checkpoint.', ('DELETE', _ONE)),
    rule(
        'provider:checkpoint_pin',
        MEMBER,
        'Keep a checkpoint from the retention, or leave it to that again.',
        ('PUT', _ONE + '/pin'),
        ('DELETE', _ONE + '/pin'),
    ),
    rule(
        'provider:checkpoint_update',
        MEMBER,
        'Set the status of a checkpoint by hand, which makes no recovery point good.',
        ('PUT', _ONE),
    ),
)
