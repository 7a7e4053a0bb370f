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

"""Options of the operation engine, group ``[DEFAULT]``."""

from oslo_config import cfg

OPTS: list[cfg.Opt] = [
    cfg.IntOpt(
        'min_interval',
        default=3600,
        min=1,
        help='Least time between two fires of one trigger, in seconds.',
    ),
    cfg.IntOpt(
        'min_window_time',
        default=900,
        min=0,
        help='Least window of a trigger, in seconds, and the window of a trigger that '
        'names none. A fire that is later than its window is skipped.',
    ),
    cfg.IntOpt(
        'max_window_time', default=1800, min=0, help='Longest window of a trigger, in seconds.'
    ),
]

GROUP = 'operationengine'
ENGINE_OPTS: list[cfg.Opt] = [
    cfg.FloatOpt(
        'poll_interval',
        default=5,
        min=0.05,
        help='Longest time between two looks at which trigger is due next, in '
        'seconds. One that is due sooner is fired in time; for so long a trigger '
        'that the API has just made may go unnoticed.',
    ),
]


def register_opts(conf: cfg.ConfigOpts) -> None:
    conf.register_opts(OPTS)
    conf.register_opts(ENGINE_OPTS, GROUP)


def list_opts() -> list[tuple[str, list[cfg.Opt]]]:
    return [('DEFAULT', OPTS), (GROUP, ENGINE_OPTS)]
