"""``export sops``: the real sops gives every path the readers of the registry, and the file follows the registry."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import keys
import pytest
from fleet import Fleet, make_fleet

from secretsmith.documents.format import format_of
from secretsmith.documents.seal import read_document
from secretsmith.documents.sopsconfig import parse_config
from secretsmith.documents.sopsnew import new_document
from secretsmith.errors import Code, RefusedInput
from secretsmith.operations.check import check
from secretsmith.operations.exportsops import export_sops, sops_text, stale_config
from secretsmith.operations.grants import grant, revoke
from secretsmith.operations.keygroups import new_groups
from secretsmith.operations.readers import wanted_by
from secretsmith.policy.sopsyaml import CONFIG_NAME, MARKER, lists_files
from secretsmith.project import writing
from secretsmith.store.transaction import Transaction

OVERLAPPING = {
    "secrets/web/**": ("web1", "web2"),
    "secrets/**/db.yaml": ("db",),
    "secrets/*/tls.*": ("bob", "web1"),
    "secrets/web/a*": ("bob",),
    "secrets/**/*.ini": ("web2", "bob"),
    "secrets/**": ("carol",),
    "other/**/x?.json": ("db",),
}
MORE = """
[[rules]]
path = "shared/**"
readers = ["bob", "web1", "web2"]
key_groups = [["bob"], ["web1", "web2"]]
shamir_threshold = 2

[[rules]]
path = "chosen/*"
readers = ["bob"]
encrypted_regex = '^(pass|it)$'
mac_only_encrypted = true

[[rules]]
path = "chosen/**"
readers = ["web1"]

