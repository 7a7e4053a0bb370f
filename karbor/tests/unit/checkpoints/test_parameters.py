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

"""Parameters: what texts become, what is refused and with which words, what is filled in."""

from typing import Any

from oslotest import base

from karbor import exception
from karbor.resource import Resource
from karbor.services.checkpoints import parameters

VOLUME_TYPE = 'OS::Cinder::Volume'
SERVER_TYPE = 'OS::Nova::Server'
VOLUME_ID = '9e2c5d18-4c30-4f8f-b6a0-5a55d2b1c7aa'
VOLUME = Resource(VOLUME_TYPE, VOLUME_ID, 'data')
OTHER_VOLUME = Resource(VOLUME_TYPE, '0a7b3f64-2f0e-4a55-8a35-2a1a7f0c9e11', 'log')

SCHEMA: dict[str, Any] = {
    'title': 'Options',
    'type': 'object',
    'properties': {
        'snapshot_name': {'type': 'string'},
        'description': {'type': 'string', 'default': None},
        'force': {'type': 'boolean', 'default': False},
        'copies': {'type': 'integer', 'default': 1, 'minimum': 1},
        'mode': {'type': 'string', 'enum': ['full', 'incremental']},
    },
    'required': ['snapshot_name', 'force'],
}

REFUSED = object()

COERCIONS: list[tuple[Any, Any, Any]] = [
    *(
        ('boolean', text, True)
        for text in (
            'True',
            'true',
            'TRUE',
            'yes',
            'Yes',
            'y',
            'on',
            'ON',
            't',
            '1',
            ' true ',
            '\ttrue\n',
        )
    ),
    *(
        ('boolean', text, False)
        for text in ('False', 'false', 'no', 'n', 'off', 'f', '0', ' False ')
    ),
    *(('boolean', text, REFUSED) for text in ('', ' ', 'zzz', '2', '-1', 'None', 'tru e')),
    ('boolean', True, True),
    ('boolean', False, False),
    ('boolean', 1, 1),
    ('integer', '25', 25),
    ('integer', '-3', -3),
    ('integer', '+4', 4),
    ('integer', '0', 0),
    ('integer', ' 7 ', 7),
    ('integer', '007', 7),
    ('integer', 25, 25),
    ('integer', '123456789012345678901234567890', 123456789012345678901234567890),
    *(
        ('integer', text, REFUSED)
        for text in ('', ' ', '1.5', '1.0', '1e3', 'zzz', '0x10', 'True', '1 2', '1_000', 'nan')
    ),
    ('number', '1.5', 1.5),
    ('number', '25', 25.0),
    ('number', '-1e3', -1000.0),
    ('number', ' .5 ', 0.5),
    ('number', 2, 2),
    ('number', 2.5, 2.5),
    # JSON has no such numbers: neither the database nor a client could read them.
    *(
        ('number', text, REFUSED)
        for text in ('', ' ', 'zzz', 'True', '1,5', 'nan', 'inf', '-Infinity', '1e999', '1_0.0')
    ),
    ('string', 'text', 'text'),
    ('string', ' text ', ' text '),
    ('string', '', ''),
    ('string', '12', '12'),
    ('string', True, 'True'),
    ('string', 12, '12'),
    ('string', 1.5, '1.5'),
    ('string', None, None),
    ('string', ['a'], ['a']),
    ('array', '[1]', '[1]'),
    ('object', '{}', '{}'),
    ('null', '', ''),
    (None, '25', '25'),
    (None, True, True),
    (['boolean', 'string'], 'true', 'true'),
    (['integer', 'null'], '5', '5'),
    (['string', 'null'], True, True),
]


