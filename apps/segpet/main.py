"""The MONAI Label app; runs under plain `monailabel start_server --app apps/segpet --studies DIR` too."""

import sys
from pathlib import Path

sys.path.insert(
    0, str(Path(__file__).resolve().parents[2])
)  # our `lib`, not the `lib` that MONAI Label makes here

import logging
from collections.abc import Mapping
from importlib.metadata import version
from threading import Lock
from typing import Any

from fastapi import HTTPException
from monailabel.config import settings
from monailabel.interfaces.app import MONAILabelApp
from monailabel.interfaces.datastore import Datastore
from monailabel.interfaces.tasks.infer_v2 import InferTask
from monailabel.interfaces.tasks.strategy import Strategy
from monailabel.interfaces.tasks.train import TrainTask

from apps.segpet.archive.client import Archive
from apps.segpet.archive.outgoing import Outgoing
from apps.segpet.archive.studies import ArchiveStudies
from apps.segpet.batches import Batch, Batches, read_batch
from apps.segpet.dicomweb.proxy import PACS
from apps.segpet.failures import told_to_client
from apps.segpet.inventory import in_words, inventory
from apps.segpet.labels import LabelKeeper
from apps.segpet.options import OptionError, checked_studies, is_url, read_options
from apps.segpet.scoring import Scorer
from apps.segpet.strategies import strategies
from apps.segpet.studies import Studies, checked_tag
from apps.segpet.trainings import Trainings
from apps.segpet.turns import Turns
from apps.segpet.uploads import Uploads
from infer_tasks.impression import ImpressionTask
from infer_tasks.impressions import Impressions
from infer_tasks.network_engine import NetworkEngine
from infer_tasks.organ_maps import OrganMaps
from infer_tasks.requests import LONGEST_CLIENT, is_true
from infer_tasks.segpet import SegPETClickTask, SegPETTask
from infer_tasks.segpet_auto import SegPETAutoTask
from infer_tasks.suv_region import SUVRegionTask
from infer_tasks.workspace import Workspace
from lib.learning.next_study import StudyScores
from lib.report.adapter_job import ADAPTERS
from lib.store import Models
from trainers.impression import ImpressionTrainer
from trainers.segpet import SegPETTrainer

logger = logging.getLogger("segpet")


