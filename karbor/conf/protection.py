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

"""Options of the protection service, group ``[protection]``."""

from oslo_config import cfg

GROUP = 'protection'

OPTS: list[cfg.Opt] = [
    cfg.IntOpt(
        'max_concurrent_jobs',
        default=32,
        min=1,
        help='How many checkpoints, restores, verifications and deletions are worked on at once. '
        'One that only waits for Cinder costs little.',
    ),
    cfg.IntOpt(
        'max_concurrent_jobs_per_project',
        default=16,
        min=1,
        help="How many of them may be one project's, in each process of karbor-protection, and at "
        'most half of those that other projects leave. It keeps places free for others.',
    ),
    cfg.IntOpt(
        'workers',
        default=1,
        min=1,
        help='How many processes karbor-protection consists of. Each works on as many '
        'jobs at once.',
    ),
    cfg.IntOpt(
        'max_concurrent_resources',
        default=32,
        min=1,
        help='How many resources of one of them are worked on at once by plugins whose hooks keep '
        'a thread while they wait. That of volume snapshots does not.',
    ),
    cfg.IntOpt(
        'max_requests_in_flight',
        default=32,
        min=1,
        help='How many requests to Cinder a process has open at once at most, of all its jobs '
        'together. As long as more of them make answers slower, it has fewer; and where jobs run '
        'in several processes, these share them.',
    ),
    cfg.FloatOpt(
        'job_poll_interval',
        default=0.25,
        min=0.05,
        help='How often karbor-protection looks for jobs, in seconds. With a job board it hears '
        'of most of them at once.',
    ),
    cfg.FloatOpt(
        'job_lease',
        default=60,
        min=1,
        max=900,
        help='How long a job of a worker that is gone waits for another worker, in '
        'seconds. A worker that is there renews its lease three times as often.',
    ),
    cfg.IntOpt(
        'max_job_tries',
        default=10,
        min=1,
        help='How often a job is begun whose worker is gone before another of its resources '
        'is done. Then it is parked, and what it is about is in error; "karbor-manage job '
        'retry" has it tried again.',
    ),
    cfg.FloatOpt(
        'bank_patience',
        default=3600,
        min=0,
        help='For how long a job waits for a bank that is away (no connection, no answer in time, '
        "429 or a server's error), or for a Cinder that answers nobody, in seconds. It is put back "
        'meanwhile, which is no try; then it fails. 0 has it fail at once.',
    ),
    cfg.FloatOpt(
        'orphan_check_interval',
        default=3600,
        min=0,
        help='How often to look for snapshots and half-made volumes in Cinder that '
        "carry Karbor's metadata and that no checkpoint or restore knows, and for "
        'recovery points whose snapshots are gone, in seconds; 0 never does. What is '
        'found is logged. As often it is looked which volumes projects have, for their '
        'coverage.',
    ),
    cfg.FloatOpt(
        'orphan_grace',
        default=86400,
        min=0,
        help='Age under which none of them is removed, in seconds.',
    ),
    cfg.BoolOpt(
        'remove_orphans',
        default=False,
        help='Remove those that are older. It must not be set where another Karbor '
        'makes snapshots in the same cloud, or project, with the same provider '
        'id: what that one has is unknown here.',
    ),
    cfg.FloatOpt(
        'shutdown_grace',
        default=5,
        min=0,
        help='How long a stop waits for jobs to end, in seconds. What is not ended '
        'by then is handed back: another worker, or the next start, takes it up.',
    ),
]


def register_opts(conf: cfg.ConfigOpts) -> None:
    conf.register_opts(OPTS, GROUP)


def list_opts() -> list[tuple[str, list[cfg.Opt]]]:
    return [(GROUP, OPTS)]
