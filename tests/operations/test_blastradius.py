from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import jsonschema
import keys
import pytest
from fleet import Fleet, make_fleet
from gitrepo import commit, git, start
from sopsfleet import put

import secretsmith.operations.leastprivilege as lint
from secretsmith.cli.arguments.access import BlastRadiusParameters
from secretsmith.cli.commands import blast_radius as command
from secretsmith.cli.session import Session
from secretsmith.crypto.publickey import Form, parse_public_key
from secretsmith.documents.format import Format
from secretsmith.documents.seal import seal_value
from secretsmith.errors import NotFound, RefusedInput
from secretsmith.interaction import NoInteraction
from secretsmith.operations.blasthistory import PastAccess, old_versions, past_access
from secretsmith.operations.blastradius import Opened, blast_radius, holder_of
from secretsmith.operations.buildexport import Export, Exported
from secretsmith.operations.rekey import apply_rekey, plan_rekey
from secretsmith.plugin.api import HostDeclaration, SecretDeclaration
from secretsmith.policy.lock import Debt
from secretsmith.project import Project
from secretsmith.record import replace
from secretsmith.sensitive import Sensitive

DB = "secrets/web/db.age"
APP = "secrets/web/app.yaml"
SCHEMA = Path(__file__).resolve().parents[2] / "docs/reference/schemas/blast-radius.schema.json"


@pytest.fixture
def fleet(tmp_path: Path, peer: Callable[[str], str]) -> Fleet:
    peer("git")
    made = make_fleet(tmp_path)
    start(made.root)
    made.put(DB, b"one")
    commit(made.root, "2026-01-01")
    return made


def past(fleet: Fleet, who: str = "web1", project: Project | None = None) -> PastAccess:
    project = project or fleet.project()
    return past_access(project, holder_of(project, who))


def dates(fleet: Fleet, who: str = "web1") -> list[tuple[str, str, bool]]:
    return [(one.path, one.date, one.current) for one in past(fleet, who).versions]


def now(fleet: Fleet, who: str = "web1") -> dict[str, Opened]:
    project = fleet.project()
    return {one.path: one for one in blast_radius(project, holder_of(project, who)).now}


def rekey(fleet: Fleet, form: Form | None = None) -> None:
    project = fleet.project()
    apply_rekey(project, plan_rekey(project, form=form), accept=("all",))


def said(fleet: Fleet, who: str, **options: object) -> tuple[str, str]:
    out, err = io.BytesIO(), io.BytesIO()
    session = Session(
        cwd=fleet.root,
        environ={"HOME": str(fleet.home / "nowhere")},
        stdin=io.BytesIO(),
        stdout=out,
        stderr=err,
        interaction=NoInteraction(),
    )
    assert command.run(session, BlastRadiusParameters(who, **options)) == 0  # type: ignore[arg-type]
    return out.getvalue().decode(), err.getvalue().decode()


def as_json(fleet: Fleet, who: str, **options: object) -> dict[str, object]:
    found = json.loads(said(fleet, who, json=True, **options)[0])
    jsonschema.validate(found, json.loads(SCHEMA.read_text()), cls=jsonschema.Draft202012Validator)
    assert isinstance(found, dict)
    return found


def test_old_versions_and_when_they_were_last_readable(fleet: Fleet) -> None:
    (fleet.root / "about").write_text("x")
    last = commit(fleet.root, "2026-02-01")
    fleet.put(DB, b"two")
    commit(fleet.root, "2026-03-01")
    fleet.rules["secrets/web/**"] = ("web2",)
    fleet.write()
    fleet.put(DB, b"three")
    commit(fleet.root, "2026-04-01")
    found = past(fleet)
    assert [(one.date, one.current) for one in found.versions] == [
        ("2026-03-01", False),
        ("2026-02-01", False),
    ]
    assert found.versions[1].commit == last, "the newest commit that had it, not the one that made it"
    assert now(fleet) == {}
    assert dates(fleet, "web2") == [
        (DB, "2026-04-01", True),
        (DB, "2026-03-01", False),
        (DB, "2026-02-01", False),
    ]
    assert len(old_versions(past(fleet, "web2"))[DB]) == 2
    assert {one.basis for one in found.versions} == {"file"}


def test_retired_keys_count(fleet: Fleet) -> None:
    old = fleet.hosts["web1"]
    fleet.hosts["web1"] = keys.ed25519_key()
    fleet.extra = f'[[hosts.web1.retired]]\nkey = "{old.public}"\nreason = "reinstalled"\n'
    fleet.write()
    opened = now(fleet)[DB]
    assert opened.through == (parse_public_key(old.public).fingerprint,)
    assert opened.retired
    assert "by an old key that is still in it" in said(fleet, "web1")[0]
    fleet.accept_all()
    rekey(fleet)
    assert not now(fleet)[DB].retired
    assert [one.current for one in past(fleet).versions] == [False], "the file of now is not committed yet"
    assert said(fleet, "web1")[0].startswith("web1 with 2 keys: opens 1 secret now\n")


