from __future__ import annotations

import io
import json
import os
from collections.abc import Sequence
from pathlib import Path

import jsonschema
import keys
import pytest
from fleet import Fleet, make_fleet
from sopsfleet import put, put_pgp

import secretsmith.operations.readers as readers_module
from secretsmith.cli.arguments.access import AccessParameters
from secretsmith.cli.commands import access as command
from secretsmith.cli.session import Session
from secretsmith.crypto.publickey import parse_public_key
from secretsmith.documents.format import Format
from secretsmith.documents.seal import seal_value
from secretsmith.errors import Code, NotFound, RefusedInput
from secretsmith.interaction import NoInteraction
from secretsmith.operations.access import Access, Question, access, as_rows, sealed_keys
from secretsmith.operations.readers import read_sealed
from secretsmith.operations.whonames import in_words
from secretsmith.record import replace
from secretsmith.sensitive import Sensitive

DB = "secrets/web/db.age"
APP = "secrets/web/app.yaml"
SCHEMAS = Path(__file__).resolve().parents[2] / "docs/reference/schemas"


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    made = make_fleet(tmp_path)
    made.put(DB, b"hunter2")
    return made


def of(fleet: Fleet, path: str) -> Access:
    (found,) = access(fleet.project(), Question((path,)))
    return found


def valid(found: object, name: str = "access") -> None:
    schema = json.loads((SCHEMAS / f"{name}.schema.json").read_text())
    jsonschema.validate(found, schema, cls=jsonschema.Draft202012Validator)


class Terminal(io.BytesIO):
    def isatty(self) -> bool:
        return True


def said(fleet: Fleet, *subjects: str, terminal: bool = False, **options: object) -> tuple[str, str]:
    """What the command writes to standard output and standard error."""
    out, err = (Terminal if terminal else io.BytesIO)(), io.BytesIO()
    session = Session(
        cwd=fleet.root,
        environ={"HOME": str(fleet.home / "nowhere")},
        stdin=io.BytesIO(),
        stdout=out,
        stderr=err,
        interaction=NoInteraction(),
    )
    assert command.run(session, AccessParameters(subjects=subjects, **options)) == 0  # type: ignore[arg-type]
    return out.getvalue().decode(), err.getvalue().decode()


def rows_of(fleet: Fleet, *subjects: str) -> list[dict[str, object]]:
    found = json.loads(said(fleet, *subjects, json=True)[0])
    valid(found)
    secrets = found["secrets"]
    assert isinstance(secrets, list)
    return secrets


def test_json_down_to_the_keys_of_documents(fleet: Fleet) -> None:
    put(fleet, APP, [["alice", "web1"]])
    fingerprints = {name: fleet.key(name).fingerprint for name in ("alice", "web1", "web2")}
    rows = rows_of(fleet)
    assert [(row["path"], row["key"]) for row in rows] == [
        (APP, "mail/smtp"),
        (APP, "mail/port"),
        (APP, "list/0"),
        (APP, "list/1"),
        (DB, None),
    ]
    assert rows[0] == {
        "path": APP,
        "key": "mail/smtp",
        "readers": ["alice", "web1"],
        "fingerprints": sorted((fingerprints["alice"], fingerprints["web1"])),
        "unknown": [],
        "basis": "file",
    }
    assert rows[-1]["fingerprints"] == sorted(fingerprints.values())
    assert rows[-1]["basis"] == "lock"


def test_values_in_clear_are_no_secrets(fleet: Fleet) -> None:
    from secretsmith.documents.sopsnew import new_document

    clear = b"password: x\nport_unencrypted: 25\nempty: {}\nlist_unencrypted:\n    - one\n"
    path = fleet.root / APP
    path.write_bytes(new_document(Format.YAML, clear, [[fleet.key("alice").derived]]))
    found = of(fleet, APP)
    assert (found.keys, found.clear) == (("password",), 2)
    assert [row["key"] for row in rows_of(fleet) if row["path"] == APP] == ["password"]


def test_binary_documents_are_whole_files(fleet: Fleet) -> None:
    put(fleet, "secrets/web/tls.bin", [["alice"]])
    assert [row["key"] for row in rows_of(fleet, "secrets/web/tls.bin")] == [None]


