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

"""What Cinder does not do, or not well; and what people are told of it."""

from typing import Any

from karbor.services.cinder import requests as cinder_requests
from karbor.services.cinder.watcher import WaitTimeout


class CinderFault(Exception):
    """Cinder answered, but not with what was asked for; the text is for a person."""


class ItemGone(CinderFault):
    """What was being made is not there any more."""


class ItemFailed(CinderFault):
    """What was being made or changed is in a status of failure."""


class NotAsked(CinderFault):
    """Cinder was not asked, since nothing gets on there."""


FAULTS = (*cinder_requests.CLIENT_ERRORS, CinderFault, WaitTimeout)


def describe(fault: Exception) -> str:
    """What to tell a person of one of ``FAULTS``."""
    if isinstance(fault, WaitTimeout):
        text = (
            f'{name_of(fault.last)} is still in status {fault.last.status} after '
            f'{fault.seconds:.0f} seconds'
        )
        return text + (f' (the last look failed: {describe(fault.fault)})' if fault.fault else '')
    if isinstance(fault, CinderFault):
        return str(fault)
    return cinder_requests.describe(fault)


def is_unanswered(fault: Exception) -> bool:
    """Whether one of ``FAULTS`` is that Cinder answers nobody."""
    if isinstance(fault, WaitTimeout):
        return fault.fault is not None and is_unanswered(fault.fault)
    if isinstance(fault, CinderFault):
        cause = fault.__cause__
        return isinstance(cause, Exception) and is_unanswered(cause)
    return cinder_requests.is_unanswered(fault)


def name_of(item: Any) -> str:
    """What a volume or a snapshot is called in what people are told."""
    return f'the {type(item).__name__.lower()} {item.id}'
