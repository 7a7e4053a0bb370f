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

"""Chains of requests of which most are done: what lies behind the checks of a request.

The values are those that the schemas let through, as odd as they may be.
"""

import json
import re
from collections.abc import Callable
from typing import Any
from urllib import parse

from hypothesis import strategies as st

from karbor.tests.base import OTHER_PROJECT_ID, PROJECT_ID, PROVIDER_ID, new_id
from karbor.tests.functional import fuzz_requests as odd

Draw = Callable[[st.SearchStrategy[Any]], Any]
Ask = Callable[..., Any]

_CHARACTERS = st.characters(codec='utf-8', exclude_categories=('Cs', 'Cc'))
NAMES = st.one_of(
    st.text(_CHARACTERS, max_size=20),
    st.text(_CHARACTERS, min_size=200, max_size=254),
    st.sampled_from(
        (
            '%',
            '_%\\',
            "' OR ''='",
            '\U0001f600' * 127,
            '%(id)s',
            '\u202eabc',
            'ß',
            '{0}',
            'a,b',
            'a&b=c',
            '<b>',
            '\\u0000',
            '\x85',
            '\u2028',
        )
    ),
).map(lambda text: f'n{text}')
DESCRIPTIONS = st.one_of(st.none(), st.just(''), NAMES)


def _clean(value: Any) -> Any:
    """The value without what the API refuses wherever it is."""
    if isinstance(value, str):
        return value.replace('\0', '').encode('utf-8', 'ignore').decode()[:5000]
    if isinstance(value, list):
        return [_clean(item) for item in value]
    if isinstance(value, dict):
        return {_clean(key): _clean(item) for key, item in value.items()}
    return value


VALUES = st.one_of(odd.VALUES.map(_clean), odd.VALUES.map(_clean), odd.DEEP_VALUES)
METADATA = st.dictionaries(
    st.text('aZ09-_:.# ', min_size=1, max_size=30),
    st.one_of(st.booleans(), odd.NUMBERS, odd.TEXTS.map(_clean)),
    max_size=4,
)

_CRON_FIELDS = st.one_of(
    st.sampled_from(
        (
            '*',
            '0',
            '*/15',
            '1-5',
            '0,30',
            'L',
            '1#2',
            '5L',
            'SUN',
            'JAN',
            '*/7',
            '?',
            '59',
            '23',
            '31',
            '29',
            '2',
            '6',
            'W',
            '15W',
            '0-59/7',
            '7',
            'MON-FRI',
        )
    ),
    st.text('0123456789*/-,L#', max_size=6),
)
_CRON = st.lists(_CRON_FIELDS, min_size=5, max_size=5).map(' '.join)
_SIGNED = st.integers(-400, 400).map(str)
_PARTS = st.one_of(
    st.tuples(
        st.sampled_from(
            (
                'INTERVAL',
                'COUNT',
                'BYMONTH',
                'BYMONTHDAY',
                'BYYEARDAY',
                'BYWEEKNO',
                'BYHOUR',
                'BYMINUTE',
                'BYSECOND',
                'BYSETPOS',
                'WKST',
                'UNTIL',
                'X',
                'RSCALE',
                'SKIP',
            )
        ),
        st.one_of(
            _SIGNED,
            st.integers(1, 12).map(str),
            st.lists(st.integers(-60, 60).map(str), min_size=1, max_size=5).map(','.join),
            st.sampled_from(
                (
                    'MO',
                    '20300101',
                    '20300101T000000Z',
                    '99991231',
                    '',
                    '5L',
                    '1.5',
                    '9' * 30,
                    '٣',
                    '00010101',
                    'SU,SU',
                    '1_0',
                    '+1',
                )
            ),
        ),
    ),
    st.tuples(
        st.just('BYDAY'),
        st.lists(
            st.sampled_from(
                ('MO', 'TU', 'WE', 'SU', '1MO', '-1FR', '5SA', '+2TH', '53MO', '54MO', '0MO', 'XX')
            ),
            min_size=1,
            max_size=4,
        ).map(','.join),
    ),
)
_RULES = st.tuples(
    st.sampled_from(('YEARLY', 'MONTHLY', 'WEEKLY', 'DAILY', 'HOURLY', 'MINUTELY', 'SECONDLY')),
    st.lists(_PARTS, max_size=4),
).map(
    lambda given: ';'.join([f'FREQ={given[0]}', *(f'{name}={value}' for name, value in given[1])])
)
_CALENDARS = st.tuples(
    st.sampled_from(
        (
            'BEGIN:VEVENT\nRRULE:{}\nEND:VEVENT',
            'BEGIN:VCALENDAR\\nBEGIN:VEVENT\\nRRULE:{}\\nEND:VEVENT\\nEND:VCALENDAR',
            'BEGIN:VEVENT\r\nDTSTART:20200101T000000Z\r\nRRULE:{}\r\nEND:VEVENT',
        )
    ),
    _RULES,
).map(lambda given: given[0].format(given[1]))
_TIMES = st.one_of(
    st.sampled_from(
        (
            '2030-01-01 00:00:00',
            '2999-12-31T23:59:59Z',
            '1970-01-01 00:00:00',
            '2030-03-31T02:30:00+01:00',
            '2030-01-01 00:00:00.5+23:59',
            '9999-12-31 23:59:59',
            '0001-01-01T00:00:00+14:00',
            '2030-02-30 00:00:00',
        )
    ),
    st.datetimes().map(str),
)
_WINDOWS = st.sampled_from((900, '900', 1800, 60, -1, '9' * 400, 10**300, 900.5, True))
_ZONES = st.sampled_from(
    (
        'UTC',
        'Europe/Berlin',
        'Australia/Lord_Howe',
        'America',
        'Factory',
        'posixrules',
        'Etc/GMT+12',
        '../etc/passwd',
        'Asia/Kathmandu',
        '',
        'localtime',
        'right/UTC',
        'A' * 40,
        'Pacific/Apia',
        'leapseconds',
    )
)
_HOW = {
    'start_time': _TIMES,
    'end_time': _TIMES,
    'window': _WINDOWS,
    'timezone': _ZONES,
    'catch_up': st.sampled_from(('latest', 'skip', 'latest', 'all', '')),
    'jitter': st.sampled_from((0, 1, '900', 900, 901, -1, '', 10**300, 0.5, True, '٣')),
}
TRIGGERS = st.fixed_dictionaries(
    {'format': st.just('crontab'), 'pattern': _CRON},
    optional=_HOW,
) | st.fixed_dictionaries({'format': st.just('calendar'), 'pattern': _CALENDARS}, optional=_HOW)
_GOOD_TRIGGER = {'format': 'crontab', 'pattern': '0 9 * * *'}