class SegPET(MONAILabelApp):
    """Click-driven PET segmentation: SegAnyPET for both of the viewers' click tools, and region growing.

    MONAI Label finds the class by the name of its direct base. Options come with `--conf key value`, see
    `apps.segpet.options`.
    """

    def __init__(self, app_dir: str, studies: str, conf: dict[str, str]) -> None:
        # Below this level MONAI Label logs requests, image names and paths.
        logging.getLogger("monailabel").setLevel(logging.ERROR)
        try:
            options = read_options(conf, checked_studies(studies))
        except OptionError as error:
            raise SystemExit(f"segpet: {error}") from None
        self.options = options
        self.outgoing: Outgoing | None = None
        self.workspace = Workspace(options.state, options.labels, options.unit)
        self.turns = Turns()
        self._choosing = Lock()
        self.batches = Batches(self.infer, self.turns)
        self.models = Models(options.state.folder("models"))
        self.network = NetworkEngine(
            options.model, options.device, options.state.folder("weights"), self.models
        )
        folder = str(options.state.folder("archive")) if is_url(studies) else studies
        self._trainer = SegPETTrainer(folder, options.state, options.model, options.unit, options.device)
        self._impression_trainer = ImpressionTrainer(
            folder, options.state, options.impression, options.device
        )
        self.trainings = Trainings(options.state, self._training_command, self._trained)
        adapters = Models(options.state.folder(ADAPTERS))
        self.organs = OrganMaps(Path(folder))
        self.impressions = Impressions(self.workspace, self.organs, options.impression, adapters)
        super().__init__(
            app_dir,
            studies,
            conf,
            name="SegPET",
            description="Interactive segmentation of PET: click, see the mask and its numbers, correct, save",
            version=version("segpet"),
            labels=list(options.labels),
        )
        self.scorer = self._scorer()
        self._auto_update_scoring = (
            False  # a process of its own, that loads everything, after every next sample
        )

    def init_datastore(self) -> Datastore:
        """Return the studies folder behind its guards, or the archive at a DICOMweb URL."""
        keeper = LabelKeeper(self.workspace, self.options.read_only)
        if is_url(self.studies):
            archive = Archive(PACS(self.studies))
            studies = ArchiveStudies(self.options.state.folder("archive"), archive, keeper)
            self.outgoing = Outgoing(archive, studies, self.workspace)
            return studies
        return Studies(self.studies, settings.MONAI_LABEL_DATASTORE_AUTO_RELOAD, keeper)

    def init_infers(self) -> dict[str, InferTask]:
        """Return the tasks that the viewers offer."""
        tasks = (
            SegPETTask(self.workspace, self.network),
            SegPETClickTask(self.workspace, self.network),
            SegPETAutoTask(self.workspace, self.network, self.organs),
            SUVRegionTask(self.workspace),
            ImpressionTask(self.impressions),
        )
        return {task.name: task for task in tasks}

    def init_trainers(self) -> dict[str, TrainTask]:
        """Return the trainers; the server starts each as a process of its own, one at a time."""
        return {one.name: one for one in (self._trainer, self._impression_trainer)}

    def _training_command(self, request: Mapping[str, Any]) -> list[str]:
        is_text = request.get("trainer") == ImpressionTrainer.name
        return (self._impression_trainer if is_text else self._trainer).command(request)

    def init_strategies(self) -> dict[str, Strategy]:
        """Return the strategies; what they go by is scored in the background."""
        return strategies(self.workspace.leases, lambda: self.scorer)

    def on_init_complete(self) -> None:
        """Clean up after a killed server, and begin to load the weights. Only a server calls this.

        Raises StoreError: another server uses the state folder (`python -m apps.segpet` has asked before).
        """
        if not self.options.read_only:
            self.options.state.hold()
        self.workspace.clear_results()
        if isinstance(datastore := self.datastore(), Studies):
            datastore.clear_parts()
        if isinstance(datastore, ArchiveStudies):
            datastore.clean()
        super().on_init_complete()
        self._say_what_is_served()
        self.network.load_in_background()
        if not self.options.read_only:
            self.trainings.go_on()
        if self.outgoing and not self.options.read_only:
            self.outgoing.start()
        if self.scorer:
            self.scorer.start()

    def stop(self) -> None:
        """Take no more work, and have what runs for long end soon; returns when a training has ended."""
        self.turns.close()
        self.batches.stop()
        self.trainings.pause()

    def infer(self, request: dict[str, Any], datastore: Datastore | None = None) -> dict[str, Any]:
        """Answer a viewer's clicks.

        Args:
            request: `model`, `image` (the id of a study) or `session`, and the viewer's parameters;
                `save_label` saves the mask under `label_tag` (default `original`).
            datastore: only as MONAI Label's interface has it; the app's own is used.

        Returns:
            As `MONAILabelApp.infer`: `file` is to be deleted once it is sent.

        Raises:
            HTTPException: 404 for an unknown model, study or session, 4xx with a sentence for bad input.
        """
        with told_to_client():
            task = self.task(request.get("model"))
            study, path = self.image_of(request)
            saves = is_true(request.get("save_label")) and not isinstance(task, ImpressionTask)
            tag = checked_tag(request.get("label_tag") or "original")
            if saves and request.get("session"):
                raise HTTPException(422, "An upload has no label to save; only a study on the server has.")
            file, result = task({**request, "image": str(path), "study": study})
            label = file
            if saves and file is not None:
                info = {"model": task.name, "params": result, "client_id": request.get("client_id")}
                try:
                    label = self.datastore().save_label(study, file, tag, info)
                except BaseException:
                    Path(file).unlink(missing_ok=True)
                    raise
            return {"label": label, "tag": tag, "file": file, "params": result}

    def batch_infer(self, request: dict[str, Any], datastore: Datastore | None = None) -> dict[str, Any]:
        """Segment many studies without a click, and save each mask as a label.

        Args:
            request: `model`; `images`: `all` (default), `labeled` (has a label `original`), `unlabeled` (has
                none that is final), or a list of ids; `max_batch_size`: at most so many, 0 for all. What
                tells of devices and workers is not used: the server's network runs where it is.
            datastore: only as MONAI Label's interface has it; the app's own is used.

        Returns:
            By study the id of the label `original`, its tag and the reply's parameters, or what went wrong.

        Raises:
            HTTPException: 404 for an unknown model, 422 for one that needs clicks, or for bad input.
        """
        return self.batches.run(self.checked_batch(request))

    def checked_batch(self, request: dict[str, Any]) -> Batch:
        """Return what a request for a batch asks for; HTTPException as `batch_infer`."""
        task = self.task(request.get("model"))
        if not isinstance(task, SegPETAutoTask):
            raise HTTPException(422, "This model needs clicks and cannot run over many studies by itself.")
        return read_batch(request, self.datastore())

    def next_sample(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return the study to be labelled next, {} where none is left; its image is read meanwhile.

        It counts as open for whoever asked, so that nobody else is sent to it in the next minutes.
        """
        if request.get("strategy") not in self._strategies:
            raise HTTPException(404, f"There is no such strategy; there are {', '.join(self._strategies)}.")
        with told_to_client(), self._choosing:
            sample: dict[str, Any] = super().next_sample(request)
            if sample:
                self._lend(sample["id"], request.get("client_id"))
        if sample:
            self.preload(sample["id"])
            if Path(sample["path"]).is_dir():
                del sample["path"]  # see Studies.get_image_info
        return sample

    def task(self, model: Any) -> InferTask:
        """Return an infer task; HTTPException 404 where there is none of that name."""
        task = self._infers.get(model) if isinstance(model, str) else None
        if task is None:
            raise HTTPException(404, f"There is no such model; there are {', '.join(self._infers)}.")
        return task

    def image_of(self, request: dict[str, Any]) -> tuple[str, Path]:
        """Return the study's id and its image's path; HTTPException 404 where there is none.

        A path that a client names is never opened.
        """
        session, image = request.get("session"), request.get("image")
        if session:
            upload = self.sessions().known(session.get("name") if isinstance(session, dict) else None)
            return upload.name, Path(upload.image)
        datastore = self.datastore()
        if isinstance(datastore, Studies):
            path = datastore.known_image(image)
            return str(image), path
        if not isinstance(image, str) or image not in datastore.list_images():
            raise HTTPException(404, "There is no study of that name.")
        return image, Path(datastore.get_image_uri(image))

    def preload(self, study: str) -> None:
        """Read a study's image in the background; of an archive whoever opens it waits for it."""
        datastore = self.datastore()
        if isinstance(datastore, Studies) and not isinstance(datastore, ArchiveStudies):
            self.workspace.volumes.preload(datastore.known_image(study))

    def _lend(self, study: str, client: Any) -> None:
        """Note that a client has a study open, where it says who it is."""
        if isinstance(client, str) and 0 < len(client) <= LONGEST_CLIENT and not self.options.read_only:
            self.workspace.leases.renew(study, client)

    def _say_what_is_served(self) -> None:
        """Log what whoever starts the server wants to know."""
        options, datastore = self.options, self.datastore()
        if isinstance(datastore, ArchiveStudies):
            try:
                logger.info("%d PET series in the PACS.", len(datastore.list_images()))
            except HTTPException as error:
                logger.warning("%s It is asked again when somebody opens the work list.", error.detail)
            logger.info(
                "Labels, their versions, the journal and copies of images go to %s.", options.state.path
            )
        elif isinstance(datastore, Studies):
            names = {Path(datastore.get_image_uri(study)).name for study in datastore.list_images()}
            folder = Path(self.studies)
            for line in in_words(len(names), inventory(folder, names), with_names=sys.stderr.isatty()):
                logger.info(line)
            state = options.state.path
            logger.info("Labels go to %s, their versions and the journal to %s.", folder / "labels", state)
        if options.unit:
            logger.info("Values of files that do not state their unit are taken for %s.", options.unit)
        else:
            logger.info("Files that do not state their unit give no SUV; --unit says what theirs is.")
        if options.model is None:
            logger.info("No weights: suv_region and segpet_auto answer, segpet and segpet_click do not.")

    def _scorer(self) -> Scorer | None:
        """Return what scores studies; None where nothing may be written, or the studies are in a PACS."""
        datastore, options = self.datastore(), self.options
        if options.read_only or not isinstance(datastore, Studies) or isinstance(datastore, ArchiveStudies):
            return None
        scores = StudyScores(options.state.folder("scores"))
        return Scorer(datastore, self.network, scores, options.unit, lambda: self.trainings.is_running)

    def _trained(self) -> None:
        """Take the champion that a training may have made."""
        self.network.follow()
        ended = self.trainings.progress()
        told = {key: ended.get(key) for key in ("trainer", "status", "version", "promoted")}
        self.workspace.audit.append("training ended", "(server)", **told)

    def cleanup_sessions(self) -> None:
        """Delete uploads that nobody used for long."""
        self.sessions().remove_expired()

    def _load_sessions(self, load: bool = False) -> Uploads:
        folder = self.workspace.state.folder("uploads")
        return Uploads(folder, settings.MONAI_LABEL_SESSION_EXPIRY, self.workspace.journal.delete)

    def _download_dcmqi_tools(self) -> None:
        """Not needed: nothing is downloaded when a server starts."""
