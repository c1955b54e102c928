"""The launcher with real sh; Python and pip are played by a script that notes what it was asked to do."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TOOLS = ["sh", "cat", "chmod", "cksum", "date", "dirname", "mkdir", "mv", "readlink", "rm", "sed", "sleep"]

# Plays python3.11 and .venv/bin/python: `-c` goes to the real one, `-m` is written to $LOG and acted out.
PYTHON = """#!/bin/sh
case $1 in -c) exec "$REAL_PYTHON" "$@" ;; esac
[ "$1 $2 $3" = "-m pip --version" ] || printf '%s\\n' "$*" >>"$LOG"
case "$1 $2" in
  "-m venv") rm -rf "$4"; mkdir -p "$4/bin"; cat "$0" >"$4/bin/python"; chmod +x "$4/bin/python" ;;
  "-m pip")
    case $* in
      *--version) ;;
      *--report*) cat "$REPORT" ;;
      *) [ -z "${SLOW-}" ] || sleep 0.3
         case $* in *"${FAIL-nothing}"*) echo "ERROR: no connection" >&2; exit 1 ;; esac ;;
    esac ;;
  "-P -m")
    shift 3; printf '%s' "${GOMP_SPINCOUNT-}" >"$LOG.spins"; pwd; printf '<%s>' "$@"; exit "${STATUS-0}" ;;
esac
"""


class House:
    """A copy of the launcher in a folder of its own, on a machine that has only TOOLS and a Python 3.11."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "a house"
        self.log = folder / "log"
        self.report = folder / "report.json"
        self.report.write_text('{"install": [{"metadata": {"name": "torch"}}]}')
        self.commands = folder / "commands"
        self.commands.mkdir()
        for tool in TOOLS:
            (self.commands / tool).symlink_to(shutil.which(tool))
        self.add_command("python3.11", PYTHON)
        self.add_command("uname", "#!/bin/sh\necho Linux x86_64\n")
        (self.root / "compat").mkdir(parents=True)
        for name in ("segpet", "pyproject.toml", "compat/pyproject.toml", "compat/itk.py"):
            shutil.copy(ROOT / name, self.root / name)

    def add_command(self, name: str, script: str) -> None:
        (self.commands / name).unlink(missing_ok=True)
        (self.commands / name).write_text(script)
        (self.commands / name).chmod(0o755)

    def start(
        self, *arguments: str, launcher: Path | str | None = None, cwd: Path | None = None, **more: str
    ):
        environment = {"PATH": str(self.commands), "REAL_PYTHON": sys.executable, "LOG": str(self.log)}
        return subprocess.Popen(
            [launcher or self.root / "segpet", *arguments],
            env=environment | {"REPORT": str(self.report)} | more,
            cwd=cwd or self.root,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, **options):
        process = self.start(*arguments, **options)
        out, err = process.communicate(timeout=60)
        return process.returncode, out, err

    def asked(self) -> list[str]:
        """What Python was asked to do since the last question, without pip's habitual options."""
        text = self.log.read_text() if self.log.exists() else ""
        self.log.unlink(missing_ok=True)
        for habit in (" --disable-pip-version-check", " --no-warn-conflicts", " -qq"):
            text = text.replace(habit, "")
        return text.splitlines()


@pytest.fixture
def house(tmp_path):
    return House(tmp_path)


@pytest.fixture
def ready(house):
    assert house.run("demo")[0] == 0
    house.asked()
    return house


def torch_pin():
    (line,) = (line for line in (ROOT / "pyproject.toml").read_text().splitlines() if '"torch==' in line)
    return line.split('"')[1]


def test_the_first_use_sets_up_in_order_and_then_runs_the_command(house):
    status, out, err = house.run("demo")
    assert status == 0
    assert house.asked() == [
        f"-m venv --clear {house.root}/.venv",
        f"-m pip install --dry-run --report - {torch_pin()}",
        "-m pip install -e .",
        "-m pip install --no-deps monailabel==0.8.5",
        "-m pip install --no-deps --force-reinstall ./compat",
        "-P -m scripts demo",
    ]
    assert out.endswith("<demo>")
    assert err.count("\n") == 6 and "only once" in err and "3/3" in err and "Ready after" in err


def test_a_later_use_runs_the_command_at_once_and_says_nothing(ready):
    assert ready.run("demo")[2] == ""
    assert ready.asked() == ["-P -m scripts demo"]


@pytest.mark.parametrize(
    "arguments",
    [["segment", "a b.nii.gz", "--point", "1,2,3", ""], ["--help"], [], ["*", "$HOME", "it's", "a\nb"]],
)
def test_arguments_reach_the_command_as_they_are(ready, arguments):
    out = ready.run(*arguments)[1]
    assert out.partition("\n")[2] == ("".join(f"<{argument}>" for argument in arguments) or "<>")


def test_the_command_runs_in_the_callers_folder_also_through_a_link(ready, tmp_path):
    elsewhere = tmp_path / "else where"
    elsewhere.mkdir()
    (elsewhere / "link").symlink_to(ready.root / "segpet")
    assert ready.run("demo", launcher=elsewhere / "link", cwd=elsewhere)[:2] == (0, f"{elsewhere}\n<demo>")
    assert ready.run("demo", launcher="../a house/segpet", cwd=elsewhere)[:2] == (0, f"{elsewhere}\n<demo>")


@pytest.mark.parametrize(
    ("said", "spins"),
    [({}, "10000"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "ACTIVE"}, "")],
)
def test_threads_soon_sleep_while_they_wait_unless_somebody_says_otherwise(ready, said, spins):
    assert ready.run("serve", **said)[0] == 0
    assert Path(f"{ready.log}.spins").read_text() == spins