class CheckValuesTest(base.BaseTestCase):
    """What a plugin looks at beyond its schema."""

    def looked_at(self, given: Any, later: tuple[str, ...] = ()) -> list[tuple[str, str, Any]]:
        seen: list[tuple[str, str, Any]] = []
        parameters.check(
            given,
            [VOLUME, OTHER_VOLUME],
            later,
            {VOLUME_TYPE: SCHEMA, SERVER_TYPE: {}}.get,
            check_values=lambda kind, values, where: seen.append((kind, where, values)),
        )
        return seen

    def test_each_key_alone_and_what_holds_for_a_resource(self) -> None:
        whole = {'copies': 1}
        self.assertEqual(
            [
                (VOLUME_TYPE, VOLUME_TYPE, {'snapshot_name': 'a', 'force': True}),
                (VOLUME_TYPE, VOLUME.key, {'force': False}),
                (VOLUME_TYPE, VOLUME.key, {**whole, 'snapshot_name': 'a', 'force': False}),
                (VOLUME_TYPE, OTHER_VOLUME.key, {**whole, 'snapshot_name': 'a', 'force': True}),
            ],
            self.looked_at(
                {
                    VOLUME_TYPE: {'snapshot_name': 'a', 'force': 'yes'},
                    VOLUME.key: {'force': 'no'},
                }
            ),
        )

    def test_of_a_type_of_which_none_is_known_yet(self) -> None:
        given = {VOLUME_TYPE: {'snapshot_name': 'a', 'force': True}}
        self.assertIn((SERVER_TYPE, SERVER_TYPE, {}), self.looked_at(given, (SERVER_TYPE,)))


class CoerceTest(base.BaseTestCase):
    def _coerced(self, value: Any, wanted: Any) -> Any:
        try:
            return parameters.coerce(value, wanted, 'here')
        except exception.InvalidInput:
            return REFUSED

    def test_table(self) -> None:
        wrong = []
        for wanted, value, expected in COERCIONS:
            coerced = self._coerced(value, wanted)
            if (type(coerced), coerced) != (type(expected), expected):
                wrong.append(f'{value!r} as {wanted} is {coerced!r}')
        self.assertEqual([], wrong)

    def test_the_error_names_place_value_and_type(self) -> None:
        error = self.assertRaises(
            exception.InvalidInput, parameters.coerce, 'zzz', 'boolean', f'{VOLUME_TYPE}: force'
        )

        self.assertEqual(
            "Invalid input: OS::Cinder::Volume: force: 'zzz' cannot be read as boolean.", error.msg
        )


class MergedTest(base.BaseTestCase):
    def test_the_id_wins_per_property(self) -> None:
        given = {
            VOLUME_TYPE: {'snapshot_name': 'nightly', 'force': 'True'},
            VOLUME.key: {'snapshot_name': 'db', 'mode': 'full'},
            SERVER_TYPE: {'snapshot_name': 'no'},
        }

        self.assertEqual(
            {'snapshot_name': 'db', 'force': 'True', 'mode': 'full'},
            parameters.merged(given, VOLUME),
        )
        self.assertEqual(
            {'snapshot_name': 'nightly', 'force': 'True'}, parameters.merged(given, OTHER_VOLUME)
        )

    def test_nothing_given(self) -> None:
        self.assertEqual({}, parameters.merged({}, VOLUME))

    def test_what_is_given_stays_as_it_is(self) -> None:
        given = {VOLUME_TYPE: {'force': 'True'}, VOLUME.key: {'force': 'False'}}

        parameters.merged(given, VOLUME)['force'] = 'changed'

        self.assertEqual({VOLUME_TYPE: {'force': 'True'}, VOLUME.key: {'force': 'False'}}, given)


