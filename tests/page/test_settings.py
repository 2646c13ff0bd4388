"""Who may see the page is decided before anything is loaded."""

from pathlib import Path

import pytest

from artifact_utils.filtering import FilterError
from artifact_utils.page.settings import PageConfig, PageError, is_loopback


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch):
    monkeypatch.delenv("PAGE_AUTH", raising=False)
    monkeypatch.delenv("SPACE_ID", raising=False)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"host": "0.0.0.0"}, r"--host 0.0.0.0 lets anybody .* choose a password with --auth NAME:PASSWORD"),
        ({"host": "192.168.1.5"}, "--host 192.168.1.5 lets anybody"),
        ({"share": True}, "--share lets anybody"),
        ({"share": True, "auth": "me"}, "write NAME:PASSWORD, with a password of 8 characters or more"),
        ({"auth": "me:short"}, "write NAME:PASSWORD"),
        ({"port": 70_000}, "--port 70000: choose one from 1024 to 65535, or 0"),
        ({"folder": Path("faces"), "select": "scores"}, "faces and --select scores exclude each other: open a page"),
        ({"folder": Path("nowhere")}, "no folder nowhere: name a folder of portraits, or none"),
    ],
)
def test_what_lets_others_in_wants_a_password(options, message):
    with pytest.raises(PageError, match=message):
        PageConfig(**options)


def test_a_password_a_space_or_this_machine_alone_will_do(monkeypatch, tmp_path):
    assert not PageConfig().is_public
    assert PageConfig(host="0.0.0.0", auth="me:long enough").is_public
    monkeypatch.setenv("PAGE_AUTH", "me:from the environment")
    assert PageConfig(share=True).credentials == "me:from the environment"
    monkeypatch.delenv("PAGE_AUTH")
    monkeypatch.setenv("SPACE_ID", "me/portraits")
    assert PageConfig(host="0.0.0.0").is_public
    with pytest.raises(FilterError, match="--only teeth: no family 'teeth'"):
        PageConfig(tmp_path, only="teeth")


def test_names_of_this_machine_for_itself():
    assert all(map(is_loopback, ("127.0.0.1", "127.9.9.9", "::1", "[::1]", "localhost", "a.localhost")))
    assert not any(map(is_loopback, ("0.0.0.0", "10.0.0.1", "evil.example", "localhost.evil.example", "")))
