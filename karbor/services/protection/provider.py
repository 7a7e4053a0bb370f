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

"""Providers: a provider file, and what it names: plugins, a bank, their schemas."""

import dataclasses
import pathlib
import pkgutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import stevedore.exception
from oslo_config import cfg
from oslo_log import log as logging
from oslo_utils import uuidutils
from stevedore import driver

from karbor import conf, exception
from karbor.common import extras
from karbor.services.protection import (
    bank_plugin,
    checkpoint,
    plugin_edge,
    plugin_services,
    protection_plugin,
)
from karbor.services.protection.plugin_services import PluginClass

LOG = logging.getLogger(__name__)

ENTRY_POINTS = 'karbor.protections'

OPTS = [
    cfg.StrOpt('id', help='Id of the provider, a UUID. Plans and checkpoints refer to it.'),
    cfg.StrOpt('name', default='', help='Name of the provider.'),
    cfg.StrOpt('description', default='', help='Description of the provider.'),
    cfg.MultiStrOpt(
        'plugin',
        default=[],
        help='A protection plugin: an entry point of karbor.protections or a '
        'dotted class path. May be repeated; of two plugins for one '
        'resource type, the later one serves it.',
    ),
    cfg.StrOpt('bank', help='The bank plugin: an entry point or a dotted class path.'),
    cfg.BoolOpt('enabled', default=False, help='Whether the provider is loaded.'),
]

SchemaOf = Callable[[str], protection_plugin.Schema | None]


@dataclasses.dataclass(frozen=True)
class Provider:
    """A loaded provider.

    :param config: the provider file's own options; every plugin gets it.
    :param plugin_classes: resource type -> the class that serves it.
    :param schemas: 'options', 'restore', 'saved_info' and 'verify' -> resource type ->
        schema.
    :param restore_choices: resource type -> the choices of restores that are served.
    :param faults: plugin of the file -> why it, or a type of it, is left out.
    :param remarks: plugin of the file -> what is wrong with it and does no harm.
    """

    id: str
    name: str
    description: str
    config: cfg.ConfigOpts
    bank: bank_plugin.Bank
    plugin_classes: Mapping[str, PluginClass]
    schemas: Mapping[str, Mapping[str, protection_plugin.Schema]]
    restore_choices: Mapping[str, frozenset[str]]
    faults: Mapping[str, str]
    remarks: Mapping[str, str]

    @property
    def checkpoints(self) -> checkpoint.CheckpointCollection:
        return checkpoint.CheckpointCollection(self.bank)

    def new_plugins(
        self, resource_types: Iterable[str]
    ) -> dict[str, protection_plugin.ProtectionPlugin]:
        """A plugin object for each of some resource types that are served, as jobs need them anew.

        What its constructor raises, a plugin raises whenever it is used.
        """
        return {
            resource_type: self._new_plugin(self.plugin_classes[resource_type])
            for resource_type in dict.fromkeys(resource_types)
            if resource_type in self.plugin_classes
        }

    def _new_plugin(self, plugin_class: PluginClass) -> Any:
        try:
            with plugin_edge.kept():
                return plugin_class(self.config)
        except Exception as exc:  # noqa: BLE001 - told of the resources of its type
            return plugin_edge.Unusable(exc)

    def schema_of(self, kind: str) -> SchemaOf:
        """Finds the schema of a type; kind is 'options', 'restore' or 'verify'."""
        return self.schemas[kind].get

    def default_options(self, resource_type: str, plan_name: str) -> dict[str, Any]:
        """What the plugin of a type takes for options that a plan leaves out."""
        get_defaults = getattr(self.plugin_classes.get(resource_type), 'get_default_options', None)
        return {} if get_defaults is None else get_defaults(resource_type, plan_name)

    def check_options(self, resource_type: str, values: Mapping[str, Any], where: str) -> None:
        """Let the plugin of a type look at options that fit its schema.

        :param where: what to call the resource in an error.
        :raises InvalidInput: the plugin refuses them.
        """
        self._ask('check_options', resource_type, values, where)

    def check_new_options(self, resource_type: str, values: Mapping[str, Any], where: str) -> None:
        """The same of options that somebody has just written, of which a plugin may ask more."""
        self._ask('check_options', resource_type, values, where)
        self._ask('check_new_options', resource_type, values, where)

    def _ask(self, name: str, resource_type: str, values: Mapping[str, Any], where: str) -> None:
        """Call a check of a type's plugin; plugins for the Karbor of old may have none."""
        check = getattr(self.plugin_classes.get(resource_type), name, None)
        if check is None:
            return
        try:
            check(resource_type, dict(values))
        except ValueError as exc:
            raise exception.InvalidInput(reason=f'{where}: {exc}') from exc

    def check_types(self, resource_types: Iterable[str]) -> None:
        """:raises InvalidInput: the provider has no plugin for one of the types."""
        missing = sorted(set(resource_types) - set(self.plugin_classes))
        if missing:
            raise exception.InvalidInput(
                reason=f'The provider {self.name} ({self.id}) has no plugin for '
                f'{", ".join(missing)}.'
            )


