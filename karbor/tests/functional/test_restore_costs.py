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

"""What restores of few and of many volumes cost: so many requests for each volume, and a few.

By hand, for any number of volumes: KARBOR_RESTORED_VOLUMES=1000
"""

import os
from typing import Any

from karbor.tests.functional.test_job_costs import JobCostsTestCase

_FEW, _MANY = 20, 200
_COUNT = int(os.environ.get('KARBOR_RESTORED_VOLUMES') or 0)

# What a reimage leaves among the image metadata, of which Cinder removes one by each request.
_OF_IMAGE = ('image_name', 'disk_format', 'container_format', 'bdm_v2', 'block_device_mapping')


class RestoreCostsTest(JobCostsTestCase):
    """Volumes of which all is changed since they were protected that can be."""

    def protected_many(self, count: int) -> dict[str, Any]:
        volumes = [
            self.volume(
                bootable='true',
                metadata={'a': 'b', 'readonly': 'True'},
                volume_image_metadata={'os_type': 'linux'},
            )
            for _ in range(count)
        ]
        checkpoint = self.create_checkpoint(self.create_plan(*volumes))
        self.costs_of_job([])
        for volume in volumes:
            self.cinder.volumes[volume['id']].update(bootable='false', metadata={})
        return checkpoint

    def test_as_they_were(self):
        for count in (_COUNT,) if _COUNT else (_FEW, _MANY):
            self.use('restore', self.protected_many(count))
            self.check(
                self.costs_of_job([]),
                # Three changes: bootable flag, image metadata, and read-only flag.
                {('POST', '/volumes'): count, ('POST', '/volumes/{id}/action'): 3 * count},
                objects=2 * count,
            )

    def test_in_place(self):
        glance = self.with_glance()
        for count in (_COUNT,) if _COUNT else (_FEW, _MANY):
            checkpoint = self.protected_many(count)
            for requests in (self.cinder.requests, glance.requests):
                requests.clear()
            self.use('restore', checkpoint, in_place=True)
            pages = 1 + count // 1000
            self.assertEqual({('GET', '/volumes/detail'): pages}, self.cinder.requests)
            self.assertEqual({('GET', '/v2/images'): 1}, glance.requests)
            glance.requests.clear()
            # The safety checkpoint first.
            costs = self.costs_of_job([])
            self.check(costs, {('POST', '/snapshots'): count}, objects=2 * count + 5)
            self.assertEqual({}, glance.requests)
            self.check(
                self.costs_of_job([]),
                {
                    ('GET', '/volumes/{id}'): 4 * count,
                    ('GET', '/snapshots/{id}'): count,
                    # The reimage; the bootable flag; image metadata that there were; those of the
                    # image, and the one that names it.
                    ('POST', '/volumes/{id}/action'): (1 + 1 + 1 + len(_OF_IMAGE) + 1) * count,
                },
                objects=2 * count,
            )
            self.assertEqual(
                {
                    # Is there one, and all of the volume at its end; and once, all of the restore.
                    ('GET', '/v2/images'): 2 * count + 1,
                    ('POST', '/v2/images'): count,
                    ('PUT', '/v2/images/{id}/file'): count,
                    ('DELETE', '/v2/images/{id}'): count,
                },
                glance.requests,
            )
