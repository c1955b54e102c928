"""Requests that no viewer sends: paths, forms, files and frames, each made of a seed."""

import gzip
import json
import random
import struct
from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import quote

from apps.segpet.annotation.frames import head_of
from scripts.fuzzing.damage import damaged
from scripts.fuzzing.openapi import Known


class Asked(NamedTuple):
    """A request as it goes over the wire; `target` is not normalised."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes = b""


class Reply(NamedTuple):
    """What came back; `status` 0 where nothing did."""

    status: int
    headers: dict[str, str]
    body: bytes


Send = Callable[[Asked], Reply]

_TEXTS = (
    "", " ", "\0", "a\0b", "..", "../../outside", "../outside.txt", "..%2f..%2foutside.txt", "/etc/passwd",
    "file:///etc/passwd", "http://127.0.0.1:1/", "%", "%00", "%n%s", "{0}", "${jndi:x}", "'; DROP TABLE x;--",
    "<script>alert(1)</script>", "\ud800", "\udcff", "\u202e", "Ünïcödé 病灶", "😀" * 50, "A" * 100_000,
    "null", "None", "NaN", "true", "-1", "1e999", "lesion", "background", ".nii.gz", "CON", "con.nii.gz",
)  # fmt: skip
_NUMBERS = (0, -1, 1, 2**31, 2**63, -(2**64), 10**400, 0.5, -0.0, 1e-320, 1e308, float("nan"), float("inf"))
_KEYS = (
    "lesion", "liver", "background", "foreground", "label", "labels", "result_extension", "result_dtype",
    "client_id", "reset_state", "save_label", "label_tag", "label_info", "method", "value", "image", "model",
    "session", "session_id", "device", "file", "study", "findings", "language", "temperature", "top_p",
    "strategy", "info", "name", "ts", "images", "max_batch_size", "tracer", "mode", "seed", "max_epochs",
    "but_not", "independent", "segpet", "__class__", "",
)  # fmt: skip
_KEYWORDS = (
    "PatientName", "PatientID", "StudyDate", "StudyTime", "Modality", "ModalitiesInStudy", "StudyInstanceUID",
    "SeriesInstanceUID", "SOPInstanceUID", "00100010", "0020000D", "limit", "offset", "fuzzymatching",
    "includefield", "PixelData", "7FE00010", "FFFFFFFF", "00000000", "PatientName.Alphabetic",
)  # fmt: skip
_ACCEPTS = (
    "*/*",
    "text/html",
    "application/json",
    "multipart/related; type=application/octet-stream",
    "\xff",
)
_PLACES = (
    "/", "/segpet", "/segpet/viewer/", "/segpet/studies/", "/session/", "/datastore/", "/datastore/image",
    "/dicom-web/", "/dicom-web/studies/", "/infer/", "/train/", "/info/", "/openapi.json", "/static/",
    "/ohif/", "/proxy/dicom/", "/model/", "/logs/", "/reload", "/docs", "/activelearning/", "/batch/infer",
    "/health",
)  # fmt: skip
_CLIMBS = (
    "..", "%2e%2e", "..%2f", "%2e%2e%2f", "..%5c", "..\\", "..;", "%252e%252e%252f", ".%00.", "//", "%2f%2f",
    "%c0%ae%c0%ae", "outside.txt", "outside.nii.gz", "etc/passwd", "app-config.js", "main.py",
)  # fmt: skip


def value(chance: random.Random, depth: int = 0) -> Any:
    """Return something that JSON, or Python's idea of it, can hold."""
    kind = chance.randrange(10)
    if kind < 4:
        return chance.choice(_TEXTS)
    if kind < 6:
        return chance.choice(_NUMBERS)
    if kind < 7:
        return chance.choice((None, True, False))
    if depth > 3:
        return []
    parts = [value(chance, depth + 1) for _ in range(chance.choice((0, 1, 2, 3, 3, 20)))]
    return parts if kind < 9 else {chance.choice(_KEYS): part for part in parts}


def text_of(told: Any, chance: random.Random) -> str:
    """Return JSON, mostly valid: at times cut off, doubled, or nested deeper than anybody reads."""
    text = json.dumps(told, ensure_ascii=chance.random() < 0.9)
    kind = chance.randrange(20)
    if kind == 0:
        return text[: chance.randrange(len(text) + 1)]
    if kind == 1:
        depth = chance.choice((50, 900, 100_000))
        return f'{{"lesion": {"[" * depth}{"]" * depth}}}'
    return text + text if kind == 2 else text


