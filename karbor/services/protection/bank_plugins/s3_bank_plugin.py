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

"""A bank in a bucket of S3, or of anything else that speaks its protocol.

Objects are named by their keys without the slash at their start, which some servers refuse.
"""

import base64
import contextlib
import hashlib
import threading
import time
from collections.abc import Iterator
from typing import Any

import boto3.session
import botocore.config
import botocore.parsers
import urllib3
from botocore import exceptions as boto_exc
from oslo_config import cfg

from karbor import exception
from karbor.services import retrying
from karbor.services.protection.bank_plugins import object_faults, object_store
from karbor.services.protection.bank_plugins.object_faults import Fault, Missing

GROUP = 's3_bank_plugin'
CLIENT_GROUP = 's3_client'

OPTS = [
    cfg.StrOpt(
        'bank_s3_object_bucket',
        default='karbor',
        help='Bucket of the bank. It is made when it is missing.',
    ),
    cfg.StrOpt(
        'bank_s3_object_prefix',
        default='',
        help='What the names of all objects begin with. A single slash reads what '
        'older Karbors wrote.',
    ),
    cfg.StrOpt(
        'bank_s3_lease_bucket',
        default='lease',
        deprecated_for_removal=True,
        deprecated_reason='Karbor keeps no leases in banks any more.',
        help='Has no effect.',
    ),
    *object_store.lease_opts(),
]

CLIENT_OPTS = [
    cfg.URIOpt(
        's3_endpoint', schemes=['http', 'https'], help="URL of the server; unset means Amazon's."
    ),
    cfg.StrOpt('s3_access_key', secret=True, help='Access key of the owner of the bucket.'),
    cfg.StrOpt('s3_secret_key', secret=True, help='Secret key that belongs to it.'),
    cfg.StrOpt(
        's3_region',
        default='us-east-1',
        help='Region that requests are signed for, and that the bucket is made in.',
    ),
    cfg.StrOpt(
        's3_addressing_style',
        default='path',
        choices=[('path', 'in the path of the URL'), ('virtual', 'in the name of the host')],
        help='Where in a request the name of the bucket is.',
    ),
    cfg.StrOpt(
        's3_ca_cert_file', help='File of the certificate authorities to check the certificate with.'
    ),
    cfg.BoolOpt('s3_auth_insecure', default=False, help='Do not check the certificate.'),
    cfg.IntOpt(
        's3_retry_attempts',
        default=3,
        min=0,
        help='How often a request that fails in passing is sent again.',
    ),
    cfg.FloatOpt(
        's3_retry_backoff',
        default=2,
        min=0,
        help='Seconds before it is sent again; twice as long every further time.',
    ),
    cfg.FloatOpt(
        's3_request_timeout',
        default=60,
        min=1,
        help='Longest time to wait for an answer, or for more of it, in seconds.',
    ),
]

_MARK = 'x-object-meta-serialized'
_FIRST_REGION = 'us-east-1'  # the only one that is not told when a bucket is made
_CONNECTIONS = 64
_NO_OBJECT = frozenset({'NoSuchKey', '404', 'NotFound'})
_NO_BUCKET = 'NoSuchBucket'
_MINE = frozenset({'BucketAlreadyOwnedByYou', 'BucketAlreadyExists'})
# These come with a 400 or a 403, though another try may help.
_PASSING_CODES = frozenset(
    {
        'BadDigest',
        'IncompleteBody',
        'RequestTimeout',
        'SlowDown',
        'Throttling',
        'ThrottlingException',
        'XAmzContentSHA256Mismatch',
    }
)
_CONNECTION_ERRORS = (
    boto_exc.HTTPClientError,
    boto_exc.ConnectionError,
    boto_exc.IncompleteReadError,
    botocore.parsers.ResponseParserError,
    urllib3.exceptions.HTTPError,
    OSError,
)


