"""`segpet serve` and `segpet demo` as processes."""

import signal
import socket
import subprocess
import sys

import pytest
import requests
from typer.testing import CliRunner

from scripts.__main__ import app


@pytest.fixture
def port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def command(*arguments):
    return [sys.executable, "-m", "scripts", *map(str, arguments)]


@pytest.fixture
def without_npm(tmp_path, monkeypatch):
    """No viewer, and nothing that could fetch one."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("SEGPET_VIEWER", str(tmp_path / "viewer"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))


def test_the_demo_clicks_a_lesion_and_serves_until_interrupted(tmp_path, port, without_npm):
    with subprocess.Popen(
        command("demo", "--folder", tmp_path, "--port", port),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        said = ""
        for line in process.stdout:
            said += line
            if "Ctrl+C" in line:
                break
        info = requests.get(f"http://127.0.0.1:{port}/info/", timeout=10).json()
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    assert "One click in phantom-1: SUVmax" in said
    assert said.count("npm, which would fetch it, is not installed") == 1
    assert info["datastore"]["total"] == 3
    assert "suv_region" in info["models"]
    assert (tmp_path / "first-click.png").stat().st_size > 1000
    with pytest.raises(requests.ConnectionError):
        requests.get(f"http://127.0.0.1:{port}/info/", timeout=5)


def test_whoever_ran_a_server_and_is_terminated_leaves_none_behind(tmp_path, port):
    (tmp_path / "info").mkdir()
    code = (
        "import sys, time; from pathlib import Path; from scripts import serve;"
        "served = [sys.executable, '-m', 'http.server', sys.argv[2], '-d', sys.argv[1]];"
        "serve._command = lambda *_: served; folder = Path(sys.argv[1]);\n"
        "with serve.running_server(folder, int(sys.argv[2]), {}, folder / 'log') as url:\n"
        "    print(url, flush=True); time.sleep(60)"
    )
    asked = [sys.executable, "-c", code, str(tmp_path), str(port)]
    with subprocess.Popen(asked, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        url = process.stdout.readline().strip()
        assert requests.get(f"{url}/info/", timeout=10).ok
        process.terminate()
        assert process.wait(30) != 0
    with pytest.raises(requests.ConnectionError):
        requests.get(url, timeout=5)


def test_serve_works_without_npm_and_says_so_in_one_sentence(tmp_path, port, without_npm):
    (tmp_path / "studies").mkdir()
    arguments = command("serve", "--studies", tmp_path / "studies", "--port", port, "--model", "none")
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        said = process.stderr.readline()
        for line in process.stderr:
            if "Uvicorn running" in line:
                break
        info = requests.get(f"http://127.0.0.1:{port}/info/", timeout=10).json()
        process.terminate()
        assert process.communicate(timeout=30)[0] == ""
    assert "npm, which would fetch it, is not installed" in said
    assert info["datastore"]["total"] == 0


def test_without_a_certificate_there_is_no_key(tmp_path):
    (tmp_path / "studies").mkdir()
    arguments = command("serve", "--studies", tmp_path / "studies", "--host", "0.0.0.0", "--ssl-keyfile", "x")
    result = subprocess.run(arguments, capture_output=True, text=True, check=False, timeout=60)
    assert (result.returncode, result.stderr) == (2, "TLS takes both --ssl-certfile and --ssl-keyfile.\n")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--studies", "absent"], "There is no folder absent"),
        (["--studies", ""], "has no name"),
        (["--studies", ".", "--state", "./inside"], "inside the studies folder"),
    ],
)
def test_what_cannot_be_served_is_one_sentence_and_status_2(arguments, sentence, tmp_path):
    result = subprocess.run(
        command("serve", *arguments), capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert result.returncode == 2, result
    assert sentence in " ".join(result.stderr.split())
    assert result.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_the_demo_does_not_click_in_another_server(tmp_path, port):
    with socket.create_server(("127.0.0.1", port)):
        result = CliRunner().invoke(app, ["demo", "--folder", str(tmp_path), "--port", str(port)])
    assert result.exit_code == 2
    assert f"Port {port} is taken" in result.stderr


@pytest.mark.parametrize(("option", "told"), [(["--read-only"], ["read_only", "yes"]), ([], None)])
def test_a_server_saves_nothing_where_that_is_said(option, told, tmp_path, monkeypatch):
    started = []
    monkeypatch.setattr("os.execv", lambda _, command: started.extend(command))
    CliRunner().invoke(app, ["serve", "--studies", str(tmp_path), *option])
    assert started[0] == sys.executable
    if told:
        place = started.index("read_only")
        assert started[place - 1 : place + 2] == ["--conf", *told]
    else:
        assert "read_only" not in started
