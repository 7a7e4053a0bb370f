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

"""What the plugins of a provider file serve, and what is wrong with each.

One that cannot be used is left out, and the others serve their types without it.
"""

import dataclasses
import traceback
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import jsonschema
from oslo_config import cfg

from karbor import conf, exception
from karbor.services.protection import plugin_edge, plugin_schemas, protection_plugin

PluginClass = type[protection_plugin.ProtectionPlugin]
Schema = protection_plugin.Schema

_KINDS = ('options', 'restore', 'verify', 'saved_info')


@dataclasses.dataclass(frozen=True)
class Service:
    """How one type of resources is served.

    :ivar schemas: by kind; without 'verify' where the plugin has none.
    :ivar restore_choices: those that it serves.
    """

    plugin_class: PluginClass
    schemas: dict[str, Schema]
    restore_choices: frozenset[str]


@dataclasses.dataclass
class Services:
    """What is served.

    :ivar by_type: of two plugins for one type, the later one serves it.
    :ivar faults: plugin -> why it, or a type of it, is left out.
    :ivar remarks: plugin -> what is wrong with it and does no harm.
    """

    by_type: dict[str, Service] = dataclasses.field(default_factory=dict)
    faults: dict[str, str] = dataclasses.field(default_factory=dict)
    remarks: dict[str, str] = dataclasses.field(default_factory=dict)

    def schemas(self, kind: str) -> dict[str, Schema]:
        """By type; kind is one of 'options', 'restore', 'verify' and 'saved_info'."""
        return {
            resource_type: service.schemas[kind]
            for resource_type, service in self.by_type.items()
            if kind in service.schemas
        }


def load(
    names: Iterable[str], load_class: Callable[[str], PluginClass], config: cfg.ConfigOpts
) -> Services:
    """What plugins serve.

    :param names: as the provider file has them.
    :param load_class: finds the class of a name.
    :param config: the provider file's own options.
    """
    services = Services()
    for name in names:
        try:
            with plugin_edge.kept():
                _add(services, name, load_class(name), config)
        except Exception as exc:  # noqa: BLE001 - a plugin may raise anything
            services.faults[name] = reason_of(exc)
    return services


def reason_of(error: BaseException) -> str:
    """What to tell of what cannot be loaded; without a text, where it broke."""
    place = traceback.extract_tb(error.__traceback__)[-1].name
    try:
        text = conf.told(error)
    except Exception:  # noqa: BLE001 - it is the plugin's own class
        text = ''
    return f'{type(error).__name__}: {text or f"raised by {place}"}'


def _add(services: Services, name: str, plugin_class: PluginClass, config: cfg.ConfigOpts) -> None:
    resource_types = _types(plugin_class.get_supported_resources_types())
    known = set(_options(config))
    # Jobs make their own plugins; this shows now, not in a job at night, whether they can.
    plugin_class(config)
    for group, option in set(_options(config)) - known:
        config[group][option]  # only when it is read, a value is parsed
    faults: list[str] = []
    remarks: list[str] = []
    for resource_type in resource_types:
        try:
            with plugin_edge.kept():
                schemas = dict(_schemas(plugin_class, resource_type, remarks.append))
        except Exception as exc:  # noqa: BLE001 - a plugin may raise anything
            faults.append(f'{resource_type}: {reason_of(exc)}')
        else:
            choices = _restore_choices(plugin_class, resource_type, remarks.append)
            services.by_type[resource_type] = Service(plugin_class, schemas, choices)
    for told, texts in ((services.faults, faults), (services.remarks, remarks)):
        if texts:
            told[name] = '; '.join(texts)


def _types(told: Any) -> list[str]:
    """:raises InvalidInput: they are no names of types."""
    types = [] if isinstance(told, str) else list(told)
    if not all(isinstance(each, str) and each for each in types or ['']):
        raise exception.InvalidInput(reason=f'Its types are {told!r:.100}, not a list of names.')
    return types


def _options(config: cfg.ConfigOpts) -> Iterator[tuple[str, str]]:
    """Group and name of each option that is registered in a group."""
    for group in config:
        if isinstance(config[group], cfg.ConfigOpts.GroupAttr):
            yield from ((group, option) for option in config[group])


def _schemas(
    plugin_class: PluginClass, resource_type: str, remark: Callable[[str], Any]
) -> Iterator[tuple[str, Schema]]:
    """Kind and schema.

    :param remark: told of faults that do no harm: by the schema of what is saved nothing is
        checked, and what is ``required`` may be missing.
    :raises InvalidInput: a schema cannot be had or used; tells which.
    """
    for kind in _KINDS:
        try:
            told = getattr(plugin_class, f'get_{kind}_schema')(resource_type)
            schema = plugin_schemas.usable(told)
        except Exception as exc:
            if kind == 'verify' and isinstance(exc, NotImplementedError):
                continue  # it is optional: the Karbor of old never asked for it
            fault = f'its {kind} schema: {_fault(exc)}'
            if kind != 'saved_info':
                raise exception.InvalidInput(reason=fault) from exc
            remark(f'{resource_type}: {fault}')
            schema = {}
        strange = set(schema.get('required', ())) - set(schema.get('properties', {}))
        if strange:
            names = ', '.join(sorted(strange))
            remark(f'{resource_type}: its {kind} schema requires {names}, which it has not')
        unfit = ', '.join(plugin_schemas.without_unfit_defaults(schema))
        if unfit:
            remark(f'{resource_type}: its {kind} schema refuses its own default of {unfit}')
        yield kind, schema


def _restore_choices(
    plugin_class: PluginClass, resource_type: str, remark: Callable[[str], Any]
) -> frozenset[str]:
    """The choices of restores that a plugin serves; those of old, and those that fail, serve none.

    :param remark: told of a fault.
    """
    ask = getattr(plugin_class, 'get_restore_choices', None)
    try:
        with plugin_edge.kept():
            return frozenset(() if ask is None else _names(ask(resource_type)))
    except Exception as exc:  # noqa: BLE001 - a plugin may raise anything
        remark(f'{resource_type}: its choices of restores: {reason_of(exc)}')
        return frozenset()


def _names(told: Any) -> list[str]:
    """:raises TypeError: they are no names."""
    names = None if isinstance(told, str) else list(told)
    if names is None or not all(isinstance(each, str) for each in names):
        raise TypeError(f'{told!r:.100} is no set of names')
    return names


def _fault(error: Exception) -> str:
    if isinstance(error, jsonschema.SchemaError):
        place = ''.join(f'{part}: ' for part in error.absolute_path)
        return f'{place}{error.message}'
    return reason_of(error)
