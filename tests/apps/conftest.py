"""One server for all tests that leave each other alone: every test has its own client name or study."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from guarded import SECRET, TOKENS, USERS, bearer
from panel_client import lps
from serving import LABELS, Server, save_image, save_studies, sts_pet
from small_network import small_seganypet

from apps.segpet.access.tokens import line_of
from apps.segpet.access.users import Role
from lib.network import save_network
from lib.pet import Phantom, make_phantom
from scripts.faulting.run import FaultRun
from tests.system_faults import obey_modes


@pytest.fixture(scope="session")
def weights(tmp_path_factory) -> Path:
    """A small SegAnyPET with random weights: its masks mean nothing, but they are always the same."""
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    save_network(small_seganypet(), path)
    return path


@pytest.fixture(scope="session")
def phantom() -> Phantom:
    return make_phantom(1, (48, 48, 80), (8.0, 8.0, 8.0))


@pytest.fixture(scope="session")
def lesions(phantom) -> list[list[int]]:
    """The hottest voxel of each lesion."""
    values = phantom.volume.array
    numbers = range(1, int(phantom.lesions.max()) + 1)
    places = [np.argmax(np.where(phantom.lesions == number, values, -1)) for number in numbers]
    return [[int(at) for at in np.unravel_index(place, values.shape)] for place in places]


@pytest.fixture(scope="session")
def places(lesions, phantom) -> list[list[float]]:
    """The hottest voxel of each lesion, LPS mm."""
    return [lps(phantom.volume.affine, voxel) for voxel in lesions]


@pytest.fixture(scope="session")
def server(tmp_path_factory, weights, phantom) -> Iterator[Server]:
    """Our server with phantoms (two are the same image), real PET where there is some, and no study."""
    folder = tmp_path_factory.mktemp("server")
    save_studies(folder, ("Doe_Jane", "second"), phantom.volume)
    save_image(folder / "studies/brighter.nii.gz", phantom.volume.array * 2, phantom.volume.affine)
    save_image(folder / "outside.nii.gz", phantom.volume.array, phantom.volume.affine)
    sts_pet(folder / "studies", "STS_001", "STS_003")
    server = Server(folder, model=weights, unit="SUVbw", labels=",".join(LABELS[1:]), hosts="segpet.example")
    try:
        yield server.start()
    finally:
        server.stop()


@pytest.fixture(scope="session")
def run(tmp_path_factory) -> Iterator[FaultRun]:
    """A server for double reading that has been killed three times while four people worked."""
    run = FaultRun(tmp_path_factory.mktemp("faults"), seed=5, trains=False, before=obey_modes)
    try:
        run.run(3)
        yield run
    finally:
        run.close()


@pytest.fixture(scope="session")
def guarded(tmp_path_factory, phantom) -> Iterator[Server]:
    """A server on which nobody works without a token, but for whom a proxy on this machine has signed in."""
    folder = tmp_path_factory.mktemp("guarded")
    save_studies(folder, ("Doe_Jane", "second"), phantom.volume)
    users = folder / "users.txt"
    users.write_text("# users\n" + "".join(line_of(one, TOKENS[one.role]) for one in USERS))
    options = {"model": "none", "impression": "none", "unit": "SUVbw", "tokens": users}
    server = Server(folder, hosts="localhost", proxy="127.0.0.1", **options)
    server.headers = bearer(Role.ADMIN)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SEGPET_PROXY_SECRET", SECRET)
            server.start()
        yield server
    finally:
        server.stop()
