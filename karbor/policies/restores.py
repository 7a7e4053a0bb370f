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

"""Rules of restores."""

from karbor.policies.base import MEMBER, READER, rule

RULES = (
    rule('restore:get_all', READER, 'List restores.', ('GET', '/restores')),
    rule('restore:get', READER, 'Show a restore.', ('GET', '/restores/{restore_id}')),
    rule('restore:create', MEMBER, 'Make new resources from a checkpoint.', ('POST', '/restores')),
    rule(
        'restore_group:get',
        READER,
        'Show restores that were asked for together.',
        ('GET', '/restore_groups/{restore_group_id}'),
    ),
    rule(
        'restore_group:create',
        MEMBER,
        'Make new resources as they were at a moment.',
        ('POST', '/restore_groups'),
    ),
)
