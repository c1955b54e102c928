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
from scripts.outputs import check_output_file
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
    repeats: Annotated[int, typer.Option(min=1, help="How often each step is measured.")] = 5,
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

    if output:
        check_output_file(output, [model])
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


def _best_of(repeats: int, *runs: Callable[[], Any]) -> list[float]:
    """Return the best time of each, ms; they take turns, so that a busy machine slows all of them alike."""
    for run in runs:
        run()
    rounds = [[_timed(run)[0] for run in runs] for _ in range(repeats)]
    return [round(min(times), 1) for times in zip(*rounds, strict=True)]


def _timed(run: Callable[[], Any]) -> tuple[float, Any]:
    begin = time.perf_counter()
    result = run()
    return (time.perf_counter() - begin) * 1000, result


def _network_rows(network: "SegAnyPET", repeats: int) -> dict[str, float | str]:
    import torch

    torch.manual_seed(1)
    size = network.config.image_size
    cube = network.normalise(torch.rand(1, 1, size, size, size))
    embedding = network.encode(cube)
    points, labels = torch.randint(0, size, (1, 5, 3)).float(), torch.tensor([[1, 1, 0, 1, 0]])
    logits = network.decode(embedding, points, labels)
    reference = _reference(network)
    if reference is None:
        (encoder,) = _best_of(repeats, lambda: network.encode(cube))
        (decoder,) = _best_of(repeats, lambda: network.decode(embedding, points, labels, logits))
        return {"encoder, one region, best, ms": encoder, "decoder, 5 clicks and a mask, best, ms": decoder}

    def their_decode() -> torch.Tensor:
        sparse, dense = reference.prompt_encoder(points=(points, labels), boxes=None, masks=logits)
        masks, _ = reference.mask_decoder(
            image_embeddings=embedding,
            image_pe=reference.prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=False,
        )
        return masks

    encoder, their_encoder = _best_of(
        repeats, lambda: network.encode(cube), lambda: reference.image_encoder(cube)
    )
    decoder, their_decoder = _best_of(
        repeats, lambda: network.decode(embedding, points, labels, logits), their_decode
    )
    encoded = (reference.image_encoder(cube) - embedding).abs().max()
    decoded = (their_decode() - network.decode(embedding, points, labels, logits)).abs().max()
    return {
        "encoder, one region, best, ms": encoder,
        "encoder of MedIM, best, ms": their_encoder,
        "encoder, times faster than MedIM": round(their_encoder / encoder, 1),
        "largest difference of the embeddings": f"{float(encoded):.1e}",
        "decoder, 5 clicks and a mask, best, ms": decoder,
        "decoder of MedIM, best, ms": their_decoder,
        "decoder, times faster than MedIM": round(their_decoder / decoder, 1),
        "largest difference of the logits": f"{float(decoded):.1e}",
    }


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
import sys, torch
from pathlib import Path
from lib.network import load_network
torch.set_num_threads(int(sys.argv[2]))
network = load_network(sys.argv[1])
size = network.config.image_size
with torch.inference_mode():
    network.encode(network.normalise(torch.rand(1, 1, size, size, size)))
print(next(line.split()[1] for line in Path("/proc/self/status").open() if line.startswith("VmHWM")))
"""
    command = [sys.executable, "-c", code, str(weights), str(threads)]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return round(int(printed) * 1024 / 1e6)


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

    read, volume = _timed(lambda: read_volume(study))
    first: list[float] = []
    encoded: list[float] = []
    following: list[float] = []
    for _ in range(repeats):
        segmenter = NetworkSegmenter(network)
        click = [
            read_prompts({"lesion": _clicks(count)}, ("background", "lesion"), volume.shape)
            for count in range(1, 4)
        ]
        milliseconds, update = _timed(lambda: Engine(segmenter).update(volume, (), click[0]))  # noqa: B023
        first.append(milliseconds)
        engine = Engine(segmenter)
        encoded.append(_timed(lambda: engine.update(volume, (), click[0]))[0])  # noqa: B023
        objects = update.objects
        for prompts in click[1:]:
            milliseconds, update = _timed(lambda: engine.update(volume, objects, prompts))  # noqa: B023
            objects = update.objects
            following.append(milliseconds)
    return {
        "reading the study (.nii.gz), ms": round(read, 1),
        "first click, nothing encoded, median, ms": round(statistics.median(first), 1),
        "first click, region encoded, median, ms": round(statistics.median(encoded), 1),
        "further click, median, ms": round(statistics.median(following), 1),
        "regions of the last click (each is encoded once)": len(update.regions),
    }


def _http_rows(studies: Path, weights: Path, repeats: int) -> dict[str, float | str]:
    import requests
    from requests_toolbelt import MultipartDecoder

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = {"state": studies.parent / "state", "model": weights}
    log = studies.parent / "server.log"
    with running_server(studies, port, options, log) as url, requests.Session() as session:

        def click(voxels: list[list[int]], client: str) -> requests.Response:
            params = {"lesion": voxels, "result_extension": ".nrrd", "client_id": client}
            url_of_task = f"{url}/infer/segpet?image=phantom"
            reply = session.post(url_of_task, data={"params": json.dumps(params)}, timeout=600)
            reply.raise_for_status()
            return reply

        after_start, _ = _timed(lambda: click(_clicks(1), "bench"))
        following = [_timed(lambda: click(_clicks(count), "bench"))[0] for count in range(2, 3 + repeats)]  # noqa: B023
        waits: list[float] = []
        done = threading.Event()

        def watch() -> None:
            with requests.Session() as other:
                while not done.wait(0.02):
                    waits.append(_timed(lambda: other.get(f"{url}/info/", timeout=600).raise_for_status())[0])

        watcher = threading.Thread(target=watch)
        watcher.start()
        # Far away from the others: its region is cold, while the study and the weights are in memory.
        i, j, k = (size // 2 for size in STUDY_SHAPE)
        cold, reply = _timed(lambda: click([[i, j, k // 2]], "another"))
        done.set()
        watcher.join()
        described, _ = MultipartDecoder.from_response(reply).parts
    return {
        "HTTP: first click after the start, ms": round(after_start, 1),
        "HTTP: first click, nothing encoded, ms": round(cold, 1),
        "HTTP: regions of that click": len(json.loads(described.text)["regions"]),
        "HTTP: further click, mask of the whole study, median, ms": round(statistics.median(following), 1),
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
