"""`segpet demo`: a server with digital phantoms, and one click to show what it does."""

import contextlib
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scripts import app
from scripts.serve import Model, Port, running_server

if TYPE_CHECKING:
    from lib.pet import Phantom

FOLDER = Path.home() / ".segpet" / "demo"
#: Name, seed and tracer of the digital patients; one click finds the largest lesion of the first.
PATIENTS = (("phantom-1", 57, "FDG"), ("phantom-2", 39, "PSMA"), ("phantom-3", 60, "DOTATATE"))
LABELS = "lesion,liver,kidney_left,kidney_right,heart,spleen,aorta,urinary_bladder"


@app.command()
def demo(
    folder: Annotated[
        Path, typer.Option(help="Where the phantoms, your labels and the picture are kept.")
    ] = FOLDER,
    port: Port = 8000,
    model: Model = None,
) -> None:
    """Try SegPET: draw three digital patients, start the server, click one lesion, and wait for you.

    npm fetches the viewer once (50 MB), where npm is; nothing else is downloaded, and nothing leaves this
    machine. With weights the click goes to the network
    (`segpet`); where there are none, or with `--model none`, it grows a region (`suv_region`).
    """
    phantoms = _phantoms(folder)
    task = "segpet" if _has_weights(model) else "suv_region"
    missing = _viewer_missing()
    typer.echo("Starting the server ...")
    options = {"state": folder / "state", "labels": LABELS, "model": model}
    with running_server(folder / "studies", port, options, folder / "server.log") as url:
        name, phantom = next(iter(phantoms.items()))
        mask = folder / "first-click.nrrd"
        voxel = _middle_of_first_lesion(phantom)
        reply = _click(url, task, name, voxel, mask)
        picture = _draw(phantom, mask, voxel)
        lesion = reply["objects"][0]
        typer.echo(
            f"\nOne click in {name}: SUVmax {lesion['suv_max']:.1f}, SUVmean {lesion['suv_mean']:.1f}, "
            f"{lesion['volume_ml']:.1f} ml, answered in {1000 * reply['latencies']['total']:.0f} ms.\n"
            f"Picture:   {picture} (axial, coronal, sagittal, projection; the cross is the click)\n"
            + (f"Viewer:    {missing}\n" if missing else f"Viewer:    {url}/  (open it in a browser)\n")
            + f"Server:    {url}  (task {task}; requests and replies: docs/api.md)\n"
            f"3D Slicer: module MONAI Label, server {url}, Next Sample, then place points in a segment.\n"
            f"Studies:   {folder / 'studies'}; saved labels in labels/final there.\n"
            "Ctrl+C ends the demo; what you saved stays."
        )
        with contextlib.suppress(KeyboardInterrupt):
            while True:
                time.sleep(3600)


def _viewer_missing() -> str:
    """Return why there is no viewer, "" where there is one; npm fetches it where it is missing."""
    from apps.segpet.viewer_package import ViewerError, check_viewer, fetch_viewer

    try:
        check_viewer(fetch_viewer(typer.echo))
    except ViewerError as error:
        return str(error)
    return ""


def _has_weights(model: str | None) -> bool:
    from apps.segpet.options import BUNDLED
    from lib.network.registry import default_weights

    return model != "none" if model else default_weights([BUNDLED]) is not None


def _phantoms(folder: Path) -> "dict[str, Phantom]":
    """Return the digital patients by study name; their images are written where they are missing."""
    import nibabel

    from lib.pet import make_phantom

    studies = folder / "studies"
    studies.mkdir(mode=0o700, parents=True, exist_ok=True)
    phantoms = {}
    with typer.progressbar(PATIENTS, label="Drawing digital patients") as patients:
        for name, seed, tracer in patients:
            phantoms[name] = phantom = make_phantom(seed, tracer=tracer)
            known = {"TracerName": phantom.uptake.tracer, "TracerRadionuclide": phantom.uptake.nuclide}
            (studies / f"{name}.json").write_text(json.dumps({"Units": "g/mL", **known}))
            if not (studies / f"{name}.nii.gz").exists():
                part = (
                    folder / f"{name}.nii.gz"
                )  # written beside the studies: an interrupted demo leaves no half
                nibabel.save(nibabel.Nifti1Image(phantom.volume.array, phantom.volume.affine), part)
                part.replace(studies / part.name)
    return phantoms


def _middle_of_first_lesion(phantom: "Phantom") -> list[int]:
    from lib.interaction.annotator import next_click
    from lib.pet import Crop

    click = next_click(Crop.from_grid(phantom.lesions == 1), Crop.empty(), phantom.volume.spacing)
    assert click is not None, "a phantom has lesions"
    return list(click.index)


def _click(url: str, task: str, study: str, voxel: list[int], mask: Path) -> dict[str, Any]:
    """Send one click as a viewer does; the mask goes to a file, the rest of the reply is returned."""
    import requests
    from requests_toolbelt import MultipartDecoder

    params = {"lesion": [voxel], "result_extension": ".nrrd", "client_id": "demo"}
    reply = requests.post(
        f"{url}/infer/{task}", params={"image": study}, data={"params": json.dumps(params)}, timeout=600
    )
    if not reply.ok:
        typer.echo(reply.json()["detail"], err=True)
        raise typer.Exit(2)
    described, image = MultipartDecoder.from_response(reply).parts
    mask.write_bytes(image.content)
    result: dict[str, Any] = json.loads(described.text)
    return result


def _draw(phantom: "Phantom", mask: Path, click: list[int]) -> Path:
    from lib.pet import Crop, read_mask
    from lib.pet.picture import draw

    picture = mask.with_suffix(".png")
    masks = [Crop.from_grid(read_mask(mask)[0])]
    draw(phantom.volume, masks, upper=10.0, clicks=[click]).save(picture)
    return picture
