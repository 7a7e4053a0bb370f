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

"""What Linux tells of the memory of this process, in KiB."""

import pathlib

_PROCESS = pathlib.Path('/proc/self')


def forget_peak() -> int:
    """Have the most memory be what the process has now; returns that."""
    (_PROCESS / 'clear_refs').write_text('5')
    return _told('VmRSS')


def peak() -> int:
    """The most that it has had since that was forgotten."""
    return _told('VmHWM')


def _told(name: str) -> int:
    lines = (_PROCESS / 'status').read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f'{name}:'))
