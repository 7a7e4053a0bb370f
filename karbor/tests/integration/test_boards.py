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

"""Jobs on real boards, in Redis, etcd and ZooKeeper; their rows in SQLite."""

import socket
import threading
import time
import uuid
from concurrent import futures
from typing import Any

import fixtures
import sqlalchemy as sa
from kazoo import client

from karbor import db
from karbor.db import jobs as job_rows
from karbor.db import models
from karbor.services.identity import trusts
from karbor.services.jobs import taskflow_board, taskflow_drivers, worker
from karbor.tests import base, board_servers, runners

EXPIRY = 2
PROVIDER_ID = 'p'
SCOPE = job_rows.Scope(kinds=frozenset({'verify'}), provider_ids=frozenset({PROVIDER_ID}))
PATIENCE = 60
# Seconds that all who ask at once may wait, on a busy machine.
_LONGEST_SILENCE = 15


class BoardTestCase(base.TestCase):
    """A board that nothing is on, and an empty database."""

    kind: str

    def setUp(self) -> None:
        super().setUp()
        self._looker: taskflow_board.TaskFlowBoard | None = None
        self.server = board_servers.running(self.kind)
        self.place = str(uuid.uuid4())

    def claim(self, board: taskflow_board.TaskFlowBoard, job_id: str) -> bool:
        """What a worker does who wants a certain job."""
        (found,) = (waiting for waiting in board.waiting(SCOPE) if waiting.job_id == job_id)
        return board.claim(found)

    def claim_on_board(self, board: taskflow_board.TaskFlowBoard, job_id: str) -> bool:
        """Claim as soon as the server answers.

        On a busy machine it may not do so at once, and without it anybody may claim, as the row
        decides then.
        """
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            is_claimed = self.claim(board, job_id)
            if time.monotonic() >= board._away_until:
                return is_claimed
            time.sleep(0.1)
        return self.fail(f'The board has not answered for {PATIENCE} s.')

    def board(self) -> taskflow_board.TaskFlowBoard:
        made = taskflow_board.TaskFlowBoard(
            taskflow_drivers.parse(self.server.url), str(uuid.uuid4()), EXPIRY
        )
        made._driver.options.update(namespace=self.place, path=f'/{self.place}/jobs')
        self.addCleanup(made._close)
        return made

    def job(self, project_id: str = 'one', hours: int = 1) -> str:
        """The row of a job, made long ago: it would be posted if it is not on the board.

        :param hours: for so many it has been there.
        """
        with db.writer() as session:
            found = runners.create_job(
                session, 'verify', provider_id=PROVIDER_ID, project_id=project_id
            )
            session.execute(
                sa.update(models.Job)
                .where(models.Job.id == found.id)
                .values(created_at=sa.text(f"datetime('now', '-{hours} hour')"))
            )
            return found.id

    def on_board(self) -> list[str]:
        if self._looker is None:
            self._looker = self.board()
        return sorted(
            posting.name for posting in taskflow_board._postings(self._looker._connected())
        )

    def set_state(self, job_id: str, state: str) -> None:
        with db.writer() as session:
            session.get_one(models.Job, job_id).state = state


