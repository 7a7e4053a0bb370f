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

"""A project whose volumes a cloud's Karbor protects through a storm, and a look at it after."""

import pathlib
from collections.abc import Collection

from karbor.db import models
from karbor.tests.integration import audit, cloud, job_reports, patient, service


class Scene:
    """A new project with a plan of some volumes.

    :param karbor: started already.
    :param volumes: how many.
    """

    def __init__(self, karbor: service.Service, volumes: int) -> None:
        self.karbor = karbor
        self._log_start = karbor.log.stat().st_size
        self.project = cloud.Project()
        self.rows = audit.Rows(karbor.database, self.project.id)
        self.caller = self.new_caller()
        self.volume_ids = self.project.volumes(volumes)
        self.plan_id = self.caller.plan(self.volume_ids)
        self.audit = audit.Audit(self.rows, self.project, self.caller, self.volume_ids, karbor.bank)

    def new_caller(self, patience: float = 60) -> patient.PatientCaller:
        """For a thread of its own."""
        return patient.PatientCaller(self.karbor.url, self.project.session, patience)

    def log(self) -> str:
        """What the processes have logged since the scene was set."""
        with self.karbor.log.open(errors='replace') as log:
            log.seek(self._log_start)
            return log.read()

    def logs(self) -> list[models.OperationLog]:
        return self.rows.all(models.OperationLog)

    def table(self) -> str:
        return job_reports.table(self.rows, self.log())

    def snapshot_count(self, checkpoint_ids: Collection[str] = ()) -> int:
        """How many there are in Cinder, of these checkpoints or of all."""
        return sum(
            not checkpoint_ids or snapshot.metadata.get('karbor_checkpoint_id') in checkpoint_ids
            for snapshot in self.project.cinder.volume_snapshots.list()
        )

    def settle(self, seconds: float) -> None:
        """Wait until every job is over."""
        cloud.wait_until(lambda: not self.rows.unfinished(), 'the end of all jobs', seconds)

    def delete_everything(self, seconds: float = 120) -> None:
        """All checkpoints by Karbor, and then what restores have made by Cinder."""
        checkpoints = [
            row.id
            for row in self.rows.all(models.Checkpoint, models.Checkpoint.status != 'deleted')
        ]
        for checkpoint_id in checkpoints:
            self.caller.ask_to_delete(checkpoint_id)
        for checkpoint_id in checkpoints:
            self.caller.wait_for_checkpoint(
                checkpoint_id, 'deleted', 'error-deleting', seconds=seconds
            )
        for restore in self.rows.all(models.Restore):
            self.remove_restored(restore.id)

    def remove_restored(self, restore_id: str) -> None:
        """Have Cinder delete the volumes of a restore, after a look at them."""
        volumes = self.audit.restored(restore_id)
        for volume in volumes:
            volume.delete()
        cloud.wait_until(lambda: not self.audit.restored(restore_id), 'the end of volumes')
        self.audit.looked_at.add(restore_id)

    def keep_log(self, folder: pathlib.Path) -> pathlib.Path:
        """Save the log from the end of the processes; returns where it is."""
        folder.mkdir(parents=True, exist_ok=True)
        kept = folder / f'{self.project.id}.log'
        kept.write_text(self.log())
        return kept
