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

"""Requests that make little sense, as hypothesis strategies.

Each is a request that would be done, with something wrong in its path, query, headers or body.
"""

import copy
import json
import random
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib import parse

from hypothesis import strategies as st
from oslo_config import cfg

from karbor.common import constants
from karbor.tests import personas
from karbor.tests.base import OTHER_PROJECT_ID, PROJECT_ID, PROVIDER_ID
from karbor.tests.functional import base
from karbor.tests.functional.fuzzing import STRANGERS, Request

VOLUME, PROJECT = constants.VOLUME_RESOURCE_TYPE, constants.PROJECT_RESOURCE_TYPE
MEGABYTE = 1024 * 1024
_LARGE_KINDS = 19
LARGE_BODIES = 2 * _LARGE_KINDS

# What goes into a path: own ids, those of another project, and whether either is found.
Ids = Mapping[str, Sequence[str]]
Draw = Callable[[st.SearchStrategy[Any]], Any]

TEXTS = st.one_of(
    st.text(max_size=30),
    st.text(st.characters(codec=None, categories=None), max_size=10),  # surrogates, too
    st.sampled_from(
        (
            '',
            ' ',
            '\0',
            'a\0b',
            '\ud800',
            '\udfff\ud800',
            '\U0001f600' * 255,
            'a' * 255,
            'a' * 256,
            'é' * 70000,
            '../../etc/passwd',
            '..%2f',
            '%s%n%(id)s',
            '{0.__class__}',
            '${jndi:ldap://x}',
            "' OR 1=1 --",
            '"; DROP TABLE plans',
            '%',
            '_',
            '\\',
            '%%%',
            '\u202e',
            '\ufeff',
            '\x7f',
            '\x85',
            '\u2028',
            'e\u0301',
            'İ',
            'ß',
            '٣',
            '\uff11\uff12',
            'null',
            'true',
            '-1',
            '1e309',
            'NaN',
            '0x10',
            '1_000',
            '9' * 5000,
            '\n',
            'a\r\nX: y',
            '()',
            '__proto__',
            'OS::Cinder::Volume',
            'nightly',
            'available',
            'started',
        )
    ),
)
NUMBERS = st.one_of(
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(
        (
            0,
            -1,
            1,
            2**31 - 1,
            2**31,
            -(2**31),
            2**63,
            -(2**63) - 1,
            2**64,
            10**400,
            10**4000,
            1e308,
            -1e308,
            5e-324,
            0.1,
            -0.0,
            1e22,
        )
    ),
)
LEAVES = st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(TEXTS, inner, max_size=4)),
    max_leaves=8,
)
# As deep as the API takes it, and MariaDB, and more.
DEEP_VALUES = st.builds(
    lambda depth, begin, end: json.loads(begin * depth + '1' + end * depth),
    st.sampled_from((10, 28, 30, 31, 32, 33, 40, 44, 45, 46, 47, 48, 49, 50)),
    *map(st.just, '[]'),
) | st.builds(
    lambda depth: json.loads('{"a":' * depth + '1' + '}' * depth), st.sampled_from((29, 31, 45, 47))
)

# Numbers, so that what is drawn does not depend on which ids there are.
CHOICES = st.integers(0, 2**31)


def _nested(depth: int, begin: str = '[', end: str = ']') -> str:
    return begin * depth + '1' + end * depth


# Text of bodies that are no JSON, or JSON as nobody expects.
ODD_JSON = st.one_of(
    st.text(max_size=50),
    st.builds(_nested, st.sampled_from((1, 49, 50, 51, 100, 1000, 100000))),
    st.builds(
        lambda depth: _nested(depth, '{"plan":', '}'),
        st.sampled_from((2, 48, 51, 990, 5000, 50000)),
    ),
    st.sampled_from(
        (
            '',
            ' ',
            '\0',
            'null',
            'true',
            '1',
            '"plan"',
            '[]',
            '{}',
            '[' * 100000,
            '{"a":' * 20000,
            '1' * 4300,
            '1' * 4301,
            '-' + '9' * 100000,
            '1e999',
            '-1e999',
            '1E400000000',
            'NaN',
            '-Infinity',
            '[1,]',
            '{"plan":{},}',
            '{"plan":1,"plan":{}}',
            "{'plan': {}}",
            '"\\ud800"',
            '{"\\u0000":1}',
            '{"plan":"\\udc00\\ud800"}',
            '{"plan": {"name": "\\u0000"}}',
            '\ufeff{}',
            '{} {}',
            '{"":{"":{}}}',
            '/* */ {}',
            '0x1',
            '00',
            '.5',
            '"\n"',
            '"\t"',
            '<?xml version="1.0"?><plan/>',
            'a=b&c=d',
            '--x\r\nContent-Disposition: form-data\r\n',
        )
    ),
)