def clicks(known: Known, chance: random.Random) -> Any:
    """Return clicks as viewers send them, now and then far too many, or none of this image."""
    few = [chance.choice(known.clicks) for _ in range(chance.choice((0, 1, 1, 2, 3)))]
    kind = chance.randrange(16)
    if kind == 0:
        return [[chance.randrange(size) for size in known.shape] for _ in range(chance.choice((40, 5000)))]
    if kind == 1:
        return [*few, value(chance)]
    if kind == 2:
        return [[chance.choice(_NUMBERS) for _ in range(chance.choice((2, 3, 3, 4)))]]
    return value(chance) if kind == 3 else few


def form(fields: list[tuple[str, str | None, bytes]], chance: random.Random) -> tuple[dict[str, str], bytes]:
    """Return headers and body of a form of names, file names and contents, at times a broken one."""
    boundary = "b0undary"
    body = b""
    for name, file, content in fields:
        named = f'; filename="{file}"' if file is not None else ""
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"{named}\r\n\r\n'
        body += head.encode(errors="surrogatepass") + content + b"\r\n"
    body += f"--{boundary}--\r\n".encode()
    kind = chance.randrange(30)
    if kind == 0:
        body = body[: chance.randrange(len(body) + 1)]
    elif kind == 1 and len(body) < 1 << 20:
        body = damaged(body, chance)
    told = "multipart/form-data" if kind == 2 else f"multipart/form-data; boundary={boundary}"
    return {"Content-Type": told}, body


def infer(known: Known, chance: random.Random, send: Send) -> None:
    """Click."""
    told: dict[str, Any] = {"client_id": "fuzz", "lesion": clicks(known, chance)}
    if chance.random() < 0.3:
        told = {"client_id": "fuzz", "foreground": clicks(known, chance), "background": clicks(known, chance)}
    for _ in range(chance.choice((0, 0, 1, 2, 5))):
        told[chance.choice(_KEYS)] = chance.choice((value(chance), clicks(known, chance)))
    if chance.random() < 0.2:
        told |= {"save_label": True, "label_tag": _name(known, "tag", chance)}
    body = text_of(told, chance).encode(errors="surrogatepass")
    model, image = _name(known, "model", chance), _name(known, "image", chance)
    output = chance.choice(("image", "json", "all", "", "dicom_seg", "x"))
    target = f"/infer/{_quoted(model)}?image={_quoted(image)}" + (f"&output={output}" if output else "")
    send(Asked("POST", target, *form([(chance.choice(("params",) * 9 + ("file",)), None, body)], chance)))


def label(known: Known, chance: random.Random, send: Send) -> None:
    """Save a label, and ask for it."""
    tag, image = _name(known, "tag", chance), _name(known, "image", chance)
    params = text_of(chance.choice(({}, {"label_info": value(chance)}, value(chance))), chance)
    content = _file(known, chance)
    name = chance.choice(
        ("m.nii.gz", "m.nii", "m.nrrd", "../../m.nii.gz", "m.py", "", "m\r\nX: y.nii", "a" * 5000)
    )
    fields = [("label", name, content), ("params", None, params.encode(errors="surrogatepass"))]
    target = f"/datastore/label?image={_quoted(image)}&tag={_quoted(tag)}"
    send(Asked("PUT", target, *form(fields, chance)))
    which = chance.choice(("/datastore/label", "/datastore/label/info"))
    send(Asked("GET", f"{which}?label={_quoted(image)}&tag={_quoted(tag)}", {}))


def upload(known: Known, chance: random.Random, send: Send) -> None:
    """Upload an image, click in it, delete it."""
    name = chance.choice(("i.nii.gz", "i.nii", "i.nrrd", "i.zip", "../i.nii.gz"))
    fields = [("files", name, _file(known, chance)) for _ in range(chance.choice((1, 1, 1, 1, 0, 2)))]
    query = chance.choice(("", "", "", "?uncompress=true", "?expiry=-1", f"?expiry={10**30}", "?expiry=nan"))
    reply = send(Asked("PUT", f"/session/{query}", *form(fields, chance)))
    session = json.loads(reply.body)["session_id"] if reply.status == 200 else chance.choice(_TEXTS)
    params = json.dumps({"lesion": [[1, 1, 1]], "client_id": "fuzz"}).encode()
    target = f"/infer/{_quoted(_name(known, 'model', chance))}?session_id={_quoted(session)}&output=json"
    send(Asked("POST", target, *form([("params", None, params)], chance)))
    for method, query in (("GET", "?image=true"), ("GET", ""), ("DELETE", "")):
        send(Asked(method, f"/session/{_quoted(session)}{query}", {}))


