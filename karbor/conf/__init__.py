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

"""Every option of karbor.conf, one module a section.

Options of plugins are in the provider files and belong to the plugins.
"""

from oslo_config import cfg
from oslo_log import log as logging

from karbor.conf import (
    api,
    cinder_client,
    glance_client,
    jobboard,
    operationengine,
    protection,
    quotas,
    service,
    trustee,
)

# What oslo.config says of a $ in a value; it names what is behind that, perhaps of a password.
_DOLLAR = (cfg.NoSuchOptError, cfg.NoSuchGroupError, cfg.TemplateSubstitutionError)

_SECTIONS = (
    service,
    api,
    quotas,
    operationengine,
    protection,
    jobboard,
    cinder_client,
    glance_client,
    trustee,
)


def register_opts(conf: cfg.ConfigOpts = cfg.CONF) -> None:
    for section in _SECTIONS:
        section.register_opts(conf)


def list_opts() -> list[tuple[str, list[cfg.Opt]]]:
    """For oslo-config-generator, by the entry point ``oslo.config.opts``."""
    return [entry for section in _SECTIONS for entry in section.list_opts()]


def check(config: cfg.ConfigOpts) -> None:
    """Read every option that is registered in a group: only then is its value parsed.

    :raises cfg.Error: one is wrong.
    """
    for name in config:
        if isinstance(config[name], cfg.ConfigOpts.GroupAttr):
            dict(config[name])


def told(error: BaseException) -> str:
    """What to tell of an error, with no part of a value that may be secret."""
    if isinstance(error, _DOLLAR):
        return (
            'In the configuration, a $ stands before what is no option; in a value, such as a '
            'password, it is to be written $$.'
        )
    return str(error)


def set_defaults() -> None:
    """Defaults of oslo's options where Karbor's differ.

    keystoneauth and the clients of banks log requests, urllib3 connections, at debug level
    or for a mere 404; none of it belongs into the log of a service.
    """
    logging.set_defaults(
        default_log_levels=[
            *logging.get_default_log_levels(),
            'keystoneauth=WARNING',
            'urllib3=WARNING',
            'swiftclient=WARNING',
            'botocore=WARNING',
            'boto3=WARNING',
            'alembic=WARNING',
            'kazoo=WARNING',
            'taskflow=WARNING',
            'waitress=WARNING',
            'waitress.queue=ERROR',
        ]
    )
