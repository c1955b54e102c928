"""`python -m apps.segpet --studies DIR`: start the server. `segpet serve` runs this."""

import argparse
import json
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]


def main(run: Callable[..., None] | None = None) -> None:
    """Check the options, set MONAI Label's environment, and serve until somebody stops it.

    Args:
        run: serves the app, called as `uvicorn.run`; `apps.segpet.stopping.serve` if not given.
    """
    sys.path.insert(0, str(ROOT))
    from apps.segpet.logs import FORMATS, LEVELS, set_up_logging

    parser = argparse.ArgumentParser(prog="python -m apps.segpet", description=__doc__)
    parser.add_argument("--studies", required=True, help="folder with NIfTI or NRRD images, or DICOMweb URL")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument(
        "--conf", nargs=2, action="append", default=[], metavar=("KEY", "VALUE"),
        help="labels, model, state, unit, device, hosts, read_only, dicomweb, tokens, proxy ...",
    )  # fmt: skip
    parser.add_argument("--ssl-certfile", help="PEM file of the certificate: https")
    parser.add_argument("--ssl-keyfile", help="PEM file of its key")
    parser.add_argument("--log-format", choices=FORMATS, default="text", help="json: a line per request too")
    parser.add_argument("--log-level", choices=LEVELS, default="info")
    parser.add_argument("--fetch-viewer", action="store_true", help="with npm, where it is not there yet")
    arguments = parser.parse_args()
    from apps.segpet.access.listening import checked_tls, is_loopback, own_names, settle_access
    from apps.segpet.options import OptionError, checked_studies, read_options
    from lib.network import CheckpointError
    from lib.network.checkpoints import check_weights
    from lib.store import StoreError

    try:
        studies, conf = checked_studies(arguments.studies), dict(arguments.conf)
        options = read_options(conf, studies)
        if options.model is not None:
            check_weights(options.model)
        tls = checked_tls(arguments.ssl_certfile, arguments.ssl_keyfile)
        token = settle_access(arguments.host, conf)
        if not options.read_only:
            options.state.hold()
    except (OptionError, CheckpointError, StoreError) as error:
        # One sentence: whoever typed `segpet serve` never saw the usage of this program.
        print(error, file=sys.stderr)
        raise SystemExit(2) from None
    names = own_names(arguments.host)
    name = f"[{names[0]}]" if ":" in names[0] else names[0]
    url = f"{'https' if tls else 'http'}://{name}:{arguments.port}/"
    if arguments.fetch_viewer:
        _fetch_viewer(url)
    if token:
        print(f"Sign in, as an admin, until the server ends: {url}?token={token}", flush=True)
    conf["hosts"] = ",".join(filter(None, [conf.get("hosts"), *names]))
    os.environ |= environment(studies, arguments.port, conf)

    # MONAI Label reads its settings from the environment when it is first imported, so only now.
    from lib.learning import lean_monai  # noqa: F401 -- before MONAI Label imports MONAI

    # isort: split
    from apps.segpet.server import app
    from apps.segpet.stopping import serve

    set_up_logging(arguments.log_format, arguments.log_level)
    if not is_loopback(arguments.host) and not tls:
        logging.getLogger("segpet").warning(
            "Without TLS, tokens and images cross the network in clear: see --ssl-certfile and --ssl-keyfile,"
            " or put a reverse proxy with TLS before it (docs/security.md)."
        )
    # Requests hold names of studies: none of uvicorn's own lines for them.
    own = {"log_config": None, "access_log": False, "proxy_headers": False, "server_header": False}
    (run or serve)(app, host=arguments.host, port=arguments.port, **own, **tls)


def _fetch_viewer(url: str) -> None:
    """Say where the viewer is, or why there is none: everything else works without it."""
    from apps.segpet.viewer_package import ViewerError, check_viewer, fetch_viewer

    try:
        check_viewer(fetch_viewer(print))
        print(f"Viewer: {url} (open it in a browser)", flush=True)
    except ViewerError as error:
        print(error, file=sys.stderr, flush=True)


def environment(studies: str, port: int, conf: dict[str, str]) -> dict[str, str]:
    """Return the environment that MONAI Label needs, in the server and in the processes it starts."""
    return {
        "MONAI_LABEL_APP_DIR": str(HERE),
        "MONAI_LABEL_STUDIES": studies,
        "MONAI_LABEL_APP_CONF": json.dumps(conf),
        "MONAI_LABEL_SERVER_PORT": str(port),
        "MONAI_LABEL_RELOAD_APP_LIB": "false",
        "MONAI_LABEL_AUTO_UPDATE_SCORING": "false",
        "MONAI_LABEL_TRACKING_ENABLED": "false",
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
    }


if __name__ == "__main__":
    main()
