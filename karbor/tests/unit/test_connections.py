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

"""Requests to services, beside what requests makes of the same."""

from typing import Any

import fixtures
import requests
from oslotest import base
from requests import adapters

from karbor.common.connections import service_session

URL = 'http://cinder:8776/v3/p/snapshots/detail?limit=2&name=%C3%A4'


class _Recorder(adapters.HTTPAdapter):
    """Notes what it is to send."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[tuple[requests.PreparedRequest, dict[str, Any]]] = []

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:  # type: ignore[override]
        self.sent.append((request, options))
        response = requests.Response()
        response._content = b'{}'
        response.status_code = 200
        response.request = request
        return response


class ServiceSessionTest(base.BaseTestCase):
    def setUp(self) -> None:
        super().setUp()
        for name in ('http_proxy', 'no_proxy', 'REQUESTS_CA_BUNDLE', 'CURL_CA_BUNDLE'):
            self.useFixture(fixtures.EnvironmentVariable(name))

    def sent_by_both(self, method: str, url: str, **options: Any) -> list[Any]:
        """What is sent by a session for services, and by one of requests."""
        seen = []
        for make in (service_session, self.plain_session):
            recorder = _Recorder()
            arguments = {'allow_redirects': False, 'timeout': 5, 'verify': True, **options}
            make(recorder).request(method, url, **arguments)
            seen += recorder.sent
        return seen

    def plain_session(self, adapter: adapters.HTTPAdapter) -> requests.Session:
        session = requests.Session()
        session.mount('http://', adapter)
        return session

    def assertSameIsSent(self, method: str, url: str, **options: Any) -> None:
        (ours, our_options), (theirs, their_options) = self.sent_by_both(method, url, **options)
        for name in ('method', 'url', 'body'):
            self.assertEqual(getattr(theirs, name), getattr(ours, name), name)
        self.assertEqual(their_options, {**our_options, 'stream': False})
        for name, value in options.get('headers', {}).items():
            self.assertEqual(value, ours.headers[name])
        for name in ('Connection', 'Content-Length', 'Transfer-Encoding'):
            self.assertEqual(theirs.headers.get(name), ours.headers.get(name), name)

    def test_the_same_is_sent(self) -> None:
        headers = {'X-Auth-Token': 't', 'Accept': 'application/json', 'accept-encoding': 'gzip'}
        self.assertSameIsSent('GET', URL, headers=headers)
        self.assertSameIsSent('DELETE', URL, headers=headers)
        for body in ('{"snapshot": {}}', '{"name": "\\u00e4"}', '', None):
            self.assertSameIsSent('POST', URL, headers=headers, data=body)

    def test_what_is_not_so_simple_is_left_to_requests(self) -> None:
        self.assertSameIsSent('GET', URL, params={'a': 'b'})
        self.assertSameIsSent('POST', URL, data={'a': 'b'})
        self.assertSameIsSent('GET', URL, allow_redirects=True)
        self.assertSameIsSent('GET', 'http://cinder/ä b')

    def test_certificates(self) -> None:
        self.assertSameIsSent('GET', 'http://one/', verify=False)
        self.assertSameIsSent('GET', 'http://one/', verify='/a.pem', cert=('/b.pem', '/c.pem'))

    def test_the_environment(self) -> None:
        for name, value in (
            ('http_proxy', 'http://proxy:3128'),
            ('no_proxy', 'three'),
            ('REQUESTS_CA_BUNDLE', '/d.pem'),
        ):
            self.useFixture(fixtures.EnvironmentVariable(name, value))
        for host in ('two', 'three'):  # what is known of another is not looked up again
            self.assertSameIsSent('GET', f'http://{host}/', verify=True)
        (_, options), _ = self.sent_by_both('GET', 'http://four/')
        self.assertEqual('http://proxy:3128', options['proxies']['http'])