class BoardSuite:
    """What holds of each kind of board."""

    def test_one_of_two_claims_a_job(self) -> None:
        job_id = self.job()
        one, two = self.board(), self.board()
        one.post_now(job_id)
        for board in (one, two):
            self.assertEqual([job_id], [found.job_id for found in board.waiting(SCOPE)])

        self.assertEqual(
            [True, False], [self.claim_on_board(one, job_id), self.claim_on_board(two, job_id)]
        )

        one.release(job_id)
        self.assertEqual([], self.on_board())

    def test_who_listens_hears_of_what_is_posted(self) -> None:
        stopping, heard = threading.Event(), threading.Event()
        self.addCleanup(stopping.set)
        threading.Thread(
            target=self.board().listen, args=(heard.set, stopping), daemon=True
        ).start()
        board = self.board()

        def is_heard() -> bool:  # once it is listened
            board.post_now(self.job())
            return heard.wait(0.2)

        self.wait_until(is_heard, 'word of a job', PATIENCE)

    def test_a_job_that_is_not_posted_yet_waits_unless_it_is_in_a_crowd(self) -> None:
        self.useFixture(fixtures.MockPatchObject(taskflow_board, '_CROWD', 3))
        job_id = self.job(hours=0)
        board = self.board()
        self.assertFalse(self.claim_on_board(board, job_id))
        for _ in range(3):
            self.job()
        self.assertTrue(self.claim_on_board(board, job_id), 'in a crowd nothing is posted')

    def test_a_claim_holds_while_it_is_renewed(self) -> None:
        job_id = self.job()
        one, two = self.board(), self.board()
        one.post_now(job_id)
        self.assertTrue(self.claim_on_board(one, job_id))
        for _ in range(4):
            time.sleep(EXPIRY / 2)
            one.renew()
        self.assertFalse(self.claim_on_board(two, job_id))

    def test_the_claim_of_a_worker_that_is_gone_expires(self) -> None:
        job_id = self.job()
        gone, other = self.board(), self.board()
        gone.post_now(job_id)
        self.assertTrue(self.claim_on_board(gone, job_id))
        gone._close()  # of ZooKeeper the session ends; elsewhere nobody renews

        def is_claimed() -> bool:
            return self.claim_on_board(other, job_id)

        self.wait_until(is_claimed, 'the end of the claim', PATIENCE)

    def test_a_claim_of_a_stranger_who_begins_nothing_is_ignored_after_a_lease(self) -> None:
        job_id = self.job()
        stranger, board = self.board(), self.board()
        stranger.post_now(job_id)
        (posting,) = taskflow_board._postings(stranger._connected())
        stranger._connected().claim(posting, 'a stranger')  # without an end

        began = time.monotonic()
        self.assertFalse(self.claim_on_board(board, job_id))
        self.wait_until(lambda: self.claim_on_board(board, job_id), 'the job', 4 * EXPIRY)
        self.assertGreaterEqual(time.monotonic() - began, EXPIRY)

        self.set_state(job_id, job_rows.JobState.DONE)
        board.release(job_id)
        board.tidy()
        self.assertEqual([], self.on_board())

    def test_what_is_handed_back_can_be_claimed_at_once(self) -> None:
        job_id = self.job()
        one, two = self.board(), self.board()
        one.post_now(job_id)
        self.assertTrue(self.claim_on_board(one, job_id))
        one.hand_back()
        self.assertTrue(self.claim_on_board(two, job_id))

    def test_what_a_board_has_lost_is_posted_again(self) -> None:
        job_ids = sorted(self.job() for _ in range(3))
        board = self.board()
        for job_id in job_ids:
            board.post_now(job_id)
        self.assertEqual(job_ids, self.on_board())
        for posting in taskflow_board._postings(board._connected()):
            board._claim(board._connected(), posting)
            board._consume(board._connected(), posting, board._owner)
        self.assertEqual([], self.on_board())

        self.assertTrue(self.claim_on_board(board, job_ids[0]))

        self.assertEqual(job_ids[:1], self.on_board())

    def test_what_is_lost_is_known(self) -> None:
        lost, posted = self.job(), self.job()
        board = self.board()
        board.post_now(posted)
        self.assertEqual([lost], board.lost(SCOPE))

    def test_who_makes_a_job_has_time_to_post_it(self) -> None:
        job_id = self.job()
        with db.writer() as session:
            session.execute(sa.update(models.Job).values(created_at=models.Job.updated_at))
        board = self.board()
        self.assertEqual([job_id], [found.job_id for found in board.waiting(SCOPE)])
        self.assertFalse(self.claim_on_board(board, job_id))
        self.assertEqual([], board.lost(SCOPE))
        self.assertEqual([], self.on_board())

    def test_few_jobs_of_very_many_are_on_the_board(self) -> None:
        board = self.board()
        for _ in range(taskflow_board._CROWD + 10):
            board.post_now(self.job())
        self.assertEqual(taskflow_board._CROWD, len(self.on_board()))
        late = self.job('two')
        self.assertTrue(self.claim_on_board(board, late))
        self.assertIn(late, self.on_board())

    def test_what_is_over_or_posted_twice_is_taken_off(self) -> None:
        over, twice, running = self.job(), self.job(), self.job()
        board, other = self.board(), self.board()
        for job_id in (over, twice, twice, running, running):
            board.post_now(job_id)
        self.assertTrue(self.claim_on_board(other, running))
        self.set_state(over, job_rows.JobState.DONE)
        self.set_state(running, job_rows.JobState.RUNNING)

        board.tidy()

        self.assertEqual(sorted([twice, running, running]), self.on_board())

    def test_nobody_waits_long_for_a_server_that_is_silent(self) -> None:
        job_id = self.job()
        with socket.create_server(('127.0.0.1', 0)) as silent:
            scheme = self.server.url.partition(':')[0]
            board = taskflow_board.TaskFlowBoard(
                taskflow_drivers.parse(f'{scheme}://127.0.0.1:{silent.getsockname()[1]}'),
                'me',
                EXPIRY,
            )
            begun = time.monotonic()
            for _ in range(20):
                board.post(job_id)
                time.sleep(0.1)  # the thread that posts waits for the server meanwhile
            self.assertLess(time.monotonic() - begun, 3)

            begun = time.monotonic()
            with futures.ThreadPoolExecutor(8) as threads:
                claims = list(threads.map(lambda _: self.claim(board, job_id), range(8)))
            self.assertEqual([True] * 8, claims)
            self.assertFalse(board.answers())
            self.assertLess(time.monotonic() - begun, _LONGEST_SILENCE)

    def test_without_its_server_jobs_go_by_their_rows(self) -> None:
        job_id = self.job()
        server = board_servers.KINDS[self.kind]()
        self.addCleanup(server.end)
        board = taskflow_board.TaskFlowBoard(taskflow_drivers.parse(server.url), 'me', EXPIRY)
        self.addCleanup(board._close)
        board.post_now(job_id)
        server.stop()

        begun = time.monotonic()
        board.post_now(job_id)
        self.assertEqual([job_id], [found.job_id for found in board.waiting(SCOPE)])
        self.assertTrue(self.claim(board, job_id))
        board.renew()
        board.release(job_id)
        board.tidy()
        self.assertLess(time.monotonic() - begun, 10)

        server.start()
        waiting = self.job()

        def is_claimed() -> bool:
            return self.claim(board, waiting) and waiting in board._claimed

        self.wait_until(is_claimed, 'the board', PATIENCE)