class CompleteTest(base.BaseTestCase):
    def _refused(self, values: dict[str, Any], schema: dict[str, Any] = SCHEMA) -> str:
        return self.assertRaises(
            exception.InvalidInput, parameters.complete, values, schema, VOLUME.key
        ).msg

    def test_defaults_are_filled_in(self) -> None:
        self.assertEqual(
            {'snapshot_name': 'a', 'force': False, 'copies': 1},
            parameters.complete({'snapshot_name': 'a'}, SCHEMA, VOLUME.key),
        )

    def test_values_win_over_defaults_and_are_typed(self) -> None:
        self.assertEqual(
            {'snapshot_name': '5', 'description': 'd', 'force': True, 'copies': 3},
            parameters.complete(
                {'snapshot_name': 5, 'description': 'd', 'force': 'yes', 'copies': '3'},
                SCHEMA,
                VOLUME.key,
            ),
        )

    def test_what_is_required_may_be_missing(self) -> None:
        schema = {'properties': {'name': {'type': 'string', 'default': None}}, 'required': ['name']}

        self.assertEqual({}, parameters.complete({}, schema, VOLUME.key))
        self.assertEqual({}, parameters.complete({}, {**schema, 'required': ['other']}, VOLUME.key))

    def test_null_is_left_out_and_the_default_holds(self) -> None:
        self.assertEqual(
            {'force': False, 'copies': 1},
            parameters.complete({'snapshot_name': None, 'copies': None}, SCHEMA, VOLUME.key),
        )
        for schema in (None, {}):
            self.assertEqual({}, parameters.complete({'any': None}, schema, VOLUME.key))
        self.assertIn('colour', self._refused({'colour': None}))

    def test_unknown_properties(self) -> None:
        message = self._refused({'snapshot_name': 'a', 'forse': True, 'colour': 'red'})

        self.assertIn(VOLUME.key, message)
        self.assertIn('colour, forse', message)
        self.assertIn('copies, description, force, mode, snapshot_name', message)

    def test_errors_name_resource_property_and_fault(self) -> None:
        for values, words in (
            ({'force': 'zzz'}, ("force: 'zzz'", 'boolean')),
            ({'copies': 'many'}, ("copies: 'many'", 'integer')),
            ({'copies': 0}, ('copies: 0', 'minimum')),
            ({'copies': '0'}, ('copies: 0', 'minimum')),
            ({'mode': 'half'}, ("mode: 'half'", 'incremental')),
            ({'force': 1}, ('force: 1', 'boolean')),
            ({'snapshot_name': ['a']}, ("snapshot_name: ['a']", 'string')),
        ):
            message = self._refused({'snapshot_name': 'a', **values})
            for word in (VOLUME.key, *words):
                self.assertIn(word, message)

    def test_without_a_schema_everything_is_taken(self) -> None:
        for schema in (None, {}):
            self.assertEqual(
                {'any': 'True'}, parameters.complete({'any': 'True'}, schema, VOLUME.key)
            )

    def test_a_schema_without_properties_takes_nothing(self) -> None:
        for schema in ({'type': 'object'}, {'type': 'object', 'properties': {}}):
            self.assertEqual({}, parameters.complete({}, schema, VOLUME.key))
            self.assertIn('it has none', self._refused({'any': 1}, schema))

    def test_a_list_of_types_is_left_to_the_validation(self) -> None:
        schema = {'properties': {'size': {'type': ['integer', 'null']}}}

        self.assertEqual({'size': 5}, parameters.complete({'size': 5}, schema, 'x'))
        self.assertIn("size: '5'", self._refused({'size': '5'}, schema))

    def test_values_and_schema_stay_as_they_are(self) -> None:
        values = {'snapshot_name': 'a', 'force': 'True'}

        parameters.complete(values, SCHEMA, VOLUME.key)['copies'] = 99

        self.assertEqual({'snapshot_name': 'a', 'force': 'True'}, values)
        self.assertEqual(1, SCHEMA['properties']['copies']['default'])


