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

"""URLs of databases, which may have a password: of a wrong one nothing is repeated.

With an ``@`` that is not quoted the rest of a password would be taken for the host, which drivers
name in their errors.
"""

import sqlalchemy as sa

from karbor import exception


def parsed(text: str, whose: str) -> sa.URL:
    """The URL of a database.

    :param whose: what to call it in an error, such as ``[database] connection``.
    :raises KarborException: it is none; the text has no part of it.
    """
    try:
        url = sa.make_url(text)
    except (sa.exc.ArgumentError, ValueError):
        raise _none(whose) from None
    if url.get_backend_name() == 'sqlite':
        if url.host is not None or url.username is not None:
            raise _none(whose)
    elif text.count('@') > (url.username is not None):
        raise exception.KarborException(
            f'In {whose}, an @ of the password is to be written %40, and so is any other but the '
            f'one before the host.'
        )
    return url


def _none(whose: str) -> exception.KarborException:
    return exception.KarborException(
        f'{whose[0].upper()}{whose[1:]} is no URL of a database: it is to be as '
        f'mysql+pymysql://HOST/NAME or postgresql+psycopg2://HOST/NAME, with USER@ or '
        f'USER:PASSWORD@ before the host, or sqlite:////PATH.'
    )
