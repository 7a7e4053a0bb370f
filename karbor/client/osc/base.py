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

"""What all commands have in common.

A table is for people: a few columns, in words. Every other format (``-f json``) has all that the
API shows, under the API's names.
"""

import argparse
import dataclasses
import itertools
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from keystoneauth1 import exceptions as ks_exceptions
from openstack import exceptions, fields
from osc_lib import exceptions as osc_exceptions
from osc_lib.command import command

from karbor import shown
from karbor.client.base import Resource
from karbor.client.osc import words
from karbor.client.proxy import Proxy

_PEOPLE = 'table'
# Where it was, and then the errors of libraries.
_UNREACHED = re.compile(r'(?s)(Unable to establish connection to \S+?)(?:\?|: ).*')
# Characters of a column.
_ONE_OF_MANY = 40
_THE_ONLY_ONE = 80

Rows = tuple[Sequence[str], Iterable[Sequence[Any]]]
One = tuple[Sequence[str], Sequence[Any]]


@dataclasses.dataclass(frozen=True)
class Column:
    """A column of a table.

    :ivar title: its title.
    :ivar value: what stands in it, of something that is shown.
    """

    title: str
    value: Callable[[Any], Any]


class Command(command.Command):
    """A command whose errors are the sentences of the API.

    :ivar exit_code: what it ends with, unless it fails.
    :ivar is_for_people: whether a table is shown, in which all is told.
    """

    exit_code = 0
    is_for_people = False

    @property
    def protection(self) -> Proxy:
        """The calls."""
        manager: Any = self.app.client_manager  # which has a plugin's client under its name
        calls: Proxy = manager.protection
        return calls

    def run(self, parsed_args: argparse.Namespace) -> int:
        """:raises CommandError: says what the API says, or that there is none."""
        self.is_for_people = 'formatter' in parsed_args and is_for_people(parsed_args)
        try:
            return super().run(parsed_args) or self.exit_code
        except exceptions.SDKException as fault:
            raise osc_exceptions.CommandError(sentence(fault)) from fault
        except ks_exceptions.ConnectFailure as fault:
            raise osc_exceptions.CommandError(_UNREACHED.sub(r'\1.', str(fault))) from fault

    def tell(self, text: str) -> None:
        """Say something to people, beside the output."""
        sys.stderr.write(f'{shown.lines_of(text)}\n')


def sentence(fault: exceptions.SDKException) -> str:
    """What the API says, or what the client does."""
    return shown.lines_of(str(getattr(fault, 'details', None) or fault.message))


class Lister(Command, command.Lister):
    """A command that shows a list.

    :ivar shows: what it is a list of.
    :ivar columns: of the table.
    :ivar long_columns: beside them, with ``--long``.
    """

    shows: type[Resource]
    columns: Sequence[Column]
    long_columns: Sequence[Column] = ()

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        if self.long_columns:
            parser.add_argument('--long', action='store_true', help='Show more columns')
        return parser

    def add_limit_to(self, parser: argparse.ArgumentParser, default: int | None = None) -> None:
        """An option that says how many are shown."""
        told = 'all' if default is None else default
        parser.add_argument(
            '--limit',
            metavar='<number>',
            type=positive,
            default=default,
            help=f'How many (default: {told})',
        )

    def page_limit(self, parsed_args: argparse.Namespace) -> int | None:
        """How many are asked for at once: one more than is shown tells whether there are more."""
        return None if parsed_args.limit is None else parsed_args.limit + 1

    def limited(self, parsed_args: argparse.Namespace, items: Iterator[Any]) -> list[Any]:
        """As many as are to be shown; says so if there are more."""
        found = list(itertools.islice(items, parsed_args.limit))
        if parsed_args.limit is not None and next(items, None) is not None:
            self.tell('There are more; --limit says how many are shown.')
        return found

    def listed(self, parsed_args: argparse.Namespace, items: Iterable[Any]) -> Rows:
        """What is shown of things."""
        columns = [*self.columns, *(self.long_columns if getattr(parsed_args, 'long', 0) else ())]
        if not is_for_people(parsed_args):
            columns = complete(self.shows)
            return titles(columns), [values(columns, item) for item in items]
        return titles(columns), [cells(columns, item, _ONE_OF_MANY) for item in items]


class ShowOne(Command, command.ShowOne):
    """A command that shows one thing.

    :ivar columns: the lines of the table.
    """

    columns: Sequence[Column]

    def shown(
        self,
        parsed_args: argparse.Namespace,
        item: Resource,
        columns: Sequence[Column] | None = None,
    ) -> One:
        """What is shown of something.

        :param columns: the lines of the table, of something that has others.
        """
        if is_for_people(parsed_args):
            told = self.columns if columns is None else columns
            return titles(told), cells(told, item, _THE_ONLY_ONE)
        columns = complete(type(item))
        return titles(columns), values(columns, item)


def positive(text: str) -> int:
    """:raises ArgumentTypeError: it is not a number from 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f'{text!r} is not a whole number from 1')
    return int(text)


def is_for_people(parsed_args: argparse.Namespace) -> bool:
    return bool(parsed_args.formatter == _PEOPLE)


def titles(columns: Iterable[Column]) -> list[str]:
    return [column.title for column in columns]


def values(columns: Iterable[Column], item: Any) -> list[Any]:
    return [column.value(item) for column in columns]


def cells(columns: Iterable[Column], item: Any, width: int) -> list[Any]:
    """What stands in a table, in lines that are no longer than can be read.

    Texts of others have nothing in them that a terminal would act on.
    """
    return [
        words.wrapped(shown.escaped(value), width) if isinstance(value, str) else value
        for value in values(columns, item)
    ]


def complete(resource_type: type[Resource]) -> list[Column]:
    """All that the API shows of something, under its names."""
    names = ['id']
    for part in reversed(resource_type.__mro__):
        if issubclass(part, Resource):
            names += [
                name
                for name, field in vars(part).items()
                if isinstance(field, (fields.Body, fields.URI)) and name not in names
            ]
    return [attribute(name, name) for name in names]


def attribute(title: str, name: str, form: Callable[[Any], Any] | None = None) -> Column:
    """A column that shows an attribute.

    :param form: makes it what people read.
    """

    def value(item: Any) -> Any:
        found = getattr(item, name)
        return found if form is None else form(found)

    return Column(title, value)


def text(value: Any) -> str:
    """Nothing in the place of None."""
    return '' if value is None else str(value)


def lines(items: Iterable[Any]) -> shown.Shown:
    return shown.lines(items)
