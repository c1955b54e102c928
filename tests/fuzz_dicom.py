"""Damage DICOM files at random for as long as asked: every read must end, with a volume or a sentence.

    python tests/fuzz_dicom.py --minutes 10 [--seed 1]

Each round runs in a process of its own, so that a crash of a decoder in C, a hang or a growth of memory is
seen. What was found is left in a folder, and its place printed.
"""

import argparse
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "tests" / "pet")]

ROUND_SECONDS, HANG_SECONDS, MOST_BYTES = 30, 60, 2 << 30


def write_seeds(folder: Path) -> list[Path]:
    """Write one series of each kind, each in a folder of its own."""
    import numpy as np
    from dicom_series import in_study, scan_header, tags, write_ct, write_enhanced, write_frames, write_series
    from pydicom.uid import JPEG2000Lossless, JPEGLosslessSV1, JPEGLSLossless, RLELossless
    from test_compressed_dicom import compress_file

    stored = np.random.default_rng(0).integers(0, 3000, (12, 10, 4)).astype(np.int16)
    write_series(folder / "plain", stored, edit=scan_header())
    write_frames(folder / "gated", stored, lambda frame: tags(TriggerTime=frame), kind="GATED")
    write_enhanced(folder / "enhanced" / "a", np.stack([stored, stored], axis=-1))
    write_series(folder / "with_ct", stored, edit=in_study("1"))
    write_ct(folder / "with_ct", lambda x, y, z: x, in_study("2"), shape=(6, 6, 6))
    for syntax in (RLELossless, JPEGLSLossless, JPEGLosslessSV1, JPEG2000Lossless):
        for path in write_series(folder / f"compressed_{syntax}", stored, edit=scan_header()):
            compress_file(path, syntax, folder)
    return sorted(path for path in folder.iterdir() if path.is_dir())


def fuzz(folder: Path, seed: int) -> None:
    """Run one round; raises, or is ended from outside, where something is wrong."""
    from lib.pet import VolumeError, find_series, read_ct, read_volume
    from scripts.fuzzing.damage import damaged

    warnings.simplefilter("ignore")
    chance, seeds = random.Random(seed), write_seeds(folder)
    until, count, read = time.monotonic() + ROUND_SECONDS, 0, 0
    while time.monotonic() < until:
        own = chance.choice(seeds)
        path = chance.choice(sorted(own.iterdir()))
        whole = path.read_bytes()
        path.write_bytes(damaged(whole, chance))
        try:
            volume = read_volume(own)
            for series in find_series(own):
                if series.ct is not None:
                    read_ct(series.ct, volume)
            read += 1
        except VolumeError as error:
            assert str(error).endswith("."), error
            assert "SECRET" not in str(error), error
        path.write_bytes(whole)
        count += 1
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    assert used < MOST_BYTES, f"{used / 1e9:.1f} GB of memory were used"
    print(f"seed {seed}: {count} files, {read} read, {count - read} refused, {used / 1e6:.0f} MB", flush=True)


def main() -> int:
    """Run rounds until the time is over; returns how many went wrong."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--round", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.round is not None:
        fuzz(options.round, options.seed)
        return 0
    wrong, seed, until = 0, options.seed, time.monotonic() + 60 * options.minutes
    while time.monotonic() < until:
        folder = tempfile.mkdtemp(prefix="fuzz-dicom-")
        command = [sys.executable, __file__, "--round", folder, "--seed", str(seed)]
        try:
            done = subprocess.run(command, timeout=ROUND_SECONDS + HANG_SECONDS, check=False)
            failure = f"it ended with {done.returncode}" if done.returncode else ""
        except subprocess.TimeoutExpired:
            failure = "it hangs"
        if failure:
            wrong += 1
            print(f"seed {seed}: {failure}; the files are in {folder}", flush=True)
        else:
            shutil.rmtree(folder)
        seed += 1
    print(f"{seed - options.seed} rounds, {wrong} of them wrong")
    return min(wrong, 1)


if __name__ == "__main__":
    sys.exit(main())
