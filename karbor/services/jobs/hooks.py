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

"""Runs the plugins' hooks of one attempt, on the resources that no earlier one has done."""

import contextlib
import dataclasses
import functools
import inspect
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent import futures
from typing import Any, Protocol

from oslo_log import log as logging
from sqlalchemy import orm

from karbor import db, exception
from karbor.common import causes, constants
from karbor.db import job_resources
from karbor.db import jobs as job_rows
from karbor.resource import Resource
from karbor.services.jobs import operations, walker
from karbor.services.jobs.failures import Failure, Failures
from karbor.services.jobs.kinds import Attempt, ResourceOutcome, SavedInfo
from karbor.services.protection import checkpoint as bank_checkpoint
from karbor.services.protection import graph, plugin_edge, protection_plugin, steps

LOG = logging.getLogger(__name__)

Plugins = Mapping[str, protection_plugin.ProtectionPlugin]


class Told(Protocol):
    """What plugins tell of a job while it runs."""

    def storing(self) -> contextlib.AbstractContextManager[Callable[[orm.Session], None]]:
        """Gives what writes all that is not stored; when it ends well, that is stored."""


@contextlib.contextmanager
def _nothing_told() -> Iterator[Callable[[orm.Session], None]]:
    yield lambda session: None


@dataclasses.dataclass(frozen=True, kw_only=True)
class AttemptHooks:
    """The hooks of one attempt.

    :param checkpoint: as the hooks see it.
    :param values: the parameters of each resource, complete.
    :param keywords: what the hooks are given beyond the contract's four arguments;
        ``new_resources`` is one dict for all of them.
    :param told: what plugins tell meanwhile, which is written with how the resources are done.
    """

    attempt: Attempt
    checkpoint: bank_checkpoint.Checkpoint
    values: Mapping[Resource, dict[str, Any]]
    keywords: dict[str, Any]
    told: 'Told | None' = None

    def run(self, roots: Sequence[graph.GraphNode], plugins: Plugins) -> Failures:
        """Run them over the graph.

        :param plugins: by resource type, made for this attempt.
        :returns: the resources that failed, and why.
        :raises KarborException: no hook was run, since a plugin cannot serve this job.
        :raises Exception: what a hook has raised for which the job is to wait.
        :raises LeaseLost: the attempt is over.
        """
        at_once = self.attempt.environment.max_concurrent_resources
        run = _Run(
            self,
            plugins,
            self._operations(plugins),
            requests=self.attempt.requests,
            plain=futures.ThreadPoolExecutor(at_once, 'hooks'),
        )
        try:
            walker.walk(roots, run.work_of, run.tell, self.attempt.holds)
        except BaseException:
            # Not waited for: whoever ends the walk so does not want to hear of the other hooks.
            run.close(wait=False)
            raise
        run.close(wait=True)
        return run.failures

    def look_again(self, plugins: Plugins) -> None:
        """Let plugins look for what requests have made whose answers they have not seen."""
        by_type: dict[str, list[Resource]] = {}
        for resource in self.values:
            by_type.setdefault(resource.type, []).append(resource)
        for resource_type, resources in by_type.items():
            try:
                with plugin_edge.kept():
                    plugins[resource_type].look_again(
                        operation=self.attempt.kind.plugin_operation,
                        checkpoint=self.checkpoint,
                        resources=resources,
                        context=self.attempt.context,
                        **self.keywords,
                    )
            except Exception:
                # A plugin's edge: what was done is good all the same.
                LOG.exception('Job %s: looking again for %s', self.attempt.job.id, resource_type)

    def _operations(self, plugins: Plugins) -> dict[Resource, protection_plugin.Operation]:
        """The operation of each resource that is not done yet."""
        done = self._done_before()
        return {
            resource: operations.failing_if_unusable(
                plugins[resource.type], self.attempt.kind.plugin_operation, resource
            )
            for resource in self.values
            if resource.key not in done
        }

    def _done_before(self) -> set[str]:
        """Keys of the resources that earlier attempts have done.

        Their new resources go to ``new_resources``, where parents look for them.
        """
        job = self.attempt.job
        if job.attempts == 1:
            return set()
        with db.reader() as session:
            rows = [row for row in job_resources.of_job(session, job.id) if row.is_done]
        if 'new_resources' in self.keywords:
            self.keywords['new_resources'].update(
                {row.resource_id: row.new_resource_id for row in rows if row.new_resource_id}
            )
        return {row.resource_key for row in rows}

    @db.until_it_works
    def record(self, outcomes: Sequence[ResourceOutcome]) -> None:
        """Write how the attempt went with some resources.

        :raises LeaseLost: the attempt is over, and nothing is written.
        """
        self.attempt.lease.check()
        job = self.attempt.job
        progress = [self._progress(outcome) for outcome in outcomes]
        is_progress = any(outcome.failure is None for outcome in outcomes)

        @db.transaction
        def write(session: orm.Session, write_told: Callable[[orm.Session], None]) -> None:
            job_rows.hold_claim(session, job)
            if is_progress:
                job_rows.note_progress(session, job)
            job_resources.record(session, job.id, progress)
            self.attempt.kind.record(session, job, outcomes)
            write_told(session)

        with _nothing_told() if self.told is None else self.told.storing() as write_told:
            write(write_told)
        if is_progress:
            job.tries, job.error = 1, None
            self.attempt.context.progress.tell(job.id, '', 0)  # what was told of an outage is over

    def _progress(self, outcome: ResourceOutcome) -> job_resources.ResourceProgress:
        resource, failure = outcome.resource, outcome.failure
        return job_resources.ResourceProgress(
            resource_type=resource.type,
            resource_id=resource.id,
            is_done=failure is None,
            reason=None if failure is None else failure.reason,
            new_resource_id=self.keywords.get('new_resources', {}).get(resource.id),
            seconds=outcome.seconds,
        )

    def logged(self, resource: Resource, error: Exception) -> Failure:
        """What a person is told of a failure, which is logged."""
        failure = Failure.of(error)
        is_expected = isinstance(error, exception.ResourceFailed)
        LOG.error(
            'Job %s: %s: %s',
            self.attempt.job.id,
            resource.key,
            causes.in_full(error) if is_expected else failure,
            exc_info=None if is_expected else error,
        )
        return failure