_COUNTS = st.sampled_from((1, 2, '3', 999999, 0, '0'))
_GOOD_RULES = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(
            (
                'keep_last',
                'keep_hourly',
                'keep_daily',
                'keep_weekly',
                'keep_monthly',
                'keep_yearly',
            ),
            _COUNTS,
        ),
        'keep_within': st.sampled_from(('1h', '14d', '99999w')),
        'max_backups': st.sampled_from((1, '2', 5, -1, '-999999999', 0, 999999999)),
        'retention_duration': st.sampled_from((1, '14', -1, 0, 999999999)),
    },
)
_SCOPES = st.sampled_from(('plan', 'operation'))
_CHANGES = st.builds(
    lambda rules, others: {**rules, **others},
    _GOOD_RULES,
    st.fixed_dictionaries(
        {},
        optional={
            'retention_scope': _SCOPES,
            'timezone': st.sampled_from(('UTC', 'Europe/Berlin')),
        },
    ),
)
_ODD_RULES = st.dictionaries(
    st.sampled_from(
        (
            'keep_last',
            'keep_daily',
            'keep_yearly',
            'keep_within',
            'max_backups',
            'retention_duration',
            'timezone',
            'overlap',
            'retention_scope',
        )
    ),
    VALUES,
    min_size=1,
    max_size=3,
)

_SETTLED = ('available', 'error', 'error-deleting')
_CHECKPOINTS = f'/providers/{PROVIDER_ID}/checkpoints'


def _query(**parameters: Any) -> str:
    return '?' + parse.urlencode(parameters, errors='surrogatepass')