class S3BankPlugin(object_store.ObjectStoreBankPlugin):
    """Objects in the bucket ``bank_s3_object_bucket``.

    :param config: the provider file's own ``ConfigOpts``.
    :param clock: what pauses are made with.
    :raises InvalidParameterValue: an option that is needed is missing, or makes no sense.
    """

    lists_descending = False

    def __init__(self, config: cfg.ConfigOpts, *, clock: retrying.Clock = time) -> None:
        config.register_opts(OPTS, GROUP)
        config.register_opts(CLIENT_OPTS, CLIENT_GROUP)
        options = config[CLIENT_GROUP]
        self._bucket = config[GROUP].bank_s3_object_bucket
        self._prefix = config[GROUP].bank_s3_object_prefix
        _check_options(options, self._bucket)
        super().__init__(
            config,
            f'The bucket {self._bucket}',
            retries=options.s3_retry_attempts,
            backoff=options.s3_retry_backoff,
            clock=clock,
        )
        self._options = options
        self._lock = threading.Lock()
        self._made_client: Any = None

    def _put(self, key: str, data: bytes, mark: str | None) -> None:
        digest = hashlib.md5(data, usedforsecurity=False).digest()
        with object_faults.container_needed(self.container_text), _faults():
            self._client().put_object(
                Bucket=self._bucket,
                Key=self._name(key),
                Body=data,
                ContentType=object_store.CONTENT_TYPES[mark],
                ContentMD5=base64.b64encode(digest).decode(),
                Metadata={} if mark is None else {_MARK: mark},
            )

    def _get(self, key: str) -> tuple[bytes, str | None]:
        with _faults():
            answer = self._client().get_object(Bucket=self._bucket, Key=self._name(key))
            with contextlib.closing(answer['Body']) as body:
                data = body.read()
        return data, answer['Metadata'].get(_MARK)

    def _head(self, key: str) -> None:
        with _faults():
            self._client().head_object(Bucket=self._bucket, Key=self._name(key))

    def _delete(self, key: str) -> None:
        with _faults():
            self._client().delete_object(Bucket=self._bucket, Key=self._name(key))

    def _page(
        self, prefix: str, limit: int | None, marker: str | None, descending: bool
    ) -> tuple[list[str], bool]:
        where = {'StartAfter': self._name(marker)} if marker else {}
        with object_faults.container_needed(self.container_text), _faults():
            answer = self._client().list_objects_v2(
                Bucket=self._bucket,
                Prefix=self._name(prefix),
                **where,
                MaxKeys=min(limit or object_store.PAGE_LIMIT, object_store.PAGE_LIMIT),
            )
        keys = [
            '/' + entry['Key'].removeprefix(self._prefix) for entry in answer.get('Contents', ())
        ]
        is_last = not answer.get('IsTruncated')
        if not is_last and not keys:
            raise Fault('S3 sent an empty page that is not the last one', is_passing=True)
        return keys, is_last

    def _has_container(self) -> bool:
        try:
            with _faults():
                self._client().head_bucket(Bucket=self._bucket)
        except Missing:
            return False
        return True

    def _make_container(self) -> None:
        region = self._options.s3_region
        where = (
            {}
            if region == _FIRST_REGION
            else {'CreateBucketConfiguration': {'LocationConstraint': region}}
        )
        with object_faults.container_needed(self.container_text), _faults():
            try:
                self._client().create_bucket(Bucket=self._bucket, **where)
            except boto_exc.ClientError as exc:
                if exc.response['Error']['Code'] not in _MINE:
                    raise
                # Another process was first. What is somebody else's, this refuses.
                self._client().head_bucket(Bucket=self._bucket)

    def _name(self, key: str) -> str:
        return self._prefix + key.removeprefix('/')

    def _client(self) -> Any:
        """The client, made at the first use; threads may share it."""
        with self._lock:
            if self._made_client is None:
                self._made_client = _connect(self._options)
            return self._made_client


def _check_options(options: Any, bucket: str) -> None:
    missing = [name for name in ('s3_access_key', 's3_secret_key') if not options[name]]
    if missing:
        raise exception.InvalidParameterValue(
            err=f'[{CLIENT_GROUP}] {", ".join(missing)} must be set.'
        )
    if not 3 <= len(bucket) <= 255 or '/' in bucket:
        raise exception.InvalidParameterValue(
            err=f'[{GROUP}] bank_s3_object_bucket {bucket!r} cannot be a name.'
        )


def _connect(options: Any) -> Any:
    """A client that tries once: the bank itself knows when to try again."""
    config = botocore.config.Config(
        connect_timeout=options.s3_request_timeout,
        read_timeout=options.s3_request_timeout,
        retries={'total_max_attempts': 1, 'mode': 'standard'},
        max_pool_connections=_CONNECTIONS,
        user_agent='karbor',
        s3={'addressing_style': options.s3_addressing_style},
        # Not every server knows the newer checksums; Content-MD5 they all do.
        request_checksum_calculation='when_required',
        response_checksum_validation='when_required',
    )
    return boto3.session.Session().client(
        's3',
        endpoint_url=options.s3_endpoint,
        aws_access_key_id=options.s3_access_key,
        aws_secret_access_key=options.s3_secret_key,
        region_name=options.s3_region,
        verify=not options.s3_auth_insecure and (options.s3_ca_cert_file or True),
        config=config,
    )


@contextlib.contextmanager
def _faults() -> Iterator[None]:
    """What boto raises, as what the bank understands.

    :raises Missing: there is no such object, or for a question after the bucket, no bucket.
    :raises Fault:
    """
    try:
        yield
    except boto_exc.ClientError as exc:
        if exc.response['Error']['Code'] in _NO_OBJECT:
            raise Missing from exc
        raise _fault_of_answer(exc) from exc
    except _CONNECTION_ERRORS as exc:
        raise Fault(
            f'S3 could not be reached: {exc}', is_passing=True, told='S3 could not be reached'
        ) from exc
    except boto_exc.BotoCoreError as exc:
        raise Fault(f'S3 could not be used: {exc}', told='S3 could not be used') from exc


def _fault_of_answer(error: boto_exc.ClientError) -> Fault:
    code = error.response['Error']['Code']
    if code == _NO_BUCKET:
        return object_faults.gone('The bucket')
    about = error.response.get('ResponseMetadata', {})
    status = about.get('HTTPStatusCode')
    text = error.response['Error'].get('Message', '')[:200]
    told = f'S3 answered {status} {code}'
    return Fault(
        f'{told}: {text}',
        code in _PASSING_CODES or object_faults.is_passing_code(status),
        retrying.seconds_of(about.get('HTTPHeaders', {}).get('retry-after')),
        told=told,
    )
