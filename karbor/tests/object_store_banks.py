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

"""Banks in the object stores of tests, fake or real, each in a container of its own."""

import uuid
from typing import Any

from karbor.services.protection.bank_plugins import s3_bank_plugin, swift_bank_plugin
from karbor.testing import provider_files
from karbor.testing.provider_files import Sections


def swift_sections(server: Any, **options: Any) -> Sections:
    """What a provider file has of a container of its own.

    :param server: a Swift that gives out tokens: its ``auth_url``, ``user`` and ``key``.
    :param options: of ``[swift_client]``.
    """
    return {
        swift_bank_plugin.GROUP: {'bank_swift_object_container': f'bank-{uuid.uuid4()}'},
        swift_bank_plugin.CLIENT_GROUP: {
            'auth_type': 'v1password',
            'auth_url': server.auth_url,
            'username': server.user,
            'password': server.key,
            'swift_retry_backoff': 0.1,
            **options,
        },
    }


def s3_sections(server: Any, **options: Any) -> Sections:
    """What a provider file has of a bucket of its own.

    :param server: a server of S3: its ``url``, ``user`` and ``key``.
    :param options: of ``[s3_client]``.
    """
    return {
        s3_bank_plugin.GROUP: {'bank_s3_object_bucket': f'bank-{uuid.uuid4()}'},
        s3_bank_plugin.CLIENT_GROUP: {
            's3_endpoint': server.url,
            's3_access_key': server.user,
            's3_secret_key': server.key,
            's3_retry_backoff': 0.1,
            **options,
        },
    }


def swift_bank(
    server: Any,
    plugin_class: type[swift_bank_plugin.SwiftBankPlugin] = swift_bank_plugin.SwiftBankPlugin,
    **options: Any,
) -> swift_bank_plugin.SwiftBankPlugin:
    """A bank of :func:`swift_sections`."""
    return plugin_class(provider_files.options(swift_sections(server, **options)))


def s3_bank(
    server: Any,
    plugin_class: type[s3_bank_plugin.S3BankPlugin] = s3_bank_plugin.S3BankPlugin,
    **options: Any,
) -> s3_bank_plugin.S3BankPlugin:
    """A bank of :func:`s3_sections`."""
    return plugin_class(provider_files.options(s3_sections(server, **options)))
