"""`segpet bench`: what an encoding, a click and a reply over HTTP cost on this machine."""

import contextlib
import json
import os
import platform
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scripts import app
from scripts.serve import running_server

if TYPE_CHECKING:
    from lib.network import SegAnyPET

ROOT = Path(__file__).resolve().parents[1]
STUDY_SHAPE = (200, 200, 400)
STUDY_SPACING = (4.0, 4.0, 3.0)


@app.command()
def bench(
    model: Annotated[
        Path | None,
        typer.Option(help="Weights to measure with; random ones of the published size if not given."),
    ] = None,
    repeats: Annotated[
        int, typer.Option(min=1, help="How often each step is measured; the median counts.")
    ] = 5,
    http: Annotated[bool, typer.Option(help="Measure a server on this machine as well.")] = True,
    threads: Annotated[int, typer.Option(min=1, help="Threads of the network.")] = os.cpu_count() or 1,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write the table as Markdown.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Measure encoder, decoder, clicks and replies, next to MedIM's SAM-Med3D where that is installed.

    Only ratios within one run mean something on a busy machine. MedIM is the reference for speed:
    `pip install --no-deps medim` and `pip install appdirs einops huggingface_hub requests`.

    `segpet bench -o benchmarks.md`
    """
    import torch

    from lib.network import load_network, save_network
    from lib.network.seganypet import SegAnyPET

    torch.set_num_threads(threads)
    rows: dict[str, float | str] = {}
    with tempfile.TemporaryDirectory() as folder:
        weights = model
        if weights is None:
            torch.manual_seed(0)
            weights = Path(folder) / "random.safetensors"
            save_network(SegAnyPET(), weights)
        network = load_network(weights)
        _say("encoder and decoder")
        with torch.inference_mode():
            rows |= _network_rows(network, repeats)
        rows["encoder, peak memory of a fresh process, MB"] = _peak_of_one_encoding(weights, threads)
        _say("clicks in a study of 200 x 200 x 400 voxels")
        study = _write_study(Path(folder))
        rows |= _click_rows(network, study, repeats)
        if http:
            _say("the same over HTTP")
            rows |= _http_rows(study.parent, weights, repeats)
    if output:
        output.write_text(_as_markdown(rows, threads, model))
    typer.echo(json.dumps(rows, indent=2) if as_json else _as_markdown(rows, threads, model))


def _say(what: str) -> None:
    typer.echo(f"Measuring {what} ...", err=True)


def _median_ms(run: Callable[[], Any], repeats: int) -> float:
    run()
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        run()
        times.append((time.perf_counter() - begin) * 1000)
    return round(statistics.median(times), 1)


def _network_rows(network: "SegAnyPET", repeats: int) -> dict[str, float | str]:
    import torch

    torch.manual_seed(1)
    size = network.config.image_size
    cube = network.normalise(torch.rand(1, 1, size, size, size))
    embedding = network.encode(cube)
    points, labels = torch.randint(0, size, (1, 5, 3)).float(), torch.tensor([[1, 1, 0, 1, 0]])
    logits = network.decode(embedding, points, labels)
    rows: dict[str, float | str] = {
        "encoder, one region, ms": _median_ms(lambda: network.encode(cube), repeats),
        "decoder, 5 clicks and a mask, ms": _median_ms(
            lambda: network.decode(embedding, points, labels, logits), repeats
        ),
    }
    reference = _reference(network)
    if reference is None:
        rows["MedIM"] = "not installed"
        return rows
    theirs = reference.image_encoder(cube)
    rows["encoder of MedIM, ms"] = _median_ms(lambda: reference.image_encoder(cube), max(1, repeats // 2))
    rows["encoder, times faster than MedIM"] = round(
        float(rows["encoder of MedIM, ms"]) / float(rows["encoder, one region, ms"]), 1
    )
    rows["encoder, largest difference from MedIM"] = f"{float((theirs - embedding).abs().max()):.1e}"

    def decode() -> torch.Tensor:
        sparse, dense = reference.prompt_encoder(points=(points, labels), boxes=None, masks=logits)
        masks, _ = reference.mask_decoder(
            image_embeddings=embedding,
            image_pe=reference.prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=False,
        )
        return masks

    rows["decoder of MedIM, ms"] = _median_ms(decode, repeats)
    difference = (decode() - network.decode(embedding, points, labels, logits)).abs().max()
    rows["decoder, largest difference from MedIM"] = f"{float(difference):.1e}"
    return rows


def _reference(network: "SegAnyPET") -> Any:
    """Return MedIM's network with the same weights, or None where it is not installed or has another size."""
    from lib.network import SegAnyPETConfig

    if network.config != SegAnyPETConfig():
        return None
    try:
        with contextlib.redirect_stdout(sys.stderr):
            from medim import create_model

            reference = create_model("SAM-Med3D")
    except ImportError:
        return None
    reference.load_state_dict(network.state_dict(), strict=True)
    return reference.eval()


def _peak_of_one_encoding(weights: Path, threads: int) -> float:
    """Return the peak memory, MB, of a process that loads the weights and encodes one region."""
    code = """
import resource, sys, torch
from lib.network import load_network
torch.set_num_threads(int(sys.argv[2]))
network = load_network(sys.argv[1])
size = network.config.image_size
with torch.inference_mode():
    network.encode(network.normalise(torch.rand(1, 1, size, size, size)))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
    command = [sys.executable, "-c", code, str(weights), str(threads)]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return round(int(printed) / (1e6 if platform.system() == "Darwin" else 1e3))


def _write_study(folder: Path) -> Path:
    import nibabel
    import numpy as np

    from lib.pet import make_phantom

    volume = make_phantom(0, STUDY_SHAPE, STUDY_SPACING).volume
    path = folder / "studies" / "phantom.nii.gz"
    path.parent.mkdir()
    # As a scanner's export has it: 16-bit integers with a scale.
    scale = float(np.nanmax(volume.array)) / 32000
    image = nibabel.Nifti1Image(np.round(volume.array / scale).astype(np.int16), volume.affine)
    image.header.set_slope_inter(scale, 0)
    nibabel.save(image, path)
    path.with_name("phantom.json").write_text('{"Units": "g/mL"}')
    return path


def _clicks(count: int) -> list[list[int]]:
    """Return clicks within one region, 8 mm apart."""
    i, j, k = (size // 2 for size in STUDY_SHAPE)
    return [[i + 2 * (n % 3), j + 2 * (n // 3 % 3), k + 2 * (n // 9)] for n in range(count)]


def _click_rows(network: "SegAnyPET", study: Path, repeats: int) -> dict[str, float | str]:
    from lib.interaction import Engine, NetworkSegmenter, read_prompts
    from lib.pet import read_volume

    begin = time.perf_counter()
    volume = read_volume(study)
    _ = volume.digest
    read = time.perf_counter() - begin
    cold, encoded, following = [], [], []
    segmenter = NetworkSegmenter(network)
    for _ in range(repeats):
        segmenter = NetworkSegmenter(network)
        objects: tuple = ()
        for count in range(1, 4):
            begin = time.perf_counter()
            prompts = read_prompts({"lesion": _clicks(count)}, ("background", "lesion"), volume.shape)
            objects = Engine(segmenter).update(volume, (), prompts).objects if count == 1 else objects
            if count == 1:
                cold.append((time.perf_counter() - begin) * 1000)
                engine = Engine(segmenter)
                begin = time.perf_counter()
                objects = engine.update(volume, (), prompts).objects
                encoded.append((time.perf_counter() - begin) * 1000)
            else:
                objects = engine.update(volume, objects, prompts).objects
                following.append((time.perf_counter() - begin) * 1000)
    return {
        "reading the study (.nii.gz), ms": round(read * 1000, 1),
        "first click, nothing encoded, ms": round(statistics.median(cold), 1),
        "first click, region encoded, ms": round(statistics.median(encoded), 1),
        "further click, ms": round(statistics.median(following), 1),
    }


def _http_rows(studies: Path, weights: Path, repeats: int) -> dict[str, float | str]:
    import requests

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = {"state": studies.parent / "state", "model": weights}
    log = studies.parent / "server.log"
    with running_server(studies, port, options, log) as url, requests.Session() as session:

        def click(count: int) -> float:
            params = {"lesion": _clicks(count), "background": [], "result_extension": ".nrrd"}
            begin = time.perf_counter()
            reply = session.post(
                f"{url}/infer/segpet?image=phantom&output=image", data={"params": json.dumps(params)}
            )
            reply.raise_for_status()
            return (time.perf_counter() - begin) * 1000

        waits: list[float] = []
        done = threading.Event()

        def watch() -> None:
            with requests.Session() as other:
                while not done.is_set():
                    begin = time.perf_counter()
                    other.get(f"{url}/info/").raise_for_status()
                    waits.append((time.perf_counter() - begin) * 1000)
                    done.wait(0.02)

        after_start = click(1)
        following = [click(count) for count in range(2, 3 + repeats)]
        watcher = threading.Thread(target=watch)
        watcher.start()
        # Far away from the first: its region is cold, the study is read.
        far = {
            "lesion": [[STUDY_SHAPE[0] // 2, STUDY_SHAPE[1] // 2, STUDY_SHAPE[2] // 4]],
            "client_id": "bench",
        }
        begin = time.perf_counter()
        session.post(f"{url}/infer/segpet?image=phantom", data={"params": json.dumps(far)}).raise_for_status()
        cold = (time.perf_counter() - begin) * 1000
        done.set()
        watcher.join()
    return {
        "HTTP: first click after the start (study read, weights loaded), ms": round(after_start, 1),
        "HTTP: first click, nothing encoded, ms": round(cold, 1),
        "HTTP: further click, mask of the whole study, ms": round(statistics.median(following), 1),
        "HTTP: slowest /info/ during a cold click, ms": round(max(waits), 1),
    }


def _as_markdown(rows: dict[str, float | str], threads: int, model: Path | None) -> str:
    import torch

    weights = model.name if model else "random weights of the published size"
    head = [
        f"`segpet bench`, {time.strftime('%Y-%m-%d')}: {platform.machine()}, {os.cpu_count()} cores, "
        f"{threads} threads, torch {torch.__version__}, {weights}.",
        "",
        "| what | measured |",
        "|---|---|",
    ]
    return "\n".join([*head, *(f"| {name} | {value} |" for name, value in rows.items()), ""])