def test_the_exit_status_is_the_commands(ready):
    assert ready.run("demo", STATUS="7")[0] == 7


def test_the_tests_get_what_they_need_once_more(ready):
    ready.run("test", "-k", "x")
    assert [line for line in ready.asked() if "-e" in line] == ["-m pip install -e .[test]"]
    ready.run("test")
    ready.run("demo")
    assert ready.asked() == ["-P -m scripts test", "-P -m scripts demo"]


@pytest.mark.parametrize("changed", ["pyproject.toml", "compat/itk.py", "compat/pyproject.toml", "segpet"])
def test_set_up_is_repeated_when_what_it_installs_has_changed(ready, changed):
    with (ready.root / changed).open("a") as file:
        file.write("# changed\n")
    ready.run("demo")
    assert "-m pip install -e ." in ready.asked()


def test_set_up_is_repeated_when_the_folder_was_moved(ready):
    ready.root = ready.root.rename(ready.root.with_name("moved"))
    ready.run("demo")
    assert "-m pip install -e ." in ready.asked()


@pytest.mark.parametrize("fails", ["-e .", "monailabel", "./compat"])
def test_a_failed_set_up_is_one_sentence_and_the_next_use_goes_on(house, fails):
    status, out, err = house.run("demo", FAIL=fails)
    assert (status, out) == (1, "")
    assert (
        err.splitlines()[-1]
        == "segpet: pip failed (offline?): run the same command again, it goes on from here."
    )
    assert "-P -m scripts demo" not in house.asked()
    assert house.run("demo")[0] == 0
    again = house.asked()
    assert not any("venv" in line for line in again) and again[-1] == "-P -m scripts demo"


def test_a_pip_that_finds_no_torch_stops_the_set_up(house):
    house.report.unlink()
    status, _, err = house.run("demo")
    assert status == 1 and "pip failed (offline?)" in err
    assert not any("-e ." in line for line in house.asked())


def test_an_environment_whose_python_is_gone_is_made_anew(ready):
    (ready.root / ".venv" / "bin" / "python").unlink()
    (ready.root / ".venv" / "bin" / "python").symlink_to("/nowhere/python3.11")
    assert ready.run("demo")[0] == 0
    assert ready.asked()[0].startswith("-m venv --clear")


def test_two_first_uses_at_once_set_up_once(house):
    processes = [house.start("demo", SLOW="1") for _ in range(2)]
    errors = [process.communicate(timeout=60)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    asked = house.asked()
    assert asked.count("-m pip install -e .") == 1 and asked.count("-P -m scripts demo") == 2
    assert sum("waiting for it" in error for error in errors) == 1


def test_a_killed_set_up_frees_its_lock(house):
    killed = house.start("demo", SLOW="1")
    while not house.log.exists() or "-e ." not in house.log.read_text():
        assert killed.poll() is None
    killed.kill()
    killed.communicate()
    status, _, _ = house.run("demo")
    assert status == 0


def cuda(house):
    house.report.write_text(
        '{"install": [{"metadata": {"name": "torch"}},\n {"metadata": {\n  "name": "nvidia-cublas"}}]}'
    )


def test_the_cuda_build_is_not_downloaded_where_no_driver_is(house):
    cuda(house)
    status, out, err = house.run("demo")
    assert (status, out) == (2, "")
    for word in ("PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "pytorch.org", "SEGPET_ALLOW_CUDA=1"):
        assert word in err.splitlines()[-1]
    assert not any("-e ." in line for line in house.asked())


def test_the_cuda_build_is_taken_when_allowed_or_a_driver_is_there_or_elsewhere_than_on_linux(house):
    cuda(house)
    assert house.run("demo", SEGPET_ALLOW_CUDA="1")[0] == 0
    for name, script in {"nvidia-smi": "", "uname": "echo Darwin arm64"}.items():
        shutil.rmtree(house.root / ".venv")
        house.add_command(name, f"#!/bin/sh\n{script}\n")
        assert house.run("demo")[0] == 0
        assert not any("--dry-run" in line for line in house.asked()[1:])
        (house.commands / name).unlink()


@pytest.mark.parametrize("version", ["3.10.9", "3.13.0", "none"])
def test_without_a_fitting_python_one_sentence_says_which_is_needed(house, version):
    (house.commands / "python3.11").unlink()
    if version != "none":
        major, minor, micro = version.split(".")
        code = f"import sys; sys.version_info = ({major}, {minor}, {micro}); exec(sys.argv[1])"
        house.add_command("python3", f'#!/bin/sh\nexec "$REAL_PYTHON" -c "{code}" "$2"\n')
    status, out, err = house.run("demo")
    assert (status, out) == (1, "")
    assert err == (
        "segpet: Python 3.11 or 3.12 with its venv module is needed and was not found "
        "(Debian, Ubuntu: apt-get install python3-venv).\n"
    )


def test_another_name_of_python_is_found(house):
    (house.commands / "python3.11").rename(house.commands / "python3")
    house.add_command("python3.12", "#!/bin/sh\nexit 1\n")
    assert house.run("demo")[0] == 0


def test_pips_report_writes_names_as_the_launcher_looks_for_them():
    pip = [sys.executable, "-m", "pip", "install", "-qq", "--dry-run", "--report", "-"]
    offline = ["--no-index", "--no-build-isolation", "--no-deps", "--ignore-installed", str(ROOT / "compat")]
    report = subprocess.run([*pip, *offline], capture_output=True, text=True, check=True).stdout
    assert '"name": "segpet-compat"' in report