def test_documents_and_key_groups(fleet: Fleet) -> None:
    put(fleet, APP, [["alice", "web1"]])
    commit(fleet.root, "2026-02-01")
    put(fleet, APP, [["alice"], ["web1"]])
    commit(fleet.root, "2026-03-01")
    opened = now(fleet)[APP]
    assert opened.keys == ("mail/smtp", "mail/port", "list/0", "list/1")
    assert not opened.alone
    found = [(one.date, one.alone) for one in past(fleet).versions if one.path == APP]
    assert found == [("2026-03-01", False), ("2026-02-01", True)]
    assert "only together with other key groups" in said(fleet, "web1")[0]
    assert not any(one.path == APP for one in past(fleet, "web2").versions)


def test_armored_and_native_documents(fleet: Fleet) -> None:
    texts = [fleet.key("alice").text, fleet.key("web1").text]
    (fleet.root / "secrets/web/a.age").write_bytes(seal_value(Format.AGE, Sensitive(b"x"), texts, armor=True))
    put(fleet, APP, [["alice", "web1"]], form=Form.NATIVE)
    commit(fleet.root, "2026-02-01")
    assert {path for path, _, _ in dates(fleet)} == {DB, APP, "secrets/web/a.age"}
    assert {path for path, _, _ in dates(fleet, "web2")} == {DB}


def test_anonymous_recipients_by_any_version_of_the_lock(fleet: Fleet) -> None:
    rekey(fleet, Form.DERIVED)
    commit(fleet.root, "2026-02-01")
    fleet.put(DB, b"two")
    fleet.rules["secrets/web/**"] = ("web2",)
    fleet.write()
    rekey(fleet)
    commit(fleet.root, "2026-03-01")
    found = past(fleet)
    assert [(one.date, one.basis) for one in found.versions] == [
        ("2026-02-01", "lock"),
        ("2026-01-01", "file"),
    ]
    assert found.uncertain == 0
    # A lock that somebody laid out anew says the same.
    for layout in (2, None):
        lock = json.loads((fleet.root / "secretsmith.lock").read_text())
        (fleet.root / "secretsmith.lock").write_text(json.dumps(lock, indent=layout))
        commit(fleet.root, "2026-03-02")
    assert [one.basis for one in past(fleet, "web2").versions] == ["lock", "lock", "file"]


def test_anonymous_recipients_without_a_lock(fleet: Fleet) -> None:
    recipients = [fleet.key(name).derived for name in ("alice", "web1", "web2")]
    extra = keys.ed25519_key().public
    for path, texts in (
        ("secrets/web/fits.age", recipients),
        ("secrets/web/more.age", [*recipients, parse_public_key(extra).derived]),
        ("secrets/other/alice.age", recipients[:1]),
        ("secrets/web/native.age", [fleet.key("web2").text, recipients[0]]),
    ):
        (fleet.root / path).parent.mkdir(exist_ok=True)
        (fleet.root / path).write_bytes(seal_value(Format.AGE, Sensitive(b"x"), texts, armor=False))
    commit(fleet.root, "2026-02-01")
    found = past(fleet)
    assert {(one.path, one.basis) for one in found.versions} == {
        (DB, "file"),
        ("secrets/web/fits.age", "assumed"),
    }
    assert found.uncertain == 1, "one with a recipient too many; an RSA key or a native file leaves no doubt"
    assert "1 more version with anonymous recipients" in said(fleet, "web1")[1]
    # Gone from the tree and the registry since, it is judged by the registry of its own commit.
    git(fleet.root, "rm", "-q", "secrets/web/fits.age")
    fleet.rules = {"secrets/new/**": ("web2",)}
    fleet.write()
    commit(fleet.root, "2026-03-01")
    assert ("secrets/web/fits.age", "2026-02-01", False) in dates(fleet)


def test_all_branches_tags_and_folders_there_ever_were(fleet: Fleet) -> None:
    git(fleet.root, "checkout", "-qb", "side")
    fleet.put("secrets/web/side.age", b"x")
    put(fleet, APP, [["alice", "web1"]])
    commit(fleet.root, "2026-02-01")
    (fleet.root / "more").write_text("x")
    side = commit(fleet.root, "2026-02-05")
    git(fleet.root, "checkout", "-q", "main")
    text = (fleet.root / "secretsmith.toml").read_text()
    (fleet.root / "secretsmith.toml").write_text(
        text.replace("version = 1\n", 'version = 1\nsecrets = "vault"\n').replace('"secrets/', '"vault/')
    )
    (fleet.root / "secrets").rename(fleet.root / "vault")
    put(fleet, "vault/web/app.yaml", [["alice", "web1"]])
    (fleet.root / "secretsmith.lock").unlink()
    commit(fleet.root, "2026-03-01")
    found = {one.path: one for one in past(fleet).versions}
    assert found.keys() == {DB, APP, "vault/web/db.age", "vault/web/app.yaml", "secrets/web/side.age"}
    assert found["secrets/web/side.age"].commit == side, "it is still what that branch has"
    assert found["vault/web/db.age"].current
    assert not found[DB].current


