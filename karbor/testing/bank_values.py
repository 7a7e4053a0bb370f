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

"""Values that a bank must give back as they were.

It needs hypothesis, which Karbor itself does not require.
"""

import os
from typing import Any

from hypothesis import strategies as st

TEXTS = (
    '',
    'available',
    '12',
    '-1.5e3',
    'null',
    'true',
    '"x"',
    '{}',
    '[1]',
    '{"a": 1}',
    'NaN',
    ' 12 ',
    'two\nlines\r\n',
    '\x00',
    'Zürich ☃ \U0001f40d',
    '\ufeff12',
    '[' * 100_000,
    '1' * 5_000,
)
JSON_VALUES: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    12,
    -1.5,
    [],
    {},
    [1, 'two', None],
    {'a': {'b': ['c', 1.5, None]}},
    {'name': 'Zürich ☃', '': ''},
    [''],
    ['null'],
)
BYTES = (
    b'',
    b'12',
    b'null',
    b'plain ascii',
    'Zürich'.encode(),
    b'\xff',
    b'\xff\xff\xfe',
    b'\x00',
    bytes(range(256)),
    b'{"a": 1}',
    os.urandom(100_000),
)

JSON_STRATEGY = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text()
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
