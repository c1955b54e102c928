"""Let coverage guide damage to a DICOM series: every read must end with a volume or a sentence.

    pip install atheris
    python tests/atheris_dicom.py -max_total_time=600 [CORPUS]

The options are libFuzzer's. A crash, a hang or too much memory leaves its input in the working directory.
`fuzz_dicom.py` damages more kinds of series, without guidance.
"""

import sys
import tempfile
import warnings
from pathlib import Path

import atheris

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "tests" / "pet")]

with atheris.instrument_imports(include=["lib.pet", "pydicom"]):
    from lib.pet import VolumeError, read_volume

OPTIONS = ("-rss_limit_mb=2048", "-timeout=60", "-max_len=65536")


def main() -> None:
    """Fuzz one slice of a small series; the others stay whole."""
    import numpy as np
    from dicom_series import scan_header, write_series

    warnings.simplefilter("ignore")
    folder = Path(tempfile.mkdtemp(prefix="atheris-dicom-"))
    stored = np.random.default_rng(0).integers(0, 3000, (6, 5, 3)).astype(np.int16)
    target = write_series(folder / "series", stored, edit=scan_header())[1]
    (folder / "corpus").mkdir()
    (folder / "corpus" / "whole").write_bytes(target.read_bytes())

    def read(data: bytes) -> None:
        target.write_bytes(data)
        try:
            read_volume(target.parent)
        except VolumeError as error:
            assert str(error).endswith("."), error

    atheris.Setup([sys.argv[0], *OPTIONS, *sys.argv[1:], str(folder / "corpus")], read)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
