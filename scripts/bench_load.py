"""`segpet bench-load`: annotators at work on one server for minutes: errors, latency, memory, `/health`."""

import json
import os
import platform
import random
import socket
import tempfile
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated, Any

import typer

from scripts import app
from scripts.loading.measured import Load
from scripts.loading.watch import watch_server
from scripts.outputs import check_output_file
from scripts.serve import running_server

STUDY_SHAPE, STUDY_SPACING = (128, 128, 200), (5.0, 5.0, 5.0)
#: Seconds between two actions of an annotator.
PACE = (3.0, 10.0)
#: What annotators do, and how often: mostly clicks. A study is saved and left after so many actions.
_ACTIONS = {"click": 12, "negative click": 4, "undo": 2, "view": 2, "draft": 1}
_ACTIONS_A_STUDY = 10

#: A point inside of a lesion, LPS mm.
Point = list[float]


@app.command("bench-load")
def bench_load(
    annotators: Annotated[int, typer.Option(min=1, max=200, help="How many work at the same time.")] = 20,
    minutes: Annotated[float, typer.Option(min=0.05, help="For how long.")] = 10.0,
    studies: Annotated[int, typer.Option(min=1, help="How many digital patients there are.")] = 24,
    model: Annotated[
        str | None, typer.Option(help="Weights; as `segpet serve` chooses if not given.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of all that is random.")] = 0,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write the table as Markdown.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Have simulated annotators work at a server on this machine, at a person's pace, and measure it.

    Each opens the next study, clicks every 3 to 10 s, undoes, looks, saves, and goes on to another one. The
    server is a process of its own, as `segpet serve` starts it; `/health` is asked every half second.

    Demanded are no error, a p95 of clicks that the queue bounds (nobody waits for anybody twice), memory
    within 10 % of its mean in the second half, and every `/health` under 50 ms. Exits with status 1 where one
    of them fails, as memory does in runs that end while caches are being filled: give it 10 minutes, and a
    machine that does nothing else.

    `segpet bench-load --annotators 20 --minutes 10 -o load.md`
    """
    import psutil

    if output:
        check_output_file(output, [])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        typer.echo(f"Making {studies} digital patients ...", err=True)
        points = make_studies(folder / "studies", studies)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        options = {"state": folder / "state", "model": model, "unit": "SUVbw"}
        with running_server(folder / "studies", port, options, folder / "server.log") as url:
            (server,) = psutil.Process().children()
            typer.echo(f"{annotators} annotators work for {minutes:g} minutes ...", err=True)
            load = run_load(url, points, annotators, minutes * 60, server.pid, seed=seed)
    rows, demands = load.rows(), load.demands(annotators)
    head = (
        f"`segpet bench-load --annotators {annotators} --minutes {minutes:g}`, {time.strftime('%Y-%m-%d')}: "
        f"{platform.machine()}, {os.cpu_count()} cores, {studies} studies of "
        f"{' x '.join(map(str, STUDY_SHAPE))}."
    )
    lines = [head, "", "| what | measured |", "|---|---|", *(f"| {key} | {rows[key]} |" for key in rows), ""]
    lines += ["| demanded | measured | met |", "|---|---|---|"]
    lines += [f"| {one.what} | {one.measured} | {'yes' if one.met else '**no**'} |" for one in demands]
    table = "\n".join(lines)
    if output:
        output.write_text(table + "\n")
    told = {**rows, "demands": [one._asdict() for one in demands]}
    typer.echo(json.dumps(told, indent=2) if as_json else table)
    for fault in load.faults[:10]:
        typer.echo(fault, err=True)
    if not all(one.met for one in demands):
        raise typer.Exit(1)


def make_studies(folder: Path, count: int) -> dict[str, list[Point]]:
    """Write digital patients; returns by study the points of its lesions' hottest voxels."""
    import nibabel
    import numpy as np

    from lib.pet import make_phantom

    folder.mkdir()
    points: dict[str, list[Point]] = {}
    for seed in range(count):
        phantom = make_phantom(seed, STUDY_SHAPE, STUDY_SPACING)
        values, affine = phantom.volume.array, phantom.volume.affine
        nibabel.save(nibabel.Nifti1Image(values, affine), folder / f"patient-{seed}.nii.gz")
        points[f"patient-{seed}"] = [
            _lps(
                affine,
                np.unravel_index(np.argmax(np.where(phantom.lesions == number, values, -1)), values.shape),
            )
            for number in range(1, int(phantom.lesions.max()) + 1)
        ]
    return points


def _lps(affine: Any, index: Any) -> Point:
    x, y, z = (affine @ [*index, 1.0])[:3]
    return [float(-x), float(-y), float(z)]


def run_load(
    url: str,
    points: dict[str, list[Point]],
    annotators: int,
    seconds: float,
    pid: int,
    pace: tuple[float, float] = PACE,
    seed: int = 0,
) -> Load:
    """Let annotators work at a server.

    Args:
        url: of the server.
        points: in lesions, by study.
        annotators: how many.
        seconds: for how long they begin new actions.
        pid: of the server's process.
        pace: least and most seconds between two actions of one.
        seed: of all that is random.
    """
    load = Load()
    until = time.monotonic() + seconds
    team = [
        threading.Thread(
            target=Annotator(url, f"annotator-{n}", points, load, pace, seed + n).work, args=(until,)
        )
        for n in range(annotators)
    ]
    # In a process of its own: threads that work here must not be taken for a server that is slow to answer.
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        watch = pool.submit(watch_server, url, pid, seconds)
        for thread in team:
            thread.start()
        for thread in team:
            thread.join()
        load.health, load.memory, faults = watch.result()
    load.faults += faults
    return load


class Annotator:
    """One person in the panel, as the server sees one.

    Args:
        url: of the server.
        name: what the browser calls itself.
        points: in lesions, by study.
        load: gets what is measured.
        pace: least and most seconds between two actions.
        seed: of what the person does.
    """

    def __init__(
        self,
        url: str,
        name: str,
        points: dict[str, list[Point]],
        load: Load,
        pace: tuple[float, float],
        seed: int,
    ) -> None:
        import requests

        self._url, self._name, self._points, self._load, self._pace = url, name, points, load, pace
        self._random = random.Random(seed)
        self._http = requests.Session()
        self._study = self._uid = ""
        self._head: dict[str, Any] = {}

    def work(self, until: float) -> None:
        """Work until a moment of the monotonic clock."""
        try:
            while self._rested(until):
                self._open()
                for _ in range(_ACTIONS_A_STUDY):
                    if not self._rested(until):
                        break
                    (action,) = self._random.choices(list(_ACTIONS), list(_ACTIONS.values()))
                    self._do(action)
                self._save("submitted")
                self._ask("leave", "DELETE", f"{self._session}/seen")
        except Exception as error:
            self._load.faults.append(f"{self._name} stopped: {type(error).__name__}: {error}")

    def _rested(self, until: float) -> bool:
        pause = self._random.uniform(*self._pace)
        time.sleep(max(0.0, min(pause, until - time.monotonic())))
        return time.monotonic() < until

    @property
    def _session(self) -> str:
        return f"/segpet/studies/{self._uid}/sessions/{self._name}"

    def _open(self) -> None:
        asked = {"strategy": "random", "client": self._name, "current": self._uid or None}
        study = self._ask("next", "POST", "/segpet/next", asked).json()["study"]
        if study is None or study["title"] not in self._points:  # all are saved or open: another look at one
            listed = self._ask("work list", "GET", "/segpet/studies?limit=1000").json()["studies"]
            study = self._random.choice([one for one in listed if one["title"] in self._points])
        self._study, self._uid = study["title"], study["id"]
        self._ask("study", "GET", f"/segpet/studies/{self._uid}")
        self._shown(self._ask("open", "PUT", self._session, {}))

    def _do(self, action: str) -> None:
        objects = [one["number"] for one in self._head["objects"]]
        revision = {"revision": self._head["revision"]}
        if action == "view":
            self._shown(self._ask("view", "GET", self._session))
        elif action == "undo":
            if self._head["can_undo"]:
                self._shown(self._ask("undo", "POST", f"{self._session}/undo", revision))
        elif action == "draft":
            self._save("draft")
        else:
            number = self._random.choice([None, *objects])
            positive = action == "click" or number is None
            point = [
                at + self._random.uniform(-10, 10) for at in self._random.choice(self._points[self._study])
            ]
            body = {**revision, "object": number, "point": point, "positive": positive}
            if number is None:
                body["label"] = "lesion"
            reply = self._ask(action, "POST", f"{self._session}/clicks", body, refusals=(422,))
            if not reply.ok:
                return  # there was a click in this voxel already
            self._shown(reply)
            self._load.waits.append(float(reply.headers["Server-Timing"].partition("dur=")[2]) / 1000)
            self._load.works.append(self._head["seconds"]["total"])

    def _save(self, status: str) -> None:
        body = {"revision": self._head["revision"], "status": status, "replace": True}
        self._ask(f"save {status}", "POST", f"{self._session}/label", body)

    def _shown(self, reply: Any) -> None:
        from apps.segpet.annotation.frames import head_of

        self._head, _ = head_of(reply.content)

    def _ask(
        self, what: str, method: str, path: str, body: Any = None, refusals: tuple[int, ...] = ()
    ) -> Any:
        """Ask the server, again where it says when; as the panel does."""
        begun = time.perf_counter()
        while True:
            reply = self._http.request(method, self._url + path, json=body, timeout=120)
            pause = float(reply.headers.get("Retry-After", 0))
            if reply.status_code not in (429, 503) or not pause or time.perf_counter() - begun > 60:
                break
            self._load.came_back[reply.status_code] += 1
            time.sleep(pause)
        self._load.seconds[what].append(time.perf_counter() - begun)
        if not reply.ok and reply.status_code not in refusals:
            self._load.faults.append(f"{what}: {reply.status_code} {reply.text[:200]}")
            reply.raise_for_status()
        return reply
