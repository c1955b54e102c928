import shutil
import subprocess
import sys
from pathlib import Path

import pytest

COMPAT = Path(__file__).resolve().parents[2] / "compat"


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The stand-ins, built and installed by pip in a folder of their own."""
    source = tmp_path_factory.mktemp("source") / "compat"
    shutil.copytree(COMPAT, source, ignore=shutil.ignore_patterns("build", "*.egg-info", "__pycache__"))
    target = tmp_path_factory.mktemp("target")
    pip = [sys.executable, "-m", "pip", "install", "-qq", "--no-index", "--no-build-isolation", "--no-deps"]
    subprocess.run([*pip, "--target", str(target), str(source)], check=True)
    return target


def where_python_finds(module, folder):
    code = f"import sys; sys.path.insert(0, sys.argv[1]); import {module}; print({module}.__file__)"
    found = subprocess.run(
        [sys.executable, "-S", "-c", code, str(folder)], capture_output=True, text=True, check=True
    )
    return Path(found.stdout.strip()).relative_to(folder)


def test_the_stand_ins_are_plain_modules(installed):
    names = {path.name for path in installed.iterdir() if path.suffix == ".py"}
    assert names == {"itk.py", "pydicom_seg.py"}
    assert where_python_finds("pydicom_seg", installed) == Path("pydicom_seg.py")


@pytest.mark.parametrize("module", ["itk", "pydicom_seg"])
def test_the_genuine_package_wins_where_both_are_installed(installed, module, tmp_path):
    both = tmp_path / "site-packages"
    shutil.copytree(installed, both)
    (both / module).mkdir()
    (both / module / "__init__.py").write_text("genuine = True\n")
    assert where_python_finds(module, both) == Path(module, "__init__.py")
