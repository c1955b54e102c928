"""Official weights from the Hugging Face hub into the user's folder of weights."""

import logging
from pathlib import Path

from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    HTTPError,  # that of whichever HTTP client the hub's library uses
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
)

from lib.network.errors import CheckpointError
from lib.network.inspection import WeightsReport, inspect_weights
from lib.network.registry import OfficialWeights, find_weights, weights_folder

logger = logging.getLogger("segpet")
#: In the folder of weights: what is being downloaded, and not yet verified.
_PARTS = ".download"


def get_weights(official: OfficialWeights) -> tuple[Path, WeightsReport]:
    """Download official weights, with a progress bar on stderr, verify them and put them into the folder.

    Where a download was interrupted, it goes on from there. A file is in the folder only once it has passed
    every check; one that is there already is verified and kept. A hub that states no SHA-256 is told in the
    log.

    Returns:
        Where the file is, and what is in it.

    Raises:
        CheckpointError: the hub cannot be reached or refuses, the disk is full, the file is not what was
            published, or one that is there already cannot be used: one sentence.
    """
    here = next((file.path for file in find_weights() if file.official == official), None)
    if here is not None:
        try:
            return here, _verified(here, official)
        except CheckpointError as error:  # kept: it may be the only copy of something
            raise CheckpointError(f"Move {here} elsewhere and run this again: {error}") from error
    target = weights_folder() / official.file
    parts = target.parent / _PARTS
    by_hand = f"get the file {official.file} of {official.repository} by hand and put it into {target.parent}"
    try:
        # Asked for first: without a network the download itself would try again for half a minute.
        stated = get_hf_file_metadata(hf_hub_url(official.repository, official.file)).etag or ""
        parts.mkdir(mode=0o700, parents=True, exist_ok=True)
        part = Path(hf_hub_download(official.repository, official.file, local_dir=parts))
    except GatedRepoError as error:
        raise CheckpointError(
            f"The hub gives {official.repository} only to those who accepted its terms: accept them on its "
            f"page and log in with `hf auth login`, or {by_hand}."
        ) from error
    except (LocalEntryNotFoundError, OfflineModeIsEnabled) as error:
        raise _unreachable(by_hand) from error
    except (RepositoryNotFoundError, EntryNotFoundError) as error:
        raise CheckpointError(
            f"The hub has no {official.file} in {official.repository}: it was moved or taken back."
        ) from error
    except HfHubHTTPError as error:
        raise CheckpointError(
            f"The hub answered with the error {error.response.status_code}: try again later."
        ) from error
    except HTTPError as error:
        raise _unreachable(by_hand) from error
    except OSError as error:
        raise CheckpointError(
            f"{official.file} could not be written to {target.parent}: {error.strerror or error}."
        ) from error
    try:
        report = _verified(part, official)
        if len(stated) != len(report.sha256):  # git's SHA-1 of a file outside git-lfs, or a mirror's own
            logger.warning(
                "The hub states no SHA-256 of %s: its names, shapes and values were checked, "
                "not that it is the published file.",
                official.file,
            )
        elif stated != report.sha256:
            raise CheckpointError(f"{official.file} is not the file that the hub states: get it again.")
    except CheckpointError:
        part.unlink()  # the next attempt begins anew
        raise
    part.replace(target)
    return target, report


def _unreachable(by_hand: str) -> CheckpointError:
    return CheckpointError(
        f"The Hugging Face hub cannot be reached from here: run this again where it can, or {by_hand}."
    )


def _verified(path: Path, official: OfficialWeights) -> WeightsReport:
    report = inspect_weights(path)
    if report.keys != official.keys:
        raise CheckpointError(
            f"{path.name} holds {report.keys} tensors, the published file {official.keys}: get it again."
        )
    return report
