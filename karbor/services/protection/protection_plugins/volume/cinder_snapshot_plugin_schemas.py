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

"""Schemas of the volume snapshot plugin.

``OPTIONS_SCHEMA`` and ``RESTORE_SCHEMA`` are the specification's, to the letter:
https://blueprints.launchpad.net/karbor/+spec/cinder-volume-snapshot-plugin
"""

from typing import Any

OPTIONS_SCHEMA: dict[str, Any] = {
    'title': 'Volume Snapshot Protection Options',
    'type': 'object',
    'properties': {
        'snapshot_name': {
            'type': 'string',
            'title': 'Snapshot Name',
            'description': 'The name of the volume snapshot.',
        },
        'description': {
            'type': 'string',
            'title': 'Description',
            'description': 'The description of the volume snapshot.',
        },
        'force': {
            'type': 'boolean',
            'title': 'Force',
            'description': 'If force is True, create a snapshot even if the volume is '
            'attached to an instance.',
            'default': False,
        },
    },
    'required': ['snapshot_name', 'description', 'force'],
}

RESTORE_SCHEMA: dict[str, Any] = {
    'title': 'Volume Protection Restore',
    'type': 'object',
    'properties': {
        'restore_name': {
            'type': 'string',
            'title': 'Restore Name',
            'description': 'The name of the restored volume.',
            'default': None,
        },
        'restore_description': {
            'type': 'string',
            'title': 'Restore Description',
            'description': 'The description of the restored volume.',
            'default': None,
        },
    },
}

VERIFY_SCHEMA: dict[str, Any] = {
    'title': 'Volume Snapshot Verify',
    'type': 'object',
    'properties': {},
}

SAVED_INFO_SCHEMA: dict[str, Any] = {
    'title': 'Volume Snapshot Saved Info',
    'type': 'object',
    'properties': {
        'volume_id': {
            'type': 'string',
            'title': 'Volume Id',
            'description': 'The id of the volume that the snapshot was taken of.',
        },
        'snapshot_id': {
            'type': 'string',
            'title': 'Snapshot Id',
            'description': 'The id of the snapshot.',
        },
        'size': {
            'type': 'integer',
            'title': 'Size',
            'description': 'The size of the volume when the snapshot was taken, in GiB.',
        },
        'created_at': {
            'type': 'string',
            'title': 'Created At',
            'description': 'The moment that the snapshot is of, in UTC, by the clock of Cinder. '
            'Older checkpoints lack it.',
        },
        'volume': {
            'type': 'object',
            'title': 'Volume',
            'description': 'What the volume was like: its name, description, metadata, type, zone, '
            'flags and image metadata. Older checkpoints lack it.',
        },
    },
    'required': ['volume_id', 'snapshot_id', 'size'],
}
