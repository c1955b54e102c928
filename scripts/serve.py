"""`segpet serve`: the server for a team's studies."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any
from urllib.request import urlopen

import typer

from scripts import InputError, app

Port = Annotated[int, typer.Option(min=1, max=65535, help="Where it listens.")]
Model = Annotated[
    str | None,
    typer.Option(help="Weights: a file, a name that `segpet weights list` shows, or `none`."),
]


class LogFormat(StrEnum):
    """Forms of the log."""

    text = "text"
    json = "json"


class LogLevel(StrEnum):
    """What the log leaves out."""

    info = "info"
    warning = "warning"
    error = "error"


@app.command()
def serve(
    studies: Annotated[
        str,
        typer.Option(
            help="Folder of NIfTI, NRRD or DICOM PET (a folder each); labels go there. Or the DICOMweb URL "
            "of a PACS: its PET is annotated, and final labels go back as SEG and SR."
        ),
    ],
    state: Annotated[
        Path | None,
        typer.Option(help="Folder for what you make; `.segpet/` beside the studies if not given."),
    ] = None,
    host: Annotated[
        str,
        typer.Option(
            help="Address to listen on, 0.0.0.0 for all. Beyond this machine's own everybody needs a token; "
            "where you give none, one is made and shown (docs/security.md)."
        ),
    ] = "127.0.0.1",
    port: Port = 8000,
    model: Model = None,
    labels: Annotated[str | None, typer.Option(help="Names, separated by commas: lesion,node,liver.")] = None,
    unit: Annotated[
        str | None,
        typer.Option(help="What values are in files that do not say it: SUVbw or Bq/ml. Overrules no file."),
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="Where the network runs: cpu, cuda, cuda:1, mps.")
    ] = None,
    hosts: Annotated[
        str | None,
        typer.Option(
            help="Further names that the server goes by, as a reverse proxy's, separated by commas."
        ),
    ] = None,
    tokens: Annotated[
        Path | None, typer.Option(help="File of users with their roles; `segpet token` adds one.")
    ] = None,
    proxy: Annotated[
        str | None,
        typer.Option(help="Address of the reverse proxy whose X-Forwarded headers count, and its users."),
    ] = None,
    ssl_certfile: Annotated[
        Path | None, typer.Option("--ssl-certfile", help="PEM file of the certificate: https.")
    ] = None,
    ssl_keyfile: Annotated[Path | None, typer.Option("--ssl-keyfile", help="PEM file of its key.")] = None,
    dicomweb: Annotated[
        str | None,
        typer.Option(help="DICOMweb URL of a PACS whose studies the viewer shows, for viewing only."),
    ] = None,
    impression: Annotated[
        str | None,
        typer.Option(
            help="What writes impressions: a model's folder or hub name, the URL of a server that speaks "
            "OpenAI's API (its key in SEGPET_IMPRESSION_KEY), or none."
        ),
    ] = None,
    impression_adapter: Annotated[
        Path | None, typer.Option(help="Folder of a PEFT adapter for a model in this process.")
    ] = None,
    impression_model: Annotated[
        str | None, typer.Option(help="The model's name at such a server; its first one if not given.")
    ] = None,
    log_format: Annotated[
        LogFormat,
        typer.Option(help="The log on stderr; json has a line for each request too (docs/load.md)."),
    ] = LogFormat.text,
    log_level: Annotated[LogLevel, typer.Option(help="What it has at least.")] = LogLevel.info,
    readers: Annotated[
        int,
        typer.Option(
            min=1, max=9, help="Double reading: so many read each study without seeing what others read."
        ),
    ] = 1,
    read_only: Annotated[
        bool, typer.Option("--read-only", help="Studies and labels can be viewed; nothing is saved.")
    ] = False,
) -> None:
    """Serve studies to the browser (OHIF) and to 3D Slicer (MONAI Label's API), until Ctrl+C.

    The viewer is at the server's own address; npm fetches it once (docs/viewer.md).

    Without `--model` the weights count that `segpet weights list` marks; where there are none, the region
    growing task `suv_region` works alone. Labels are saved under
    `STUDIES/labels/final`, every version of them and the journal of all clicks in the state folder.

    A PACS gets user and password, or a token, from SEGPET_DICOMWEB_USER, SEGPET_DICOMWEB_PASSWORD and
    SEGPET_DICOMWEB_TOKEN, or from the files that SEGPET_DICOMWEB_PASSWORD_FILE and SEGPET_DICOMWEB_TOKEN_FILE
    name (docs/archive.md).

    Tokens of roles come from SEGPET_TOKEN_ANNOTATOR, SEGPET_TOKEN_REVIEWER and SEGPET_TOKEN_ADMIN, the secret
    of a reverse proxy that signs users in from SEGPET_PROXY_SECRET; with _FILE at the end from a file.

    `segpet serve --studies /data/pet --model seganypet_v2.pth --unit SUVbw`
    """
    options = {
        "state": state,
        "model": model,
        "labels": labels,
        "unit": unit,
        "device": device,
        "hosts": hosts,
        "dicomweb": dicomweb,
        "impression": impression,
        "impression_adapter": impression_adapter,
        "impression_model": impression_model,
        "readers": readers if readers > 1 else None,
        "read_only": "yes" if read_only else None,
        "tokens": tokens,
        "proxy": proxy,
    }
    tls = {"--ssl-certfile": ssl_certfile, "--ssl-keyfile": ssl_keyfile}
    rest = [part for name, file in tls.items() if file for part in (name, str(file))]
    rest += ["--log-format", log_format.value, "--log-level", log_level.value]
    # This process becomes the server, so that whoever started it signals the server itself.
    os.execv(sys.executable, [*_command(studies, host, port, options), *rest, "--fetch-viewer"])


@contextlib.contextmanager
def running_server(studies: Path, port: int, options: dict[str, Any], log: Path) -> Iterator[str]:
    """Run a server on this machine while the block runs; yields its URL. In the main thread only.

    Meanwhile SIGTERM is as Ctrl+C, for the server would outlive a process that just ends.

    Args:
        studies: folder with images.
        port: where it listens.
        options: those of apps/segpet/options.py; None counts as not given.
        log: file for what it says.

    Raises:
        typer.Exit: it did not start; its last line is printed.
    """
    url = f"http://127.0.0.1:{port}"
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", port)) == 0:
            raise InputError(f"Port {port} is taken, maybe by another server: choose one with --port.")
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    with log.open("wb") as file:
        command = _command(str(studies), "127.0.0.1", port, options)
        process = subprocess.Popen(command, stdout=file, stderr=file)
    try:
        while process.poll() is None and not _answers(url):
            time.sleep(0.3)
        if process.poll() is not None:
            said = log.read_text(errors="replace").strip().splitlines()
            typer.echo(f"The server did not start: {said[-1] if said else 'it said nothing'}", err=True)
            raise typer.Exit(2)
        yield url
    finally:
        process.terminate()
        process.wait(30)
        signal.signal(signal.SIGTERM, before)


def _command(studies: str, host: str, port: int, options: dict[str, Any]) -> list[str]:
    conf = [
        part for key, value in options.items() if value is not None for part in ("--conf", key, str(value))
    ]
    module = [sys.executable, "-P", "-m", "apps.segpet"]
    return [*module, "--studies", studies, "--host", host, "--port", str(port), *conf]


def _answers(url: str) -> bool:
    try:
        with urlopen(f"{url}/info/", timeout=5) as reply:
            return bool(reply.status == 200)
    except OSError:
        return False
