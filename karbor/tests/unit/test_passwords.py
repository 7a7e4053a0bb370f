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

"""A password that is in a URL is shown by nothing, whatever is in it."""

import contextlib
import io
import logging
from unittest import mock

from oslo_config import cfg
from oslotest import base as oslo_base

from karbor import conf, exception, shown
from karbor.api import errors
from karbor.cmd import assembly, ending, manage, service, standalone, status
from karbor.common import extras, safe_logs, state_dir
from karbor.db import addresses, api
from karbor.services.jobs import failures
from karbor.services.protection import plugin_services
from karbor.tests import base

# In a password, each of these has been a delimiter to some parser.
MARKS = ('@', '/', ':', '#', '?', '%', '[', ']', '@/', '/@', ':@', '@:', '?@', '#@', '@?x=', '@@')
PASSWORDS = tuple(f'SEC{mark}RET' for mark in MARKS)
URLS = tuple(
    url
    for password in PASSWORDS
    for url in (
        f'mysql+pymysql://karbor:{password}@127.0.0.1:1/karbor',
        f'postgresql+psycopg2://karbor:{password}@127.0.0.1:1/karbor',
        f'postgresql://{password}:x@127.0.0.1:1/karbor',
        f'sqlite://karbor:{password}@127.0.0.1/karbor',
        f'mysql:/karbor:{password}@127.0.0.1:1/karbor',
    )
)


class TextTest(oslo_base.BaseTestCase):
    def test_urls_in_texts(self) -> None:
        for given, wanted in (
            ('at http://u:p@h/x now', 'at http://***@h/x now'),
            ('at "http://u:p/a@s:#s@h/x", and', 'at "http://***@h/x", and'),
            ('redis://:p@h', 'redis://***@h'),
            ('http://h/x of me@h', 'http://h/x of me@h'),
            ('a@b http://h', 'a@b http://h'),
            ('a@b://h', 'a@b://h'),
            ('', ''),
        ):
            self.assertEqual(wanted, shown.without_credentials(given))
            self.assertEqual(wanted, shown.sentence(given))

    def test_lines_stay_lines(self) -> None:
        text = shown.lines(['http://u:p@h', '\x1b'])
        self.assertEqual('http://***@h\n\\x1b', shown.sentence(text))


class DatabaseTest(base.TestCase):
    """That of Karbor, and one of a Karbor of old."""

    def assert_not_told(self, said: str, url: str) -> None:
        for part in ('SEC', 'RET'):
            self.assertNotIn(part, said, url)
        self.assertIn('karbor', said)

    def printed(self, url: str) -> str:
        text = io.StringIO()
        with (
            mock.patch.object(assembly, 'configure'),
            contextlib.redirect_stderr(text),
            contextlib.redirect_stdout(text),
        ):
            self.assertEqual(1, manage.main(['import', '--from', url]))
        return text.getvalue()

    def test_one_that_is_imported(self) -> None:
        for url in URLS:
            self.assert_not_told(self.printed(url), url)

    def test_its_own(self) -> None:
        refused = 0
        for url in URLS:
            with mock.patch.object(api, '_load_driver', side_effect=_Stopped):
                try:
                    self.config.config(connection=url, group='database')
                    api.configure()
                except exception.KarborException as exc:
                    refused += 1
                    self.assert_not_told(f'karbor: {exc}', url)
                except _Stopped:  # what is read rightly is told nowhere
                    host = api.sa.make_url(url).host
                    self.assertEqual('127.0.0.1', host)
        self.assertLess(len(PASSWORDS), refused)

    def test_the_upgrade_check(self) -> None:
        url = 'mysql+pymysql://karbor:x@SECRET@host/karbor'
        self.config.config(connection=url, group='database')
        result = status.Checks()._schema()
        self.assertEqual('FAILURE', result.code.name)
        self.assertIn('to be written %40', result.details)
        self.assert_not_told(f'karbor: {result.details}', url)

    def test_what_is_right(self) -> None:
        for url in (
            'mysql+pymysql://karbor:a%40b@host/karbor',
            'mysql+pymysql://karbor@host/karbor?read_default_file=/x%40y',
            'postgresql+psycopg2:///karbor?host=/run',
            'sqlite:////home/a@b/karbor.db',
            'sqlite://',
        ):
            addresses.parsed(url, 'it')