[hosts.new]
status = "pending"
"""
PATHS = (
    "secrets/x.yaml",
    "secrets/db.yaml",
    "secrets/web/x.yaml",
    "secrets/web/db.yaml",
    "secrets/web/deep/er/db.yaml",
    "secrets/web/abc.json",
    "secrets/web/tls.env",
    "secrets/mail/tls.ini",
    "secrets/mail/deep/tls.ini",
    "secrets/web/a.ini",
    "secrets/web/binary file",
    "secrets/web/a+(b).yaml",
    "other/a/b/x1.json",
    "shared/one.yaml",
    "chosen/one.yaml",
    "chosen/deep/one.yaml",
)
CLEAR = {
    "yaml": b"pass: 1\nother: b\n",
    "json": b'{"pass": "b"}',
    "env": b"pass=b\n",
    "ini": b"[a]\npass = b\n",
}


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    made = make_fleet(tmp_path, ("web1", "web2", "db"))
    made.users["bob"] = keys.rsa_key(2048, "bob")
    made.users["carol"] = keys.ed25519_key("carol@laptop")
    made.rules = dict(OVERLAPPING)
    made.extra = MORE
    made.write()
    return made


def sops(program: str, fleet: Fleet, *words: str, data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [program, "--disable-version-check", *words],
        input=data,
        capture_output=True,
        cwd=fleet.root,
        env={"HOME": str(fleet.home), "PATH": "/usr/bin:/bin"},
        check=False,
    )


def clear_of(path: str) -> bytes:
    return CLEAR.get(path.rpartition(".")[2], b"\x00binary")


def groups_in(path: str, data: bytes) -> list[set[str]]:
    file = read_document(format_of(path), data)
    return [{entry.recipient for entry in group.age} for group in file.metadata.groups]


@pytest.mark.parametrize("in_place", [False, True])
def test_sops_encrypts_to_whom_the_registry_names(
    fleet: Fleet, peer: Callable[[str], str], in_place: bool
) -> None:
    program = peer("sops")
    project = fleet.project()
    assert export_sops(project).complete
    seen = set()
    for path in PATHS:
        file = fleet.root / path
        if in_place:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(clear_of(path))
            done = sops(program, fleet, "encrypt", "--in-place", path)
            data = file.read_bytes()
        else:
            done = sops(program, fleet, "encrypt", "--filename-override", path, data=clear_of(path))
            data = done.stdout
        assert done.returncode == 0, (path, done.stderr)
        wanted = wanted_by(project, path)
        groups, threshold = new_groups(project.registry, wanted)
        assert groups_in(path, data) == [set(group) for group in groups], path
        metadata = read_document(format_of(path), data).metadata
        assert metadata.shamir_threshold == (threshold or 0)
        assert metadata.mac_only_encrypted is bool(wanted.mac_only_encrypted)
        if wanted.selection is not None:
            assert metadata.selection == wanted.selection
        seen.add(tuple(sorted(wanted.names)))
    assert len(seen) > 8, "the rules overlap in many ways"


def test_sops_finds_our_documents_up_to_date(fleet: Fleet, peer: Callable[[str], str]) -> None:
    program = peer("sops")
    project = fleet.project()
    export_sops(project)
    for path in PATHS:
        wanted = wanted_by(project, path)
        groups, threshold = new_groups(project.registry, wanted)
        file = fleet.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        made = new_document(
            format_of(path), clear_of(path), groups, threshold=threshold, selection=wanted.selection
        )
        file.write_bytes(made)
        done = sops(program, fleet, "updatekeys", "-y", path)
        assert done.returncode == 0, (path, done.stderr)
        assert b"already up to date" in done.stderr + done.stdout, path
        assert file.read_bytes() == made


def test_sops_refuses_where_rules_contradict_each_other(fleet: Fleet, peer: Callable[[str], str]) -> None:
    fleet.extra += '[[rules]]\npath = "chosen/a*"\nreaders = ["web2"]\nencrypted_regex = "x"\n'
    fleet.write()
    export_sops(fleet.project())
    program = peer("sops")
    for path, code in (("chosen/a.yaml", False), ("chosen/b.yaml", True), ("chosen/deep/a.yaml", True)):
        done = sops(program, fleet, "encrypt", "--filename-override", path, data=clear_of(path))
        assert (done.returncode == 0) is code, (path, done.stderr)


def test_it_is_written_once_and_printed_without_writing(fleet: Fleet) -> None:
    text = sops_text(fleet.project())
    assert not (fleet.root / CONFIG_NAME).exists()
    done = export_sops(fleet.project())
    assert done.written
    assert (fleet.root / CONFIG_NAME).read_text() == done.text == text
    assert text.startswith(MARKER + "\n")
    assert not export_sops(fleet.project()).written


def test_it_says_that_sops_wants_converted_keys_of_people(fleet: Fleet, peer: Callable[[str], str]) -> None:
    done = export_sops(fleet.project())
    assert any("ssh-to-age -private-key" in note for note in done.notes)
    assert "\n#   (umask 077; ssh-to-age -private-key" in done.text.partition("keys:")[0]
    # What it warns of: the ssh key opens the document for sops before, and does not afterwards.
    path = "secrets/mine.yaml"
    target = fleet.root / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(new_document(format_of(path), b"a: 1\n", [[fleet.key("alice").text]]))
    (fleet.home / ".ssh").mkdir()
    fleet.users["alice"].write(fleet.home / ".ssh", "id_ed25519")
    assert sops(peer("sops"), fleet, "decrypt", path).returncode == 0
    assert sops(peer("sops"), fleet, "updatekeys", "--yes", path).returncode == 0
    assert sops(peer("sops"), fleet, "decrypt", path).returncode == 128


def test_nobody_is_told_to_convert_what_needs_none(tmp_path: Path) -> None:
    made = make_fleet(tmp_path, ("web1",))
    made.users["alice"] = keys.rsa_key(2048, "alice")
    made.write()
    done = export_sops(made.project())
    assert "&web1 age1" in done.text, "the key of a host is converted, and sops-nix does the same there"
    assert "ssh-to-age" not in done.text
    assert not any("ssh-to-age" in note for note in done.notes)


def test_a_large_one_is_read_by_us_too(fleet: Fleet) -> None:
    fleet.rules = {f"secrets/service-number-{number}/**": ("web1",) for number in range(300)}
    fleet.extra = ""
    fleet.write()
    config = parse_config(export_sops(fleet.project()).text.encode())
    rule = config.rule_for("secrets/service-number-299/app.yaml")
    assert rule is not None
    assert set(rule.groups[0]) == {fleet.key(name).derived for name in ("alice", "web1")}
    assert config.rule_for("elsewhere.yaml") is None


def test_one_of_somebody_else_stays_unless_forced(fleet: Fleet) -> None:
    config = fleet.root / CONFIG_NAME
    config.write_text("creation_rules: []\n")
    with pytest.raises(RefusedInput) as refused:
        export_sops(fleet.project())
    assert refused.value.code is Code.EXISTS
    assert config.read_text() == "creation_rules: []\n"
    assert stale_config(fleet.project()) is None, "it is not ours to judge"
    grant(fleet.project(), ["secrets/new/**"], ["web1"])
    assert config.read_text() == "creation_rules: []\n"
    assert export_sops(fleet.project(), force=True).written
    assert config.read_text().startswith(MARKER)


def test_every_change_of_the_registry_rewrites_it_in_the_same_transaction(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    export_sops(fleet.project())
    commits: list[set[str]] = []
    real = Transaction.commit

    def commit(self: Transaction, verify: Callable[[str, bytes], None] | None = None) -> None:
        commits.append(set(self._changes))
        real(self, verify)

    monkeypatch.setattr(Transaction, "commit", commit)
    grant(fleet.project(), ["secrets/new/**"], ["db"])
    assert commits == [{"secretsmith.toml", CONFIG_NAME}]
    text = (fleet.root / CONFIG_NAME).read_text()
    assert "  # secrets/new/** + secrets/**\n" in text
    assert stale_config(fleet.project()) is None
    revoke(fleet.project(), ["secrets/new/**"], ["db"])
    assert "secrets/new" not in (fleet.root / CONFIG_NAME).read_text()


def test_a_link_in_its_place_stops_no_other_command(fleet: Fleet, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text(MARKER + "\n")
    (fleet.root / CONFIG_NAME).symlink_to(elsewhere)
    grant(fleet.project(), ["secrets/new/**"], ["db"])
    assert elsewhere.read_text() == MARKER + "\n"
    with pytest.raises(RefusedInput):
        export_sops(fleet.project(), force=True)


def test_check_reports_one_that_is_behind(fleet: Fleet) -> None:
    export_sops(fleet.project())
    assert Code.SOPS_CONFIG not in {item.code for item in check(fleet.project())}
    fleet.rules["secrets/by-hand/**"] = ("db",)
    fleet.write()
    found = [item for item in check(fleet.project()) if item.code == Code.SOPS_CONFIG]
    assert [(item.path, item.hint) for item in found] == [(CONFIG_NAME, "secretsmith export sops")]
    export_sops(fleet.project())
    assert stale_config(fleet.project()) is None


def test_where_files_are_named_a_new_one_is_named_too(fleet: Fleet) -> None:
    names = [f"h{number}" for number in range(60)]
    for name in names:
        fleet.rules[f"secrets/**/*a{name}*/**"] = (name,)
    fleet.rules["secrets/web/**"] = ("web1",)
    fleet.hosts.update({name: keys.ed25519_key() for name in names})
    fleet.write()
    fleet.accept_all()
    path = "secrets/ah1/ah2/ah3/ah4.yaml"
    assert lists_files(export_sops(fleet.project()).text)
    assert re.escape(path) not in (fleet.root / CONFIG_NAME).read_text()
    with writing(fleet.project()) as session:
        wanted = wanted_by(session.project, path)
        groups, _ = new_groups(session.project.registry, wanted)
        session.stage_secret(path, new_document(format_of(path), b"a: 1\n", groups), wanted.keys, expect=None)
        session.commit()
    assert re.escape(path) in (fleet.root / CONFIG_NAME).read_text()
    assert stale_config(fleet.project()) is None
