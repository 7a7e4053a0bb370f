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

"""Runs the four hooks of every resource of a graph, in the order the contract gives.

``begin`` goes from parents to children, ``finish`` and ``complete`` from children to
parents; ``main`` follows the resource's own ``finish``. Resources without such a relation
run side by side, in a pool of threads.
"""

import graphlib
import itertools
import queue
from collections.abc import Callable, Iterable
from concurrent import futures

from karbor.common import constants
from karbor.resource import Resource
from karbor.services.protection import graph

Task = tuple[Resource, str]

HOOKS = tuple(constants.Hook)
_DOWNWARDS = (constants.Hook.PRE_BEGIN,)
_UPWARDS = (constants.Hook.PRE_FINISH, constants.Hook.COMPLETE)


def walk(
    roots: Iterable[graph.GraphNode],
    run_hook: Callable[[Resource, str], None],
    finished: Callable[[Resource, Exception | None], None],
    max_workers: int,
) -> None:
    """Run all hooks; returns when each resource is finished or failed.

    An exception of one hook fails its resource: its later hooks are left out, every other
    resource goes on.

    :param roots: the graph.
    :param run_hook: called in a thread of the pool with a resource and a hook's name.
    :param finished: called in the caller's thread, once a resource, after its last hook
        or its first failure, with that exception.
    :param max_workers: how many hooks may run at once.
    :raises BaseException: what a hook raises that is no ``Exception`` ends the walk at once.
    """
    pool = futures.ThreadPoolExecutor(max_workers, 'walker')
    try:
        _run_all(_sorted_tasks(roots), pool, run_hook, finished)
    except BaseException:
        # Not waited for: whoever ends the walk so does not want to hear of the other hooks.
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    pool.shutdown()


def _run_all(
    sorter: graphlib.TopologicalSorter[Task],
    pool: futures.Executor,
    run_hook: Callable[[Resource, str], None],
    finished: Callable[[Resource, Exception | None], None],
) -> None:
    failed: set[Resource] = set()
    running: dict[futures.Future[None], Task] = {}
    ended: queue.SimpleQueue[futures.Future[None]] = queue.SimpleQueue()
    while sorter.is_active():
        for task in sorter.get_ready():
            if task[0] in failed:
                sorter.done(task)
            else:
                future = pool.submit(run_hook, *task)
                running[future] = task
                future.add_done_callback(ended.put)
        if not running:
            continue
        future = ended.get()
        resource, hook = task = running.pop(future)
        error = future.exception()
        if isinstance(error, Exception):
            failed.add(resource)
            finished(resource, error)
        elif error is not None:
            raise error
        elif hook == constants.Hook.COMPLETE:
            finished(resource, None)
        sorter.done(task)


def _sorted_tasks(roots: Iterable[graph.GraphNode]) -> graphlib.TopologicalSorter[Task]:
    sorter: graphlib.TopologicalSorter[Task] = graphlib.TopologicalSorter()
    for node in graph.walk_nodes(roots):
        own = [(node.value, hook) for hook in HOOKS]
        sorter.add(own[0])
        for before, after in itertools.pairwise(own):
            sorter.add(after, before)
        for child in node.child_nodes:
            for hook in _DOWNWARDS:
                sorter.add((child.value, hook), (node.value, hook))
            for hook in _UPWARDS:
                sorter.add((node.value, hook), (child.value, hook))
    sorter.prepare()
    return sorter