class _Run:
    """One walk over the graph.

    :param attempt_hooks: what runs.
    :param operations: of each resource that is not done yet.
    :param requests: where steps run.
    :param plain: where hooks run that keep their threads.
    """

    def __init__(
        self,
        attempt_hooks: AttemptHooks,
        plugins: Plugins,
        operations: Mapping[Resource, protection_plugin.Operation],
        *,
        requests: futures.Executor,
        plain: futures.Executor,
    ) -> None:
        self._hooks = attempt_hooks
        self._attempt = attempt_hooks.attempt
        self._plugins = plugins
        self._operations = operations
        self._requests = requests
        self._plain = plain
        self._saved: dict[Resource, SavedInfo] = {}
        self._begun: dict[Resource, float] = {}
        self.failures: Failures = {}

    def close(self, *, wait: bool) -> None:
        """Begin nothing more."""
        self._requests.shutdown(cancel_futures=True)
        self._plain.shutdown(wait=wait, cancel_futures=True)

    def work_of(self, resource: Resource, hook: str) -> walker.Work | None:
        """See :func:`walker.walk`."""
        operation = self._operations.get(resource)
        if operation is None:
            return None
        method = getattr(operation, hook, None)
        does_nothing = _does_nothing(method, hook)
        is_saved = self._attempt.kind.saves and hook == constants.Hook.COMPLETE
        if does_nothing and not is_saved:
            return None
        executor: futures.Executor | None = self._plain
        if does_nothing and self._is_asked_quickly(resource):
            executor = None
        elif steps.steps_of(method) is not None:
            executor = self._requests
        return walker.Work(
            functools.partial(self._run_hook, resource, method, is_saved=is_saved), executor
        )

    def _is_asked_quickly(self, resource: Resource) -> bool:
        """Whether what the plugin keeps of a resource is known in no time."""
        plugin = self._plugins[resource.type]
        is_local = self._hooks.checkpoint.checkpoint_section.is_local
        return is_local and steps.is_quick(plugin.get_saved_info)

    def _run_hook(self, resource: Resource, method: Any, *, is_saved: bool) -> steps.Steps | None:
        """Run a hook, or return its steps.

        :param is_saved: whether the plugin is asked behind it what it keeps of the resource.
        """
        self._attempt.lease.check()
        self._begun.setdefault(resource, time.monotonic())
        four = {
            'checkpoint': self._hooks.checkpoint,
            'resource': resource,
            'context': self._attempt.context,
            'parameters': self._hooks.values[resource],
        }
        with self._asking_if_it_fails(resource):
            going = call(method, four, self._hooks.keywords)
        if going is not None:
            return self._watched(going, resource, is_saved=is_saved)
        if is_saved:
            self._ask(resource)
        return None

    def _watched(self, going: steps.Steps, resource: Resource, *, is_saved: bool) -> steps.Steps:
        """The steps of a hook, and then the same."""
        try:
            yield from going
        except Exception as exc:
            if self._attempt.kind.saves and not self._attempt.holds(exc):
                yield from self._ask_in_steps(resource)
            raise
        if is_saved:
            yield from self._ask_in_steps(resource)

    def _ask_in_steps(self, resource: Resource) -> steps.Steps:
        if self._is_asked_quickly(resource):
            self._ask(resource)
        else:
            yield self._plain.submit(self._ask, resource)

    @contextlib.contextmanager
    def _asking_if_it_fails(self, resource: Resource) -> Iterator[None]:
        """Ask what a plugin keeps of a resource that fails: something may be left."""
        try:
            yield
        except Exception as exc:
            if self._attempt.kind.saves and not self._attempt.holds(exc):
                self._ask(resource)
            raise

    def _ask(self, resource: Resource) -> None:
        self._saved[resource] = saved_info(
            self._plugins[resource.type], self._hooks.checkpoint, resource
        )

    def tell(self, ends: Sequence[walker.End]) -> None:
        """See :func:`walker.walk`."""
        outcomes = [self._outcome(*end) for end in ends if end.resource in self._operations]
        if outcomes:
            self._hooks.record(outcomes)

    def _outcome(self, resource: Resource, error: Exception | None) -> ResourceOutcome:
        if error is not None:
            self.failures[resource] = self._hooks.logged(resource, error)
        begun = self._begun.pop(resource, None)
        return ResourceOutcome(
            resource=resource,
            failure=self.failures.get(resource),
            saved=self._saved.pop(resource, SavedInfo()),
            seconds=None if begun is None else time.monotonic() - begun,
        )


