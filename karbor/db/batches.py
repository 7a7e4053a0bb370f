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

"""Parts of what may be very many, of which one statement names each."""

import itertools
from collections.abc import Iterable, Iterator
from typing import TypeVar

SIZE = 500

Item = TypeVar('Item')


def of(items: Iterable[Item]) -> Iterator[tuple[Item, ...]]:
    """The items in parts of at most :data:`SIZE`, so that no statement grows with them."""
    remaining = iter(items)
    while batch := tuple(itertools.islice(remaining, SIZE)):
        yield batch
