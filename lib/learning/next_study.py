"""Which study is to be labelled next: what is known of each, kept with the study, and the order it gives."""

import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np

from lib.interaction import Engine, propose_seeds
from lib.learning.informativeness import CLASSES, informativeness, power_noise
from lib.pet import Volume, VolumeError
from lib.pet.dicom_folder import change_of
from lib.pet.organ_map import OrganMap
from lib.pet.organs import organ_map_stamp, read_organ_map
from lib.pet.sidecar import with_sidecar
from lib.pet.tracers import name_of_tracer, tracer_of
from lib.store import StoreError, write_atomic
from lib.store.records import file_name, from_json, to_json
from lib.store.state import make_private

#: Strategies that go by scores; `random` does without.
SCORED = ("uncertain", "mixed")


@dataclass(frozen=True)
class StudyScore:
    """What is known of a study that may be labelled next.

    Args:
        study: its id.
        image: when its image changed last, and its size: of another image, nothing is known.
        weights: digest of the network that was asked; "" where there was none.
        tracer: name of the tracer; None where the image does not say it.
        disagreement: see `lib.learning.informativeness`; None where there are no weights, or no seeds.
        entropy: likewise, by class.
        organs: of the organ map that told normal uptake, as `image`; None where there was none.
    """

    study: str
    image: tuple[int, int]
    weights: str = ""
    tracer: str | None = None
    disagreement: float | None = None
    entropy: Mapping[str, float] = field(default_factory=dict)
    organs: tuple[int, int] | None = None

    def is_of(self, image: Path) -> bool:
        """Whether it is of an image as that is now."""
        try:
            return self.image == image_stamp(image)
        except OSError:
            return False


class StudyScores:
    """One small file for each study; a damaged one counts as none, for it can be computed anew."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        make_private(folder)

    def get(self, study: str, image: Path) -> StudyScore | None:
        """Return what is known of a study's image as it is now; None where nothing is."""
        score = self.last(study)
        return score if score and score.is_of(image) else None

    def last(self, study: str) -> StudyScore | None:
        """Return what was known of a study when it was last looked at, without a look at its image."""
        try:
            fields = from_json((self.folder / f"{file_name(study)}.json").read_bytes())
            stamps = {key: tuple(fields[key]) for key in ("image", "organs") if fields.get(key)}
            return StudyScore(**{**fields, **stamps})
        except (OSError, StoreError, KeyError, TypeError, ValueError):
            return None

    def put(self, score: StudyScore) -> None:
        """Keep what is known of a study."""
        write_atomic(self.folder / f"{file_name(score.study)}.json", to_json(asdict(score)))

    def look(
        self,
        study: str,
        image: Path,
        read: Callable[[Path], Volume],
        engine: Engine | None,
        pause: Callable[[], None] = lambda: None,
        organ_map: Path | None = None,
    ) -> StudyScore:
        """Return what is known of a study; what the engine's weights have not said yet is found out and kept.

        So it is where its organ map came or changed since.

        Args:
            study, image, engine: see `score_study`; without weights, what other ones said counts.
            read: reads the image; what it raises is raised.
            pause: called before the image is read, and before each decoding.
            organ_map: the study's, a file or folder; one that cannot be used counts as None.
        """
        known = self.get(study, image)
        stamp = organ_map_stamp(organ_map) if organ_map else None
        if known is None or (engine and (known.weights, known.organs) != (engine.segmenter.digest, stamp)):
            pause()
            volume = read(image)
            organs = None
            if engine and organ_map:
                with suppress(VolumeError):
                    organs = read_organ_map(organ_map, volume, study=image)
            known = score_study(study, image, volume, engine, pause, organs)
            known = replace(known, organs=stamp if engine else None)
            self.put(known)
        return known


def image_stamp(image: Path) -> tuple[int, int]:
    """Return when a folder, or a file and its sidecar, changed last (ns), and their bytes.

    Raises:
        OSError: it is gone.
    """
    return change_of(image, with_sidecar)


def score_study(
    study: str,
    image: Path,
    volume: Volume,
    engine: Engine | None,
    pause: Callable[[], None] = lambda: None,
    organs: OrganMap | None = None,
) -> StudyScore:
    """Look at a study: its tracer, and what the network says of its likely lesions.

    Args:
        study: its id, which seeds the jitter too: the same study and weights give the same score.
        image: its file or folder.
        volume: its image.
        engine: of the network that would learn; None: there are no weights.
        pause: called before each decoding.
        organs: on the volume's grid: with it and a tracer, what is normal uptake is not asked about.
    """
    tracer = tracer_of(volume)
    found = StudyScore(study, image_stamp(image), tracer=tracer.name if tracer else None)
    if engine is None:
        return found
    random = np.random.default_rng(int(hashlib.sha256(study.encode(errors="replace")).hexdigest()[:16], 16))
    told = informativeness(engine, volume, propose_seeds(volume, organs, tracer), random, pause)
    digest = engine.segmenter.digest
    return StudyScore(study, found.image, digest, found.tracer, told.disagreement, told.entropy)


def of_tracer(scores: Iterable[StudyScore], tracer: str) -> list[StudyScore]:
    """Return the studies of a tracer, by any of its names; a study whose tracer is not known is of none."""
    wanted = name_of_tracer(tracer).lower()
    return [score for score in scores if (score.tracer or "").lower() == wanted]


def ranked(
    strategy: str, scores: Collection[StudyScore], labels: int, random: np.random.Generator
) -> list[str]:
    """Return the studies that have a score, the next one first.

    `uncertain`: by disagreement. `mixed`: by the vote entropy of a class of voxels, the class drawn at random
    (each as likely, whatever its voxels), with noise that decays as labels come in: in the manner of
    class-stratified querying with power noise, which holds up best for 3D segmentation (nnActive 2025).

    Args:
        strategy: one of SCORED.
        scores: of the studies that may come.
        labels: final labels that there are.
        random: draws class and noise.
    """
    if strategy == "uncertain":
        values = {one.study: one.disagreement for one in scores if one.disagreement is not None}
        return sorted(values, key=lambda study: (-values[study], study))
    name = CLASSES[int(random.integers(len(CLASSES)))]
    noisy = {
        one.study: power_noise(one.entropy.get(name, 0.0), labels, random)
        for one in sorted(scores, key=lambda one: one.study)
        if one.entropy
    }
    return sorted(noisy, key=lambda study: (-noisy[study], study))
