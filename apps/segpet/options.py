"""What the server was told with `--conf key value`."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import torch

from lib.interaction import DEFAULT_LABELS, PromptError, read_labels
from lib.network import CheckpointError, DeviceError, usable_device
from lib.network.registry import default_weights, resolve_weights
from lib.pet.sidecar import unit_named
from lib.report.backends import Backend, BackendError, open_backend
from lib.report.language import ReportError
from lib.store import StateFolder, StoreError, open_state
from lib.store.checkup.studies import is_list_sound

#: Weights that come with the app.
BUNDLED = Path(__file__).resolve().parent / "model"
#: The language model that comes with the app, for demonstration.
BUNDLED_IMPRESSION = BUNDLED / "impression"
#: Environment variable with the key of the server that writes impressions.
IMPRESSION_KEY = "SEGPET_IMPRESSION_KEY"
UNITS = ("SUVbw", "Bq/ml")
#: Environment variables with what a DICOMweb server wants to know; `_FILE` at the end names a file with it.
USER, PASSWORD, TOKEN = "SEGPET_DICOMWEB_USER", "SEGPET_DICOMWEB_PASSWORD", "SEGPET_DICOMWEB_TOKEN"
_KEYS = (
    "labels", "model", "state", "unit", "device", "hosts", "read_only", "readers", "dicomweb", "impression",
    "impression_adapter", "impression_model", "tokens", "proxy",
)  # fmt: skip


class OptionError(ValueError):
    """An option that cannot be used; the message is one sentence that says why."""


@dataclass(frozen=True)
class Options:
    """The server's options.

    Args:
        labels: names in use, `background` first.
        model: file of weights, or None: the tasks of the network then have none.
        state: where everything is kept that outlives the server.
        unit: what the values of files are that do not say it themselves; None: unknown.
        device: where the network runs.
        read_only: studies and labels can be viewed, and nothing is saved.
        impression: what writes impressions; None: nothing does.
        readers: so many read each study without seeing what others read.
    """

    labels: tuple[str, ...]
    model: Path | None
    state: StateFolder
    unit: str | None
    device: torch.device
    read_only: bool = False
    impression: Backend | None = None
    readers: int = 1


def read_options(conf: Mapping[str, str], studies: str) -> Options:
    """Check the options; the state folder is made where it is missing.

    Raises:
        OptionError: an option that does not exist, or a value that cannot be used.
    """
    conf = {key: value for key, value in conf.items() if value not in (None, "")}
    if unknown := sorted(set(conf) - {*_KEYS, "server_mode"}):  # the last one is MONAI Label's own
        raise OptionError(f"There is no option {', '.join(unknown)}; there are {', '.join(_KEYS)}.")
    model = _model(conf.get("model"))
    unit = unit_named(conf["unit"]) if "unit" in conf else None
    if unit == "unknown":
        raise OptionError(f"The option unit must be one of {', '.join(UNITS)}, not {conf['unit']}.")
    if dicomweb_url(conf, studies) is not None:
        for name in (PASSWORD, TOKEN):
            secret(name)
    try:
        labels = read_labels(conf["labels"]) if "labels" in conf else DEFAULT_LABELS
        state = open_state(studies, conf.get("state"))
        device = usable_device(conf.get("device"))
    except (PromptError, StoreError, DeviceError) as error:
        raise OptionError(str(error)) from error
    read_only = _is_yes(conf.get("read_only", "no"))
    readers = conf.get("readers", "1")
    if readers not in list("123456789"):
        raise OptionError(f"The option readers must be a number from 1 to 9, not {readers}.")
    return Options(labels, model, state, unit, device, read_only, _impression(conf), int(readers))


def dicomweb_url(conf: Mapping[str, str], studies: str) -> str | None:
    """Return the URL of the DICOMweb server whose studies the viewer shows, None for the studies folder's.

    Raises OptionError: it is no URL, or holds a password.
    """
    url = conf.get("dicomweb") or (studies if is_url(studies) else None)
    if url is None:
        return None
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable or parts.query or parts.fragment:
        raise OptionError(
            "The option dicomweb must be a URL such as https://pacs.hospital.example/dicom-web."
        )
    if parts.username is not None or parts.password is not None:
        raise OptionError(
            "The option dicomweb must not hold a password: put it into SEGPET_DICOMWEB_USER and "
            "SEGPET_DICOMWEB_PASSWORD, or a token into SEGPET_DICOMWEB_TOKEN."
        )
    return url


def secret(name: str, environment: Mapping[str, str] = os.environ) -> str:
    """Return a password or token that the environment holds, or that is in the file `NAME_FILE` names.

    Raises OptionError: the file cannot be read, or holds more than a line.
    """
    if (file := environment.get(f"{name}_FILE")) is None:
        return environment.get(name, "")
    try:
        text = Path(file).read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise OptionError(f"The file that {name}_FILE names cannot be read: name another one.") from error
    if not text.isprintable() or len(text) > 16 << 10:
        raise OptionError(f"The file that {name}_FILE names is to hold one line, and nothing else.")
    return text


def is_url(studies: str) -> bool:
    """Whether studies are at a DICOMweb URL, not in a folder."""
    return studies.startswith(("http://", "https://"))


def checked_studies(studies: str) -> str:
    """Return the studies folder's path without links, or the DICOMweb URL.

    Raises:
        OptionError: there is no such folder, it cannot be written (labels are saved there), or the list
            in it cannot be read.
    """
    if is_url(studies):
        return studies
    folder = Path(studies).expanduser()
    if not studies:
        raise OptionError("The studies folder has no name: --studies names the one with your images.")
    if not folder.exists():
        raise OptionError(f"There is no folder {studies}: --studies names the one with your images.")
    if not folder.is_dir():
        raise OptionError(f"{studies} is a file: --studies names the folder that it is in.")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OptionError(
            f"The studies folder {studies} cannot be written, but labels are saved in it: allow writing, or "
            "serve a folder of links to the images."
        )
    if not is_list_sound(folder):
        raise OptionError(
            f"MONAI Label's list of studies and labels in {studies} cannot be read: `segpet doctor --repair` "
            "puts it aside, and it is made anew from the folder."
        )
    return str(folder.resolve())


def names_of(hosts: str | None) -> tuple[str, ...]:
    """Return the names that the option `hosts` says the server goes by; they are separated by commas."""
    return tuple(name.strip() for name in (hosts or "").split(",") if name.strip())


def _is_yes(text: str) -> bool:
    if text.lower() not in ("yes", "no"):
        raise OptionError(f"The option read_only must be yes or no, not {text}.")
    return text.lower() == "yes"


def _impression(conf: Mapping[str, str]) -> Backend | None:
    """Return what writes impressions: what was asked for, else the demonstration model where it is here."""
    where, adapter, model = (conf.get(f"impression{end}") for end in ("", "_adapter", "_model"))
    if where is None:
        where = str(BUNDLED_IMPRESSION) if (BUNDLED_IMPRESSION / "config.json").is_file() else "none"
    if where == "none":
        return None
    try:
        return open_backend(where, Path(adapter) if adapter else None, model, secret(IMPRESSION_KEY) or None)
    except (BackendError, ReportError) as error:
        raise OptionError(str(error)) from error


def _model(asked: str | None) -> Path | None:
    """Return the file of weights: the one asked for by path or name, else the best that is here."""
    if asked == "none":
        return None
    if asked is None:
        best = default_weights([BUNDLED])
        return best.path if best else None
    try:
        model = resolve_weights(asked, [BUNDLED]).absolute()
    except CheckpointError as error:
        raise OptionError(str(error)) from error
    if not model.is_file():
        raise OptionError(
            f"There are no weights at {model}: the option model must be the path of a file, a name that "
            "`segpet weights list` shows, or none."
        )
    return model