def ask(known: Known, chance: random.Random, send: Send) -> None:
    """Ask for images, labels and what is known of them, and add to it."""
    image, tag = _quoted(_name(known, "image", chance)), _quoted(_name(known, "tag", chance))
    path = chance.choice((
        f"/datastore/image?image={image}", f"/datastore/image/info?image={image}",
        f"/datastore/image?image={image}&check_sum={_quoted(chance.choice(_TEXTS))}",
        f"/datastore/label?label={image}&tag={tag}&image={image}", "/datastore/?output=all", "/datastore/",
    ))  # fmt: skip
    send(Asked(chance.choice(("GET", "HEAD")), path, {}))
    info = text_of({chance.choice(_KEYS): value(chance) for _ in range(2)}, chance)
    info_path = chance.choice(("/datastore/image/info?", f"/datastore/label/info?label={image}&tag={tag}&"))
    fields = [("info", None, info.encode(errors="surrogatepass"))]
    send(Asked("PUT", f"{info_path}image={image}", *form(fields, chance)))


def work(known: Known, chance: random.Random, send: Send) -> None:
    """Ask for the next study, for a batch, for a training."""
    model, strategy = _quoted(_name(known, "model", chance)), _quoted(_name(known, "strategy", chance))
    path = chance.choice((
        f"/activelearning/{strategy}", "/activelearning/random", f"/batch/infer/{model}", "/train/segpet",
        "/train/", "/batch/infer/segpet_auto?images=unlabeled", f"/infer/{model}", "/segpet/next",
    ))  # fmt: skip
    told = {chance.choice(_KEYS): value(chance) for _ in range(chance.choice((0, 1, 3)))}
    body = text_of(chance.choice((told, value(chance))), chance).encode(errors="surrogatepass")
    kind = chance.choice(("application/json",) * 4 + ("text/plain", "application/x-www-form-urlencoded", ""))
    send(Asked("POST", path, {"Content-Type": kind}, body))
    stopped = chance.choice(("/train/", "/batch/infer"))
    send(Asked("DELETE", stopped, {}))
    send(Asked("GET", stopped + chance.choice(("", "?all=true", "?check_if_running=true", "?all=x")), {}))


def dicomweb(known: Known, chance: random.Random, send: Send) -> None:
    """Query and retrieve."""
    study, series, instance = (
        _quoted(_name(known, level, chance)) for level in ("study", "series", "instance")
    )
    numbers = chance.choice(("1", "0", "1,1", "2", "-1", "1," * 3000 + "1", "%D9%A3", "1%2C1", "9" * 400, ""))
    path = chance.choice((
        "studies", "series", "instances", f"studies/{study}", f"studies/{study}/series",
        f"studies/{study}/metadata", f"studies/{study}/series/{series}/metadata",
        f"studies/{study}/series/{series}/instances", f"studies/{study}/series/{series}/instances/{instance}",
        f"studies/{study}/series/{series}/instances/{instance}/frames/{numbers}",
        f"studies/{study}/series/{series}/instances/{instance}/bulk/{_climb(chance)}", _climb(chance),
    ))  # fmt: skip
    pairs = [
        (
            chance.choice((*_KEYWORDS, chance.choice(_TEXTS))),
            chance.choice((*_TEXTS, "*" * 2000, "?*" * 20, "?*" * 20 + "x", "*1*." * 9, "20-")),
        )
        for _ in range(chance.choice((0, 0, 1, 2, 40)))
    ]
    query = "&".join(f"{_quoted(name)}={_quoted(text)}" for name, text in pairs)
    send(Asked("GET", f"/dicom-web/{path}?{query[:60_000]}", {"Accept": chance.choice(_ACCEPTS)}))


def frame(known: Known, chance: random.Random, send: Send) -> None:
    """Open a session in the panel's way and paint in it."""
    place = f"/segpet/studies/{known.names['uid'][0]}/sessions/fuzz"
    sent_json = {"Content-Type": "application/json"}
    opened = send(Asked("PUT", place, sent_json, b"{}"))
    revision = 0
    if opened.status == 200:
        revision = head_of(opened.body)[0]["revision"]
    uids = [chance.choice(known.instances) for _ in range(chance.choice((1, 1, 2, 5)))]
    head: dict[str, Any] = {"revision": revision, "slices": uids, "label": "lesion"}
    if chance.random() < 0.4:
        head[chance.choice(("revision", "slices", "label", "x"))] = value(chance)
    told = text_of(head, chance).encode(errors="surrogatepass")
    pixels = bytes(chance.choices(range(chance.choice((2, 3, 256))), k=known.shape[0] * known.shape[1]))
    body = struct.pack("<I", len(told)) + told + pixels * len(uids)
    if chance.random() < 0.5:
        body = damaged(body, chance)
    send(Asked("PUT", f"{place}/slices", {"Content-Type": "application/x-segpet-frame"}, body))
    change = {
        "revision": revision,
        **{chance.choice(("object", "label", "point", "positive", "status")): value(chance)},
    }
    verb = chance.choice(
        ("clicks", "undo", "redo", "restore", "accept", "merge", "proposals", "reject", "label", "seen")
    )
    send(Asked("POST", f"{place}/{verb}", sent_json, text_of(change, chance).encode(errors="surrogatepass")))


