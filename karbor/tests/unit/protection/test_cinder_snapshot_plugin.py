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

"""The snapshot plugin against a fake Cinder, through the real client, bank and checkpoints.

What counts is what Cinder and the bank hold afterwards. The real Cinder is asked the same in
``karbor/tests/integration``.
"""

import configparser
import contextlib
import importlib
import json
import logging
import pathlib
import time
import types
import uuid
from collections.abc import Callable, Iterator
from concurrent import futures
from importlib import metadata as distributions
from typing import Any
from unittest import mock

import fixtures
from oslo_config import cfg
from oslotest import base

import karbor
from karbor import context as karbor_context
from karbor import exception
from karbor.resource import Resource
from karbor.services.cinder import requests as cinder_requests
from karbor.services.cinder import watcher
from karbor.services.protection import bank_plugin, checkpoint
from karbor.services.protection.protection_plugins.volume import (
    cinder_snapshot_plugin,
)
from karbor.testing import memory_bank, plugin_jobs
from karbor.testing.clock import Clock
from karbor.testing.fake_cinder import FakeCinder, Fault
from karbor.testing.plugin_jobs import PLAN_ID, PROVIDER_ID, RecordOfUse

VOLUME_TYPE = 'OS::Cinder::Volume'
THREADS = 32
ENTRY_POINT = 'karbor-volume-snapshot-plugin'


class Crash(BaseException):
    """The process dies here: nothing may catch it."""


class RecordingCinder(FakeCinder):
    """Remembers the bodies of what was asked to be made, and how many it made in all."""

    def __init__(self) -> None:
        super().__init__()
        self.bodies: list[dict[str, Any]] = []
        self.made: list[str] = []

    def handle(self, method: str, path_and_query: str, body: bytes | None) -> Any:
        if method == 'POST':
            self.bodies.append(json.loads(body))
        return super().handle(method, path_and_query, body)

    def begin(self, item: dict[str, Any], kind: str, collection: str) -> None:
        self.made.append(kind)
        super().begin(item, kind, collection)