class ConfigurationTest(oslo_base.BaseTestCase):
    """oslo.config takes what is behind a $ for an option, and names it."""

    def test_a_dollar_in_a_password(self) -> None:
        for password in ('x$SECRET', 'x${SECRET}', 'x$SECRET.y'):
            file = self.create_tempfiles([('karbor', f'[database]\nconnection = u:{password}@h\n')])
            config = cfg.ConfigOpts()
            config([], default_config_files=file, default_config_dirs=[])
            config.register_opt(cfg.StrOpt('connection'), 'database')
            error = self.assertRaises(cfg.Error, lambda read=config: read.database.connection)
            self.assertIn('SECRET', str(error))
            for told in (conf.told(error), plugin_services.reason_of(error)):
                self.assertNotIn('SECRET', told)
                self.assertIn('$$', told)


class PlaceTest(oslo_base.BaseTestCase):
    """Where texts of libraries come out, which may name a proxy or the URL of a service."""

    def assert_hidden(self, text: str) -> None:
        self.assertNotIn('SEC', text)
        self.assertNotIn('RET', text)
        self.assertIn('http://***@proxy:80', text)

    def test_every_one(self) -> None:
        for password in PASSWORDS:
            text = f'Failed to parse: http://me:{password}@proxy:80'
            self.assert_hidden(str(errors.fault(503, text)))
            for error in (ValueError(text), exception.RestoreResourceFailed(reason=text)):
                # Of jobs, users are not even told where that is.
                reason = failures.reason_of(error)
                self.assertTrue(reason.endswith('Failed to parse: (address in the log)'), reason)
            record = logging.makeLogRecord({'msg': 'It is %s', 'args': (ValueError(text),)})
            self.assert_hidden(safe_logs._Escaping(logging.Formatter()).format(record))
            said = io.StringIO()
            with contextlib.redirect_stderr(said):
                ending.failed('karbor', text)
            self.assert_hidden(said.getvalue())


class EndTest(oslo_base.BaseTestCase):
    """What commands say at their end is on one line, and nothing in it leads a terminal."""

    ODD = 'a\x1b[2Jb\nc'
    TOLD = 'a\\x1b[2Jb\\nc\n'

    def said_by(self, act: object, *arguments: object) -> str:
        said = io.StringIO()
        with contextlib.redirect_stderr(said):
            self.assertNotEqual(0, act(*arguments))
        return said.getvalue()

    def test_a_process_of_the_cloud(self) -> None:
        with mock.patch.object(assembly, 'configure', side_effect=OSError(self.ODD)):
            self.assertEqual(f'x: {self.TOLD}', self.said_by(assembly.run, 'x', int, []))
        missing = exception.ExtraMissing(self.ODD)
        with mock.patch.object(extras, 'check', side_effect=missing):
            self.assertIn(self.TOLD, self.said_by(service.api))

    def test_standalone(self) -> None:
        error = state_dir.StateDirectoryError(self.ODD)
        with (
            mock.patch.object(standalone, '_configure', side_effect=error),
            mock.patch('os.umask'),
        ):
            self.assertIn(f': {self.TOLD}', self.said_by(standalone.main, []))
            work = standalone.Surroundings(self.create_tempfiles([('x', '')])[0], None)
            self.assertEqual(f'x: {self.TOLD}', self.said_by(work.run, 'x', int, []))

    def test_words_of_the_command_line(self) -> None:
        for command, words in (
            (manage, ['import', 'mysql://karbor:SEC@RET@h/x', f'--from={self.ODD}']),
            (standalone, ['mysql://karbor:SEC@RET@h/x', self.ODD]),
        ):
            said = io.StringIO()
            with contextlib.redirect_stderr(said):
                self.assertRaises(SystemExit, command.main, words)
            self.assertIn('unrecognized arguments: mysql://***@h/x', said.getvalue())
            for part in ('SEC', 'RET', '\x1b'):
                self.assertNotIn(part, said.getvalue())

    def test_the_upgrade_check(self) -> None:
        with mock.patch.object(status.upgradecheck, 'main', side_effect=cfg.Error(self.ODD)):
            self.assertIn(f': {self.TOLD}', self.said_by(status.main, []))


class _Stopped(Exception):
    pass
