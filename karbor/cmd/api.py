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

"""karbor-api: the API of a cloud's Karbor, behind Keystone, with a web server of its own."""

import sys
from collections.abc import Sequence

from oslo_config import cfg
from oslo_log import log as logging

from karbor.cmd import application, assembly, signals, web_server

LOG = logging.getLogger(__name__)
CONF = cfg.CONF


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit code."""
    return assembly.run('karbor-api', _serve, arguments)


def _serve() -> int:
    server = web_server.WebServer(CONF.osapi_karbor_threads, web_server.Limits.configured())
    api = application.create()
    stop = signals.stop_event()
    address = server.listen(CONF.osapi_karbor_listen, CONF.osapi_karbor_listen_port, api)
    LOG.info('The API listens on %s port %d', *address)
    return signals.serve_until(stop, server)


if __name__ == '__main__':
    sys.exit(main())