class SnapshotPluginTestCase(base.BaseTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.useFixture(fixtures.Timeout(60, gentle=True))  # an endless wait is a failure
        for noisy in ('keystoneauth', 'urllib3'):
            logging.getLogger(noisy).setLevel(logging.INFO)
        for module, name, value in (
            (cinder_requests, 'FIRST_PAUSE', 0.001),
            (cinder_requests, 'LONGEST_PAUSE', 0.004),
            (watcher, 'FIRST_INTERVAL', 0.002),
        ):
            self.useFixture(fixtures.MockPatchObject(module, name, value))
        self.cinder = RecordingCinder()
        self.enterContext(plugin_jobs.clients_of(self.cinder))
        self.context = karbor_context.RequestContext(user_id='u', project_id='p')
        self.config = self._config()
        self.bank_plugin = memory_bank.MemoryBankPlugin()
        self.bank = bank_plugin.Bank(self.bank_plugin)
        self.checkpoint = self.new_checkpoint()
        self.volume = self.cinder.add_volume(name='db', size=3)
        self.timeouts: dict[str, float] = {'in_flight_timeout': 0}
        self.clock: Any = time
        # The jobs of which there was an attempt, and how long ago that was over, in seconds.
        self.begun: set[tuple[str, str, str, str | None]] = set()
        self.since_last = 0.0

    def _config(self) -> cfg.ConfigOpts:
        config = cfg.ConfigOpts()
        config(args=[], default_config_files=[], default_config_dirs=[])
        config.register_opts(cinder_snapshot_plugin.OPTS, cinder_snapshot_plugin.GROUP)
        config.set_override('poll_interval', 0.05, cinder_snapshot_plugin.GROUP)
        return config

    def new_checkpoint(self) -> checkpoint.Checkpoint:
        return plugin_jobs.new_checkpoint(self.bank)

    def new_plugin(self) -> cinder_snapshot_plugin.CinderSnapshotProtectionPlugin:
        """The plugin of one job; with the test's time-outs, shorter than options can be."""
        plugin = cinder_snapshot_plugin.CinderSnapshotProtectionPlugin(
            self.config, clock=self.clock
        )
        plugin.options = types.SimpleNamespace(
            **{
                **{
                    option.dest: plugin.options[option.dest]
                    for option in cinder_snapshot_plugin.OPTS
                },
                **self.timeouts,
            }
        )
        return plugin

    def run_job(
        self,
        kind: str,
        volume_id: str | None = None,
        parameters: dict[str, Any] | None = None,
        plugin: Any = None,
        **kwargs: Any,
    ) -> None:
        """An attempt of a job with one volume; the same job again is the next attempt."""
        resource = Resource(VOLUME_TYPE, volume_id or self.volume['id'], 'db')
        job = kind, self.checkpoint.id, resource.id, kwargs.get('restore', {}).get('id')
        self.context.since_last_attempt = self.since_last if job in self.begun else None
        self.begun.add(job)
        plugin_jobs.run_attempt(
            plugin or self.new_plugin(),
            kind,
            checkpoint=self.checkpoint,
            resource=resource,
            context=self.context,
            parameters=parameters or {},
            operation_log={},
            **kwargs,
        )

    def protect(self, **kwargs: Any) -> None:
        self.run_job('protect', **kwargs)

    def delete(self, **kwargs: Any) -> None:
        self.run_job('delete', **kwargs)

    def restore(
        self, record: RecordOfUse, new_resources: dict[str, str] | None = None, **kwargs: Any
    ) -> None:
        self.run_job(
            'restore',
            restore=record,
            new_resources=({} if new_resources is None else new_resources),
            **kwargs,
        )

    def section(self, volume_id: str | None = None) -> bank_plugin.BankSection:
        return self.checkpoint.get_resource_bank_section(volume_id or self.volume['id'])

    def in_bank(self, volume_id: str | None = None) -> dict[str, Any]:
        """What the bank holds of a volume; not what it is like, nor when something was asked."""
        section = self.section(volume_id)
        found = {key: section.get_object(key) for key in section.list_objects()}
        for value in found.values():
            if isinstance(value, dict):
                value.pop('asked_at', None)
                value.pop('volume', None)
        return found

    def marks(self, **more: str) -> dict[str, str]:
        return {
            'karbor_checkpoint_id': self.checkpoint.id,
            'karbor_provider_id': PROVIDER_ID,
            'karbor_plan_id': PLAN_ID,
            'karbor_resource_id': self.volume['id'],
            **more,
        }

    def only(self, items: dict[str, Any]) -> dict[str, Any]:
        """The one item that there is."""
        self.assertEqual(1, len(items), items)
        return next(iter(items.values()))

    def fails(
        self,
        error: type[exception.ResourceFailed],
        call: Callable[..., Any],
        *args: Any,
        **kwargs: Any,
    ) -> str:
        """Call what must fail as the contract says; returns the reason."""
        raised = self.assertRaises(error, call, *args, **kwargs)
        self.assertEqual(
            (VOLUME_TYPE, self.volume['id'], 'Volume Snapshot'),
            (raised.kwargs['resource_type'], raised.kwargs['resource_id'], raised.kwargs['name']),
        )
        self.assertIn(raised.kwargs['reason'], str(raised))
        self.assertEqual('quota would be exceeded' in str(raised), raised.is_over_quota)
        return raised.kwargs['reason']

    def requests(self, method: str, path: str) -> int:
        return self.cinder.requests[method, path]

    @contextlib.contextmanager
    def dying_at(self, dies_at: Callable[[str, Any], bool]) -> Iterator[None]:
        """The process dies instead of that write to the bank."""

        def before_update(key: str, value: Any) -> None:
            if dies_at(key, value):
                raise Crash

        with (
            mock.patch.object(self.bank_plugin, 'before_update', before_update),
            self.assertRaisesCrash(),
        ):
            yield

    @contextlib.contextmanager
    def assertRaisesCrash(self) -> Iterator[None]:
        try:
            yield
        except Crash:
            return
        self.fail('the job went on where it should have died')

    def break_off(self, attempt: Callable[[], None]) -> None:
        """Let an attempt end before it gets anywhere."""
        with (
            mock.patch.object(self.cinder, 'handle', side_effect=Crash),
            self.assertRaisesCrash(),
        ):
            attempt()

    def use_clock(self) -> Clock:
        """Let pauses between requests, of their real length, cost nothing and be seen."""
        clock = Clock()
        for name, value in (('FIRST_PAUSE', 0.5), ('LONGEST_PAUSE', 15.0)):
            self.useFixture(fixtures.MockPatchObject(cinder_requests, name, value))
        self.clock = clock
        return clock


class PublishedTest(SnapshotPluginTestCase):
    """What the provider's API and the provider's file see of the plugin."""

    plugin_class = cinder_snapshot_plugin.CinderSnapshotProtectionPlugin

    def test_options_schema_is_the_specifications(self) -> None:
        self.assertJson(
            """
            {"title": "Volume Snapshot Protection Options", "type": "object",
             "properties": {
               "snapshot_name": {"type": "string", "title": "Snapshot Name",
                 "description": "The name of the volume snapshot."},
               "description": {"type": "string", "title": "Description",
                 "description": "The description of the volume snapshot."},
               "force": {"type": "boolean", "title": "Force",
                 "description": "If force is True, create a snapshot even if the volume is attached to an instance.",
                 "default": false}},
             "required": ["snapshot_name", "description", "force"]}""",  # noqa: E501
            self.plugin_class.get_options_schema(VOLUME_TYPE),
        )

    def test_restore_schema_is_the_specifications(self) -> None:
        self.assertJson(
            """
            {"title": "Volume Protection Restore", "type": "object",
             "properties": {
               "restore_name": {"type": "string", "title": "Restore Name",
                 "description": "The name of the restored volume.", "default": null},
               "restore_description": {"type": "string", "title": "Restore Description",
                 "description": "The description of the restored volume.",
                 "default": null}}}""",
            self.plugin_class.get_restore_schema(VOLUME_TYPE),
        )

    def assertJson(self, expected: str, schema: dict[str, Any]) -> None:
        """The same JSON, in the same order."""
        self.assertEqual(json.dumps(json.loads(expected)), json.dumps(schema))

    def test_verification_takes_no_parameters(self) -> None:
        self.assertEqual({}, self.plugin_class.get_verify_schema(VOLUME_TYPE)['properties'])

    def test_saved_info_is_what_its_schema_says(self) -> None:
        self.protect()
        schema = self.plugin_class.get_saved_info_schema(VOLUME_TYPE)
        saved = self.plugin_class.get_saved_info(
            self.section(), Resource(VOLUME_TYPE, self.volume['id'], 'db')
        )
        self.assertEqual(set(schema['properties']), set(saved))
        # Checkpoints of older Karbors have neither the moment, nor what the volume was like.
        self.assertEqual({*schema['required'], 'created_at', 'volume'}, set(saved))

    def test_supported_types(self) -> None:
        self.assertEqual([VOLUME_TYPE], self.plugin_class.get_supported_resources_types())

    def test_entry_point(self) -> None:
        (found,) = distributions.entry_points(group='karbor.protections', name=ENTRY_POINT)
        self.assertIs(self.plugin_class, found.load())

    def test_entry_point_of_setup_cfg(self) -> None:
        setup = configparser.ConfigParser()
        setup.read(pathlib.Path(karbor.__file__).parents[1] / 'setup.cfg')
        lines = dict(
            line.split(' = ')
            for line in setup['entry_points']['karbor.protections'].strip().splitlines()
        )
        module, _, name = lines[ENTRY_POINT].partition(':')
        self.assertIs(self.plugin_class, getattr(importlib.import_module(module), name))

    def test_options_have_defaults(self) -> None:
        config = cfg.ConfigOpts()
        config([])
        options = self.plugin_class(config).options
        self.assertEqual((15, 3600), (options.poll_interval, options.snapshot_timeout))


class ProtectTest(SnapshotPluginTestCase):
    def test_what_cinder_is_asked_for(self) -> None:
        self.protect(
            parameters={'snapshot_name': 'nightly-db', 'description': 'by plan', 'force': True}
        )
        self.assertEqual(
            [
                {
                    'snapshot': {
                        'volume_id': self.volume['id'],
                        'name': 'nightly-db',
                        'description': 'by plan',
                        'force': True,
                        'metadata': self.marks(),
                    }
                }
            ],
            self.cinder.bodies,
        )

    def test_without_parameters(self) -> None:
        self.protect()
        (snapshot,) = self.cinder.bodies
        self.assertIs(False, snapshot['snapshot']['force'])
        self.assertEqual(
            (None, None), (snapshot['snapshot']['name'], snapshot['snapshot']['description'])
        )

    def test_words_in_braces(self) -> None:
        self.protect(
            parameters={
                'snapshot_name': '{volume_name} of {plan_name} {foo}',
                'description': '{volume_id} {checkpoint_id} {time}',
            }
        )
        (body,) = self.cinder.bodies
        self.assertEqual(
            (
                'db of nightly {foo}',
                f'{self.volume["id"]} {self.checkpoint.id} 2026-01-02T00:00:00Z',
            ),
            (body['snapshot']['name'], body['snapshot']['description']),
        )

    def test_it_is_adopted_whatever_it_is_called(self) -> None:
        parameters = {'snapshot_name': '{volume_name} {time}', 'description': '{plan_name}'}
        with self.dying_at(lambda key, value: 'snapshot_id' in value):
            self.protect(parameters=parameters)
        self.only(self.cinder.snapshots)['name'] = 'renamed by its owner'
        self.protect(parameters=parameters)
        self.assertBankKnows(self.only(self.cinder.snapshots), 'available')
        self.assertEqual(['snapshot'], self.cinder.made)

    def test_what_the_bank_holds_at_each_step(self) -> None:
        seen = {}

        def look(step: str) -> Callable[[], Any]:
            return lambda: seen.setdefault(step, self.in_bank())

        self.cinder.faults = [
            Fault('POST', '/snapshots$', hook=look('before the POST')),
            Fault('GET', '/snapshots', hook=look('before waiting')),
        ]
        self.protect()
        snapshot = self.only(self.cinder.snapshots)
        saved = {
            'volume_id': self.volume['id'],
            'size': 3,
            'snapshot_id': snapshot['id'],
            'created_at': snapshot['created_at'],
        }
        self.assertEqual({'before the POST': {}, 'before waiting': {}}, seen)
        self.assertEqual({'status': 'available', 'metadata': saved}, self.in_bank())
        self.assertEqual('available', snapshot['status'])

    def test_a_snapshot_that_is_ready_at_once_is_not_waited_for(self) -> None:
        self.cinder.looks_until_settled = 0
        self.protect()
        self.assertEqual(
            {('GET', '/volumes/{id}'): 1, ('POST', '/snapshots'): 1}, dict(self.cinder.requests)
        )
        self.assertEqual('available', self.in_bank()['status'])

    # How a snapshot can end

    def test_snapshot_in_error(self) -> None:
        self.cinder.settle_to['snapshot'] = 'error'
        self.cinder.error_message = 'create snapshot: no backend has room'
        reason = self.fails(exception.CreateResourceFailed, self.protect)
        snapshot = self.only(self.cinder.snapshots)
        self.assertEqual(
            f'the snapshot {snapshot["id"]} is in status error: '
            'create snapshot: no backend has room',
            reason,
        )
        self.assertBankKnows(snapshot, 'error')

    def test_the_newest_message_is_told(self) -> None:
        def speak() -> None:
            snapshot = self.only(self.cinder.snapshots)
            self.cinder.add_message(str(uuid.uuid4()), 'of another one')
            self.cinder.add_message(snapshot['id'], 'older')
            self.cinder.add_message(snapshot['id'], 'newer')

        self.cinder.settle_to['snapshot'] = 'error'
        self.cinder.faults = [Fault('GET', '/messages', hook=speak)]
        reason = self.fails(exception.CreateResourceFailed, self.protect)
        self.assertTrue(reason.endswith('is in status error: newer'), reason)

    def test_snapshot_in_error_without_a_word_from_cinder(self) -> None:
        self.cinder.settle_to['snapshot'] = 'error'
        self.cinder.faults = [Fault('GET', '/messages', status=403)]
        reason = self.fails(exception.CreateResourceFailed, self.protect)
        self.assertIn('is in status error: Cinder gives no reason', reason)
        for text in ('pool is full', 'ask the operator'):
            self.assertIn(text, reason)

    def test_snapshot_that_somebody_is_deleting(self) -> None:
        self.cinder.settle_to['snapshot'] = 'deleting'
        reason = self.fails(exception.CreateResourceFailed, self.protect)
        self.assertIn('is in status deleting', reason)

    def test_snapshot_whose_deletion_failed(self) -> None:
        self.cinder.settle_to['snapshot'] = 'error_deleting'
        reason = self.fails(exception.CreateResourceFailed, self.protect)
        self.assertIn('is in status error_deleting', reason)

    def test_snapshot_that_is_being_backed_up_is_waited_for(self) -> None:
        def back_up() -> None:
            snapshot = self.only(self.cinder.snapshots)
            snapshot['status'] = 'backing-up'
            self.cinder.settle_later(snapshot['id'], 'available', looks=2)

        self.cinder.faults = [Fault('GET', '/snapshots/detail', hook=back_up, times=1)]
        self.protect()
        self.assertBankKnows(self.only(self.cinder.snapshots), 'available')

    def test_snapshot_that_never_settles(self) -> None:
        self.timeouts['snapshot_timeout'] = 0.05
        self.cinder.settle_to['snapshot'] = None
        reason = self.fails(exception.CreateResourceFailed, self.protect)
        snapshot = self.only(self.cinder.snapshots)
        self.assertIn(f'the snapshot {snapshot["id"]} is still in status creating', reason)
        self.assertBankKnows(snapshot, 'error')

    def test_a_time_out_tells_why_nothing_was_seen(self) -> None:
        self.timeouts['snapshot_timeout'] = 0.05
        self.cinder.faults = [Fault('GET', '/snapshots/detail', status=503)]
        reason = self.fails(exception.CreateResourceFailed, self.protect)
        self.assertIn('is still in status creating', reason)
        self.assertIn('503', reason)

    def test_snapshot_deleted_by_somebody_meanwhile(self) -> None:
        self.cinder.faults = [
            Fault('GET', '/snapshots/detail', times=1, hook=self.cinder.snapshots.clear)
        ]
        reason = self.fails(exception.CreateResourceFailed, self.protect)
        self.assertIn('was deleted while it was being made', reason)
        self.assertEqual('error', self.in_bank()['status'])

    def test_metadata_taken_away_meanwhile(self) -> None:
        self.cinder.faults = [
            Fault(
                'GET',
                '/snapshots/detail',
                times=1,
                hook=lambda: self.only(self.cinder.snapshots).update(metadata={}),
            )
        ]
        self.protect()
        self.assertBankKnows(self.only(self.cinder.snapshots), 'available')

    def test_a_database_that_rounds_to_seconds(self) -> None:
        self.cinder.keeps_microseconds = False
        volumes = [self.cinder.add_volume() for _ in range(10)]
        plugin = self.new_plugin()
        # All are made before the first look, so that each is in the list of the others.
        self.useFixture(fixtures.MockPatchObject(watcher, 'FIRST_INTERVAL', 0.05))
        with futures.ThreadPoolExecutor(len(volumes)) as pool:
            list(
                pool.map(
                    lambda volume: self.protect(volume_id=volume['id'], plugin=plugin), volumes
                )
            )
        self.assertEqual(
            0,
            self.requests('GET', '/snapshots/{id}'),
            'a snapshot was taken for gone and read by itself',
        )

    # Passing faults of HTTP

    def test_429(self) -> None:
        self.assertSurvives(Fault('POST', '/snapshots$', status=429, times=1))

    def test_500(self) -> None:
        self.assertSurvives(Fault('POST', '/snapshots$', status=500, times=2))

    def test_503(self) -> None:
        self.assertSurvives(Fault('POST', '/snapshots$', status=503, times=3))

    def test_reset_before(self) -> None:
        self.assertSurvives(Fault('POST', '/snapshots$', reset='before', times=1))

    def test_reset_after(self) -> None:
        self.assertSurvives(Fault('POST', '/snapshots$', reset='after', times=1))

    def test_gateway_that_gave_up_too_early(self) -> None:
        self.assertSurvives(Fault('POST', '/snapshots$', status=504, done=True, times=1))

    def test_lost_answer_and_a_fault_of_the_search(self) -> None:
        self.assertSurvives(
            Fault('POST', '/snapshots$', reset='after', times=1),
            Fault('GET', '/snapshots/detail', status=500, times=1),
        )

    def test_faults_while_waiting(self) -> None:
        self.assertSurvives(
            Fault('GET', '/snapshots/detail', status=503, times=1),
            Fault('GET', '/snapshots/detail', reset='before', times=1),
            Fault('GET', '/snapshots/detail', reset='after', times=1),
        )

    def assertSurvives(self, *faults: Fault) -> None:
        """There is one snapshot, never were two, and the bank knows it."""
        self.cinder.faults = list(faults)
        self.protect()
        self.assertEqual(
            [fault.times for fault in faults],
            [fault.applied for fault in faults],
            'a fault did not happen',
        )
        self.assertEqual(['snapshot'], self.cinder.made)
        self.assertBankKnows(self.only(self.cinder.snapshots), 'available')

    def assertBankKnows(self, snapshot: dict[str, Any], status: str) -> None:
        self.assertEqual(
            {
                'status': status,
                'metadata': {
                    'volume_id': self.volume['id'],
                    'size': 3,
                    'snapshot_id': snapshot['id'],
                    'created_at': snapshot['created_at'],
                },
            },
            self.in_bank(),
        )

    def test_retry_after_is_honoured(self) -> None:
        clock = self.use_clock()
        self.assertSurvives(
            Fault('POST', '/snapshots$', status=429, times=1, headers={'Retry-After': '17'})
        )
        self.assertEqual([17.0], clock.slept)

    def test_patience_ends(self) -> None:
        clock = self.use_clock()
        self.cinder.faults = [Fault('POST', '/snapshots$', status=503)]
        reason = self.fails(exception.CreateResourceFailed, self.protect)
        self.assertIn('Cinder answered 503', reason)
        self.assertLessEqual(clock.now, 300)
        self.assertEqual('error', self.in_bank()['status'])

    def test_cinder_out_of_reach(self) -> None:
        self.use_clock()
        self.cinder.faults = [Fault(reset='before')]
        reason = self.fails(exception.CreateResourceFailed, self.protect)
        self.assertIn('Cinder could not be reached', reason)

    # Faults that are no passing ones

    def test_quota(self) -> None:
        self.cinder.quota_snapshots = 0
        reason = self.fails(exception.CreateResourceFailed, self.protect)
        self.assertIn('quota', reason)
        self.assertIn('Maximum number of snapshots allowed (0) exceeded', reason)
        self.assertEqual(1, self.requests('POST', '/snapshots'), 'tried again')

    def test_volume_that_does_not_exist(self) -> None:
        self.cinder.volumes.clear()
        reason = self.fails(exception.ResourceGone, self.protect)
        self.assertIn('does not exist any more', reason)
        self.assertIn(f'Volume {self.volume["id"]} could not be found', reason)
        self.assertEqual(
            {('POST', '/snapshots'): 1, ('GET', '/volumes/{id}'): 2}, dict(self.cinder.requests)
        )

    def test_a_404_though_the_volume_is_there(self) -> None:
        self.cinder.faults = [Fault('POST', '/snapshots$', status=404)]
        reason = self.fails(exception.CreateResourceFailed, self.protect)
        self.assertIn('Cinder answered 404', reason)

    def test_a_404_of_which_cinder_does_not_tell_more(self) -> None:
        self.timeouts['retry_timeout'] = 0
        self.cinder.faults = [
            Fault('POST', '/snapshots$', status=404),
            Fault('GET', '/volumes/', status=503),
        ]
        reason = self.fails(exception.CreateResourceFailed, self.protect)
        self.assertIn('Cinder answered 503', reason)

    def test_volume_that_is_being_deleted(self) -> None:
        self.volume['status'] = 'deleting'
        reason = self.fails(exception.ResourceGone, self.protect)
        self.assertIn('the volume is being deleted', reason)
        self.assertEqual(1, self.requests('POST', '/snapshots'), 'it was waited for')

    def test_volume_that_takes_its_snapshot_with_it(self) -> None:
        def delete_with_snapshots() -> None:
            self.cinder.snapshots.clear()
            self.cinder.volumes.clear()

        self.cinder.faults = [
            Fault('GET', '/snapshots/detail', times=1, hook=delete_with_snapshots)
        ]
        reason = self.fails(exception.ResourceGone, self.protect)
        self.assertIn('does not exist any more', reason)

    def test_volume_that_is_gone_when_the_job_runs_again(self) -> None:
        with self.dying_at(lambda key, value: 'snapshot_id' in value):
            self.protect()
        self.cinder.snapshots.clear()
        self.cinder.volumes.clear()
        self.fails(exception.ResourceGone, self.protect)
        self.protect_and_lose_volume()
        self.fails(exception.ResourceGone, self.protect)

    def protect_and_lose_volume(self) -> None:
        self.checkpoint = self.new_checkpoint()
        self.volume = self.cinder.add_volume()
        self.protect()
        self.cinder.snapshots.clear()
        self.cinder.volumes.clear()

    def test_forbidden(self) -> None:
        self.cinder.faults = [Fault('POST', status=403)]
        reason = self.fails(exception.CreateResourceFailed, self.protect)
        self.assertIn('Cinder answered 403', reason)

    def test_other_errors_of_the_request_are_tried_a_second_time_at_most(self) -> None:
        self.cinder.faults = [Fault('POST', status=400)]
        reason = self.fails(exception.CreateResourceFailed, self.protect)
        self.assertIn('Cinder answered 400', reason)
        self.assertEqual(2, self.requests('POST', '/snapshots'))

    # States of the volume

    def test_in_use_without_force(self) -> None:
        self.volume['status'] = 'in-use'
        reason = self.fails(
            exception.CreateResourceFailed, self.protect, parameters={'force': False}
        )
        self.assertIn('current status is: in-use', reason)
        self.assertIn("only taken when force is true in the plan's parameters", reason)
        self.assertEqual({}, self.cinder.snapshots)

    def test_in_use_with_force(self) -> None:
        self.volume['status'] = 'in-use'
        self.protect(parameters={'force': True})
        self.assertBankKnows(self.only(self.cinder.snapshots), 'available')

    def test_volume_in_error(self) -> None:
        self.volume['status'] = 'error'
        reason = self.fails(exception.CreateResourceFailed, self.protect)
        self.assertTrue(reason.startswith('the volume is in status error; '), reason)
        self.assertIn('current status is: error', reason)
        self.assertEqual(1, self.requests('POST', '/snapshots'))

    def test_volume_between_two_states_is_waited_for(self) -> None:
        self.volume['status'] = 'extending'
        self.cinder.settle_later(self.volume['id'], 'available', looks=2)
        self.protect()
        self.assertBankKnows(self.only(self.cinder.snapshots), 'available')

    def test_volume_that_became_ready_right_after_the_refusal(self) -> None:
        self.volume['status'] = 'detaching'
        self.cinder.faults = [
            Fault(
                'GET', '/volumes/', times=1, hook=(lambda: self.volume.update(status='available'))
            )
        ]
        self.protect()
        self.assertBankKnows(self.only(self.cinder.snapshots), 'available')

    def test_volume_that_stays_between_two_states(self) -> None:
        self.timeouts['settle_timeout'] = 0.02
        self.volume['status'] = 'retyping'
        reason = self.fails(exception.CreateResourceFailed, self.protect)
        self.assertIn('retyping', reason)
        self.assertEqual({}, self.cinder.snapshots)

    def test_volume_that_goes_away_while_it_is_waited_for(self) -> None:
        self.volume['status'] = 'extending'
        self.cinder.faults = [Fault('GET', '/volumes/', times=1, hook=self.cinder.volumes.clear)]
        reason = self.fails(exception.ResourceGone, self.protect)
        self.assertIn('could not be found', reason)

    # Jobs that run again

    def test_crash_before_the_request(self) -> None:
        def crash() -> None:
            raise Crash

        self.cinder.faults = [Fault('POST', '/snapshots$', times=1, hook=crash)]
        with self.assertRaisesCrash():
            self.protect()
        self.assertEqual({}, self.cinder.snapshots)
        self.protect()
        self.assertEqual(['snapshot'], self.cinder.made)
        self.assertBankKnows(self.only(self.cinder.snapshots), 'available')

    def test_crash_between_the_request_and_the_bank(self) -> None:
        with self.dying_at(lambda key, value: 'snapshot_id' in value):
            self.protect()
        self.assertNotIn('metadata', self.in_bank())
        self.assertAdopts()

    def test_a_request_of_the_killed_run_that_is_served_late(self) -> None:
        """Cinder gets to it only when the next run has begun."""
        self.timeouts['in_flight_timeout'] = 30
        with self.dying_at(lambda key, value: 'snapshot_id' in value):
            self.protect()
        late = self.cinder.snapshots.copy()
        self.cinder.snapshots.clear()
        self.cinder.faults = [
            Fault('GET', '/snapshots/detail', times=1),
            Fault(
                'GET', '/snapshots/detail', times=1, hook=lambda: self.cinder.snapshots.update(late)
            ),
        ]
        clock = self.use_clock()
        self.context.progress = progress = mock.Mock()
        self.since_last = 12
        self.protect()
        self.assertEqual([18], [round(seconds) for seconds in clock.slept])
        self.assertEqual([18, 0], [round(told.args[2]) for told in self.told_of_earlier(progress)])
        self.assertIn(' for 18 s more', self.told_of_earlier(progress)[0].args[1])
        self.assertEqual(list(late), list(self.cinder.snapshots))
        self.assertEqual(['snapshot'], self.cinder.made, 'asked for a second time')

    def told_of_earlier(self, progress: mock.Mock) -> list[Any]:
        return [told for told in progress.tell.mock_calls if told.args[0][1] == 'earlier requests']

    def test_a_request_that_was_never_served_is_waited_for_no_longer_than_told(self) -> None:
        self.timeouts['in_flight_timeout'] = 0.2
        with self.dying_at(lambda key, value: 'snapshot_id' in value):
            self.protect()
        self.cinder.snapshots.clear()
        self.protect()
        self.only(self.cinder.snapshots)

    def test_a_run_long_after_the_kill_waits_for_nothing(self) -> None:
        self.timeouts['in_flight_timeout'] = 30
        with self.dying_at(lambda key, value: 'snapshot_id' in value):
            self.protect()
        self.cinder.snapshots.clear()
        self.cinder.requests.clear()
        clock = self.use_clock()
        self.since_last = 31
        self.protect()
        self.assertEqual([], clock.slept)
        # for what is to be adopted, while it is waited for, and for what came twice
        self.assertLessEqual(self.requests('GET', '/snapshots/detail'), 4)

    def test_crash_while_waiting(self) -> None:
        with self.dying_at(lambda key, value: value == 'available'):
            self.protect()
        self.assertAdopts()

    def test_run_again_though_all_was_done(self) -> None:
        self.protect()
        self.assertAdopts()

    def assertAdopts(self) -> None:
        """What is there is taken, and nothing is made."""
        before = self.only(self.cinder.snapshots)['id']
        self.protect()
        self.assertEqual(['snapshot'], self.cinder.made)
        self.assertEqual(before, self.only(self.cinder.snapshots)['id'])
        self.assertBankKnows(self.only(self.cinder.snapshots), 'available')

    def test_run_again_after_the_recorded_snapshot_was_deleted(self) -> None:
        self.protect()
        self.cinder.snapshots.clear()
        reason = self.fails(exception.CreateResourceFailed, self.protect)
        self.assertIn('could not be found', reason)

    def test_adopts_only_what_is_of_this_checkpoint_and_volume(self) -> None:
        for other in ({'karbor_checkpoint_id': 'x'}, {'karbor_resource_id': 'x'}):
            self.cinder.add_snapshot(self.volume['id'], metadata={**self.marks(), **other})
        before = set(self.cinder.snapshots)
        self.break_off(self.protect)
        self.protect()
        (made,) = set(self.cinder.snapshots) - before
        self.assertBankKnows(self.cinder.snapshots[made], 'available')
        self.assertLessEqual(before, set(self.cinder.snapshots), 'removed what is not ours')

    def test_a_request_thought_lost_that_is_served_late(self) -> None:
        self._lose_a_request_that_is_served_late()
        self.protect()
        self.assertBankKnows(self.only(self.cinder.snapshots), 'available')

    def test_a_late_double_that_becomes_ready_right_after_its_deletion_is_refused(self) -> None:
        self._lose_a_request_that_is_served_late(looks=0)
        self.protect()
        self.assertBankKnows(self.only(self.cinder.snapshots), 'available')

    def _lose_a_request_that_is_served_late(self, looks: int = 10) -> None:
        """The double appears with the second request; it takes some looks to be ready."""

        def serve_late() -> None:
            double = self.cinder.add_snapshot(
                self.volume['id'], status='creating', metadata=self.marks()
            )
            if looks:
                self.cinder.settle_later(double['id'], 'available', looks)
            else:
                self.cinder.faults.append(
                    Fault(
                        'GET',
                        double['id'],
                        times=1,
                        hook=(lambda: double.update(status='available')),
                    )
                )

        self.cinder.faults = [
            Fault('POST', '/snapshots$', reset='before', times=1),
            Fault('POST', '/snapshots$', hook=serve_late, times=1),
        ]

    def test_doubles_of_a_broken_run_are_removed(self) -> None:
        self.break_off(self.protect)
        for _ in range(3):
            self.cinder.add_snapshot(self.volume['id'], metadata=self.marks())
        self.protect()
        self.assertEqual(0, self.requests('POST', '/snapshots'))
        self.assertBankKnows(self.only(self.cinder.snapshots), 'available')


class RestoreTest(SnapshotPluginTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.protect()
        self.snapshot = self.only(self.cinder.snapshots)
        self.cinder.requests.clear()
        self.cinder.bodies.clear()
        self.cinder.made.clear()
        self.record = RecordOfUse()
        self.new_resources: dict[str, str] = {}

    def new_volumes(self) -> dict[str, Any]:
        return {
            key: volume for key, volume in self.cinder.volumes.items() if key != self.volume['id']
        }

    def run_restore(self, **kwargs: Any) -> None:
        self.restore(self.record, self.new_resources, **kwargs)

    def assertRestored(self) -> None:
        volume = self.only(self.new_volumes())
        self.assertEqual(
            ('available', self.snapshot['id'], 3),
            (volume['status'], volume['snapshot_id'], volume['size']),
        )
        self.assertEqual({self.volume['id']: volume['id']}, self.new_resources)
        self.assertEqual([(VOLUME_TYPE, volume['id'], 'available', '')], self.record.told)
        self.assertEqual(1, self.record.saved)

    def assertNothingTold(self) -> None:
        self.assertEqual(({}, []), (self.new_resources, self.record.told))

    def test_what_cinder_is_asked_for(self) -> None:
        self.run_restore()
        (body,) = self.cinder.bodies
        wanted = {key: value for key, value in body['volume'].items() if value is not None}
        self.assertEqual(
            {
                'size': 3,
                'snapshot_id': self.snapshot['id'],
                'name': 'db',
                'metadata': self.marks(karbor_restore_id=self.record['id']),
            },
            wanted,
        )
        self.assertRestored()

    def test_given_name_and_description(self) -> None:
        self.run_restore(parameters={'restore_name': 'db-again', 'restore_description': 'why'})
        volume = self.only(self.new_volumes())
        self.assertEqual(('db-again', 'why'), (volume['name'], volume['description']))

    def test_the_checkpoint_stays_as_it_was(self) -> None:
        before = self.in_bank()
        self.run_restore()
        after = self.in_bank()
        self.assertEqual(before, {key: after[key] for key in before})
        self.assertEqual('available', self.snapshot['status'])

    def test_the_id_is_in_the_bank_before_waiting(self) -> None:
        seen: list[Any] = []
        record = f'restore-{self.record["id"]}'

        def look() -> None:
            seen.append(self.in_bank().get(record))

        self.cinder.faults = [
            Fault('POST', '/volumes$', hook=look),
            Fault('GET', '/volumes/detail', times=1, hook=look),
        ]
        self.run_restore()
        self.assertEqual([{}, {'volume_id': self.only(self.new_volumes())['id']}], seen)
        self.assertEqual({'volume_id': self.only(self.new_volumes())['id']}, self.in_bank()[record])

    def test_two_restores_make_two_volumes(self) -> None:
        self.run_restore()
        self.restore(RecordOfUse())
        self.assertEqual(2, len(self.new_volumes()))

    def test_a_volume_that_is_attached_at_once_counts(self) -> None:
        self.cinder.settle_to['volume'] = 'in-use'
        self.run_restore()
        self.assertEqual([self.volume['id']], list(self.new_resources))

    def test_volume_passes_through_other_states(self) -> None:
        def download() -> None:
            volume = self.only(self.new_volumes())
            volume['status'] = 'downloading'
            self.cinder.settle_later(volume['id'], 'available', looks=2)

        self.cinder.faults = [Fault('GET', '/volumes/detail', hook=download, times=1)]
        self.run_restore()
        self.assertRestored()

    # Faults of HTTP

    def test_429(self) -> None:
        self.assertSurvives(Fault('POST', '/volumes$', status=429, times=1))

    def test_500(self) -> None:
        self.assertSurvives(Fault('POST', '/volumes$', status=500, times=1))

    def test_reset_before(self) -> None:
        self.assertSurvives(Fault('POST', '/volumes$', reset='before', times=1))

    def test_lost_answer(self) -> None:
        self.assertSurvives(Fault('POST', '/volumes$', reset='after', times=1))

    def test_faults_while_waiting(self) -> None:
        self.assertSurvives(
            Fault('GET', '/volumes/detail', status=503, times=1),
            Fault('GET', '/volumes/detail', reset='before', times=1),
        )

    def assertSurvives(self, *faults: Fault) -> None:
        self.cinder.faults = list(faults)
        self.run_restore()
        self.assertEqual(
            [fault.times for fault in faults],
            [fault.applied for fault in faults],
            'a fault did not happen',
        )
        self.assertEqual(['volume'], self.cinder.made)
        self.assertRestored()

    def test_quota(self) -> None:
        self.cinder.quota_volumes = 1
        reason = self.fails(exception.RestoreResourceFailed, self.run_restore)
        self.assertIn('Maximum number of volumes allowed (1) exceeded', reason)
        self.assertEqual(1, self.cinder.requests['POST', '/volumes'], 'tried again')
        self.assertNothingTold()

    def test_snapshot_that_does_not_exist_any_more(self) -> None:
        self.cinder.snapshots.clear()
        reason = self.fails(exception.RestoreResourceFailed, self.run_restore)
        self.assertIn(f'{self.snapshot["id"]} does not exist any more', reason)
        self.assertEqual('available', self.in_bank()['status'])

    def test_checkpoint_without_metadata(self) -> None:
        self.section().delete_object('metadata')
        self._no_snapshot()

    def test_checkpoint_with_the_intent_only(self) -> None:
        self.section().update_object('metadata', {'volume_id': self.volume['id']})
        self._no_snapshot()

    def _no_snapshot(self) -> None:
        reason = self.fails(exception.RestoreResourceFailed, self.run_restore)
        self.assertEqual('the checkpoint has no snapshot of it', reason)
        self.assertEqual({}, dict(self.cinder.requests))

    # What is left of a restore that failed

    def test_volume_in_error_is_removed(self) -> None:
        self.cinder.settle_to['volume'] = 'error'
        self.cinder.error_message = 'schedule allocate volume: no backend has room'
        reason = self.fails(exception.RestoreResourceFailed, self.run_restore)
        self.assertIn('is in status error: schedule allocate volume: no backend has room', reason)
        self.assertTrue(reason.endswith('was removed'), reason)
        self.assertEqual({}, self.new_volumes())
        self.assertNothingTold()

    def test_a_request_that_never_seems_to_succeed_leaves_nothing(self) -> None:
        """It was served, its answer was lost, and there is no patience to look for it."""
        self.timeouts['retry_timeout'] = 0
        self.cinder.faults = [Fault('POST', '/volumes', status=504, done=True)]
        reason = self.fails(exception.RestoreResourceFailed, self.run_restore)
        self.assertIn('504', reason)
        self.assertTrue(reason.endswith('it was removed'), reason)
        self.assertEqual({}, self.new_volumes())

    def test_a_refused_look_leaves_nothing(self) -> None:
        self.cinder.faults = [Fault('GET', '/volumes/detail', status=403, times=1)]
        reason = self.fails(exception.RestoreResourceFailed, self.run_restore)
        self.assertIn('403', reason)
        self.assertTrue(reason.endswith('it was removed'), reason)
        self.assertEqual({}, self.new_volumes())

    def test_faults_while_a_volume_in_error_is_removed(self) -> None:
        self.cinder.settle_to['volume'] = 'error'
        self.cinder.faults = [
            Fault('DELETE', '/volumes/', status=503, times=1),
            Fault('DELETE', '/volumes/', reset='after', times=1),
        ]
        reason = self.fails(exception.RestoreResourceFailed, self.run_restore)
        self.assertTrue(reason.endswith('was removed'), reason)
        self.assertEqual({}, self.new_volumes())

    def test_volume_that_never_settles(self) -> None:
        self.timeouts.update(restore_timeout=0.05, settle_timeout=0.02)
        self.cinder.settle_to['volume'] = None
        reason = self.fails(exception.RestoreResourceFailed, self.run_restore)
        volume = self.only(self.new_volumes())
        self.assertIn(f'the volume {volume["id"]} is still in status creating', reason)
        self.assertIn(
            f'it is left in Cinder: the volume {volume["id"]} cannot be deleted '
            f'while Cinder is working on it',
            reason,
        )
        self.assertNothingTold()

    def test_volume_that_settles_too_late_is_removed(self) -> None:
        self.timeouts['restore_timeout'] = 0.05
        self.cinder.settle_to['volume'] = None
        self.cinder.faults = [
            Fault(
                'DELETE',
                '/volumes/',
                times=1,
                hook=lambda: self.only(self.new_volumes()).update(status='available'),
            )
        ]
        reason = self.fails(exception.RestoreResourceFailed, self.run_restore)
        self.assertIn('still in status creating', reason)
        self.assertTrue(reason.endswith('was removed'), reason)
        self.assertEqual({}, self.new_volumes())

    def test_volume_that_cannot_be_removed(self) -> None:
        self.cinder.settle_to.update(volume='error', deletion='error_deleting')
        reason = self.fails(exception.RestoreResourceFailed, self.run_restore)
        volume = self.only(self.new_volumes())
        self.assertTrue(
            reason.endswith(
                f'it is left in Cinder: the volume {volume["id"]} is in status error_deleting '
                f'after it was deleted'
            ),
            reason,
        )

    def test_volume_whose_removal_takes_too_long(self) -> None:
        self.timeouts['settle_timeout'] = 0.05
        self.cinder.settle_to.update(volume='error', deletion=None)
        reason = self.fails(exception.RestoreResourceFailed, self.run_restore)
        volume = self.only(self.new_volumes())
        self.assertIn(
            f'it is left in Cinder: the volume {volume["id"]} is still in status deleting', reason
        )

    def test_volume_without_its_metadata_is_not_said_to_be_removed(self) -> None:
        self.cinder.settle_to.update(volume='error', deletion='error_deleting')
        self.cinder.faults = [
            Fault(
                'DELETE',
                '/volumes/',
                hook=lambda: self.only(self.new_volumes()).update(metadata={}),
            )
        ]
        reason = self.fails(exception.RestoreResourceFailed, self.run_restore)
        self.assertIn('it is left in Cinder', reason)
        self.assertIn('is in status error_deleting', reason)

    def test_volume_deleted_by_somebody_meanwhile(self) -> None:
        self.cinder.faults = [
            Fault(
                'GET',
                '/volumes/detail',
                times=1,
                hook=lambda: self.cinder.volumes.pop(self.only(self.new_volumes())['id']),
            )
        ]
        reason = self.fails(exception.RestoreResourceFailed, self.run_restore)
        self.assertIn('was deleted while it was being made', reason)

    # Jobs that run again

    def test_crash_before_the_request(self) -> None:
        def crash() -> None:
            raise Crash

        self.cinder.faults = [Fault('POST', '/volumes$', times=1, hook=crash)]
        with self.assertRaisesCrash():
            self.run_restore()
        self.assertEqual({}, self.new_volumes())
        self.run_restore()
        self.assertEqual(['volume'], self.cinder.made)
        self.assertRestored()

    def test_crash_between_the_request_and_the_bank(self) -> None:
        with self.dying_at(lambda key, value: 'restore-' in key and 'volume_id' in value):
            self.run_restore()
        self.assertAdopts()

    def test_crash_after_the_bank_knows(self) -> None:
        def crash() -> None:
            raise Crash

        with (
            self.assertRaisesCrash(),
            mock.patch.object(watcher.Watcher, 'wait', side_effect=lambda *args: crash()),
        ):
            self.run_restore()
        self.assertAdopts()

    def assertAdopts(self) -> None:
        before = self.only(self.new_volumes())['id']
        self.run_restore()
        self.assertEqual(['volume'], self.cinder.made)
        self.assertEqual(before, self.only(self.new_volumes())['id'])
        self.assertRestored()

    def test_run_again_though_all_was_done(self) -> None:
        self.run_restore()
        self.record.told.clear()
        self.new_resources.clear()
        self.record.saved = 0
        self.assertAdopts()

    def test_a_request_thought_lost_that_is_served_late(self) -> None:
        def serve_late() -> None:
            double = self.cinder.add_volume(
                size=3,
                status='creating',
                snapshot_id=self.snapshot['id'],
                metadata=self.marks(karbor_restore_id=self.record['id']),
            )
            self.cinder.settle_later(double['id'], 'available', looks=5)

        self.cinder.faults = [
            Fault('POST', '/volumes$', reset='before', times=1),
            Fault('POST', '/volumes$', hook=serve_late, times=1),
        ]
        self.run_restore()
        self.assertRestored()
        self.assertEqual(
            {'volume_id': self.only(self.new_volumes())['id']},
            self.in_bank()[f'restore-{self.record["id"]}'],
        )

    def test_doubles_of_a_broken_run_are_removed(self) -> None:
        self.break_off(self.run_restore)
        for _ in range(2):
            self.cinder.add_volume(
                size=3,
                snapshot_id=self.snapshot['id'],
                metadata=self.marks(karbor_restore_id=self.record['id']),
            )
        self.run_restore()
        self.assertEqual(0, self.requests('POST', '/volumes'))
        self.assertRestored()


class VerifyTest(SnapshotPluginTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.protect()
        self.snapshot = self.only(self.cinder.snapshots)
        self.cinder.requests.clear()
        self.record = RecordOfUse()

    def verify(self) -> None:
        self.run_job('verify', verify=self.record, new_resources={})

    def assertFails(self, expected: str) -> None:
        reason = self.fails(exception.VerifyResourceFailed, self.verify)
        self.assertIn(expected, reason)
        self.assertEqual([(VOLUME_TYPE, self.volume['id'], 'error', reason)], self.record.told)
        self.assertEqual(1, self.record.saved)

    def test_available(self) -> None:
        before = self.in_bank()
        self.verify()
        self.assertEqual([(VOLUME_TYPE, self.volume['id'], 'available', '')], self.record.told)
        self.assertEqual(1, self.record.saved)
        self.assertEqual(before, self.in_bank())
        self.assertEqual({('GET', '/snapshots/detail'): 1}, dict(self.cinder.requests))

    def test_without_its_metadata_in_cinder(self) -> None:
        self.snapshot['metadata'].clear()
        self.verify()
        self.assertEqual('available', self.record.told[0][2])

    def test_missing(self) -> None:
        self.cinder.snapshots.clear()
        self.assertFails(f'the snapshot {self.snapshot["id"]} does not exist any more')

    def test_wrong_status(self) -> None:
        self.snapshot['status'] = 'error'
        self.assertFails('is in status error')

    def test_wrong_volume(self) -> None:
        self.snapshot['volume_id'] = 'another'
        self.assertFails('is of the volume another')

    def test_wrong_size(self) -> None:
        self.snapshot['size'] = 2
        self.assertFails('has 2 GiB, not 3 as recorded')

    def test_no_metadata_in_the_bank(self) -> None:
        self.section().delete_object('metadata')
        self.assertFails('the checkpoint has no snapshot of it')

    def test_faults_are_no_verdict(self) -> None:
        self.cinder.faults = [
            Fault('GET', '/snapshots', status=500, times=1),
            Fault('GET', '/snapshots', reset='after', times=1),
        ]
        self.verify()
        self.assertEqual('available', self.record.told[0][2])

    def test_many_volumes_with_one_list(self) -> None:
        volumes = [self.cinder.add_volume(size=3) for _ in range(40)]
        for volume in volumes:
            snapshot = self.cinder.add_snapshot(
                volume['id'], metadata=self.marks(karbor_resource_id=volume['id'])
            )
            self.section(volume['id']).update_object(
                'metadata', {'volume_id': volume['id'], 'snapshot_id': snapshot['id'], 'size': 3}
            )
        plugin = self.new_plugin()
        with futures.ThreadPoolExecutor(THREADS) as pool:
            list(
                pool.map(
                    lambda volume: self.run_job(
                        'verify', volume['id'], plugin=plugin, verify=self.record, new_resources={}
                    ),
                    volumes,
                )
            )
        self.assertEqual(
            {(volume['id'], 'available') for volume in volumes},
            {told[1:3] for told in self.record.told},
        )
        self.assertEqual({('GET', '/snapshots/detail'): 1}, dict(self.cinder.requests))


class DeleteTest(SnapshotPluginTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.protect()
        self.snapshot = self.only(self.cinder.snapshots)
        self.cinder.requests.clear()

    def assertDeleted(self) -> None:
        self.assertEqual({}, self.cinder.snapshots)
        self.assertEqual({'status': 'deleted'}, self.in_bank())

    def fails_to_delete(self) -> str:
        """The snapshot is still there, and the bank still knows it."""
        reason = self.fails(exception.DeleteResourceFailed, self.delete)
        self.assertEqual('error', self.in_bank()['status'])
        self.assertEqual(self.snapshot['id'], self.in_bank()['metadata']['snapshot_id'])
        self.assertIn(self.snapshot['id'], reason)
        self.assertIn(self.snapshot['id'], self.cinder.snapshots)
        return reason

    def test_recorded(self) -> None:
        seen: list[Any] = []
        self.cinder.faults = [Fault('DELETE', hook=lambda: seen.append(self.in_bank()))]
        self.delete()
        self.assertDeleted()
        self.assertEqual('deleting', seen[0]['status'])
        self.assertIn('metadata', seen[0], 'forgotten before it was gone')

    def test_traces_of_restores_go_too(self) -> None:
        self.restore(RecordOfUse())
        self.delete()
        self.assertDeleted()

    def test_other_checkpoints_keep_theirs(self) -> None:
        mine = self.checkpoint
        self.checkpoint = self.new_checkpoint()
        self.protect()
        other = self.in_bank()
        theirs, self.checkpoint = self.checkpoint, mine
        self.delete()
        self.assertEqual({'status': 'deleted'}, self.in_bank())
        self.checkpoint = theirs
        self.assertEqual(other, self.in_bank())
        self.assertEqual(other['metadata']['snapshot_id'], self.only(self.cinder.snapshots)['id'])

    def test_marked_but_not_recorded(self) -> None:
        self.section().update_object('metadata', {'volume_id': self.volume['id']})
        self.delete()
        self.assertDeleted()

    def test_recorded_and_a_double(self) -> None:
        self.cinder.add_snapshot(self.volume['id'], metadata=self.marks())
        self.delete()
        self.assertDeleted()

    def test_recorded_but_without_its_metadata(self) -> None:
        self.snapshot['metadata'].clear()
        self.delete()
        self.assertDeleted()

    def test_without_its_metadata_and_busy(self) -> None:
        self.snapshot['metadata'].clear()
        self.cinder.busy_snapshots[self.snapshot['id']] = 1
        self.delete()
        self.assertDeleted()

    def test_already_gone(self) -> None:
        self.cinder.snapshots.clear()
        self.delete()
        self.assertDeleted()
        self.assertEqual(0, self.requests('DELETE', '/snapshots/{id}'))

    def test_deleted_by_somebody_in_the_same_moment(self) -> None:
        self.cinder.faults = [Fault('DELETE', hook=self.cinder.snapshots.clear)]
        self.delete()
        self.assertDeleted()

    def test_somebody_is_deleting_it(self) -> None:
        self.snapshot['status'] = 'deleting'
        self.cinder.settle_later(self.snapshot['id'], 'gone', looks=3)
        self.delete()
        self.assertDeleted()

    def test_nothing_was_ever_made(self) -> None:
        self.section().delete_object('metadata')
        self.cinder.snapshots.clear()
        self.delete()
        self.assertDeleted()

    def test_run_again(self) -> None:
        self.delete()
        self.delete()
        self.assertDeleted()

    def test_crash_before_the_bank_forgets(self) -> None:
        with self.dying_at(lambda key, value: value == 'deleted'):
            self.delete()
        self.delete()
        self.assertDeleted()

    def test_crash_in_the_middle_of_the_deletion(self) -> None:
        def crash() -> None:
            raise Crash

        with (
            self.assertRaisesCrash(),
            mock.patch.object(watcher.Watcher, 'wait', side_effect=lambda *args: crash()),
        ):
            self.delete()
        self.assertEqual('deleting', self.snapshot['status'])
        self.assertIn('metadata', self.in_bank())
        self.delete()
        self.assertDeleted()

    # Snapshots that will not go

    def test_busy_then_gone(self) -> None:
        self.cinder.busy_snapshots[self.snapshot['id']] = 2
        self.delete()
        self.assertDeleted()
        self.assertEqual(3, self.requests('DELETE', '/snapshots/{id}'))

    def test_busy_until_the_end(self) -> None:
        self.timeouts['delete_timeout'] = 0.1
        self.cinder.busy_snapshots[self.snapshot['id']] = 1000
        reason = self.fails_to_delete()
        self.assertIn('is in status available after it was deleted: Snapshot is busy.', reason)

    def test_deletion_that_never_ends(self) -> None:
        self.timeouts['delete_timeout'] = 0.5  # a machine that is busy needs some of it
        self.cinder.settle_to['deletion'] = None
        self.assertIn('is still in status deleting', self.fails_to_delete())

    def test_creating_then_gone(self) -> None:
        self.snapshot['status'] = 'creating'
        self.cinder.settle_later(self.snapshot['id'], 'available', looks=4)
        self.delete()
        self.assertDeleted()

    def test_ready_right_after_the_deletion_was_refused(self) -> None:
        self.snapshot['status'] = 'backing-up'
        self.cinder.faults = [
            Fault(
                'GET',
                self.snapshot['id'],
                times=1,
                hook=(lambda: self.snapshot.update(status='available')),
            )
        ]
        self.delete()
        self.assertDeleted()

    def test_creating_for_ever(self) -> None:
        self.timeouts['delete_timeout'] = 0.05
        self.snapshot['status'] = 'creating'
        self.assertIn('while Cinder is working on it', self.fails_to_delete())

    def test_error_deleting(self) -> None:
        self.cinder.settle_to['deletion'] = 'error_deleting'
        self.cinder.error_message = 'delete snapshot: the backend said no'
        reason = self.fails_to_delete()
        self.assertIn('is in status error_deleting', reason)
        self.assertIn('delete snapshot: the backend said no', reason)

    def test_error_deleting_again(self) -> None:
        self.snapshot['status'] = 'error_deleting'
        self.assertIn('is in status error_deleting', self.fails_to_delete())
        self.assertEqual(1, self.requests('DELETE', '/snapshots/{id}'))

    def test_refused_for_good(self) -> None:
        self.cinder.faults = [Fault('DELETE', status=400)]
        self.assertIn('Cinder answered 400', self.fails_to_delete())
        self.assertEqual(2, self.requests('DELETE', '/snapshots/{id}'))

    def test_forbidden(self) -> None:
        self.cinder.faults = [Fault('DELETE', status=403)]
        reason = self.fails(exception.DeleteResourceFailed, self.delete)
        self.assertIn('Cinder answered 403', reason)
        self.assertIn('snapshot_id', self.in_bank()['metadata'])

    def test_a_failed_deletion_can_be_run_again(self) -> None:
        self.cinder.settle_to['deletion'] = 'error_deleting'
        self.fails_to_delete()
        self.cinder.settle_to['deletion'] = 'gone'
        self.snapshot['status'] = 'error'  # an admin's reset-state
        self.delete()
        self.assertDeleted()

    # Faults of HTTP

    def test_faults_of_the_request(self) -> None:
        for fault in ({'status': 429}, {'status': 500}, {'status': 503}, {'reset': 'before'}):
            self.cinder.faults.append(Fault('DELETE', times=1, **fault))
        self.delete()
        self.assertDeleted()
        self.assertEqual(5, self.requests('DELETE', '/snapshots/{id}'))

    def test_lost_answer(self) -> None:
        self.cinder.looks_until_settled = 3
        self.cinder.faults = [Fault('DELETE', reset='after', times=1)]
        self.delete()
        self.assertDeleted()

    def test_lost_answer_of_a_deletion_that_is_done_at_once(self) -> None:
        self.cinder.looks_until_settled = 0
        self.cinder.faults = [Fault('DELETE', reset='after', times=1)]
        self.delete()
        self.assertDeleted()

    def test_faults_of_the_lists(self) -> None:
        for fault in ({'status': 500}, {'reset': 'before'}, {'status': 503}):
            self.cinder.faults.append(Fault('GET', '/snapshots', times=1, **fault))
        self.cinder.faults.insert(1, Fault('GET', '/snapshots', times=1))
        self.delete()
        self.assertDeleted()

    def test_patience_with_the_list_is_not_spent_by_each_volume(self) -> None:
        """All wait for one list; when it fails, each must not begin anew, one by one."""
        clock = self.use_clock()
        volumes = [self.volume, *(self.cinder.add_volume() for _ in range(7))]
        self.cinder.faults = [Fault('GET', '/snapshots/detail', status=503)]
        plugin = self.new_plugin()

        def delete(volume: dict[str, Any]) -> str:
            return str(
                self.assertRaises(
                    exception.DeleteResourceFailed,
                    self.delete,
                    volume_id=volume['id'],
                    plugin=plugin,
                )
            )

        with futures.ThreadPoolExecutor(len(volumes)) as pool:
            for reason in pool.map(delete, volumes):
                self.assertIn('Cinder answered 503', reason)
        self.assertLessEqual(clock.now, 300)
        self.assertIn('snapshot_id', self.in_bank()['metadata'])

    def test_the_list_is_tried_again_by_the_next_job(self) -> None:
        self.use_clock()
        self.cinder.faults = [Fault('GET', '/snapshots/detail', status=503)]
        self.fails(exception.DeleteResourceFailed, self.delete)
        self.cinder.faults = []
        self.delete()
        self.assertDeleted()


class RequestCountTest(SnapshotPluginTestCase):
    """N volumes cost N requests and a handful of lists, not N times the number of looks.

    Each thing is shown twice before it has settled, so that waiting for each by itself would
    cost 2 * N reads. A list an interval costs what the time is long: with 32 side by side at
    most N / 4 of them, with a wide margin for a slow machine.
    """

    def setUp(self) -> None:
        super().setUp()
        self.useFixture(fixtures.MockPatchObject(watcher, 'FIRST_INTERVAL', 0.05))

    def side_by_side(self, kind: str, volumes: list[dict[str, Any]], **kwargs: Any) -> None:
        plugin = self.new_plugin()
        self.cinder.requests.clear()
        with futures.ThreadPoolExecutor(THREADS) as pool:
            list(
                pool.map(
                    lambda volume: self.run_job(kind, volume['id'], plugin=plugin, **kwargs),
                    volumes,
                )
            )

    def assertRequests(
        self, method: str, path: str, lists: str, number: int, more: int = 0
    ) -> None:
        counts = dict(self.cinder.requests)
        self.assertEqual(number, counts.pop((method, path), 0))
        listed = counts.pop(('GET', lists), 0)
        looks = [counts.pop(('GET', f'/volumes/{each}'), 0) for each in ('{id}', 'detail')]
        self.assertEqual({}, counts)
        # What volumes are like is asked of one, which may be the first of many, and then of all.
        self.assertLessEqual(max(looks), 1 if path == '/snapshots' else 0)
        self.assertGreaterEqual(listed, 2, 'nothing was waited for')
        bound = 2 + more if number == 1 else max(8, number // 2) + more
        self.assertLessEqual(listed, bound, f'{listed} lists for {number} volumes')

    def _protect_restore_and_delete(self, number: int) -> None:
        volumes = [self.cinder.add_volume(name=f'v{i}') for i in range(number)]
        self.side_by_side('protect', volumes)
        self.assertRequests('POST', '/snapshots', '/snapshots/detail', number)
        self.assertEqual(
            {volume['id'] for volume in volumes},
            {item['volume_id'] for item in self.cinder.snapshots.values()},
        )
        record, new_resources = RecordOfUse(), {}
        self.side_by_side('restore', volumes, restore=record, new_resources=new_resources)
        # What the bank names is looked for in one list.
        self.assertEqual(1, self.cinder.requests.pop(('GET', '/snapshots/detail')))
        self.assertRequests('POST', '/volumes', '/volumes/detail', number)
        self.assertEqual({volume['id'] for volume in volumes}, set(new_resources))
        self.assertEqual(number, len(set(new_resources.values())))
        self.side_by_side('delete', volumes)
        self.assertRequests('DELETE', '/snapshots/{id}', '/snapshots/detail', number, more=1)
        self.assertEqual({}, self.cinder.snapshots)

    def test_1(self) -> None:
        self._protect_restore_and_delete(1)

    def test_20(self) -> None:
        self._protect_restore_and_delete(20)

    def test_200(self) -> None:
        self._protect_restore_and_delete(200)