def test_every_document_of_a_file_counts_and_comments_do_not(fleet: Fleet) -> None:
    from secretsmith.documents.sopsnew import new_document

    clear = b"a: 1\n---\na: 2\nb:\n    # comment\n    - x\n    # in the list\n    - y\n"
    (fleet.root / APP).write_bytes(new_document(Format.YAML, clear, [[fleet.key("alice").derived]]))
    sealed = read_sealed(fleet.project(), APP)
    assert sealed.sops is not None
    assert sealed_keys(sealed.sops) == (("a", "b/0", "b/1"), 0)
    # sops keeps comments of lists as items of their own, where the format has no comments.
    path = put(fleet, "secrets/web/app.json", [["alice"]])
    text = path.read_text()
    item = text.index("ENC", text.index('"list"'))
    path.write_text(text[:item] + text[item:].replace("type:str", "type:comment", 1))
    assert of(fleet, "secrets/web/app.json").keys == ("mail/smtp", "mail/port")


def test_who_reads_a_secret_and_why(fleet: Fleet) -> None:
    fleet.rules["secrets/web/**"] = ("@web", "bob")
    fleet.users["bob"] = keys.ed25519_key()
    fleet.extra = '[groups]\nweb = ["web1"]\n'
    fleet.write()
    found = of(fleet, DB)
    assert found.basis == "file", "what is named is read, and native stanzas name their readers"
    assert {reader.name: reader.why for reader in found.readers} == {
        "alice": ("admin",),
        "web1": ("rule secrets/web/**: group web",),
        "web2": (),
    }
    assert found.missing == ("bob",)
    text, _ = said(fleet, DB)
    assert "web1: rule secrets/web/**: group web\n" in text
    assert "web2: no rule says so\n" in text
    assert "bob: should read it and cannot\n" in text
    assert "the file itself names them" in text


def test_an_old_key_in_a_file_is_not_passed_off_as_the_host(fleet: Fleet) -> None:
    old = fleet.hosts["web1"]
    fleet.hosts["web1"] = keys.ed25519_key()
    fleet.extra = f'[[hosts.web1.retired]]\nkey = "{old.public}"\nsince = "2026-01-02"\nuntil = "2026-11-20"\nreason = "reinstalled"\n'
    text = fleet.root / "secretsmith.toml"
    fleet.write()
    # The retired table belongs to the last [hosts.*] table of the file only by its name, wherever it stands.
    assert "hosts.web1.retired" in text.read_text()
    (reader,) = (one for one in of(fleet, DB).readers if one.name == "web1")
    assert (reader.state, reader.why) == ("retired", ())
    assert "web1" in of(fleet, DB).missing
    assert "web1 (retired key)" in said(fleet)[0]
    assert "web1: its retired key is still in it" in said(fleet, DB)[0]
    (row,) = rows_of(fleet)
    assert parse_public_key(old.public).fingerprint in row["fingerprints"]  # type: ignore[operator]


def test_two_names_of_one_key_both_read(fleet: Fleet) -> None:
    fleet.hosts["clone"] = fleet.hosts["web1"]
    fleet.write()
    assert of(fleet, DB).names == ("alice", "clone", "web1", "web2")


def test_strangers_and_key_services_are_unknown(fleet: Fleet) -> None:
    stranger = parse_public_key(keys.ed25519_key().public)
    data = seal_value(Format.AGE, Sensitive(b"x"), [fleet.key("alice").text, stranger.text], armor=False)
    (fleet.root / DB).write_bytes(data)
    put_pgp(put(fleet, APP, [["alice"]], also=[stranger.derived]))
    rows = {(row["path"], row["key"]): row for row in rows_of(fleet)}
    assert rows[DB, None]["unknown"] == [f"ssh-tag:{stranger.tag}"]
    assert rows[DB, None]["readers"] == ["alice"]
    derived = parse_public_key(stranger.derived).fingerprint
    assert rows[APP, "mail/smtp"]["unknown"] == [derived, "pgp:D7229043384BCC60326C6FB9D8720D957C3D3074"]
    assert f"unknown:ssh-tag:{stranger.tag}" in said(fleet)[0]
    assert f"unknown {derived}: the registry never named it" in said(fleet, APP)[0]