ENCODINGS = ('utf-8', 'utf-8', 'utf-8', 'utf-8-sig', 'utf-16', 'utf-16-le', 'utf-32', 'latin-1')

TYPES = st.one_of(
    st.text(st.characters(max_codepoint=255), max_size=20),
    st.sampled_from(
        (
            'application/json',
            'application/json; charset=utf-8',
            'application/json; charset=utf-16',
            'application/json;charset=\xff',
            'APPLICATION/JSON',
            'application/json;',
            'application/json;;',
            'application/json, text/plain',
            'text/json',
            'text/plain',
            'application/xml',
            'application/msgpack',
            'application/x-msgpack',
            'application/x-www-form-urlencoded',
            'multipart/form-data',
            'multipart/form-data; boundary=x',
            'multipart/form-data; boundary=',
            'application/vnd.api+json',
            '*/*',
            'application/*',
            'json',
            '/',
            ';',
            '',
            ' ',
            'a/b/c',
            'application/json; q=0.5',
            'application/json; a="',
            'x' * 9000,
        )
    ),
)

LENGTHS = st.sampled_from(
    (
        '',
        '0',
        '1',
        '-1',
        'abc',
        '+5',
        ' 5',
        '5_0',
        '٣',
        '9' * 30,
        '1e3',
        '16777217',
        '5, 5',
        '0x5',
        '\xb2',
    )
)

HEADERS = st.one_of(
    st.tuples(st.just('Content-Type'), TYPES),
    st.tuples(st.just('Content-Length'), LENGTHS),
    st.tuples(
        st.sampled_from(
            (
                'Accept',
                'Accept-Language',
                'Accept-Encoding',
                'Accept-Charset',
                'Host',
                'Origin',
                'Access-Control-Request-Method',
                'Access-Control-Request-Headers',
                'Cookie',
                'Range',
                'If-Match',
                'If-None-Match',
                'If-Modified-Since',
                'Expect',
                'Transfer-Encoding',
                'X-Forwarded-Proto',
                'X-Forwarded-For',
                'X-Forwarded-Host',
                'X-Forwarded-Prefix',
                'Forwarded',
                'X-Openstack-Request-Id',
                'OpenStack-API-Version',
                'X-Auth-Token',
                'X-Storage-Token',
                'X-Service-Token',
                'X-Project-Id',
                'X-Roles',
                'X-User-Id',
                'X-Identity-Status',
                'X-Is-Admin-Project',
                'X-Tenant-Id',
                'X-Role',
                'X-Service-Roles',
                'X-Trust-Id',
                'X-HTTP-Method-Override',
                'Authorization',
                'Date',
                'Via',
                'Upgrade',
                'Connection',
                'Openstack.Request-Id',
                'Global-Request-Id',
            )
        ),
        st.one_of(
            st.text(st.characters(max_codepoint=255), max_size=30),
            st.sampled_from(
                (
                    '',
                    ' ',
                    '*/*',
                    'application/json',
                    'application/xml',
                    'a;q=x',
                    'http',
                    'https',
                    'javascript',
                    '1.2.3.4',
                    '::1',
                    '[',
                    '[::1',
                    ':',
                    ':99999',
                    'a:b',
                    'a' * 20000,
                    'example.org',
                    'evil"><script>',
                    'for="[2001:db8::1]:x";proto=https;host=h',
                    'for=;;=;',
                    'proto="',
                    'bytes=0-',
                    '"',
                    'admin',
                    'Confirmed',
                    OTHER_PROJECT_ID,
                    'chunked',
                    'gzip, chunked',
                    '100-continue',
                    'PUT',
                    'DELETE',
                    'GET',
                    'karbor 1.0',
                    'data-protect 99.0',
                    'Thu, 01 Jan 1970 00:00:00 GMT',
                    'yesterday',
                    'a=b; c="d',
                    f'req-{"0" * 8}-0000-0000-0000-{"0" * 12}',
                    'req-1\x01',
                    '\xff\xfe',
                    '\0',
                )
            ),
        ),
    ),
)

