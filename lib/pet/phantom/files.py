"""A phantom as files: images and truth in NIfTI, what they mean in JSON and CSV."""

import gzip
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import nibabel
import numpy as np

from lib.pet.phantom.classes import CLASSES, LESION_CLASS
from lib.pet.phantom.injection import Injection
from lib.pet.phantom.whole import Phantom
from lib.pet.writers import write_mask

IMAGE, SIDECAR, MASK = "PET_image.nii.gz", "PET_image.json", "PET_mask.nii.gz"
INSTANCES, ORGANS, NAMES, SUMMARY = "lesions.nii.gz", "organs.nii.gz", "labels.csv", "phantom.json"


def write_nifti(phantom: Phantom, folder: Path, seed: int) -> None:
    """Write a phantom as a case for evaluation and training.

    PET_image.nii.gz in SUVbw with its sidecar, PET_mask.nii.gz (1: lesion), lesions.nii.gz (1 to n, the
    largest first), organs.nii.gz with labels.csv (what the organs are, also beneath lesions), phantom.json.

    Args:
        phantom: what to write.
        folder: an existing one.
        seed: that it was made from, for phantom.json.

    Raises:
        OSError: the folder cannot be written.
    """
    affine = phantom.volume.affine
    image = nibabel.Nifti1Image(phantom.volume.array, affine)
    image.set_qform(affine, code=1)
    image.set_sform(affine, code=1)
    image.header.set_xyzt_units("mm")
    # The lowest level: noise does not compress, and the name and time of a file would change its bytes.
    with (
        (folder / IMAGE).open("wb") as file,
        gzip.GzipFile(filename="", mode="wb", compresslevel=1, fileobj=file, mtime=0) as compressed,
    ):
        image.to_stream(compressed)
    _write_json(folder / SIDECAR, sidecar(phantom))
    write_mask(folder / MASK, phantom.lesions > 0, affine)
    write_mask(folder / INSTANCES, phantom.lesions, affine)
    write_mask(folder / ORGANS, phantom.organs, affine)
    present = np.flatnonzero(np.bincount(phantom.organs.ravel(order="K"), minlength=LESION_CLASS))
    rows = [f"{number},{CLASSES[int(number)]}\n" for number in present if number]
    (folder / NAMES).write_text("".join(["number,name\n", *rows]), encoding="utf-8")
    _write_json(folder / SUMMARY, summary(phantom, seed))


def summary(phantom: Phantom, seed: int) -> dict[str, Any]:
    """Return what a phantom is, for people and programs: patient, tracer, scan and lesions."""
    return {
        "tracer": phantom.uptake.tracer,
        "seed": seed,
        "patient": asdict(phantom.patient),
        "shape": list(phantom.volume.shape),
        "spacing_mm": [round(one, 6) for one in phantom.volume.spacing],
        "blur_fwhm_mm": phantom.fwhm_mm,
        "liver_cv": phantom.liver_cv,
        "organs": np.unique(phantom.organs).size - 1,
        "lesions": [asdict(lesion) for lesion in phantom.findings],
        "uptake_sources": list(phantom.uptake.sources),
    }


def sidecar(phantom: Phantom) -> dict[str, Any]:
    """Return the sidecar in BIDS PET's words; TimeZero is the injection."""
    injection = Injection.of(phantom)
    seconds = (injection.scanned - injection.injected).total_seconds()
    return {
        "Modality": "PT",
        "Manufacturer": "SegPET",
        "ManufacturersModelName": "Digital phantom",
        "BodyPart": "WHOLEBODY",
        "Units": "g/mL",
        "TracerName": phantom.uptake.tracer,
        "TracerRadionuclide": phantom.uptake.nuclide.replace("-", ""),
        "InjectedRadioactivity": injection.dose_bq / 1e6,
        "InjectedRadioactivityUnits": "MBq",
        "ModeOfAdministration": "bolus",
        "BodyWeight": injection.weight_kg,
        "TimeZero": injection.injected.strftime("%H:%M:%S"),
        "InjectionStart": 0,
        "ScanStart": seconds,
        "FrameTimesStart": [seconds],
        "FrameDuration": [120],
        "AcquisitionMode": "whole body",
        "ImageDecayCorrected": True,
        "ImageDecayCorrectionTime": seconds,
        "AttenuationCorrection": "simulated",
        "ReconMethodName": "simulated",
        "ReconFilterType": "Gaussian",
        "ReconFilterSize": round(phantom.fwhm_mm, 3),
    }


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
