"""What agenix and sops-nix call a secret, as secretsmith calls it: the pure part, which needs no nixpkgs."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import pytest
from nixstores import PLUGIN, Nix

FOREIGN = f"(import {PLUGIN}/nix/foreign.nix)"
AGENIX = 'name = "x"; file = "/f.age"; path = "/run/agenix/x"; mode = "0440";'
SOPS = (
    'name = "x"; sopsFile = "/f.yaml"; mode = "0400"; path = "/run/secrets/x"; restartUnits = [ "a.service" ];'
    ' reloadUnits = [ "b.service" ];'
)


def agenix(nix: Nix, secret: str, early: str = "false") -> Any:
    return nix.value(f"{FOREIGN}.fromAgenix {{ secret = {{ {AGENIX} {secret} }}; early = {early}; }}")


def sops(nix: Nix, **changes: str) -> Any:
    fields = {
        "key": '"x"',
        "format": '"yaml"',
        "owner": "null",
        "uid": "0",
        "group": "null",
        "gid": "0",
        "neededForUsers": "false",
        **changes,
    }
    text = " ".join(f"{name} = {value};" for name, value in fields.items())
    return nix.value(f"{FOREIGN}.fromSops {{ {SOPS} {text} }}")


def test_agenix(nix: Nix) -> None:
    assert agenix(nix, 'owner = "0"; group = "0"; symlink = true;') == {
        "name": "x",
        "file": "/f.age",
        "format": "age",
        "path": "/run/agenix/x",
        "mode": "0440",
        "owner": "root",
        "group": "root",
        "phase": "services",
    }
    owned = agenix(nix, 'owner = "app"; group = "www"; symlink = true;')
    assert (owned["owner"], owned["group"]) == ("app", "www")


def test_an_agenix_secret_without_a_link_is_a_copy_anywhere(nix: Nix) -> None:
    made = agenix(nix, 'owner = "0"; group = "0"; symlink = false;')
    assert (made["method"], made["plaintextOnDisk"]) == ("copy", True)


def test_an_agenix_password_is_there_before_users_are(nix: Nix) -> None:
    assert agenix(nix, 'owner = "0"; group = "0"; symlink = true;', early="true")["phase"] == "users"


def test_sops(nix: Nix) -> None:
    assert sops(nix, key='"a/b"') == {
        "name": "x",
        "file": "/f.yaml",
        "format": "yaml",
        "key": "a/b",
        "path": "/run/secrets/x",
        "mode": "0400",
        "owner": "root",
        "uid": None,
        "group": "root",
        "gid": None,
        "phase": "services",
        "restartUnits": ["a.service"],
        "reloadUnits": ["b.service"],
    }


@pytest.mark.parametrize(
    ("given", "made"),
    [
        ({"owner": '"app"', "group": '"www"'}, ("app", None, "www", None)),
        ({"uid": "1001", "gid": "1002"}, ("root", 1001, "root", 1002)),
        ({"owner": '"app"', "uid": "null", "group": '"www"', "gid": "null"}, ("app", None, "www", None)),
        ({"owner": '"app"', "uid": "5", "group": '"www"', "gid": "6"}, ("app", 5, "www", 6)),
    ],
)
def test_sops_owners(nix: Nix, given: dict[str, str], made: tuple[Any, ...]) -> None:
    found = sops(nix, **given)
    assert (found["owner"], found["uid"], found["group"], found["gid"]) == made


@pytest.mark.parametrize(
    ("form", "key", "made"),
    [
        ("yaml", "x", "x"),
        ("json", "x", "x"),
        ("yaml", "", None),
        ("binary", "x", None),
        ("dotenv", "x", None),
        ("ini", "x", None),
    ],
)
def test_sops_keys_are_those_of_tables(nix: Nix, form: str, key: str, made: str | None) -> None:
    assert sops(nix, format=f'"{form}"', key=f'"{key}"')["key"] == made


def test_sops_secrets_for_users(nix: Nix) -> None:
    assert sops(nix, neededForUsers="true")["phase"] == "users"


def placeholder(name: str) -> str:
    return f"<SOPS:{sha256(name.encode()).hexdigest()}:PLACEHOLDER>"


def test_a_placeholder_is_the_text_that_sops_nix_writes(nix: Nix) -> None:
    assert nix.value(f'{FOREIGN}.sopsPlaceholder "a/b"') == placeholder("a/b")


def test_templates(nix: Nix) -> None:
    fields = 'path = "/etc/t"; mode = "0440"; owner = null; uid = 5; group = null; gid = 0; restartUnits = [ ]; reloadUnits = [ ];'
    made = nix.value(
        f'{FOREIGN}.fromSopsTemplate {{ "{placeholder("a")}" = "b"; }}'
        f' {{ name = "t"; {fields} content = "1 {placeholder("a")} 2 {placeholder("a")}"; }}'
    )
    token = nix.value('secretsmith.placeholderToken "raw" "b"')
    assert made == {
        "name": "rendered/t",
        "path": "/etc/t",
        "mode": "0440",
        "owner": "root",
        "uid": 5,
        "group": "root",
        "gid": None,
        "content": f"1 {token} 2 {token}",
        "restartUnits": [],
        "reloadUnits": [],
    }


def test_placeholders_of_ones_own_and_unknown_ones(nix: Nix) -> None:
    names = f'{{ "{placeholder("a")}" = "a"; "@own@" = "b"; }}'
    text = f"@own@ {placeholder('a')} {placeholder('c')}"
    made = nix.value(f'{FOREIGN}.translate {names} "{text}"')
    first, second = (nix.value(f'secretsmith.placeholderToken "raw" "{name}"') for name in "ba")
    assert made == f"{first} {second} {placeholder('c')}"
    assert nix.value(f'{FOREIGN}.unknownMarks {names} "{text}"') == [placeholder("c")]


def test_a_template_keeps_what_it_refers_to_in_the_store(nix: Nix) -> None:
    text = f'"${{builtins.toFile "f" ""}} {placeholder("a")}"'
    made = f'{FOREIGN}.translate {{ "{placeholder("a")}" = "a"; }} {text}'
    assert nix.value(f"builtins.hasContext ({made})") is True


@pytest.mark.parametrize(
    ("given", "left"),
    [
        (["/etc/ssh/ssh_host_ed25519_key", "/etc/ssh/ssh_host_rsa_key"], ["/etc/ssh/ssh_host_ed25519_key"]),
        (["/odd", "/etc/key"], ["/etc/key"]),
        # refused by name, with what to do
        (["/etc/ssh/ssh_host_rsa_key"], ["/etc/ssh/ssh_host_rsa_key"]),
        ([], []),
    ],
)
def test_rsa_keys_open_nothing(nix: Nix, given: list[str], left: list[str]) -> None:
    paths = " ".join(f'"{path}"' for path in given)
    assert nix.value(f'{FOREIGN}.openable [ "/odd" ] [ {paths} ]') == left
