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

"""``/verifications``"""

from karbor import context as karbor_context
from karbor.api import query, schema
from karbor.api.media import Object
from karbor.api.operation import operation
from karbor.api.v1 import checkpoint_uses
from karbor.db import models, paging

CREATE = schema.wrapped(
    'verification',
    schema.strict(
        {
            'provider_id': schema.UUID,
            'checkpoint_id': schema.UUID,
            'parameters': schema.PARAMETERS,
        },
        ['provider_id', 'checkpoint_id'],
    ),
)

VERIFICATION = schema.shown('Verification', checkpoint_uses.PROPERTIES)

LISTING = query.Listing('verifications', checkpoint_uses.FILTERS, checkpoint_uses.SORT_KEYS)
ONE = schema.wrapped('verification', VERIFICATION)


class _VerificationHandler(checkpoint_uses.UseHandler):
    model = models.Verification


class Verifications(_VerificationHandler):
    @operation(
        'verification:get_all', schema.listed('verifications', VERIFICATION), listing=LISTING
    )
    def on_get(
        self, _context: karbor_context.RequestContext, selection: paging.Selection
    ) -> query.Items:
        return self.page(selection)

    @operation('verification:create', ONE, body=CREATE)
    def on_post(self, context: karbor_context.RequestContext, body: Object) -> Object:
        fields = {'parameters': {}, **body['verification']}
        verification = self.services.commands.create_verification(context, fields)
        return {'verification': self.begun(verification)}


class Verification(_VerificationHandler):
    @operation('verification:get', ONE)
    def on_get(self, context: karbor_context.RequestContext, verification_id: str) -> Object:
        return {'verification': self.one(context, verification_id)}