def test_history_before_the_registry(tmp_path: Path, peer: Callable[[str], str]) -> None:
    peer("git")
    fleet = make_fleet(tmp_path)
    registry = (fleet.root / "secretsmith.toml").read_text()
    (fleet.root / "secretsmith.toml").unlink()
    start(fleet.root)
    (fleet.root / "secrets").mkdir()
    texts = [fleet.key("alice").text, fleet.key("web1").text]
    for path in ("secrets/old.age", "elsewhere.age"):
        (fleet.root / path).write_bytes(seal_value(Format.AGE, Sensitive(b"x"), texts, armor=False))
    (fleet.root / "secrets/secrets.nix").write_text("{ }")
    (fleet.root / "secrets/README.md").write_text("about")
    (fleet.root / "secrets/oops.age").write_text("in clear")
    commit(fleet.root, "2026-01-01")
    (fleet.root / "secretsmith.toml").write_text(registry)
    commit(fleet.root, "2026-02-01")
    found = past(fleet)
    assert {one.path for one in found.versions} == {"secrets/old.age", "elsewhere.age"}
    assert found.clear == 1
    assert "1 version not encrypted at all" in said(fleet, "web1")[1]


def test_a_key_by_its_fingerprint(fleet: Fleet) -> None:
    project = fleet.project()
    key = fleet.key("web1")
    assert holder_of(project, key.fingerprint).name == "web1"
    put(fleet, APP, [["alice", "web1"]])
    commit(fleet.root, "2026-02-01")
    # The registry of today has never heard of it; one of its older versions has, and so tells its other form.
    del fleet.hosts["web1"]
    fleet.rules["secrets/web/**"] = ("web2",)
    fleet.write()
    commit(fleet.root, "2026-03-01")
    found = as_json(fleet, key.fingerprint)
    assert found["principal"] is None
    assert found["fingerprints"] == [key.fingerprint]
    assert {one.path for one in past(fleet, key.fingerprint).versions} == {DB, APP}
    assert DB in now(fleet, key.fingerprint)
    assert "does not name this key" in said(fleet, key.fingerprint)[1]
    texts = [fleet.key("alice").text, key.text]
    outside = "secrets/web/outside.age"
    (fleet.root / outside).write_bytes(seal_value(Format.AGE, Sensitive(b"x"), texts, armor=False))
    assert now(fleet, key.fingerprint)[outside].basis == "file", "four bytes of it are in the file"
    stranger = parse_public_key(keys.ed25519_key().public).fingerprint
    assert as_json(fleet, stranger)["secrets"] == []
    for bad in ("SHA256:", "SHA256:abc", f"{stranger}="):
        with pytest.raises(RefusedInput):
            holder_of(project, bad)
    with pytest.raises(NotFound):
        holder_of(project, "web9")


def test_json(fleet: Fleet) -> None:
    put(fleet, APP, [["alice", "web1"]])
    commit(fleet.root, "2026-02-01")
    (fleet.root / "secrets/web/bad.age").write_bytes(b"age-encryption.org/v1\n-> x")
    found = as_json(fleet, "web1")
    assert found["principal"] == "web1"
    assert [one["path"] for one in found["secrets"]] == [APP, DB]  # type: ignore[attr-defined]
    assert [one["path"] for one in found["unreadable"]] == ["secrets/web/bad.age"]  # type: ignore[attr-defined]
    assert as_json(fleet, "web1", history=False)["history"] is None
    assert found["overread"] is None, "no builder was ever asked"


def test_what_is_owed_is_said(fleet: Fleet) -> None:
    fleet.put(DB, b"two")
    commit(fleet.root, "2026-02-01")
    project = fleet.project()
    from secretsmith.policy.lock import dump_lock

    lock = project.lock.with_debt([Debt(DB, None, "web1", "compromised", "2026-02-02")])
    (fleet.root / "secretsmith.lock").write_text(dump_lock(lock))
    assert "the value is still owed" in said(fleet, "web1")[0]
    assert "owed" not in said(fleet, "web2")[0]


def test_without_git(tmp_path: Path) -> None:
    fleet = make_fleet(tmp_path)
    fleet.put(DB, b"x")
    assert "opens 1 secret now" in said(fleet, "web1")[0]
    assert "no git repository" in said(fleet, "web1")[1]
    with pytest.raises(RefusedInput):
        said(fleet, "web1", history=True)