def test_what_it_rests_on(fleet: Fleet) -> None:
    recipients = [fleet.key(name).derived for name in ("alice", "web1", "web2")]
    anonymous = seal_value(Format.AGE, Sensitive(b"x"), recipients, armor=False)
    (fleet.root / DB).write_bytes(anonymous)
    assert of(fleet, DB).basis == "assumed"
    assert "assumed" in said(fleet, DB)[0]
    project = fleet.project()
    entry = project.lock.files[DB]
    import hashlib

    lock = project.lock.with_file(DB, replace(entry, sha256=hashlib.sha256(anonymous).hexdigest()))
    (found,) = access(replace(project, lock=lock), Question((DB,)))
    assert found.basis == "lock"
    assert found.names == ("alice", "web1", "web2")


def test_key_groups_take_several(fleet: Fleet) -> None:
    put(fleet, APP, [["alice"], ["web1"], ["web2"]], threshold=2)
    found = of(fleet, APP)
    assert (found.threshold, found.groups) == (2, 3)
    assert "(2 of 3 groups)" in said(fleet)[0]
    assert "2 of its 3 key groups together" in said(fleet, APP)[0]


def test_what_a_principal_reads(fleet: Fleet) -> None:
    fleet.rules["secrets/one.age"] = ("web1",)
    fleet.write()
    fleet.put("secrets/one.age", b"x")
    assert [row["path"] for row in rows_of(fleet, "web1")] == ["secrets/one.age", DB]
    assert [row["path"] for row in rows_of(fleet, "web2")] == [DB]
    assert rows_of(fleet, "web2", "secrets/one.age") == []
    text, notes = said(fleet, "web1")
    assert "rule secrets/one.age" in text
    assert "web1 can read 2 secrets" in notes
    assert "can read none of them" in said(fleet, "web2", "secrets/one.age")[1]


def test_groups_and_folders(fleet: Fleet) -> None:
    fleet.extra = '[groups]\nfirst = ["web1"]\nall = ["@first", "web2"]\n'
    fleet.rules["secrets/one.age"] = ("web1",)
    fleet.write()
    fleet.put("secrets/one.age", b"x")
    assert [row["path"] for row in rows_of(fleet, "@all")] == ["secrets/one.age", DB]
    assert [row["path"] for row in rows_of(fleet, "first")] == ["secrets/one.age", DB]
    assert [row["path"] for row in rows_of(fleet, "secrets/web")] == [DB]
    assert [row["path"] for row in rows_of(fleet, "web/db")] == [DB]
    text, _ = said(fleet, "@all")
    assert "alice" not in text, "asked about a group, it tells of its members"


def test_words_that_mean_nothing(fleet: Fleet) -> None:
    with pytest.raises(NotFound) as caught:
        said(fleet, "web11")
    assert any("web1" in hint for hint in caught.value.hints)
    with pytest.raises(NotFound):
        said(fleet, "@nobody")
    with pytest.raises(RefusedInput):
        said(fleet, json=True, markdown=True)


def test_a_name_that_is_a_secret_too(fleet: Fleet) -> None:
    fleet.hosts["db"] = keys.ed25519_key()
    fleet.rules["secrets/db.age"] = ("db",)
    fleet.write()
    fleet.put("secrets/db.age", b"x")
    text, notes = said(fleet, "db")
    assert "db can read 1 secret" in notes
    assert "secretsmith access ./secrets/db.age" in notes
    assert said(fleet, "./secrets/db.age")[0].startswith("secrets/db.age\n")
    assert text


def test_damaged_files_are_told_and_hide_nothing(fleet: Fleet) -> None:
    (fleet.root / "secrets/web/bad.age").write_bytes(b"in clear, hunter2")
    (fleet.root / "secrets/web/bad.yaml").write_bytes(b"a: [\n")
    found = json.loads(said(fleet, json=True)[0])
    valid(found)
    assert [row["path"] for row in found["secrets"]] == [DB]
    assert [each["path"] for each in found["unreadable"]] == ["secrets/web/bad.age", "secrets/web/bad.yaml"]
    assert "hunter2" not in str(found)
    _, notes = said(fleet)
    assert "note: secrets/web/bad.age: " in notes
    assert said(fleet, "secrets/web/bad.age")[0].startswith("secrets/web/bad.age\n  ")


def test_files_that_no_rule_names(fleet: Fleet) -> None:
    stray = seal_value(Format.AGE, Sensitive(b"x"), [fleet.key("web2").text], armor=False)
    (fleet.root / "secrets/stray.age").write_bytes(stray)
    kept = fleet.root / "secrets/web/db.rej.age"
    kept.write_bytes(seal_value(Format.AGE, Sensitive(b"x"), [fleet.key("alice").text], armor=False))
    assert {row["path"]: row["readers"] for row in rows_of(fleet)} == {
        "secrets/stray.age": ["web2"],
        "secrets/web/db.rej.age": ["alice"],
        DB: ["alice", "web1", "web2"],
    }


