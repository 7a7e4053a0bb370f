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

"""Options of the user that jobs act through, group ``[trustee]``.

That is Karbor's own user. Users of Karbor trust it, in Keystone's sense of the word: so it
can act for them after the tokens of their requests have ended.
"""

from keystoneauth1 import loading
from oslo_config import cfg

GROUP = 'trustee'

OPTS: list[cfg.Opt] = [
    cfg.ListOpt(
        'trust_roles',
        default=['member'],
        help='Names of the roles that jobs need. A trust delegates those of them that '
        'the user has.',
    ),
    cfg.StrOpt(
        'trust_mark',
        default='karbor',
        help='What the trusts of this Karbor are marked with. Trusts with this mark '
        'that the database does not know are deleted in time, so several Karbors '
        'that use the same user of one Keystone need different marks.',
    ),
]

_LONGEST_REQUEST = 60


def _session_opts() -> list[cfg.Opt]:
    opts = loading.get_session_conf_options()
    cfg.set_defaults(opts, timeout=_LONGEST_REQUEST)  # keystoneauth would wait for ever
    return opts


def register_opts(conf: cfg.ConfigOpts) -> None:
    loading.register_auth_conf_options(conf, GROUP)
    conf.register_opts(_session_opts() + OPTS, GROUP)


def list_opts() -> list[tuple[str, list[cfg.Opt]]]:
    return [
        (
            GROUP,
            [
                *OPTS,
                *loading.get_auth_common_conf_options(),
                *loading.get_auth_plugin_conf_options('password'),
                *_session_opts(),
            ],
        )
    ]
