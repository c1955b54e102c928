"""The viewer at `/`: OHIF's files, our modules under `/segpet/viewer/`, and OHIF's page for its addresses."""

import base64
import gzip
import hashlib
import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from threading import Lock

from anyio import to_thread
from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from apps.segpet.viewer_package import (
    TYPES,
    ViewerError,
    check_viewer,
    content_of,
    kept_files,
    viewer_folder,
)

HERE = Path(__file__).resolve().parent
MODULES = "/segpet/viewer/"
_HASHED = re.compile(r"(\.[0-9a-f]{16}\.js|^[0-9a-f]{16}\.(wasm|woff2))$")
_PAGE = re.compile(r"/[\w-]+(/[\w-]+)?/?", re.ASCII)  # OHIF: a mode, and maybe a data source
_INLINE_SCRIPT = re.compile(rb"<script>(.*?)</script>", re.DOTALL)
#: What MONAI Label serves elsewhere, and addresses that tools look for: never the viewer's page.
_NEVER_A_PAGE = frozenset(
    {"dicom-web", "docs", "login", "logs", "model", "ohif", "proxy", "redoc", "scoring", "static", "token"}
    | {"train", "users", "wado"}
)


@dataclass(frozen=True)
class _File:
    """A file that is served; `path` ends in .gz where it is kept compressed."""

    path: Path
    media_type: str
    tag: str
    for_ever: bool


class ViewerFiles:
    """ASGI middleware: answers GETs for the viewer's files and pages, and passes everything else on.

    A path is only ever looked up among names that are known; none is opened because a client named it. OHIF
    has addresses of its own, such as `/segpet?StudyInstanceUIDs=...`: a browser that asks for a page at a
    path that no route begins with gets OHIF's.

    Args:
        app: the routes.
        prefixes: the first parts of the routes' paths.
        folder: of the viewer; `viewer_folder()` if not given.
        modules: folder of our own modules.
    """

    def __init__(
        self,
        app: ASGIApp,
        prefixes: Collection[str],
        folder: Path | None = None,
        modules: Path = HERE / "viewer",
    ) -> None:
        self._app = app
        self._folder = folder or viewer_folder()
        self._modules = modules
        self._prefixes = _NEVER_A_PAGE | frozenset(prefixes)
        self._lock = Lock()
        self._files: dict[str, _File] = {}
        self._policy = ""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on."""
        response = None
        if scope["type"] == "http" and scope["method"] in ("GET", "HEAD"):
            response = await to_thread.run_sync(self._answer, scope["path"], Headers(scope=scope))
        await (response or self._app)(scope, receive, send)

    def _answer(self, path: str, headers: Headers) -> Response | None:
        if path.startswith(MODULES):
            found = _modules(self._modules).get(path.removeprefix(MODULES))
            return None if found is None else self._response(found, headers)
        if self._is_route(path):
            return None
        is_page = path == "/" or ("text/html" in headers.get("accept", "") and bool(_PAGE.fullmatch(path)))
        try:
            files = self._known_files()
        except ViewerError as error:
            return PlainTextResponse(f"{error}\n", 503) if is_page else None
        found = files.get("index.html" if is_page else path.removeprefix("/"))
        return None if found is None else self._response(found, headers)

    def _is_route(self, path: str) -> bool:
        """Whether a path is for the routes, should there be none of that name."""
        first, *rest = path.removeprefix("/").split("/")
        if first == "segpet":  # alone it is the address of our mode in OHIF
            return any(rest)
        return first in self._prefixes

    def _known_files(self) -> dict[str, _File]:
        """Return the viewer's files by path; they are checked when they are first needed.

        Raises ViewerError: the viewer is not installed, or damaged.
        """
        with self._lock:
            if not self._files:
                check_viewer(self._folder)
                files = {name: _file(name, path) for name, path in kept_files(self._folder)}
                files["app-config.js"] = _file("app-config.js", HERE / "ohif/app-config.js")
                self._policy = _policy(content_of(files["index.html"].path))
                self._files = files
        return self._files

    def _response(self, found: _File, headers: Headers) -> Response | None:
        sent = {
            "ETag": found.tag,
            "Cache-Control": "public, max-age=31536000, immutable" if found.for_ever else "no-cache",
            "Vary": "Accept-Encoding",
        }
        if self._policy:
            sent["Content-Security-Policy"] = self._policy
        if found.tag in headers.get("if-none-match", ""):
            return Response(status_code=304, headers=sent)
        try:
            content = found.path.read_bytes()
        except OSError:  # deleted since
            return None
        if found.path.suffix == ".gz":
            if "gzip" in headers.get("accept-encoding", ""):
                sent["Content-Encoding"] = "gzip"
            else:
                content = gzip.decompress(content)
        return Response(content, headers=sent, media_type=found.media_type)


def _file(name: str, path: Path) -> _File:
    tag = f'"{hashlib.sha256(content_of(path)).hexdigest()[:32]}"'
    return _File(path, TYPES[PurePosixPath(name).suffix], tag, bool(_HASHED.search(name)))


def _modules(folder: Path) -> dict[str, _File]:
    """Return our modules by name, as they now are."""
    found = {}
    for path in folder.rglob("*"):
        name = path.relative_to(folder)
        hidden = any(part.startswith(".") for part in name.parts)
        if path.is_file() and path.suffix in TYPES and path.suffix and not hidden:
            found[name.as_posix()] = _file(path.name, path)
    return found


def _policy(page: bytes) -> str:
    """Return the Content-Security-Policy of the viewer: its own scripts, and nothing from another origin."""
    scripts = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(script).digest()).decode()}'"
        for script in _INLINE_SCRIPT.findall(page)
    )
    return "; ".join((
        "default-src 'self'",
        f"script-src 'self' {scripts} 'wasm-unsafe-eval'",
        "style-src 'self' 'unsafe-inline'",  # OHIF's components write style elements and attributes
        "img-src 'self' data: blob:",
        "font-src 'self' data:",
        "worker-src 'self' blob:",
        "connect-src 'self'",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'self'",
    ))  # fmt: skip