def load(path: pathlib.Path) -> Provider | None:
    """The provider of a file; None when it is not enabled.

    :raises Exception: whatever the bank plugin raises; an unusable file raises InvalidInput or
        oslo.config's errors.
    """
    config = cfg.ConfigOpts()
    config(
        args=[],
        project='karbor',
        prog='provider',
        default_config_files=[str(path)],
        default_config_dirs=[],
    )
    config.register_opts(OPTS, 'provider')
    options = config.provider
    if not options.enabled:
        return None
    for name in ('id', 'bank'):
        if not options[name]:
            raise exception.InvalidInput(reason=f'[provider] {name} is not set.')
    if not uuidutils.is_uuid_like(options.id):
        raise exception.InvalidInput(reason=f'[provider] id {options.id!r} is not a UUID.')
    if not all(options.plugin):
        raise exception.InvalidInput(reason='A plugin has no name.')
    bank = bank_plugin.Bank(load_class(options.bank)(config))
    conf.check(config)
    services = plugin_services.load(options.plugin, load_class, config)
    return Provider(
        options.id,
        options.name,
        options.description,
        config,
        bank,
        {name: service.plugin_class for name, service in services.by_type.items()},
        {kind: services.schemas(kind) for kind in ('options', 'restore', 'saved_info', 'verify')},
        {name: service.restore_choices for name, service in services.by_type.items()},
        services.faults,
        services.remarks,
    )


def load_class(name: str) -> Any:
    """The class of an entry point of ``karbor.protections`` or of a dotted path.

    :raises InvalidInput: there is neither.
    :raises ExtraMissing: it imports what an extra brings, and that is not installed.
    """
    try:
        with extras.explaining(name):
            return driver.DriverManager(ENTRY_POINTS, name, warn_on_missing_entrypoint=False).driver
    except stevedore.exception.NoMatches:
        pass
    if '.' not in name and ':' not in name:
        raise exception.InvalidInput(reason=f'There is no plugin {name!r}.')
    # With a colon, a module that cannot be imported is not taken for one that is not there.
    path = name if ':' in name else ':'.join(name.rsplit('.', 1))
    try:
        with extras.explaining(name):
            return pkgutil.resolve_name(path)
    except (ImportError, AttributeError, ValueError) as exc:
        raise exception.InvalidInput(reason=f'There is no plugin {name!r}: {exc}') from exc


class ProviderRegistry:
    """The providers of a folder of files, by id.

    :param folder: where the ``*.conf`` files are.
    :ivar failures: file, or file and plugin -> why it is left out.
    :ivar remarks: file and plugin -> what is wrong with a plugin and does no harm.
    """

    def __init__(self, folder: pathlib.Path) -> None:
        self._providers: dict[str, Provider] = {}
        self.failures: dict[str, str] = {}
        self.remarks: dict[str, str] = {}
        for path in sorted(folder.glob('*.conf')):
            try:
                with plugin_edge.kept():
                    provider = load(path)
            except Exception as exc:  # noqa: BLE001 - a plugin may raise anything
                self.failures[path.name] = plugin_services.reason_of(exc)
            else:
                self._add(path, provider)
        for name, reason in self.failures.items():
            LOG.error('The provider file %s is left out: %s', name, reason)
        for name, remark in self.remarks.items():
            LOG.warning('The provider file %s is not quite right: %s', name, remark)
        if not self._providers:
            LOG.warning('There is no enabled provider in %s', folder)

    def _add(self, path: pathlib.Path, provider: Provider | None) -> None:
        if provider is None:
            return
        if provider.id in self._providers:
            LOG.warning(
                'The provider file %s takes the place of an earlier one with the id %s',
                path.name,
                provider.id,
            )
        if not provider.plugin_classes:
            LOG.warning('The provider file %s names no plugin: it can protect nothing', path.name)
        for told, texts in (
            (self.failures, provider.faults),
            (self.remarks, provider.remarks),
        ):
            told.update({f'{path.name}, plugin {name}': text for name, text in texts.items()})
        self._providers[provider.id] = provider

    def __iter__(self) -> Iterator[Provider]:
        return iter(sorted(self._providers.values(), key=lambda provider: provider.id))

    def __contains__(self, provider_id: str) -> bool:
        return provider_id in self._providers

    def get(self, provider_id: str) -> Provider:
        """:raises ProviderNotFound: none of that id is loaded."""
        try:
            return self._providers[provider_id]
        except KeyError:
            raise exception.ProviderNotFound(provider_id=provider_id) from None
