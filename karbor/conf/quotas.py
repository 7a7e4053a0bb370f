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

"""Default limits of a project, group ``[DEFAULT]`` (Karbor contract, section H.2)."""

from oslo_config import cfg

OPTS: list[cfg.Opt] = [
    cfg.IntOpt(
        'quota_plans', default=50, min=-1, help='How many plans a project may have; -1 is no limit.'
    ),
    cfg.IntOpt(
        'quota_checkpoints',
        default=50_000,
        min=-1,
        help='How many checkpoints a project may have; -1 is no limit.',
    ),
    cfg.IntOpt(
        'quota_schedules',
        default=100,
        min=-1,
        help='How many scheduled operations a project may have; -1 is no limit.',
    ),
    cfg.IntOpt(
        'quota_triggers',
        default=1_000,
        min=-1,
        help='How many triggers a project may have; -1 is no limit.',
    ),
    cfg.IntOpt(
        'quota_verifications',
        default=50_000,
        min=-1,
        help='How many verifications a project may have, also of those that are over; -1 is no '
        'limit. "karbor-manage db purge" removes old ones.',
    ),
    cfg.IntOpt(
        'quota_jobs',
        default=10_000,
        min=-1,
        help='How many jobs of a project may be unfinished, that is wait or run; -1 is no limit. '
        'What a retention removes is not refused.',
    ),
]


def register_opts(conf: cfg.ConfigOpts) -> None:
    conf.register_opts(OPTS)


def list_opts() -> list[tuple[str, list[cfg.Opt]]]:
    return [('DEFAULT', OPTS)]
