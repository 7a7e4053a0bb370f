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

"""Options that client modules of third parties register, by the path that they had of old."""

from oslo_config import cfg

#: Of each group ``[<service>_client]``; a module sets the defaults of its service.
service_client_opts: list[cfg.Opt] = [
    cfg.StrOpt('service_name', help='Name of the service in the catalog.'),
    cfg.StrOpt('service_type', help='Type of the service in the catalog.'),
    cfg.StrOpt('version', help="Version of the service's API."),
    cfg.StrOpt('region_id', default='RegionOne', help='Region of the endpoint.'),
    cfg.StrOpt('interface', default='internal', help='Interface of the endpoint.'),
    cfg.StrOpt(
        'ca_cert_file',
        help="File of the certificate authorities to check the service's certificate with.",
    ),
    cfg.BoolOpt('auth_insecure', default=False, help="Do not check the service's certificate."),
]
