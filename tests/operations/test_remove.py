from __future__ import annotations

import pytest
from people import Scripted
from repositories import Fleet

from secretsmith.errors import Interrupted
from secretsmith.operations.remove import remove_secrets
from secretsmith.policy.lock import Debt, dump_lock, parse_lock

VALUE = b"canary-of-rm"


def test_file_and_lock_entry_go(fleet: Fleet) -> None:
    for name in ("web/db", "web/tls", "mail"):
        fleet.set(name, VALUE)
    said = fleet.run("rm", "web/db", "mail", "--force").stderr
    assert b"removed secrets/web/db.age\nremoved secrets/mail.age\n" in said
    assert list(parse_lock((fleet.root / "secretsmith.lock").read_text()).files) == ["secrets/web/tls.age"]
    assert [p.name for p in (fleet.root / "secrets").rglob("*.age")] == ["tls.age"]


def test_all_or_none(fleet: Fleet) -> None:
    fleet.set("web/db", VALUE)
    before = fleet.files()
    fleet.run("rm", "web/db", "web/missing", "--force", code=4)
    assert fleet.files() == before


def test_without_a_terminal_it_names_the_flag(fleet: Fleet) -> None:
    fleet.set("web/db", VALUE)
    before = fleet.files()
    assert b"--force" in fleet.run("rm", "web/db", code=2).stderr
    assert fleet.files() == before


def test_no_is_no(fleet: Fleet) -> None:
    fleet.set("web/db", VALUE)
    before = fleet.files()
    with pytest.raises(Interrupted):
        remove_secrets(fleet.project(Scripted([False])), ["secrets/web/db.age"])
    assert fleet.files() == before
    remove_secrets(fleet.project(Scripted([True])), ["secrets/web/db.age"])
    assert not (fleet.root / "secrets/web/db.age").exists()


def test_what_is_owed_stays(fleet: Fleet) -> None:
    fleet.set("web/db", VALUE)
    lock = fleet.root / "secretsmith.lock"
    debt = Debt("secrets/web/db.age", None, "web2", "revoked", "2026-01-02")
    lock.write_text(dump_lock(parse_lock(lock.read_text()).with_debt([debt])))
    assert b"still to be changed at its source" in fleet.run("rm", "web/db", "--force").stderr
    assert parse_lock(lock.read_text()).debt == (debt,)