def test_unchanged_files_are_not_read(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(20):
        fleet.put(f"secrets/web/{number}.age", b"x")
    put(fleet, APP, [["alice", "web1", "web2"]])
    read: list[str] = []

    def noted(project: object, path: str) -> object:
        read.append(path)
        return real(project, path)  # type: ignore[arg-type]

    real = readers_module.read_sealed
    monkeypatch.setattr(readers_module, "read_sealed", noted)
    monkeypatch.setattr("secretsmith.operations.access.read_sealed", noted)
    assert len(access(fleet.project())) == 22
    assert read == [APP], "only what the lock does not know"
    assert len(as_rows(access(fleet.project(), keys=True))) == 25
    assert set(read) == {APP}


def test_a_fleet_of_fifty_fits_eighty_columns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hosts = (*(f"web{n}" for n in range(1, 41)), *(f"db{n}" for n in range(1, 9)), "mail", "backup")
    fleet = make_fleet(tmp_path, hosts)
    fleet.rules = {
        "secrets/all/**": ("@web", "@db", "mail", "backup"),
        "secrets/web/**": ("@web",),
        "secrets/some/**": ("web1", "web2", "web3", "web4", "web7", "db1", "db2", "mail"),
    }
    web, db = (", ".join(f'"{name}"' for name in hosts if name.startswith(part)) for part in ("web", "db"))
    fleet.extra = f"[groups]\nweb = [{web}]\ndb = [{db}]\n"
    fleet.write()
    long = "secrets/web/a-name-that-is-longer-than-half-of/the-terminal-is-wide.age"
    for path in ("secrets/all/smtp.age", DB, "secrets/some/thing.age", long):
        fleet.put(path, b"x")
    monkeypatch.setattr(os, "get_terminal_size", lambda *_: os.terminal_size((80, 24)))
    monkeypatch.setattr(Terminal, "fileno", lambda self: 1, raising=False)
    text, _ = said(fleet, terminal=True)
    assert text.splitlines() == [
        "SECRET                  BASIS  READERS",
        "secrets/all/smtp.age    lock   all 50 hosts, alice",
        "secrets/some/thing.age  lock   alice, db1, db2, mail, web1…web4, web7",
        long,
        "                        lock   @web (40), alice",
        "secrets/web/db.age      lock   @web (40), alice",
    ]
    piped = said(fleet)[0].splitlines()
    assert any(line.startswith(f"{long}  lock") for line in piped), "in a pipe each row is one line"


@pytest.mark.parametrize(
    ("names", "text"),
    [
        (["web1", "web2"], "web1, web2"),
        (["web1", "web2", "web3", "web4"], "@web (4)"),
        (["web1", "web2", "web3", "web4", "db1"], "all 5 hosts"),
        (["web1", "web2", "web3", "db1"], "db1, web1, web2, web3"),
        (["alice", "web1", "web2", "web3", "web4"], "@web (4), alice"),
        ([], ""),
    ],
)
def test_names_in_words(fleet: Fleet, names: Sequence[str], text: str) -> None:
    for name in ("web3", "web4", "db1"):
        fleet.hosts[name] = keys.ed25519_key()
    # A pending host reads nothing yet, and does not keep the others from being the whole group.
    fleet.extra = (
        '[hosts.web9]\nstatus = "pending"\n[groups]\nweb = ["web1", "web2", "web3", "web4", "web9"]\n'
    )
    fleet.write()
    assert in_words(fleet.project().registry, names) == text


def test_markdown_cannot_be_steered_by_names(fleet: Fleet) -> None:
    (fleet.root / "secrets/web/a|b `c` <img> @d.age").write_bytes((fleet.root / DB).read_bytes())
    text, _ = said(fleet, markdown=True)
    (line,) = (line for line in text.splitlines() if "img" in line)
    assert line.count("|") == 4, "three cells"
    assert "<img>" not in line
    assert "@d" not in line
    assert "`" not in line


def test_a_path_outside_is_refused(fleet: Fleet) -> None:
    with pytest.raises((RefusedInput, NotFound)) as caught:
        said(fleet, "../keys/alice.key")
    assert caught.value.code in (Code.NAME, Code.NOT_FOUND, Code.USAGE)