def saved_info(
    plugin: protection_plugin.ProtectionPlugin | type[protection_plugin.ProtectionPlugin],
    checkpoint: bank_checkpoint.Checkpoint,
    resource: Resource,
) -> SavedInfo:
    """What a plugin tells that it keeps of a resource.

    By contract it reads the bank, and that is all that it can do here.
    """
    try:
        section = checkpoint.read_only_section(resource.id)
        with plugin_edge.kept():
            return SavedInfo(told=plugin.get_saved_info(section, resource))
    except (NotImplementedError, exception.BankObjectNotFound):
        return SavedInfo()
    except Exception:
        # A plugin may raise anything; what it protects is good all the same.
        LOG.warning('What is kept of %s is not known', resource.key, exc_info=True)
        return SavedInfo(is_to_be_asked=True)


def call(method: Any, four: dict[str, Any], keywords: dict[str, Any]) -> steps.Steps | None:
    """Call a hook, or give its steps.

    :param method: the hook of an operation; None, which does nothing, when it has none.
    :param four: the contract's arguments, given by name: a plugin may order them as it likes.
    :param keywords: given to a hook that declares them.
    """
    if method is None:
        return None
    arguments = {**four, **_accepted(method, keywords)}
    get_steps = steps.steps_of(method)
    if get_steps is not None:
        return get_steps(**arguments)
    with plugin_edge.kept():
        method(**arguments)
    return None


def _does_nothing(method: Any, hook: str) -> bool:
    """Whether an operation leaves a hook as the contract's class has it, or has none."""
    inherited = getattr(protection_plugin.Operation, hook)
    return method is None or getattr(method, '__func__', None) is inherited


def _accepted(method: Callable[..., Any], keywords: dict[str, Any]) -> dict[str, Any]:
    """Those of the keywords that a hook declares, or all if it takes any."""
    declared = _declared(getattr(method, '__func__', method))
    if declared is None:
        return keywords
    return {name: value for name, value in keywords.items() if name in declared}


@functools.lru_cache
def _declared(function: Callable[..., Any]) -> frozenset[str] | None:
    """The names of the parameters of a function; None when it takes any."""
    parameters = inspect.signature(function).parameters
    if any(item.kind is inspect.Parameter.VAR_KEYWORD for item in parameters.values()):
        return None
    return frozenset(parameters)
