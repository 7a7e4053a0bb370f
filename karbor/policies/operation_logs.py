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

"""Rules of operation logs."""

from karbor.policies.base import READER, rule

RULES = (
    rule('operation_log:list', READER, 'List who did what.', ('GET', '/operation_logs')),
    rule(
        'operation_log:get',
        READER,
        'Show an operation log.',
        ('GET', '/operation_logs/{operation_log_id}'),
    ),
)