def test_hostile_history(fleet: Fleet) -> None:
    """Names, folders and locks that somebody pushed: nothing is followed, nothing stops the search."""
    (fleet.root / "secrets/web/new\nline.age").write_bytes((fleet.root / DB).read_bytes())
    (fleet.root / "secrets/web/link.age").symlink_to("/etc/passwd")
    commit(fleet.root, "2026-02-01")
    text = (fleet.root / "secretsmith.toml").read_text()
    (fleet.root / "secretsmith.toml").write_text(
        f'secrets = "../.."\nsecrets = "/etc"\nsecrets = "-x"\n{text}'
    )
    (fleet.root / "secretsmith.lock").write_text(
        '{"files":{\n"../../etc/passwd":\n{"basis":"wrote","recipients":[1],"sha256":"x"}\n{"sha256":"\n}}'
    )
    commit(fleet.root, "2026-03-01")
    git(fleet.root, "checkout", "-q", "HEAD~1", "--", "secretsmith.toml", "secretsmith.lock")
    (fleet.root / "secrets/web/link.age").unlink()
    (fleet.root / "secrets/web/anon.age").write_bytes(
        seal_value(Format.AGE, Sensitive(b"x"), [fleet.key("alice").derived], armor=False)
    )
    commit(fleet.root, "2026-04-01")
    assert {path for path, _, _ in dates(fleet)} == {DB, "secrets/web/new\nline.age"}
    assert "new\\nline" in said(fleet, "web1")[0]


def test_processes_and_reads_are_counted(
    fleet: Fleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import os
    import shutil

    for number in range(20):
        fleet.put(f"secrets/web/{number}.age", b"x")
        commit(fleet.root, "2026-02-01")
    wrapper = tmp_path / "bin/git"
    wrapper.parent.mkdir()
    wrapper.write_text(f'#!/bin/sh\necho "$*" >> {tmp_path}/calls\nexec {shutil.which("git")} "$@"\n')
    wrapper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{wrapper.parent}:{os.environ['PATH']}")
    assert len(past(fleet).versions) == 21
    calls = (tmp_path / "calls").read_text()
    assert calls.count("cat-file") == 1
    assert calls.count(" log ") == 2, "the registry, the secrets; the lock was not needed"
    assert len(calls.splitlines()) < 12


def test_readable_by_more_than_declare_it(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    put(fleet, APP, [["alice", "web1", "web2"]])
    fleet.hosts["manual"] = keys.ed25519_key()
    fleet.rules["secrets/web/**"] = ("web1", "web2", "manual")
    fleet.rules["secrets/all.age"] = ("web1", "web2")
    fleet.write()
    fleet.put(DB, b"x")
    fleet.put("secrets/all.age", b"x")

    def declared(host: str, *secrets: tuple[str, str | None]) -> Exported:
        listed = tuple(
            SecretDeclaration(name=str(n), file=file, format="age", origin="x", key=key)
            for n, (file, key) in enumerate(secrets)
        )
        return Exported("nix", HostDeclaration(host, "x", listed))

    export = Export(
        "2026-01-01",
        (
            declared("web1", (DB, None), ("secrets/all.age", None), (APP, "mail")),
            declared("web2", ("secrets/all.age", None), (APP, "list/0")),
        ),
    )
    monkeypatch.setattr(lint, "last_export", lambda project, loader=None: export)
    project = fleet.project()
    opened = blast_radius(project, holder_of(project, "web2")).now
    found = {one.path: one for one in lint.overread(project, opened) or ()}
    assert found.keys() == {APP, DB}
    assert (found[DB].readers, found[DB].declared) == (("web1", "web2"), ("web1",)), "manual is no builder's"
    assert (found[APP].keys, found[APP].unused) == (4, 1)
    text, _ = said(fleet, "web2")
    assert "read by 2 hosts, declared by 1; not by web2" in text
    assert "1 of 4 values used by none" in text
    assert {one["path"] for one in as_json(fleet, "web2")["overread"]} == {APP, DB}  # type: ignore[attr-defined]


def test_the_lint_is_not_for_files_that_are_used(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    everything = SecretDeclaration(name="a", file=DB, format="age", origin="x")
    export = Export(
        "2026-01-01", tuple(Exported("nix", HostDeclaration(h, "x", (everything,))) for h in fleet.hosts)
    )
    monkeypatch.setattr(lint, "last_export", lambda project, loader=None: export)
    project = fleet.project()
    assert lint.overread(project, blast_radius(project, holder_of(project, "web1")).now) == ()
    assert "declare it" not in said(fleet, "web1")[0]
    lacking = replace(export, hosts=())
    monkeypatch.setattr(lint, "last_export", lambda project, loader=None: lacking)
    assert lint.overread(project, blast_radius(project, holder_of(project, "web1")).now) == ()
