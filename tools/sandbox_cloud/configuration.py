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
"""The files from which the services and their clients are configured."""

import base64
import json
import os
import textwrap
from pathlib import Path

from sandbox_cloud import accounts
from sandbox_cloud import settings as sandbox_settings
from sandbox_cloud.settings import Settings

KEYSTONE_CONF = 'keystone.conf'
CINDER_CONF = 'cinder.conf'
GLANCE_CONF = 'glance-api.conf'
CLOUDS_FILE = 'clouds.yaml'


def write(settings: Settings) -> None:
    """Write every file; they depend on nothing but the settings."""
    for folder in sandbox_settings.FOLDERS:
        settings.path(folder).mkdir(exist_ok=True)
    for repository in ('fernet', 'credential'):
        _write_keys(settings.path('keys', repository))
    settings.path('etc', KEYSTONE_CONF).write_text(_keystone_conf(settings))
    settings.path('etc', CINDER_CONF).write_text(_cinder_conf(settings))
    settings.path('etc', GLANCE_CONF).write_text(_glance_conf(settings))
    settings.path(CLOUDS_FILE).write_text(_clouds_yaml(settings))


def _write_keys(repository: Path) -> None:
    """Leave what keystone-manage fernet_setup leaves, without its seconds of start-up."""
    repository.mkdir(mode=0o700, parents=True, exist_ok=True)
    for number in ('0', '1'):
        if not (repository / number).exists():
            key = os.open(repository / number, os.O_WRONLY | os.O_CREAT, 0o600)
            with open(key, 'wb') as stream:
                stream.write(base64.urlsafe_b64encode(os.urandom(32)))


def _clouds_yaml(settings: Settings) -> str:
    """JSON, which is YAML, so that the standard library can write it."""
    clouds = {
        name: {
            'auth': account.auth(settings.keystone_url),
            'region_name': accounts.REGION,
            'identity_api_version': 3,
        }
        for name, account in accounts.CLOUDS.items()
    }
    return json.dumps({'clouds': clouds}, indent=2) + '\n'


def _keystone_conf(settings: Settings) -> str:
    home = settings.directory
    return textwrap.dedent(f"""\
        [DEFAULT]
        use_stderr = true
        [database]
        connection = sqlite:///{home}/db/keystone.db?timeout=60
        sqlite_synchronous = false
        [token]
        provider = fernet
        [fernet_tokens]
        key_repository = {home}/keys/fernet
        [fernet_receipts]
        key_repository = {home}/keys/fernet
        [credential]
        key_repository = {home}/keys/credential
        [cache]
        # Without a cache the validation of a token takes 0.4 s, with it 4 ms.
        enabled = true
        backend = oslo_cache.dict
        [identity]
        # The least that bcrypt knows: nothing here is worth the 0.3 s of the default.
        password_hash_rounds = 4
        """)


def _cinder_conf(settings: Settings) -> str:
    home = settings.directory
    etc = settings.venv / 'etc' / 'cinder'
    return textwrap.dedent(f"""\
        [DEFAULT]
        use_stderr = true
        state_path = {home}/state
        transport_url = fake:/
        api_paste_config = {etc}/api-paste.ini
        resource_query_filters_file = {etc}/resource_filters.json
        auth_strategy = keystone
        glance_api_servers = {settings.glance_url}
        volume_manager = sandbox_cloud.volume_manager.SandboxVolumeManager
        enabled_backends = file
        host = sandbox
        my_ip = 127.0.0.1
        # Unlimited; a test that wants less asks for it, for its own project.
        quota_volumes = -1
        quota_snapshots = -1
        quota_gigabytes = -1
        # A scheduler waits this long for the first reports; its default is 60 s.
        scheduler_driver_init_wait_time = 1
        report_interval = 2
        service_down_time = {settings.service_down_time}
        periodic_interval = 5
        periodic_fuzzy_delay = 0
        [file]
        volume_driver = sandbox_cloud.file_driver.SandboxFileDriver
        volume_backend_name = file
        sandbox_dir = {home}/data
        [database]
        connection = sqlite:///{home}/db/cinder.db?timeout=60
        sqlite_synchronous = false
        [oslo_concurrency]
        lock_path = {home}/lock
        [oslo_messaging_notifications]
        driver = noop
        """) + _text(
        [
            *_authentication(settings, accounts.CINDER),
            '[glance]',
            '# Only a service may ask Glance where the bytes of an image are.',
            *_login(settings, accounts.CINDER),
        ]
    )


def _glance_conf(settings: Settings) -> str:
    home = settings.directory
    return textwrap.dedent(f"""\
        [DEFAULT]
        use_stderr = true
        enabled_backends = file:file
        # No import: images are uploaded, or made of volumes by Cinder.
        enabled_import_methods = []
        [paste_deploy]
        flavor = keystone
        config_file = {settings.venv}/etc/glance/glance-api-paste.ini
        [glance_store]
        default_backend = file
        [file]
        filesystem_store_datadir = {home}/images/stored
        # Zeros become holes.
        filesystem_thin_provisioning = true
        [os_glance_staging_store]
        filesystem_store_datadir = {home}/images/staging
        [os_glance_tasks_store]
        filesystem_store_datadir = {home}/images/tasks
        [database]
        connection = sqlite:///{home}/db/glance.db?timeout=60
        sqlite_synchronous = false
        [oslo_concurrency]
        lock_path = {home}/lock
        [oslo_messaging_notifications]
        driver = noop
        """) + _text(_authentication(settings, accounts.GLANCE))


def _authentication(settings: Settings, account: accounts.Account) -> list[str]:
    """How a service asks Keystone about tokens."""
    return [
        '[keystone_authtoken]',
        *_login(settings, account),
        f'www_authenticate_uri = {settings.keystone_url}',
        'service_token_roles_required = true',
        '# For so long the service accepts a token after its revocation.',
        'token_cache_time = 10',
    ]


def _login(settings: Settings, account: accounts.Account) -> list[str]:
    login = account.auth(settings.keystone_url)
    return ['auth_type = password', *(f'{option} = {value}' for option, value in login.items())]


def _text(lines: list[str]) -> str:
    return '\n'.join(lines) + '\n'
