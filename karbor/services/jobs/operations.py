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

"""The operations that plugins give for resources."""

from typing import Any

from karbor import exception
from karbor.resource import Resource
from karbor.services.protection import plugin_edge, protection_plugin


class _Failing(protection_plugin.Operation):
    """What there is of a resource whose plugin cannot give its operation: it fails at once."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def on_prepare_begin(self, *_: Any, **__: Any) -> None:
        raise self._error


def failing_if_unusable(
    plugin: protection_plugin.ProtectionPlugin, kind: str, resource: Resource
) -> protection_plugin.Operation:
    """The same as :func:`operation_of`; what else a plugin raises fails its resource only."""
    try:
        with plugin_edge.kept():
            return operation_of(plugin, kind, resource)
    except exception.InvalidInput:
        raise
    except Exception as exc:  # noqa: BLE001 - a plugin may raise anything
        return _Failing(exc)


def operation_of(
    plugin: protection_plugin.ProtectionPlugin, kind: str, resource: Resource
) -> protection_plugin.Operation:
    """The plugin's operation for a resource.

    :raises InvalidInput: the plugin has none of that kind.
    :raises TypeError: it returns none, of which nothing would be done.
    """
    try:
        operation = getattr(plugin, f'get_{kind}_operation')(resource)
    except NotImplementedError:
        raise exception.InvalidInput(
            reason=f'The plugin of {resource.type} has no {kind} operation.'
        ) from None
    if operation is None:
        raise TypeError(f'get_{kind}_operation returned None')
    return operation