class WorkerSuite:
    """What holds of workers on each kind of board."""

    def setUp(self) -> None:
        super().setUp()
        self.config.config(
            group='protection',
            job_poll_interval=0.1,
            job_lease=EXPIRY,
            max_concurrent_jobs=4,
            max_concurrent_jobs_per_project=2,
        )

    def worker(self, runner: Any) -> worker.Worker:
        made = worker.Worker(runner, trusts.NoTrusts(), self.board())
        made.start()
        self.addCleanup(made.stop, 5)
        return made

    def test_two_workers_do_each_job_once(self) -> None:
        runner = Runner()
        runner.go.set()
        job_ids = [self.job(f'project-{number % 7}') for number in range(40)]
        for _ in range(2):
            self.worker(runner)
        self.wait_until(lambda: len(runner.done) >= len(job_ids), 'the end of all jobs', PATIENCE)
        self.assertEqual(sorted(job_ids), sorted(runner.done))
        self.wait_until(lambda: not self.on_board(), 'the end of the postings', PATIENCE)

    def test_a_project_leaves_places_for_others(self) -> None:
        runner = Runner()
        self.addCleanup(runner.go.set)
        many = [self.job('many') for _ in range(30)]
        few = self.job('few')
        self.worker(runner)
        self.wait_until(lambda: len(runner.begun) >= 3, 'three jobs', PATIENCE)
        time.sleep(0.5)  # nothing to wait for: what must not happen needs a moment
        self.assertEqual(3, len(runner.begun))
        self.assertIn(few, runner.begun)
        self.assertEqual(2, len(set(runner.begun) & set(many)))


class Runner:
    """Jobs that end when they are let go."""

    scope = SCOPE

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.done: list[str] = []
        self.go = threading.Event()

    def run(self, job_id: str) -> None:
        with db.writer() as session:
            if job_rows.claim(session, job_id, None) is None:
                return
        self.begun.append(job_id)
        self.go.wait(PATIENCE)
        with db.writer() as session:
            job_rows.change_state(
                session, job_id, job_rows.JobState.RUNNING, job_rows.JobState.DONE
            )
        self.done.append(job_id)

    def renew_claims(self) -> None:
        """They have no lease."""

    def share_requests(self) -> None:
        """They send none."""

    def hand_back(self) -> None:
        """They are lost."""


class RedisBoardTest(BoardSuite, BoardTestCase):
    kind = 'redis'


class RedisWorkerTest(WorkerSuite, BoardTestCase):
    kind = 'redis'


class EtcdBoardTest(BoardSuite, BoardTestCase):
    kind = 'etcd'


class EtcdWorkerTest(WorkerSuite, BoardTestCase):
    kind = 'etcd'


class ZooKeeperBoardTest(BoardSuite, BoardTestCase):
    kind = 'zookeeper'

    def test_a_session_that_has_expired_is_followed_by_another(self) -> None:
        board = self.board()
        session = board._connected()._client.client_id
        other = client.KazooClient(self.server.url.partition('://')[2], client_id=session)
        other.start()
        other.stop()  # which ends the session of both
        other.close()
        self.wait_until(lambda: not board.answers(), 'the end of the session', PATIENCE)
        self.wait_until(board.answers, 'the next session', PATIENCE)
        job_id = self.job()
        board.post_now(job_id)
        self.assertTrue(self.claim_on_board(board, job_id))
        self.assertIn(job_id, board._claimed)


class ZooKeeperWorkerTest(WorkerSuite, BoardTestCase):
    kind = 'zookeeper'
