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

"""In which region a checkpoint was made, and in which this Karbor acts.

That something is not found means that it is gone only where it was made. One cloud is reached by
many endpoints, internal and public ones, by http and https; so it is the region's name, as
Keystone has it, that is compared, and nothing else.
"""

from collections.abc import Sequence

from oslo_log import log as logging
from sqlalchemy import orm

from karbor import context as karbor_context
from karbor import exception
from karbor.db import jobs as job_rows
from karbor.db import models, reality
from karbor.services.identity import keystone
from karbor.services.protection import client_factory, protectables

LOG = logging.getLogger(__name__)

_SERVICE = 'cinder'

_GO_THERE = 'Ask one that acts in that region.'
_SAY_WHICH = (
    'Set region_id in [cinder_client] to the region that the endpoint of cinder_endpoint is in.'
)


def acting(context: karbor_context.RequestContext) -> str | None:
    """The region that is acted in for who asks; None when nothing tells.

    :raises RegionNotChosen: there are several, and none is configured.
    :raises IdentityUnavailable: Keystone cannot tell now.
    """
    with keystone.available():
        return client_factory.ClientFactory.region(_SERVICE, context)


def why_not(made_in: str | None, acting_in: str | None) -> str | None:
    """Why what was made in a region is not acted on; None when nothing is in the way.

    :param made_in: None of what an older Karbor made, and no look has found yet.
    :param acting_in: None when nothing tells.
    """
    if made_in is None or made_in == acting_in:
        return None
    advice = _SAY_WHICH if acting_in is None else _GO_THERE
    return (
        f'it was made in region {made_in}, and this Karbor acts in {named(acting_in)}; nothing was '
        f'changed. {advice}'
    )


def named(acting_in: str | None) -> str:
    """What to call the region that is acted in before a person."""
    return 'a region that nothing tells' if acting_in is None else f'region {acting_in}'


def check(made_in: str | None, acting_in: str | None) -> None:
    """Refuse to act on what was made in another region; see :func:`why_not`.

    :raises OtherRegion:
    """
    reason = why_not(made_in, acting_in)
    if reason is not None:
        raise exception.OtherRegion(reason=reason)


def sees_any(
    protectable_plugins: protectables.Protectables,
    context: karbor_context.RequestContext,
    resource_type: str,
    resource_ids: Sequence[str],
) -> bool:
    """Whether any of some resources is there, in whatever status; False if nobody can tell.

    What was made of it was made here then, whatever the region is called.
    """
    try:
        found = protectable_plugins.get(resource_type).find_resources(context, resource_ids)
    except Exception as exc:
        # A plugin may raise anything; then it has seen nothing.
        LOG.warning('Whether the resources are here is not known: %s', exc, exc_info=True)
        return False
    return any(
        not isinstance(each, exception.ProtectableResourceNotFound) for each in found.values()
    )


def record(session: orm.Session, job: models.Job, checkpoint_id: str, acting_in: str) -> None:
    """Write in which region a job begins to make a checkpoint."""
    job_rows.hold_claim(session, job)
    reality.set_region(session, [checkpoint_id], acting_in)
