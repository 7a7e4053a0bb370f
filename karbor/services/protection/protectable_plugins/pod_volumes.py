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

"""Which Cinder volumes a pod of Kubernetes has, asked by a third party's client of the service."""

from typing import Any

from karbor import context as karbor_context
from karbor import exception
from karbor.common import constants
from karbor.resource import Resource
from karbor.services.protection import client_factory

_SERVICE = 'k8s'
_CINDER_DRIVER = 'cinder.csi.openstack.org'


def volume_ids(context: karbor_context.RequestContext, pod: Resource) -> set[str]:
    """The ids of the volumes that a pod mounts, itself or by claims.

    :param pod: named ``namespace:name``, as the contract has it.
    :raises ListProtectableResourceFailed: nobody has a client module for Kubernetes, or it cannot
        tell; without them, the volumes would be left unprotected without a word.
    """
    namespace, _, name = pod.name.partition(':')
    try:
        client = client_factory.ClientFactory.create_client(_SERVICE, context)
        mounted = client.read_namespaced_pod(name, namespace).spec.volumes or ()
        found = {_volume_id(_source(client, namespace, volume)) for volume in mounted}
    except Exception as exc:
        # A third party's client may raise anything.
        raise exception.ListProtectableResourceFailed(
            type=constants.VOLUME_RESOURCE_TYPE, reason=f'the volumes of {pod.key}: {exc}'
        ) from exc
    return {each for each in found if each}


def _source(client: Any, namespace: str, volume: Any) -> Any:
    """What a volume of a pod is: its own fields, or those of what it claims."""
    claim = getattr(volume, 'persistent_volume_claim', None)
    if claim is None:
        return volume
    claimed = client.read_namespaced_persistent_volume_claim(claim.claim_name, namespace)
    return client.read_persistent_volume(claimed.spec.volume_name).spec


def _volume_id(source: Any) -> str | None:
    cinder, csi = getattr(source, 'cinder', None), getattr(source, 'csi', None)
    if cinder is not None:
        return cinder.volume_id
    is_cinder = csi is not None and csi.driver == _CINDER_DRIVER
    return getattr(csi, 'volume_handle', None) if is_cinder else None