class CheckTest(base.BaseTestCase):
    def _check(
        self,
        given: dict[str, Any],
        resources: tuple[Resource, ...] = (),
        later: tuple[str, ...] = (),
        schemas: dict[str, Any] | None = None,
    ) -> Any:
        found = {VOLUME_TYPE: SCHEMA} if schemas is None else schemas
        return parameters.check(given, resources, later, found.get)

    def _refused(self, *args: Any, **kwargs: Any) -> str:
        return self.assertRaises(exception.InvalidInput, self._check, *args, **kwargs).msg

    def test_values_are_coerced_and_defaults_left_to_the_job(self) -> None:
        self.assertEqual(
            {VOLUME_TYPE: {'snapshot_name': 'a', 'force': True}, VOLUME.key: {'copies': 2}},
            self._check(
                {VOLUME_TYPE: {'snapshot_name': 'a', 'force': 'on'}, VOLUME.key: {'copies': '2'}},
                (VOLUME,),
            ),
        )

    def test_what_is_missing_stays_missing(self) -> None:
        given = {VOLUME.key: {'snapshot_name': 'a'}}

        self.assertEqual(given, self._check(given, (VOLUME, OTHER_VOLUME), (SERVER_TYPE,)))

    def test_null_is_not_kept(self) -> None:
        given = {VOLUME_TYPE: {'snapshot_name': None, 'mode': 'full'}}

        self.assertEqual({VOLUME_TYPE: {'mode': 'full'}}, self._check(given, (VOLUME,)))

    def test_entries_of_no_resource_are_checked_too(self) -> None:
        for values in ({'snapshot_name': 'a', 'colour': 'red'}, {'force': 'zzz'}, {'mode': 'half'}):
            self._refused({VOLUME_TYPE: values})

    def test_keys(self) -> None:
        self.assertIn(
            "'not-a-uuid' is not a UUID", self._refused({f'{VOLUME_TYPE}#not-a-uuid': {}})
        )
        self.assertIn('is not a UUID', self._refused({f'{VOLUME_TYPE}#{VOLUME_ID}#a': {}}))
        self.assertIn('is not a UUID', self._refused({f'{VOLUME_TYPE}#': {}}))
        # Written otherwise than resources have their ids, it would hold for none of them.
        for other in (VOLUME_ID.upper(), VOLUME_ID.replace('-', '')):
            self.assertIn(
                f'is to be written {VOLUME_ID}', self._refused({f'{VOLUME_TYPE}#{other}': {}})
            )
        self.assertIn(
            "'OS::No::Such' is no known resource type", self._refused({'OS::No::Such': {}})
        )
        self.assertIn('is no known resource type', self._refused({'': {}}))

    def test_a_known_type_that_nobody_serves_is_kept(self) -> None:
        self.assertEqual(
            {SERVER_TYPE: {'any': 'True'}}, self._check({SERVER_TYPE: {'any': 'True'}})
        )

    def test_a_type_of_a_plugin_need_not_be_known(self) -> None:
        given = {'Acme::Disk': {'name': 'a'}}

        self.assertEqual(
            given,
            self._check(
                given, schemas={'Acme::Disk': {'properties': {'name': {'type': 'string'}}}}
            ),
        )
        self.assertEqual(given, self._check(given, schemas={'Acme::Disk': {}}))

    def test_nothing_given(self) -> None:
        self.assertEqual({}, self._check({}))
        self.assertEqual({}, self._check({}, (VOLUME,)))


class FilledTest(base.BaseTestCase):
    def _filled(
        self, given: dict[str, Any], *resources: Resource, later: tuple[str, ...] = ()
    ) -> Any:
        defaults = {VOLUME_TYPE: {'name': 'n', 'force': False}}
        return parameters.filled(given, resources, later, lambda name: defaults.get(name, {}))

    def test_table(self) -> None:
        whole, own = {'name': 'x', 'force': True}, {'name': 'y'}
        for given, resources, later, expected in (
            ({}, [VOLUME], (), {VOLUME_TYPE: {'name': 'n', 'force': False}}),
            ({}, [], (VOLUME_TYPE,), {VOLUME_TYPE: {'name': 'n', 'force': False}}),
            ({}, [Resource(SERVER_TYPE, 's', '')], (SERVER_TYPE,), {}),
            ({VOLUME_TYPE: own}, [VOLUME], (), {VOLUME_TYPE: {**own, 'force': False}}),
            ({VOLUME_TYPE: whole}, [VOLUME], (VOLUME_TYPE,), {VOLUME_TYPE: whole}),
            ({VOLUME.key: whole}, [VOLUME], (), {VOLUME.key: whole}),
            (
                {VOLUME.key: own},
                [VOLUME],
                (),
                {VOLUME.key: own, VOLUME_TYPE: {'force': False}},
            ),
            (
                {VOLUME.key: own},
                [VOLUME, OTHER_VOLUME],
                (),
                {VOLUME.key: own, VOLUME_TYPE: {'name': 'n', 'force': False}},
            ),
        ):
            self.assertEqual(expected, self._filled(given, *resources, later=later))