METHODS = st.sampled_from(
    (
        'HEAD',
        'OPTIONS',
        'PATCH',
        'TRACE',
        'CONNECT',
        'PROPFIND',
        'get',
        'GET',
        'PUT',
        'POST',
        'DELETE',
        'G%20T',
        'ÄÖ',
    )
)

_ODD_SEGMENTS = (
    '',
    '.',
    '..',
    '%2e%2e',
    '..%2f..',
    '%2f',
    '%2F%2F',
    '%00',
    '%ff',
    '%ed%a0%80',
    '%0a',
    '%0d%0a',
    '%20',
    '%252f',
    '%',
    '%zz',
    '%c0%af',
    '{plan_id}',
    '*',
    ';a=b',
    'action',
    'detail',
    'null',
    '-1',
    '0',
    '1',
    '999999999',
    '9999999999',
    '%D9%A3',
    '%EF%BC%91',
    'default',
    '.json',
    'x.json',
    'a' * 255,
    'a' * 256,
    'a' * 10000,
    '%F0%9F%98%80' * 200,
    '00000000-0000-0000-0000-000000000000',
    '%27%20OR%20%271%27=%271',
    '%3Cscript%3E',
    '%25s%25(id)s',
    '%7B0.__class__%7D',
    'urn:uuid:x',
    'OS::Cinder::Volume',
    'OS%3A%3ACinder%3A%3AVolume',
    'OS::Keystone::Project',
    '%2e%2e%2fplans',
)


def segments(draw: Draw, ids: Ids, foreign: Ids, name: str) -> str:
    """One field of a path, percent-encoded."""
    choice, number = draw(st.integers(0, 19)), draw(CHOICES)
    if choice < 11 and ids.get(name):
        return parse.quote(pick(ids[name], number), safe=':')
    if choice < 14 and foreign.get(name):
        return pick(foreign[name], number)
    if choice == 14:
        return str(uuid.UUID(int=number << 64 | 1))
    if choice in (15, 16) and ids.get(name):
        return pick(_forms(pick(ids[name], number)), draw(CHOICES))
    if choice == 17:
        return parse.quote(draw(TEXTS)[:200].encode('utf-8', 'surrogatepass'), safe='')
    return pick(_ODD_SEGMENTS, number)


def pick(values: Sequence[Any], number: int) -> Any:
    return values[number % len(values)]


def _forms(row_id: str) -> list[str]:
    """An id as others may write it."""
    return [
        row_id.upper(),
        row_id.replace('-', ''),
        f'{{{row_id}}}',
        f'urn:uuid:{row_id}',
        f'{row_id}%2f..',
        f'{row_id}%00',
        f'{row_id}%0a',
        f'%20{row_id}',
        f'{row_id}.json',
        f'{row_id}/',
        f'{row_id}//',
        f'..%2f{row_id}',
        f'x/../{row_id}',
        f'-{row_id}-',
        '-'.join(row_id),
        f'{row_id};x',
        f'{row_id}?',
        parse.quote(row_id[::-1]),
    ]


def queries(draw: Draw, parameters: Sequence[str], ids: Ids) -> str:
    """A query string; often with what the operation knows."""
    form = draw(st.integers(0, 9))
    if form == 0:
        return draw(
            st.sampled_from(
                (
                    '&&==&',
                    '=',
                    '%',
                    '%zz=%',
                    'a' * 5000,
                    '&' * 20000,
                    'x=1&' * 3000,
                    '?',
                    '#',
                    'limit',
                    'limit=1&limit=2',
                    'limit[]=1',
                    'limit=1;sort=id',
                    '%00=%00',
                    '%ed%a0%80=%ff',
                    'name=' + 'a' * 60000,
                    'name=' + '%25' * 20000,
                    'sort=' + 'id,' * 2000,
                    'sort=' + 'id:asc,' * 500 + 'name',
                    'parameters=' + '%5B' * 4000,
                    'limit=1&a%26b=c%20d&%0d%0aX:=1',
                    'limit=1&é=ü&"=<>',
                    'parameters=' + '-' * 4000 + '1',
                )
            )
        )
    pairs = []
    for _ in range(draw(st.integers(0, 3))):
        name = draw(st.sampled_from((*parameters, 'limit', 'marker', 'all_tenants', 'x')))
        pairs.append((name, _query_value(draw, name, ids)))
    return '&'.join(
        f'{name}={parse.quote(value.encode("utf-8", "surrogatepass"), safe="")}'
        for name, value in pairs
    )