def climb(known: Known, chance: random.Random, send: Send) -> None:
    """Leave the paths that there are."""
    target = chance.choice(_PLACES) + "/".join(_climb(chance) for _ in range(chance.choice((1, 2, 6))))
    headers = {"Accept": chance.choice(_ACCEPTS)}
    if chance.random() < 0.3:
        name = chance.choice(
            ("Host", "Origin", "Cookie", "Authorization", "Range", "If-None-Match", "Expect")
        )
        headers[name] = chance.choice(
            ("", "null", "[", "x" * 5000, "bytes=0-999999999999", "Bearer \xff", "[::1")
        )
    method = chance.choice(
        ("GET", "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "QUERY")
    )
    send(Asked(method, target, headers, b"" if chance.random() < 0.8 else chance.randbytes(200)))


#: Each kind of request with how often it comes.
KINDS = {infer: 6, label: 3, upload: 3, ask: 2, work: 2, dicomweb: 4, frame: 3, climb: 4}


def _name(known: Known, kind: str, chance: random.Random) -> str:
    return str(chance.choice(known.names[kind] if chance.random() < 0.8 else _TEXTS))


def _quoted(text: str) -> str:
    # A line longer than 64 kB is no HTTP to uvicorn, which hangs up.
    return quote(text.encode(errors="surrogatepass"), safe="%")[:20_000]


def _climb(chance: random.Random) -> str:
    return chance.choice(_CLIMBS)


def _file(known: Known, chance: random.Random) -> bytes:
    """Return an image, mostly one that is damaged, or that says that it is larger than any machine."""
    shape = (
        known.shape if chance.random() < 0.7 else tuple(chance.choice((0, 1, 7, 32767, -1)) for _ in range(3))
    )
    values = chance.choice(((0, 1), (0, 1), (0, 1, 2), (0, 1, 255)))
    voxels = bytes(chance.choices(values, k=64)) * (known.shape[0] * known.shape[1] * known.shape[2] // 64)
    header = bytearray(352)
    struct.pack_into("<i", header, 0, 348)
    struct.pack_into("<8h", header, 40, 3, *shape, 1, 1, 1, 1)
    struct.pack_into("<2h", header, 70, *chance.choice(((2, 8), (2, 8), (16, 32), (64, 64), (9, 0))))
    struct.pack_into("<8f", header, 76, 1, 8, 8, 10, 1, 1, 1, 1)
    struct.pack_into("<f", header, 108, 352)
    struct.pack_into("<2h", header, 252, 0, 1)
    struct.pack_into("<12f", header, 280, -8, 0, 0, 0, 0, -8, 0, 0, 0, 0, 10, 0)
    header[344:348] = b"n+1\0"
    whole = bytes(header) + voxels
    kind = chance.randrange(10)
    if kind == 0:
        return b""
    if kind == 1:
        return _nrrd(shape, chance)
    if kind == 2:  # a bomb: 300 MB of zeros
        return gzip.compress(bytes(header), mtime=0) + gzip.compress(bytes(1 << 20), 9, mtime=0) * 300
    if kind < 5:
        whole = damaged(whole, chance)
    packed = gzip.compress(whole, 1, mtime=0) if chance.random() < 0.8 else whole
    return damaged(packed, chance) if kind in (5, 6) else packed


def _nrrd(shape: tuple[int, ...], chance: random.Random) -> bytes:
    kind = chance.choice(("raw", "gzip", "bzip2", "hex", "ascii"))
    lines = [
        "NRRD0004", f"type: {chance.choice(('uint8', 'double', 'block', 'x'))}", "dimension: 3",
        f"sizes: {' '.join(map(str, shape))}", f"encoding: {kind}", "space: left-posterior-superior",
        "space directions: (8,0,0) (0,8,0) (0,0,10)", "space origin: (0,0,0)",
    ]  # fmt: skip
    if chance.random() < 0.4:
        lines.append(
            chance.choice(("data file: /etc/passwd", "data file: ../outside.txt", "byte skip: -1", "a:=b"))
        )
    return "\n".join(lines).encode() + b"\n\n" + gzip.compress(bytes(1000), mtime=0)
