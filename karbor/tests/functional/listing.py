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

"""Shows what pages of a list cost in tables of different sizes.

Run it by ``tools/bench listing``. The API is in process and the database an SQLite file. The
steps are hundreds of the instructions that SQLite takes. The ratios are those of the time an
item takes, to that of the same page in the smallest table: more than 1 would say that a large
table makes a page dear.
"""

import logging
import sys
import time
import unittest
from typing import Any

from karbor.tests import personas
from karbor.tests.base import OTHER_PROJECT_ID, PROJECT_ID
from karbor.tests.functional import lists

_COUNTS = (100, 1_000, 10_000)
_RUNS = 7


class Listing(lists.ListsTestCase):
    """Not a test: the set-up of one, for each number of rows."""

    count = 0
    #: milliseconds an item, of each page in the smallest table
    first: dict[tuple[str, str], float] = {}

    def runTest(self) -> None:
        logging.disable(logging.INFO)
        for which in lists.LISTS:
            ids = self.fill(which.model, self.count)
            self.fill(which.model, self.count, project_id=OTHER_PROJECT_ID)
            deep = {'marker': ids[self.count - 25]}
            for page, query in (
                ('first 20', {'limit': 20}),
                ('deep 20', {'limit': 20, **deep}),
                ('deep 20 of all', {'limit': 20, 'all_tenants': 1, **deep}),
                ('first 1000', {'limit': 1_000}),
                ('deep 1000', {'limit': 1_000, 'marker': ids[self.count // 2 - 1]}),
            ):
                self._measure(which, page, query)

    def _measure(self, which: lists.List, page: str, query: dict[str, Any]) -> None:
        def ask() -> Any:
            return self.client.simulate_get(
                f'/v1/{PROJECT_ID}{which.path}',
                params=query,
                headers={'X-Auth-Token': personas.token('admin', PROJECT_ID)},
            )

        with lists.cost() as cost:
            items = len(ask().json[which.key])
        seconds = []
        for _ in range(_RUNS):
            begun = time.perf_counter()
            ask()
            seconds.append(time.perf_counter() - begun)
        an_item = 1000 * min(seconds) / items
        ratio = an_item / self.first.setdefault((which.key, page), an_item)
        print(
            f'{which.key:15} {page:15} {self.count:6} {items:5} {len(cost.statements):10} '
            f'{cost.steps:6} {1000 * min(seconds):8.2f} {an_item:10.3f} {ratio:6.2f}',
            flush=True,
        )


def main(counts: list[int]) -> bool:
    print(
        f'{"list":15} {"page":15} {"rows":>6} {"items":>5} {"statements":>10} {"steps":>6} '
        f'{"ms":>8} {"ms an item":>10} {"ratio":>6}'
    )
    for count in counts:
        Listing.count = count
        if not unittest.TextTestRunner(verbosity=0).run(Listing()).wasSuccessful():
            return False
    return True


if __name__ == '__main__':
    sys.exit(not main([int(argument) for argument in sys.argv[1:]] or list(_COUNTS)))