class Chains:
    """What users do, one thing after another.

    :param ask: sends a request: method, path, body and ``caller``; returns the body of an
        answer, or None when it is refused.
    :param report: is told what does not hold: kind, operation and text.
    :param ended: waits for the jobs.
    :param volumes: ids of volumes that there are.
    """

    def __init__(
        self,
        ask: Ask,
        report: Callable[[str, str, str], None],
        ended: Callable[[], None],
        volumes: list[str],
    ) -> None:
        self._ask, self._report, self._ended = ask, report, ended
        self._volumes = volumes

    def run(self, draw: Draw) -> None:
        draw(
            st.sampled_from(
                (self._protect, self._schedule, self._schedule, self._look, self._administer)
            )
        )(draw)

    def _shown(self, path: str, key: str, wanted: dict[str, Any]) -> dict[str, Any] | None:
        """What a reader sees has to be what was asked for."""
        answer = self._ask('GET', path, caller='reader')
        if answer is None:
            return None
        shown = answer[key]
        for name, value in wanted.items():
            if shown.get(name) != value:
                self._report(
                    'not shown as it was asked for',
                    f'{path.split("/")[1]} {name}',
                    f'{value!r:.500} -> {shown.get(name)!r:.500}',
                )
        return shown

    def _plan(self, draw: Draw) -> dict[str, Any] | None:
        volume = odd.pick(self._volumes, draw(odd.CHOICES))
        resource = {'id': volume, 'type': odd.VOLUME, 'name': draw(NAMES)}
        extra_info = draw(st.one_of(st.none(), VALUES))
        if extra_info:
            resource['extra_info'] = extra_info
        wanted = {
            'name': draw(NAMES),
            'description': draw(DESCRIPTIONS),
            'provider_id': PROVIDER_ID,
            'resources': [resource],
            'parameters': {
                odd.VOLUME: {
                    'snapshot_name': draw(NAMES),
                    'description': draw(NAMES),
                    'force': draw(st.sampled_from((True, 'false', 'yes', False))),
                }
            },
        }
        answer = self._ask('POST', '/plans', {'plan': wanted}, caller='member')
        if answer is None:
            return None
        del wanted['parameters']
        return self._shown(f'/plans/{answer["plan"]["id"]}', 'plan', wanted)

    def _protect(self, draw: Draw) -> None:
        plan = self._plan(draw)
        if plan is None:
            return
        path = f'/plans/{plan["id"]}'
        changes = {
            'name': draw(NAMES),
            'description': draw(DESCRIPTIONS),
            'status': draw(st.sampled_from(('started', 'suspended'))),
        }
        values = {odd.VOLUME: {'snapshot_name': draw(NAMES), 'description': '{time}'}}
        self._ask('PUT', path, {'plan': {'parameters': values}}, caller='member')
        if self._ask('PUT', path, {'plan': changes}, caller='member'):
            self._shown(path, 'plan', changes)
        self._found('/plans', 'plans', plan['id'], name=changes['name'][:40])
        self._ask('POST', f'{_CHECKPOINTS}/action', {'copy': {'plan_id': plan['id']}})
        made = self._ask(
            'POST',
            _CHECKPOINTS,
            {'checkpoint': {'plan_id': plan['id'], 'extra_info': draw(METADATA)}},
            caller='member',
        )
        if made is None:
            return
        checkpoint = f'{_CHECKPOINTS}/{made["checkpoint"]["id"]}'
        self._ask('DELETE', checkpoint)  # too early, as a rule
        self._ended()
        self._ask('GET', checkpoint, caller='reader')
        self._ask(
            'PUT',
            checkpoint,
            {
                'os-resetState': {
                    'state': draw(st.sampled_from(('available', 'available', 'available', 'error')))
                }
            },
        )
        self._use(draw, made['checkpoint']['id'])
        self._pin(made['checkpoint']['id'])
        self._preview(draw, plan['id'])
        self._found(_CHECKPOINTS, 'checkpoints', made['checkpoint']['id'], plan_id=plan['id'])
        self._logs(made['checkpoint']['id'])
        if draw(st.booleans()):
            self._ask('DELETE', checkpoint, caller='member')
        self._ended()
        self._ask('GET', checkpoint)
        if draw(st.booleans()):
            self._ask('DELETE', path, caller='member')

    def _pin(self, checkpoint_id: str) -> None:
        path = f'{_CHECKPOINTS}/{checkpoint_id}'
        for method, is_pinned in (('PUT', True), ('DELETE', False)):
            if self._ask(method, f'{path}/pin', caller='member') is not None:
                self._shown(path, 'checkpoint', {'pinned': is_pinned})

    def _preview(self, draw: Draw, plan_id: str) -> None:
        """It tells of just the checkpoints that nothing makes or deletes."""
        path = f'/plans/{plan_id}/retention'
        self._ask('POST', path, {'retention': draw(_ODD_RULES)}, caller='reader')
        told = self._ask('POST', path, {'retention': draw(_GOOD_RULES)}, caller='reader')
        listed = self._ask('GET', _CHECKPOINTS + _query(plan_id=plan_id), caller='reader')
        if told and listed and 'checkpoints_links' not in listed:
            verdicts = told['retention']['kept'] + told['retention']['removed']
            settled = {item['id'] for item in listed['checkpoints'] if item['status'] in _SETTLED}
            if settled != {item['checkpoint_id'] for item in verdicts}:
                self._report('preview is not of what is there', path, f'{told} {listed}')
            self._check_verdicts(told, path)

    def _check_verdicts(self, told: dict[str, Any], path: str) -> None:
        for name in ('kept', 'removed'):
            for item in told['retention'][name]:
                if not item['reasons']:
                    self._report('preview without a reason', path, str(told))
                if bool(item['recovery_points_removed']) > bool(item['removal_reasons']):
                    self._report('removal without a reason', path, str(told))
                if name == 'removed' and item['recovery_points_kept']:
                    self._report('checkpoint that goes before all of it does', path, str(told))

    def _use(self, draw: Draw, checkpoint_id: str) -> None:
        for kind, more in (
            (
                'restore',
                {'restore_target': draw(DESCRIPTIONS), 'restore_auth': draw(st.none() | METADATA)},
            ),
            ('verification', {}),
        ):
            parameters = {odd.VOLUME: {'restore_name': draw(NAMES)}} if more else {}
            made = self._ask(
                'POST',
                f'/{kind}s',
                {
                    kind: {
                        'provider_id': PROVIDER_ID,
                        'checkpoint_id': checkpoint_id,
                        'parameters': parameters,
                        **more,
                    }
                },
                caller='member',
            )
            if made:
                self._ended()
                path = f'/{kind}s/{made[kind]["id"]}'
                self._shown(path, kind, {'checkpoint_id': checkpoint_id, 'parameters': parameters})
                self._found(f'/{kind}s', f'{kind}s', made[kind]['id'], checkpoint_id=checkpoint_id)

    def _logs(self, checkpoint_id: str) -> None:
        logs = self._ask('GET', '/operation_logs' + _query(checkpoint_id=checkpoint_id))
        if logs and logs['operation_logs']:
            self._ask('GET', f'/operation_logs/{logs["operation_logs"][0]["id"]}')

    def _found(self, path: str, collection: str, row_id: str, **filters: Any) -> None:
        """A list, by pages of one, has what its filters fit."""
        query = path + _query(**filters)
        found = []
        while query and len(found) < 5:
            answer = self._ask('GET', query + '&limit=1' * ('limit' not in query), caller='reader')
            if answer is None:
                return
            found += [item['id'] for item in answer[collection]]
            links = answer.get(f'{collection}_links')
            query = links[0]['href'].partition(PROJECT_ID)[2] if links else None
        if row_id not in found and not query:
            self._report('not found by its filter', path, f'{filters}: {found}')

    def _schedule(self, draw: Draw) -> None:
        given = draw(TRIGGERS)
        made = self._ask(
            'POST',
            '/triggers',
            {'trigger_info': {'name': draw(NAMES), 'type': 'time', 'properties': given}},
            caller='member',
        )
        made = made or self._ask(
            'POST',
            '/triggers',
            {'trigger_info': {'name': draw(NAMES), 'type': 'time', 'properties': _GOOD_TRIGGER}},
            caller='member',
        )
        if made is None:
            return
        path = f'/triggers/{made["trigger_info"]["id"]}'
        self._ask('PUT', path, {'trigger_info': {'name': draw(NAMES)}}, caller='member')
        self._ask('PUT', path, {'trigger_info': {'properties': draw(TRIGGERS)}}, caller='member')
        shown = self._ask('GET', path, caller='reader')
        if shown:  # what is shown can be sent again
            properties = shown['trigger_info']['properties']
            self._ask('PUT', path, {'trigger_info': {'properties': properties}})
        self._ask('GET', '/triggers' + _query(name='n', sort='name:asc'))
        self._operation(draw, path)
        self._ask('DELETE', path, caller='member')
        self._as_one(draw, given)

    def _as_one(self, draw: Draw, given: Any) -> None:
        """A schedule, whose two parts come and go together."""
        plan = self._plan(draw)
        if plan is None:
            return
        fields = {'name': draw(NAMES), 'plan_id': plan['id'], 'retention': draw(_GOOD_RULES)}
        for times in (given, _GOOD_TRIGGER):
            body = {'schedule': {**times, **fields}}
            told = self._ask('POST', '/schedules/preview', body, caller='reader')
            made = self._ask('POST', '/schedules', body, caller='member')
            if made is not None:
                if told is None:
                    self._report('made, but not previewed', '/schedules', f'{body}')
                break
        if made is None:
            return
        path = f'/schedules/{made["schedule"]["id"]}'
        self._shown(path, 'schedule', fields)
        for changes in (
            draw(TRIGGERS),
            {'retention': {**draw(_GOOD_RULES), 'keep_last': None}},
            {'retention': draw(_ODD_RULES)},
        ):
            changed = self._ask('PUT', path, {'schedule': changes}, caller='member')
            if changed:
                self._shown(path, 'schedule', {'trigger_id': changed['schedule']['trigger_id']})
        self._ask('GET', '/schedules' + _query(plan_id=plan['id'], enabled='true'))
        self._ask('DELETE', path, caller='member')
        self._ask('DELETE', f'/triggers/{made["schedule"]["trigger_id"]}')  # it is gone
        self._ask('DELETE', f'/plans/{plan["id"]}', caller='member')

    def _operation(self, draw: Draw, trigger: str) -> None:
        plan = self._plan(draw)
        if plan is None:
            return
        kind = draw(st.sampled_from(('protect', 'retention_protect', 'retention_protect')))
        made = self._ask(
            'POST',
            '/scheduled_operations',
            {
                'scheduled_operation': {
                    'name': draw(NAMES),
                    'description': draw(DESCRIPTIONS),
                    'operation_type': kind,
                    'trigger_id': trigger.rpartition('/')[2],
                    'operation_definition': self._definition(draw, plan['id'], kind),
                }
            },
            caller='member',
        )
        if made is None:
            return
        path = f'/scheduled_operations/{made["scheduled_operation"]["id"]}'
        self._shown(path, 'scheduled_operation', made['scheduled_operation'])
        self._ask('DELETE', f'/plans/{plan["id"]}', caller='member')  # it is needed
        self._ask('DELETE', trigger, caller='member')  # so is this
        self._ask(
            'GET',
            '/scheduled_operations' + _query(trigger_id=trigger.rpartition('/')[2]),
            caller='reader',
        )
        self._change(draw, made['scheduled_operation'])
        self._run(draw, path)
        if draw(st.booleans()):
            self._ask('DELETE', path, caller='member')
            self._ask('DELETE', f'/plans/{plan["id"]}', caller='member')

    @staticmethod
    def _definition(draw: Draw, plan_id: str, kind: str) -> Any:
        definition = {
            'provider_id': PROVIDER_ID,
            'plan_id': plan_id,
            'overlap': draw(st.sampled_from(('skip', 'queue'))),
        }
        if kind == 'retention_protect':
            definition |= draw(_GOOD_RULES)
            definition |= draw(st.fixed_dictionaries({}, optional={'retention_scope': _SCOPES}))
        if draw(st.booleans()):
            return ','.join(f'{key} = {value}' for key, value in definition.items())
        return {**draw(st.dictionaries(NAMES, VALUES, max_size=3)), **definition}

    def _change(self, draw: Draw, operation: dict[str, Any]) -> None:
        path = f'/scheduled_operations/{operation["id"]}'
        self._ask(
            'PUT',
            path,
            {
                'scheduled_operation': {
                    'operation_definition': {
                        **operation['operation_definition'],
                        **draw(_ODD_RULES),
                    }
                }
            },
            caller='member',
        )
        changes = draw(
            st.fixed_dictionaries(
                {}, optional={'name': NAMES, 'description': DESCRIPTIONS, 'enabled': st.booleans()}
            )
        )
        if self._ask('PUT', path, {'scheduled_operation': changes}, caller='member'):
            self._shown(path, 'scheduled_operation', changes)
        definition = self._definition(
            draw, operation['operation_definition']['plan_id'], operation['operation_type']
        )
        before = self._ask('GET', path, caller='reader')
        changed = self._ask(
            'PUT',
            path,
            {'scheduled_operation': {'operation_definition': definition}},
            caller='member',
        )
        if before and changed and not isinstance(definition, str):
            expected = before['scheduled_operation']['operation_definition'] | definition
            for name in [name for name, value in definition.items() if value is None]:
                del expected[name]
            self._shown(
                path,
                'scheduled_operation',
                {
                    'operation_type': operation['operation_type'],
                    'operation_definition': expected,
                },
            )

    def _run(self, draw: Draw, path: str) -> None:
        """Once or more; then a retention has left nothing that is to go."""
        logs = []
        for _ in range(draw(st.integers(1, 3))):
            log = self._ask(
                'POST',
                f'{path}/action',
                {'run': draw(st.sampled_from(({}, None)))},
                caller='member',
            )
            logs += [log] if log else []
            if draw(st.booleans()):
                self._ended()
        self._ended()
        shown = self._ask('GET', path, caller='reader')
        if not logs or shown is None:
            return
        for log in logs:
            ended = self._ask('GET', f'/operation_logs/{log["operation_log"]["id"]}')
            if ended and ended['operation_log']['status'] != 'available':
                self._report('run that failed', path.split('/')[1], str(ended))
        self._check_retention(draw, shown['scheduled_operation'])

    def _check_retention(self, draw: Draw, operation: dict[str, Any]) -> None:
        path = f'/scheduled_operations/{operation["id"]}/retention'
        self._ask('POST', path, {'retention': draw(_ODD_RULES)}, caller='reader')
        changed = self._ask('POST', path, {'retention': draw(_CHANGES)}, caller='reader')
        if changed:
            self._check_verdicts(changed, path)
        if operation['operation_type'] != 'retention_protect':
            return
        told = self._ask('POST', path, {'retention': {}}, caller='reader')
        if told and (
            told['retention']['removed']
            or any(item['recovery_points_removed'] for item in told['retention']['kept'])
        ):
            self._report('retention has left what is to go', path, f'{operation} {told}')

    def _look(self, draw: Draw) -> None:
        self._ask('GET', '/providers' + _query(name=draw(NAMES)))
        self._ask('GET', f'/providers/{PROVIDER_ID}', caller='reader')
        self._ask('GET', '/protectables', caller='reader')
        for kind, row_id in (
            (odd.VOLUME, odd.pick(self._volumes, draw(odd.CHOICES))),
            (odd.PROJECT, PROJECT_ID),
        ):
            parameters = json.dumps(draw(st.dictionaries(NAMES, VALUES, max_size=2)))
            self._ask('GET', f'/protectables/{kind}', caller='reader')
            self._ask(
                'GET',
                f'/protectables/{kind}/instances'
                + _query(limit=draw(st.integers(1, 3)), parameters=parameters),
                caller='reader',
            )
            self._ask(
                'GET',
                f'/protectables/{kind}/instances/{row_id}' + _query(parameters=parameters),
                caller='reader',
            )
        for kind in (
            'plans',
            'restores',
            'verifications',
            'triggers',
            'scheduled_operations',
            'operation_logs',
            _CHECKPOINTS[1:],
        ):
            self._ask(
                'GET',
                f'/{kind}'
                + _query(
                    all_tenants=1,
                    limit=draw(st.integers(1, 60)),
                    sort=draw(st.sampled_from(('id', 'created_at:asc', 'id:asc,created_at'))),
                ),
                caller=draw(st.sampled_from(('admin', 'manager', 'reader'))),
            )

    def _administer(self, draw: Draw) -> None:
        limits = {
            'plans': draw(st.integers(30, 2**31 - 1)),
            'checkpoints': '-1',
            'schedules': draw(st.integers(100, 999999999).map(str)),
            'triggers': -1,
            'verifications': draw(st.integers(100_000, 999999999)),
            'jobs': '-1',
        }
        project_id = draw(st.sampled_from((PROJECT_ID, OTHER_PROJECT_ID, new_id())))
        quota = f'/quotas/{project_id}'
        self._ask('PUT', quota, {'quota': limits}, caller='admin')
        for part in ('', '/detail', '/defaults'):
            self._ask('GET', quota + part, caller='admin')
            self._ask('GET', f'/quotas/{PROJECT_ID}{part}', caller='reader')
        self._ask('DELETE', quota, caller='admin')
        name = parse.quote(re.sub('[/.]', '', draw(NAMES)))
        self._ask('PUT', f'/quota_classes/{name}', {'quota_class': limits}, caller='admin')
        self._ask('GET', f'/quota_classes/{name}', caller='admin')
        services = self._ask(
            'GET', '/os-services', caller=draw(st.sampled_from(('admin', 'service')))
        )
        if services:
            service = odd.pick(services['services'], draw(odd.CHOICES))
            self._ask(
                'PUT',
                f'/os-services/{service["id"]}',
                {'status': 'disabled', 'disabled_reason': draw(DESCRIPTIONS)},
                caller='admin',
            )
