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

"""Hooks that wait without a thread.

A hook that mostly waits may be written as steps: a generator that yields a future for each wait,
and is given its result. The job's walker parks it meanwhile, and has its thread for others. Whoever
calls the hook as the contract has it gets a plain method that blocks.
"""

import functools
import weakref
from collections.abc import Callable, Generator
from concurrent import futures
from typing import Any, Concatenate, ParamSpec, TypeAlias, TypeVar

Wait: TypeAlias = futures.Future[Any]
Steps: TypeAlias = Generator[Wait, Any, None]

_Arguments = ParamSpec('_Arguments')
_Operation = TypeVar('_Operation')
_Result = TypeVar('_Result')
_Function = TypeVar('_Function', bound=Callable[..., Any])

# Hook as a class has it -> its steps. Not an attribute, which decorators copy to what overrides it.
_STEPS: weakref.WeakKeyDictionary[Callable[..., None], Callable[..., Steps]] = (
    weakref.WeakKeyDictionary()
)

_QUICK: weakref.WeakSet[Callable[..., Any]] = weakref.WeakSet()


def quick(function: _Function) -> _Function:
    """Mark what needs no thread of its own, as it never takes long; an override is not marked."""
    _QUICK.add(function)
    return function


def is_quick(method: Callable[..., Any]) -> bool:
    """Whether a method of an object or class is marked so."""
    return getattr(method, '__func__', None) in _QUICK


def stepwise(
    steps: Callable[Concatenate[_Operation, _Arguments], Steps],
) -> Callable[Concatenate[_Operation, _Arguments], None]:
    """The hook, as a plain method, that goes through some steps.

    :param steps: a method that is a generator.
    """

    @functools.wraps(steps)
    def hook(self: _Operation, *args: _Arguments.args, **kwargs: _Arguments.kwargs) -> None:
        drive(steps(self, *args, **kwargs))

    _STEPS[hook] = steps
    return hook


def steps_of(hook: Any) -> Callable[..., Steps] | None:
    """What gives the steps of a hook of an object; None if it only blocks, or is not there."""
    function = getattr(hook, '__func__', None)
    steps = None if function is None else _STEPS.get(function)
    return None if steps is None else functools.partial(steps, hook.__self__)


def drive(steps: Generator[Wait, Any, _Result]) -> _Result:
    """Go through all steps, and block at each wait; returns what they return."""
    try:
        wait = next(steps)
        while True:
            wait = _answered(steps, wait)
    except StopIteration as end:
        return end.value


def _answered(steps: Generator[Wait, Any, Any], wait: Wait) -> Wait:
    error = wait.exception()
    return steps.send(wait.result()) if error is None else steps.throw(error)


def advance(steps: Steps, ended: Wait | None = None) -> Wait | None:
    """Go on to the next wait.

    :param ended: what was waited for; None at the beginning.
    :returns: what is waited for now; None when all is done.
    :raises TypeError: what the steps yield is nothing that can be waited for.
    """
    try:
        wait = next(steps) if ended is None else _answered(steps, ended)
    except StopIteration:
        return None
    if not isinstance(wait, futures.Future):
        raise TypeError(f'Steps yield futures, not {wait!r}.')
    return wait
