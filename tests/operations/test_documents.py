"""What works on sops documents without writing them: they are shown, listed and judged."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from fleet import Fleet, make_fleet

from secretsmith.documents.format import Format
from secretsmith.documents.sopsnew import new_document
from secretsmith.errors import CannotDecrypt, Code, NotFound
from secretsmith.identities.ring import IdentityRing
from secretsmith.interaction import NoInteraction
from secretsmith.operations.check import check
from secretsmith.operations.listing import list_secrets
from secretsmith.operations.rekey import plan_rekey
from secretsmith.operations.show import show_file, show_secret

DOCUMENT = "secrets/web/app.yaml"
CLEAR = b"# about\nmail:\n  smtp: hunter2\n  port: 25 # usual\n"


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    made = make_fleet(tmp_path)
    recipients = [made.key(name).derived for name in ("alice", "web1", "web2")]
    path = made.root / DOCUMENT
    path.parent.mkdir(parents=True)
    path.write_bytes(new_document(Format.YAML, CLEAR, [recipients]))
    return made


def test_shown_whole_and_by_key(fleet: Fleet) -> None:
    project = fleet.project("web1")
    assert show_secret(project, DOCUMENT).expose() == CLEAR
    assert show_secret(project, DOCUMENT, "mail/smtp").expose() == b"hunter2"
    assert show_secret(project, DOCUMENT, "mail/port").expose() == b"25"
    with pytest.raises(NotFound):
        show_secret(project, DOCUMENT, "mail/nothing")


def test_shown_without_a_registry(fleet: Fleet) -> None:
    ring = IdentityRing.of_files([fleet.identity("alice")], NoInteraction())
    assert show_file(fleet.root / DOCUMENT, "app.yaml", ring, "mail/smtp").expose() == b"hunter2"


def test_a_stranger_is_told_who_reads_it(fleet: Fleet, tmp_path: Path) -> None:
    ring = IdentityRing({"HOME": str(tmp_path)}, NoInteraction(), as_root=False)
    with pytest.raises(CannotDecrypt) as refused:
        show_file(fleet.root / DOCUMENT, "app.yaml", ring)
    assert fleet.key("alice").derived in "".join(refused.value.hints)


def test_listed_and_judged_without_a_key(fleet: Fleet) -> None:
    listed = {item.path: item for item in list_secrets(fleet.project())}
    assert set(listed[DOCUMENT].present) == {"alice", "web1", "web2"}
    assert not listed[DOCUMENT].drift
    codes = {item.code for item in check(fleet.project())}
    assert codes == {Code.SINGLE_ADMIN, Code.LOCK_MISSING}, "sops wrote it, so the lock does not know it"


def test_drift_is_found_and_named_with_its_remedy(fleet: Fleet) -> None:
    fleet.rules["secrets/web/**"] = ("web1",)
    fleet.write()
    found = [item for item in check(fleet.project()) if item.code == Code.DRIFT]
    assert [item.hint for item in found] == [f"secretsmith rekey {DOCUMENT}"]
    assert [item.path for item in plan_rekey(fleet.project()).files] == [DOCUMENT]


def test_a_mapping_is_shown_as_a_document(fleet: Fleet) -> None:
    project = fleet.project("web1")
    assert show_secret(project, DOCUMENT, "mail").expose() == b"smtp: hunter2\n# usual\nport: 25\n"
    recipients = [fleet.key("alice").derived]
    text = b'{"a": {"list": [1, "x", {"deep": true}]}}'
    (fleet.root / "secrets/web/list.json").write_bytes(new_document(Format.JSON, text, [recipients]))
    shown = show_secret(fleet.project(), "secrets/web/list.json", "a/list").expose()
    assert json.loads(shown) == [1, "x", {"deep": True}]
    text = b"a:\n  list: [1, x, {deep: true}]\n"
    (fleet.root / "secrets/web/list.yaml").write_bytes(new_document(Format.YAML, text, [recipients]))
    shown = show_secret(fleet.project(), "secrets/web/list.yaml", "a/list").expose()
    assert shown == b"- 1\n- x\n- deep: true\n"