_USUAL = {
    'limit': ('1', '2', '10', '0', '-1', '1000', '99999999999999999999'),
    'offset': ('0', '1', '2147483647', '2147483648', '-1'),
    'sort': ('id', 'id:asc', 'created_at:desc,id:asc', 'name', 'status:desc', 'id:', ':', 'id:up'),
    'sort_key': ('id', 'created_at', 'status', 'name', 'project_id', '__class__', 'id,name'),
    'sort_dir': ('asc', 'desc', 'ASC', 'up'),
    'all_tenants': ('1', '0', 'true', 'False', 'yes', '2', ''),
    'project_id': (PROJECT_ID, OTHER_PROJECT_ID, STRANGERS, '*'),
    'start_date': (
        '2020-01-01',
        '0001-01-01',
        '9999-12-31',
        '2020-02-30',
        '20200101',
        '\uff12020-01-01',
    ),
    'since': (
        '2020-01-01',
        '2020-01-01T00:00:00+14:00',
        '9999-12-31T23:59:59.999999-14:00',
        '0001-01-01T00:00:00+01:00',
        '2020-W01-1T24',
        'T',
    ),
    'end_date': ('2020-01-01', '0001-01-01', '9999-12-31', '9999-12-30', '2020-1-1', '2099-01-01'),
    'parameters': (
        '{}',
        "{'a': 1}",
        '{"a": {"b": []}}',
        '{1: 2}',
        '{[]: 1}',
        "{'a': 1e999}",
        '{**{}}',
        "{u'a': b'b'}",
        '[' * 300,
        '(' * 90 + ')' * 90,
        "{'a':" * 200,
        '1' * 4096,
        '{"a": NaN}',
        '__import__("os")',
        "'\\N{DOLLAR SIGN}'",
        '{"\\ud800": 1}',
    ),
    'status': ('available', 'suspended', 'deleted', 'success', 'AVAILABLE'),
}


def _query_value(draw: Draw, name: str, ids: Ids) -> str:
    form, number = draw(st.integers(0, 5)), draw(CHOICES)
    if form < 3 and name in _USUAL:
        return pick(_USUAL[name], number)
    if form < 4:
        kind = draw(st.sampled_from(sorted(ids)))
        return str(pick(ids[kind], number)) if ids[kind] else ''
    return draw(TEXTS)[:20000]


def mutated(draw: Draw, document: Any) -> Any:
    """A document with a few things changed somewhere in it."""
    document = copy.deepcopy(document)
    for _ in range(draw(st.integers(1, 3))):
        places = list(_places(document))
        if not places:
            return draw(VALUES)
        holder, key = pick(places, draw(CHOICES))
        change = draw(st.integers(0, 5))
        if change == 0:
            del holder[key]
        elif change == 1 and isinstance(holder, dict):
            holder[draw(TEXTS)] = holder[key]
        elif change == 2 and isinstance(holder[key], str):
            holder[key] += draw(TEXTS)
        elif change == 3:
            holder[key] = draw(st.sampled_from(([holder[key]], {'x': holder[key]}, None)))
        elif change == 4 and not draw(st.integers(0, 3)):
            holder[key] = draw(DEEP_VALUES)
        else:
            holder[key] = draw(VALUES)
    return document


def _places(document: Any) -> Any:
    keys = (
        list(document)
        if isinstance(document, dict)
        else (range(len(document)) if isinstance(document, list) else ())
    )
    for key in keys:
        yield document, key
        yield from _places(document[key])


