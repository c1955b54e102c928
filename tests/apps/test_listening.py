"""What is settled before the server listens: its names, TLS, tokens and the proxy."""

from threading import Thread

import pytest
from certificates import certificate
from typer.testing import CliRunner

from apps.segpet.access import tokens as tokens_module
from apps.segpet.access.listening import checked_tls, own_names, settle_access
from apps.segpet.access.proxy import read_proxy
from apps.segpet.access.tokens import Tokens, line_of, read_file
from apps.segpet.access.users import Role, User
from apps.segpet.options import OptionError
from scripts.__main__ import app
from scripts.token import token

GOOD = "a-secret-of-twenty-characters"


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.3.2.1"])
def test_on_this_machine_no_token_is_made(host):
    environment = {}
    assert settle_access(host, {}, environment) == ""
    assert environment == {}


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.0.5", "segpet.example"])
def test_beyond_this_machine_a_token_is_made_where_there_is_none(host):
    environment = {}
    token = settle_access(host, {}, environment)
    assert len(token) > 40
    assert token != settle_access(host, {}, {})
    tokens = Tokens(environment)
    assert tokens.user(token) == User("admin", Role.ADMIN)
    assert environment == {}, "processes that are started later need no token"
    assert settle_access(host, {}, {"SEGPET_TOKEN_REVIEWER": GOOD}) == ""
    assert settle_access(host, {"proxy": "10.0.0.5"}, {"SEGPET_PROXY_SECRET": GOOD}) == ""
    assert settle_access(host, {"proxy": "10.0.0.5"}, {}) != "", "a proxy alone signs nobody in"


def test_a_server_for_all_addresses_knows_its_names():
    names = own_names("0.0.0.0")
    assert "127.0.0.1" in names
    assert "0.0.0.0" not in names
    assert own_names("10.0.0.7") == ["10.0.0.7"]


@pytest.mark.parametrize(
    ("conf", "environment", "fault"),
    [
        ({}, {"SEGPET_TOKEN_ADMIN": "short"}, "too short"),
        ({}, {"SEGPET_TOKEN_ADMIN_FILE": "/nowhere"}, "cannot be read"),
        ({"tokens": "/nowhere"}, {}, "cannot be read"),
        ({"proxy": "our-proxy"}, {}, "address of the reverse proxy"),
        ({"proxy": "10.0.0.5"}, {"SEGPET_PROXY_SECRET": "short"}, "too short"),
        ({}, {"SEGPET_PROXY_SECRET": GOOD}, "--proxy does not say"),
    ],
)
def test_what_cannot_be_used_is_refused_in_a_sentence(conf, environment, fault):
    with pytest.raises(OptionError, match=fault):
        settle_access("127.0.0.1", conf, environment)
        Tokens(environment)


def test_a_token_may_come_from_a_file(tmp_path):
    (tmp_path / "token").write_text(f"{GOOD}\n")
    tokens = Tokens({"SEGPET_TOKEN_REVIEWER_FILE": str(tmp_path / "token")})
    assert tokens.user(GOOD) == User("reviewer", Role.REVIEWER)
    assert GOOD not in str(vars(tokens))


@pytest.mark.parametrize(
    "line",
    ["ann annotator plain-token", "ann chief sha256:" + 64 * "0", "a/b admin sha256:" + 64 * "0", "ann admin",
     "ann admin sha256:" + 64 * "0" + " x"],
)  # fmt: skip
def test_a_line_of_a_tokens_file_that_is_none_is_named(tmp_path, line):
    (tmp_path / "users.txt").write_text(f"# users\n{line}\n")
    with pytest.raises(OptionError, match="Line 2"):
        read_file(tmp_path / "users.txt")


def test_a_tokens_file_that_others_may_write_is_refused(tmp_path):
    (tmp_path / "users.txt").touch()
    (tmp_path / "users.txt").chmod(0o666)
    with pytest.raises(OptionError, match="chmod go-w"):
        read_file(tmp_path / "users.txt")


def test_the_command_makes_a_token_and_keeps_its_digest_alone(tmp_path):
    file = tmp_path / "users.txt"
    made = []
    for name, role in (("ann", "annotator"), ("rita", "reviewer"), ("ann", "admin")):
        result = CliRunner().invoke(app, ["token", str(file), name, "--role", role])
        assert result.exit_code == 0
        made.append(result.stdout.split()[2])
    tokens = Tokens({}, file)
    assert [tokens.user(token) for token in made] == [
        None,
        User("rita", Role.REVIEWER),
        User("ann", Role.ADMIN),
    ]
    assert not any(token in file.read_text() for token in made)
    assert file.stat().st_mode & 0o077 == 0
    refused = CliRunner().invoke(app, ["token", str(file), "two words"])
    assert (refused.exit_code, refused.stderr.count("\n")) == (2, 1)


def test_a_new_token_without_a_role_leaves_the_user_the_one_that_she_has(tmp_path):
    file = tmp_path / "users.txt"
    for asked in (["rita", "--role", "reviewer"], ["ann"], ["rita"]):
        assert CliRunner().invoke(app, ["token", str(file), *asked]).exit_code == 0
    assert {user.name: user.role for user in read_file(file).values()} == {
        "rita": Role.REVIEWER,
        "ann": Role.ANNOTATOR,
    }


def test_a_tokens_file_whose_last_line_is_not_ended_keeps_its_users(tmp_path):
    file = tmp_path / "users.txt"
    file.write_text("# users\nadm admin sha256:" + 64 * "0")
    assert CliRunner().invoke(app, ["token", str(file), "bob"]).exit_code == 0
    assert [user.name for user in read_file(file).values()] == ["adm", "bob"]


def test_a_tokens_file_stays_readable_for_the_server_and_where_its_link_leads(tmp_path):
    real, link = tmp_path / "real.txt", tmp_path / "users.txt"
    real.write_text("adm admin sha256:" + 64 * "0" + "\n")
    real.chmod(0o640)
    link.symlink_to(real)
    assert CliRunner().invoke(app, ["token", str(link), "bob"]).exit_code == 0
    assert link.is_symlink()
    assert real.stat().st_mode & 0o777 == 0o640
    assert len(read_file(real)) == 2


def test_tokens_that_are_made_at_once_are_all_kept(tmp_path, monkeypatch):
    """The second begins while the first has read the file and not yet written it."""
    file = tmp_path / "users.txt"
    file.touch()
    others = []

    def slow(user, made):
        if user.name == "ann":
            others.append(Thread(target=token, args=(file, "bob")))
            others[0].start()
            others[0].join(0.5)
        return line_of(user, made)

    monkeypatch.setattr(tokens_module, "line_of", slow)
    token(file, "ann")
    others[0].join()
    assert [user.name for user in read_file(file).values()] == ["ann", "bob"]


def test_tls_takes_a_certificate_and_its_own_key_without_a_password(tmp_path):
    crt, key = certificate(tmp_path, "one")
    locked = certificate(tmp_path, "locked", b"secret")
    assert checked_tls(None, None) == {}
    assert checked_tls(crt, key) == {"ssl_certfile": crt, "ssl_keyfile": key}
    for pair in ((crt, certificate(tmp_path, "two")[1]), locked, (crt, "/nowhere"), (crt, None)):
        with pytest.raises(OptionError, match="TLS"):
            checked_tls(*pair)


def test_a_proxy_may_be_a_network():
    proxy = read_proxy({"proxy": "10.0.0.0/28, ::1"}, {})
    assert [str(network) for network in proxy.networks] == ["10.0.0.0/28", "::1/128"]
    assert proxy.secret == ""
