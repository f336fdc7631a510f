"""``unset`` on sops documents."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import keys
import pytest
from writtendocs import ALL, TEXTS, DocFleet, make_doc_fleet, password_of

from secretsmith.crypto.publickey import parse_public_key
from secretsmith.policy import edit
from secretsmith.policy.lock import Debt


@pytest.fixture
def fleet(tmp_path: Path, peer: Callable[[str], str]) -> DocFleet:
    return make_doc_fleet(tmp_path, peer("sops"), peer("age-keygen"))


@pytest.mark.parametrize("name", list(ALL))
def test_the_entry_goes_with_its_line(fleet: DocFleet, name: str) -> None:
    before = fleet.make(name, ALL[name])
    said = fleet.run("unset", f"secrets/{name}", password_of(name)).stderr
    assert f"wrote secrets/{name}, readable by alice, carol as before".encode() in said
    after = fleet.document(name)
    sealed = [line for line in before.split(b"\n") if b"ENC[" in line and b"mac" not in line]
    kept = set(after.split(b"\n"))
    gone = [line for line in sealed if line not in kept]
    assert len(gone) == 1
    assert b"password" in gone[0].lower()
    clear = ALL[name].split(b"\n")
    left = fleet.run("show", f"secrets/{name}").stdout.split(b"\n")
    if not name.endswith(".json"):  # whose object stands on one line
        assert left == [line for line in clear if b"hunter2" not in line]
    assert b"hunter2" not in fleet.sops("decrypt", f"secrets/{name}")


def test_a_mapping_goes_with_all_in_it(fleet: DocFleet) -> None:
    fleet.make("app.yaml", TEXTS["app.yaml"])
    fleet.run("unset", "app", "db")
    assert b"hunter2" not in fleet.sops("decrypt", "secrets/app.yaml")
    assert fleet.run("show", "app").stdout.startswith(b"# about this file\nhosts:\n- one\n")


@pytest.mark.parametrize("words", [("app.yaml", "db/nothing"), ("app.yaml", "hosts/7"), ("other.yaml", "a")])
def test_what_is_not_there_is_not_found(fleet: DocFleet, words: tuple[str, ...]) -> None:
    fleet.make("app.yaml", TEXTS["app.yaml"])
    files = fleet.files()
    said = fleet.run("unset", *words, code=4).stderr
    assert (b"secretsmith show secrets/app.yaml" if words[0] == "app.yaml" else b"secretsmith ls") in said
    assert fleet.files() == files


def test_a_secret_of_one_value_has_no_keys(fleet: DocFleet) -> None:
    fleet.set("web/db", b"x")
    fleet.make("blob.bin", b"x")
    fleet.make("app.env", TEXTS["app.env"])
    files = fleet.files()
    assert b"secretsmith rm secrets/web/db.age" in fleet.run("unset", "web/db", "a", code=2).stderr
    fleet.run("unset", "secrets/blob.bin", "data", code=2)
    fleet.run("unset", "secrets/app.env", "", code=2)
    assert fleet.files() == files


def test_readers_are_put_right(fleet: DocFleet) -> None:
    fleet.make("app.yaml", TEXTS["app.yaml"])
    fleet.change_registry(lambda text: edit.revoke(text, ["secrets/**"], ["carol"]))
    assert b"dropped carol" in fleet.run("unset", "app", "flag").stderr
    fleet.sops("decrypt", "secrets/app.yaml", code=128)


def test_recipient_that_nobody_named_stops_it(fleet: DocFleet) -> None:
    fleet.make("app.yaml", TEXTS["app.yaml"])
    stranger = parse_public_key(keys.ed25519_key().public).derived
    fleet.sops("rotate", "--in-place", "--add-age", stranger, "secrets/app.yaml")
    files = fleet.files()
    fleet.run("unset", "app", "flag", code=6)
    assert fleet.files() == files
    assert b"dropped SHA256:" in fleet.run("unset", "app", "flag", "--drop-unknown").stderr


def test_a_value_that_is_gone_pays(fleet: DocFleet) -> None:
    fleet.make("app.yaml", b"a: one\nb: two\n")
    fleet.owe(Debt("secrets/app.yaml", "a", "web2", "revoked", "2026-01-02"))
    fleet.run("unset", "app", "b")
    assert fleet.owed == [("a", "web2")]
    assert b"a: changed since web2 lost access" in fleet.run("unset", "app", "a").stderr
    assert fleet.owed == []
    assert fleet.sops("decrypt", "secrets/app.yaml").strip() == b"{}"