def encoded(draw: Draw, document: Any) -> bytes:
    """The document as bytes of a body, now and then as nobody would send it."""
    text = json.dumps(document, ensure_ascii=draw(st.booleans()))
    if draw(st.integers(0, 9)):
        return text.encode('utf-8', 'surrogatepass')
    body = text.encode(draw(st.sampled_from(ENCODINGS)), 'backslashreplace')
    change = draw(st.integers(0, 3))
    if change == 1:
        return body[: draw(CHOICES) % (len(body) + 1)]
    if change == 2:
        return body + draw(st.binary(max_size=20))
    if change == 3:
        return draw(st.binary(max_size=20)) + body
    return body


def large_bodies(document: Any, number: int) -> bytes:
    """A body of megabytes.

    :param document: one that would do.
    :param number: chooses which. The second half of LARGE_BODIES has ten megabytes each, the
        first what is read at all: hardly less than the limits of bytes and of values.
    """
    text = json.dumps(document)
    size, values = pick(
        ((cfg.CONF.osapi_max_request_body_size - 4096, 240_000), (10 * MEGABYTE, MEGABYTE)),
        number // _LARGE_KINDS,
    )
    resources = document.get('plan', {}).get('resources', [{'id': 'x'}])
    item, first_id = json.dumps(resources[0]), resources[0]['id']
    items = min(size // (len(item) + 2), values // (item.count(',') + item.count('{') + 1))
    return pick(
        (
            lambda: text[:-1] + ' ' * (size - len(text)) + '}',
            lambda: '[' * min(size, values),
            lambda: '[' + '[],' * min(size // 3 - 2, values // 2) + '1]',
            lambda: '"' + 'a' * size + '"',
            lambda: '1' * size,
            lambda: '{"plan": {"name": "' + 'é' * (size // 2 - 100) + '"}}',
            lambda: '{"plan": {"resources": [' + ','.join([item] * items) + ']}}',
            lambda: text.replace('[', '[' + (item + ',') * (items - 10), 1),
            lambda: (
                '{' + ','.join(f'"{index}":1' for index in range(min(size // 12, values))) + '}'
            ),
            lambda: text.replace('"nightly"', '"' + ' ' * (size - len(text)) + '"'),
            lambda: text.replace('"nightly"', '"' + '\\ud83d\\ude00' * (size // 12 - 100) + '"'),
            lambda: text[:-1] + ',"x":' + '{"x":' * 1000 + '1' + '}' * 1000 + '}',
            lambda: random.Random(number).randbytes(size // 2).hex(),
            lambda: '\0' * size,
            lambda: (
                '{"plan":{"parameters":{'
                + ','.join(
                    f'"OS::Cinder::Volume#{index}":{{"a":1}}'
                    for index in range(min(size // 34, values // 2))
                )
                + '}}}'
            ),
            lambda: '0.' + '1' * (size - 2),
            # Of a name in UTF-8, a database may get three times as many bytes.
            lambda: text.replace('"nova"', '"' + '\U0001f600' * (size // 4 - 200) + '"'),
            lambda: text.replace('"nova"', '"' + 'a' * (size - len(text)) + '"'),
            lambda: text.replace(
                '[' + item + ']',
                '['
                + ','.join(
                    item.replace(first_id, str(uuid.UUID(int=index))) for index in range(items - 10)
                )
                + ']',
            ),
        ),
        number,
    )().encode()


def bodies(ids: Ids) -> dict[str, list[Any]]:
    """Bodies that would do, by operation.

    :param ids: of rows that there are.
    """

    def first(name: str) -> str:
        return ids[name][0] if ids.get(name) else str(uuid.UUID(int=1))

    use = {'provider_id': PROVIDER_ID, 'checkpoint_id': first('checkpoint_id'), 'parameters': {}}
    rules = {
        'keep_last': 3,
        'keep_hourly': '24',
        'keep_daily': 7,
        'keep_weekly': 5,
        'keep_monthly': 12,
        'keep_yearly': '1',
        'keep_within': '14d',
        'max_backups': 3,
        'retention_duration': -1,
    }
    definition = {
        'provider_id': PROVIDER_ID,
        'plan_id': first('plan_id'),
        'overlap': 'queue',
        'retention_scope': 'operation',
        **rules,
    }
    resource = {
        'id': first('resource_id'),
        'type': VOLUME,
        'name': 'data',
        'extra_info': {'availability_zone': 'nova'},
    }
    operation = {
        'name': 'nightly',
        'description': None,
        'operation_type': 'retention_protect',
        'trigger_id': first('trigger_id'),
        'operation_definition': definition,
    }
    cron = {
        'format': 'crontab',
        'pattern': '0 9 * * *',
        'window': '1200',
        'timezone': 'UTC',
        'start_time': '2030-01-01 00:00:00',
        'end_time': '2031-01-01T00:00:00Z',
        'catch_up': 'latest',
        'jitter': '60',
    }
    calendar = {
        'format': 'calendar',
        'pattern': 'BEGIN:VEVENT\nRRULE:FREQ=WEEKLY;BYDAY=MO;BYHOUR=2;INTERVAL=2\nEND:VEVENT',
    }
    triggers = [
        {'trigger_info': {'name': 'nightly', 'type': 'time', 'properties': properties}}
        for properties in (cron, calendar)
    ]
    schedules = [
        {
            'schedule': {
                'name': 'nightly',
                'plan_id': first('plan_id'),
                'overlap': 'queue',
                **properties,
                **more,
            }
        }
        for properties, more in ((cron, {'retention': rules}), (calendar, {'enabled': False}))
    ]
    checkpoints = '/providers/{provider_id}/checkpoints'
    one_operation = '/scheduled_operations/{scheduled_operation_id}'
    changes = {**operation, 'enabled': False}
    del changes['operation_type']
    limits = {'plans': -1, 'checkpoints': '-1', 'schedules': 1000, 'triggers': -1, 'jobs': -1}
    return {
        'POST /plans': [
            {
                'plan': {
                    'name': 'nightly',
                    'description': 'of a test',
                    'provider_id': PROVIDER_ID,
                    'resources': [resource],
                    'parameters': {
                        VOLUME: dict(base.OPTIONS),
                        f'{VOLUME}#{resource["id"]}': {'force': 'true'},
                    },
                }
            }
        ],
        'PUT /plans/{plan_id}': [
            {
                'plan': {
                    'name': 'nightly',
                    'status': 'started',
                    'resources': [resource],
                    'parameters': {VOLUME: {**base.OPTIONS, 'snapshot_name': '{volume_name}'}},
                }
            }
        ],
        'POST /plans/{plan_id}/retention': [{'retention': {**rules, 'timezone': 'Europe/Berlin'}}],
        f'POST {checkpoints}': [
            {
                'checkpoint': {
                    'plan_id': first('plan_id'),
                    'extra_info': {'a': 1},
                    'extra-info': {'b': 'c'},
                }
            }
        ],
        f'PUT {checkpoints}/{{checkpoint_id}}': [{'os-resetState': {'state': 'available'}}],
        f'POST {checkpoints}/action': [{'copy': {'plan_id': first('plan_id'), 'parameters': {}}}],
        'POST /restores': [
            {
                'restore': {
                    **use,
                    'restore_target': 'there',
                    'restore_auth': {'type': 'password'},
                    'parameters': {VOLUME: {'restore_name': 'back'}},
                }
            },
            {
                'restore': {
                    **use,
                    'resources': [{'type': VOLUME, 'id': resource['id'], 'size': 2}],
                    'partial': True,
                    'name_suffix': '-again',
                    'volume_type': 'fast',
                    'availability_zone': 'nova',
                    'size': 3,
                }
            },
        ],
        'POST /restore_groups': [
            {
                'restore_group': {
                    'resources': [{'type': VOLUME, 'id': resource['id'], 'size': 2}],
                    'at': '2030-01-01T00:00:00Z',
                    'provider_id': PROVIDER_ID,
                    'parameters': {VOLUME: {'restore_name': 'back'}},
                    'name_suffix': '-again',
                    'volume_type': 'fast',
                    'availability_zone': 'nova',
                    'size': 3,
                }
            }
        ],
        'POST /verifications': [{'verification': use}],
        'POST /triggers': triggers,
        'PUT /triggers/{trigger_id}': [
            *triggers,
            {'trigger_info': {'properties': {'window': 1200, 'timezone': None}}},
        ],
        'POST /scheduled_operations': [
            {'scheduled_operation': operation},
            {
                'scheduled_operation': {
                    **operation,
                    'operation_definition': ','.join(
                        f'{key}={value}' for key, value in definition.items()
                    ),
                }
            },
        ],
        f'PUT {one_operation}': [
            {'scheduled_operation': changes},
            {'scheduled_operation': {'enabled': True}},
        ],
        f'POST {one_operation}/retention': [
            {'retention': {}},
            {'retention': {**rules, 'timezone': 'Europe/Berlin', 'retention_scope': 'plan'}},
        ],
        f'POST {one_operation}/action': [{'run': {}}, {'run': None}],
        'POST /schedules': schedules,
        'POST /schedules/preview': schedules,
        'PUT /schedules/{schedule_id}': [
            *schedules,
            {'schedule': {'window': 1200, 'timezone': None, 'retention': {'keep_last': None}}},
        ],
        'PUT /os-services/{service_id}': [{'status': 'disabled', 'disabled_reason': 'of a test'}],
        'PUT /quotas/{quota_project_id}': [{'quota': limits}],
        'PUT /quota_classes/{class_name}': [{'quota_class': limits}],
    }


CALLERS = st.sampled_from(
    (
        *(
            personas.token(persona, PROJECT_ID)
            for persona in (
                'member',
                'manager',
                'manager',
                'admin',
                'admin',
                'admin',
                'reader',
                'service',
                'nobody',
            )
        ),
        personas.token('member', STRANGERS),
        personas.token('admin', STRANGERS),
        None,
        'unscoped',
    )
)


@st.composite
def requests(
    draw: Draw, operations: Sequence[tuple[str, str, Sequence[str]]], ids: Ids, foreign: Ids
) -> Request:
    """A request with something wrong, or with nothing.

    :param operations: method, path and names of the parameters of each.
    :param ids: of rows of the fuzzed project, by the name of the field in a path.
    :param foreign: of rows of another one.
    """
    method, path, parameters = draw(st.sampled_from(operations))
    odd = draw(
        st.sets(st.sampled_from(('path', 'query', 'headers', 'body', 'body', 'method')), max_size=2)
    )
    caller = draw(CALLERS)
    headers = [] if caller is None else [('X-Auth-Token', caller)]
    body = b''
    templates = bodies(ids).get(f'{method} {path}')
    if templates:
        headers.append(('Content-Type', 'application/json'))
        body = _body(draw, draw(st.sampled_from(templates)), 'body' in odd)
    elif 'body' in odd and draw(st.integers(0, 3)) == 0:
        body = encoded(draw, draw(VALUES))
    target = _path(draw, path, caller, ids, foreign, 'path' in odd)
    query = queries(draw, parameters, ids) if 'query' in odd else ''
    if 'headers' in odd:
        headers += draw(st.lists(HEADERS, min_size=1, max_size=4))
    if 'method' in odd:
        method = draw(METHODS)
    return Request(method, f'{target}?{query}' if query else target, headers, body)


def _body(draw: Draw, document: Any, is_odd: bool) -> bytes:
    if not is_odd:
        return json.dumps(document).encode()
    form = draw(st.integers(0, 99))
    if form == 99:
        return large_bodies(document, draw(CHOICES))
    if form > 85:
        return draw(ODD_JSON).encode('utf-8', 'surrogatepass')
    if form > 80:
        return encoded(draw, draw(VALUES))
    return encoded(draw, mutated(draw, document))


def _path(draw: Draw, path: str, caller: str | None, ids: Ids, foreign: Ids, is_odd: bool) -> str:
    project_id = (caller or '').partition('@')[2] or PROJECT_ID
    if is_odd and draw(st.integers(0, 4)) == 0:
        project_id = draw(st.sampled_from((OTHER_PROJECT_ID, PROJECT_ID.upper(), *_ODD_SEGMENTS)))
    parts = ['', 'v1', project_id]
    for part in path.split('/')[1:]:
        name = part.strip('{}')
        if name == part:
            parts.append(part)
        elif is_odd:
            parts.append(segments(draw, ids, foreign, name))
        else:
            chosen = foreign if draw(st.integers(0, 9)) == 0 and foreign.get(name) else ids
            parts.append(parse.quote(str(pick(chosen.get(name) or ['none'], draw(CHOICES)))))
    if is_odd and draw(st.integers(0, 5)) == 0:
        parts.insert(draw(st.integers(0, len(parts))), draw(st.sampled_from(_ODD_SEGMENTS)))
    return '/'.join(parts) + (
        draw(st.sampled_from(('', '', '/', '.json', '//', '.json/', '%20'))) if is_odd else ''
    )
