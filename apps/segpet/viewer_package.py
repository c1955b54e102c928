"""The stock OHIF viewer: an npm package pinned by its hash, fetched once, trimmed, compressed into a folder.

The repository holds its pin (`ohif/package-lock.json`) and the digest of what is kept, and no more of it.
"""

import gzip
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from filelock import FileLock

VERSION = "3.13.2"
FOLDER_VARIABLE = "SEGPET_VIEWER"
#: SHA-256 over the kept files, see `digest_of`: also a folder that was copied from elsewhere is checked.
DIGEST = "34c25563dd2b3da969dd2c6e5ac96bd714d72423e6aae1e213d600fc6c1fe0b9"
_PIN = Path(__file__).resolve().parent / "ohif"

#: MIME types of what is kept, by ending. Those of `COMPRESSED` are stored with gzip, and named so.
TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/x-icon",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".wasm": "application/wasm",
    ".webapp": "application/manifest+json",
    ".woff2": "font/woff2",
    ".xml": "application/xml",
    "": "text/plain; charset=utf-8",
}
COMPRESSED = frozenset({".css", ".html", ".js", ".json", ".svg", ".wasm", ".webapp", ".xml"})
# The machine-learning runtime of a stock tool, the slide viewer, logins, customisations from a URL, a service
# worker and files of web hosts: not asked for by our modes, and some of them load from elsewhere.
_DROPPED_FOLDERS = frozenset({"ort", "dicom-microscopy-viewer", "customizations"})
_DROPPED = frozenset({
    "_headers", "_redirects", "app-config.js", "es6-shim.min.js", "google.js", "oidc-client.min.js",
    "polyfill.min.js", "serve.json", "silent-refresh.html", "sw.js",
})  # fmt: skip
_PART = ".part-"
_NPM_SECONDS = 1800
_OTHER_PACKAGE = (
    "npm got another package than the pinned viewer, so it is not used; ask who runs the registry."
)


class ViewerError(Exception):
    """The viewer is not here or cannot be had; the message is one sentence that says what to do."""


def viewer_folder() -> Path:
    """Return where the viewer is kept: under `$SEGPET_VIEWER` or `~/.segpet/viewer`; it need not exist."""
    named = os.environ.get(FOLDER_VARIABLE)
    parent = Path(named).expanduser().absolute() if named else Path.home() / ".segpet" / "viewer"
    return parent / f"ohif-{VERSION}"


def fetch_viewer(say: Callable[[str], None], folder: Path | None = None) -> Path:
    """Return the viewer's folder; npm fetches the package where the folder is missing.

    The folder appears whole or not at all; repeating goes on from what npm has in its own cache.

    Args:
        say: is told what takes a while.
        folder: where to; `viewer_folder()` if not given.

    Raises:
        ViewerError: npm is missing, there is no way to its registry, the package is not the pinned one, or
            the folder cannot be written.
    """
    folder = folder or viewer_folder()
    if folder.is_dir():
        return folder
    npm = shutil.which("npm")
    if npm is None:
        raise ViewerError(
            f"The viewer is not here and npm, which would fetch it, is not installed: install npm, or copy "
            f"{folder} from a machine that has it; everything else works without."
        )
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.parent / ".lock"):
            if not folder.is_dir():
                say(f"Fetching the OHIF viewer {VERSION} (50 MB, only once) ...")
                _fetch(npm, folder)
    except OSError as error:
        raise ViewerError(
            f"The viewer cannot be kept in {folder}: {error.strerror or 'not writable'}."
        ) from error
    return folder


def kept_files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield the viewer's files by name, such as `assets/favicon.ico`, and where each is kept."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield path.relative_to(folder).as_posix().removesuffix(".gz"), path


def content_of(path: Path) -> bytes:
    """Return what a kept file holds, decompressed.

    Raises OSError or EOFError: it is damaged.
    """
    content = path.read_bytes()
    return gzip.decompress(content) if path.suffix == ".gz" else content


def digest_of(folder: Path) -> str:
    """Return SHA-256 (hex) over names and contents of the kept files, in the order of their names.

    Raises ViewerError: a file is damaged.
    """
    digest = hashlib.sha256()
    try:
        for name, path in sorted(kept_files(folder)):
            digest.update(f"{name}\0{hashlib.sha256(content_of(path)).hexdigest()}\n".encode())
    except (OSError, EOFError) as error:
        raise ViewerError(_damaged(folder)) from error
    return digest.hexdigest()


def check_viewer(folder: Path) -> None:
    """Raise ViewerError unless a folder holds the viewer as it was pinned."""
    if not folder.is_dir():
        raise ViewerError(
            "The viewer is not installed: start `segpet serve` once where npm and a network are, or copy the "
            f"folder {folder} from such a machine."
        )
    if digest_of(folder) != DIGEST:
        raise ViewerError(_damaged(folder))


def _damaged(folder: Path) -> str:
    return f"The viewer in {folder} is damaged or changed: delete that folder and start the server again."


def _fetch(npm: str, folder: Path) -> None:
    for stale in folder.parent.glob(f"{_PART}*"):  # of a fetch that was killed; nobody else is at work here
        shutil.rmtree(stale)
    part = Path(tempfile.mkdtemp(dir=folder.parent, prefix=_PART))
    try:
        for name in ("package.json", "package-lock.json"):
            shutil.copyfile(_PIN / name, part / name)
        _npm_ci(npm, part)
        package, trimmed = part / "node_modules/@ohif/app", part / "trimmed"
        if not (package / "LICENSE").is_file():
            raise ViewerError(_OTHER_PACKAGE)
        trim(package / "dist", trimmed)
        shutil.copyfile(package / "LICENSE", trimmed / "LICENSE")
        check_viewer(trimmed)
        trimmed.replace(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def trim(source: Path, target: Path) -> None:
    """Copy what is kept of the package's files, compressed where that makes it smaller."""
    for path in sorted(source.rglob("*")):
        name = path.relative_to(source)
        if not path.is_file() or name.parts[0] in _DROPPED_FOLDERS or str(name) in _DROPPED:
            continue
        if path.suffix not in TYPES or path.is_symlink():  # source maps among them
            continue
        kept = target / name
        kept.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix in COMPRESSED:
            kept.with_name(f"{kept.name}.gz").write_bytes(gzip.compress(path.read_bytes(), 9, mtime=0))
        else:
            shutil.copyfile(path, kept)


def _npm_ci(npm: str, folder: Path) -> None:
    # `npm install` would resolve the package's own dependencies: none is needed, and one does not exist.
    command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier"]
    command += ["--prefer-offline", "--fetch-retries=1", "--fetch-retry-mintimeout=1000"]
    command += ["--fetch-retry-maxtimeout=5000"]
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_NPM_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ViewerError("The viewer could not be fetched in half an hour; start again to go on.") from error
    if done.returncode == 0:
        return
    code = re.search(r"npm (?:error|ERR!) code (\w+)", done.stderr)
    if code and code[1] == "EINTEGRITY":
        raise ViewerError(_OTHER_PACKAGE)
    reason = code[1] if code else "nothing of use"
    raise ViewerError(
        f"The viewer could not be fetched (npm says {reason}; offline?): start again with a network, or see "
        "docs/viewer.md for a machine that has none; everything else works meanwhile."
    )
