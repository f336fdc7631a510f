"""The check inside of a build: what it proves, what it refuses, what it says it cannot tell; with files of our own writers."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keys
import pytest
import sopsfleet
from fleet import make_fleet

from secretsmith.activation.templates.rendering import render
from secretsmith.crypto.agefile import encrypt_age
from secretsmith.crypto.publickey import Form
from secretsmith.errors import Code, Conflict, NotFound, RefusedInput
from secretsmith.findings import Finding
from secretsmith.operations.buildcheck import BuildReport, check_build, read_inputs
from secretsmith.policy.lock import Lock, LockEntry, dump_lock
from secretsmith.sensitive import Sensitive
from secretsmith.store.atomic import read_file

DB = "secrets/web/db.age"
APP = "secrets/web/app.yaml"


class Build:
    """A fleet, and a store with copies of its files under other names, as a build has them."""

    def __init__(self, folder: Path) -> None:
        self.fleet = make_fleet(folder)
        self.store = folder / "store"
        self.store.mkdir()
        self.members: dict[str, Any] = {}
        self.secrets: list[dict[str, Any]] = []
        self.templates: list[dict[str, Any]] = []
        self.lock: Lock | None = None

    def fingerprint(self, name: str) -> str:
        return self.fleet.key(name).fingerprint

    def native(self, path: str, *names: str, value: bytes = b"hunter2") -> Path:
        return self._age(path, [self.fleet.key(name).text for name in names], value)

    def anonymous(self, path: str, *names: str) -> Path:
        return self._age(path, [self.fleet.key(name).derived for name in names], b"hunter2")

    def _age(self, path: str, recipients: Sequence[str], value: bytes) -> Path:
        target = self.fleet.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(encrypt_age(Sensitive(value), recipients, armor=False))
        return target

    def declare(self, path: str, *, name: str | None = None, **members: Any) -> Path:
        """Declare a secret whose source is a copy under a name that says nothing."""
        file = self.fleet.root / path
        digest = hashlib.sha256(path.encode()).hexdigest()[:32]
        source = self.store / f"{digest}-{file.name}"
        if file.is_file():
            shutil.copyfile(file, source)
        kinds = {".age": "age", ".yaml": "yaml", ".json": "json", ".env": "dotenv", ".ini": "ini"}
        kind = kinds.get(file.suffix, "binary")
        secret = {"name": name or file.stem, "source": str(source), "id": path, "format": kind, **members}
        self.secrets.append({key: value for key, value in secret.items() if value is not None})
        return source

    def knows(self, path: str, *names: str, basis: str = "wrote", at: str | None = None) -> None:
        """Let the lock record the readers of a file as it is now, under its path or another one."""
        data = (self.fleet.root / path).read_bytes()
        readers = tuple(sorted(map(self.fingerprint, names)))
        entry = LockEntry(hashlib.sha256(data).hexdigest(), readers, basis)  # type: ignore[arg-type]
        self.lock = (self.lock or Lock()).with_file(at or path, entry)

    def arguments(self, host: str = "web1") -> tuple[Path, Path, Path | None]:
        tree = {
            "version": 1,
            "host": host,
            "directory": "/run/secrets",
            "generations": "/run/secrets.d",
            "identities": ["/etc/ssh/ssh_host_ed25519_key"],
            "secrets": self.secrets,
            "templates": self.templates,
            **self.members,
        }
        manifest = self.store / "manifest.json"
        manifest.write_text(json.dumps(tree))
        lock = None
        if self.lock is not None:
            lock = self.store / "lock.json"
            lock.write_text(dump_lock(self.lock))
        return manifest, self.fleet.root / "secretsmith.toml", lock

    def report(self, host: str = "web1") -> BuildReport:
        return check_build(read_inputs(*self.arguments(host)), render)

    def found(self, host: str = "web1") -> list[Finding]:
        return list(self.report(host).findings)

    def only(self, host: str = "web1") -> Finding:
        (finding,) = self.found(host)
        return finding

    def reinstall(self, host: str, until: str = "2026-11-20") -> tuple[str, str]:
        """Give a host another key; returns the fingerprints of the old one and the new one."""
        old, before = self.fleet.hosts[host], self.fingerprint(host)
        self.fleet.hosts[host] = keys.ed25519_key(f"root@{host}")
        self.fleet.extra += (
            f'[[hosts.{host}.retired]]\nkey = "{old.public}"\nuntil = "{until}"\nreason = "reinstalled"\n'
        )
        self.fleet.write()
        return before, self.fingerprint(host)


@pytest.fixture
def build(tmp_path: Path) -> Build:
    return Build(tmp_path)


class TestOpens:
    def test_a_native_stanza_is_proof_without_a_lock(self, build: Build) -> None:
        build.native(DB, "alice", "web1", "web2")
        build.declare(DB)
        report = build.report()
        assert report.findings == ()
        assert (report.sources, dict(report.proofs)) == (1, {"file": 1})

    def test_recipients_of_a_document_are_proof(self, build: Build) -> None:
        sopsfleet.put(build.fleet, APP, [["alice", "web1", "web2"]])
        build.declare(APP, key="mail/smtp")
        report = build.report()
        assert report.findings == ()
        assert dict(report.proofs) == {"file": 1}

    @pytest.mark.parametrize("form", list(Form))
    @pytest.mark.parametrize("suffix", sopsfleet.CLEAR)
    def test_every_format_in_both_forms(self, build: Build, suffix: str, form: Form) -> None:
        path = f"secrets/web/app{suffix}"
        sopsfleet.put(build.fleet, path, [["alice", "web1", "web2"]], form=form)
        build.declare(path)
        assert build.found() == []

    def test_anonymous_stanzas_are_found_in_the_lock_by_digest(self, build: Build) -> None:
        build.anonymous(DB, "alice", "web1", "web2")
        build.declare(DB)
        # Under another path: what lies in a store has lost its own.
        build.knows(DB, "alice", "web1", "web2", at="secrets/web/copy.age")
        report = build.report()
        assert dict(report.proofs) == {"lock": 1}
        assert [finding.code for finding in report.findings] == [Code.UNDECLARED]  # the copy

    def test_an_id_that_is_missing_comes_from_the_lock(self, build: Build) -> None:
        build.anonymous(DB, "alice", "web1", "web2")
        build.declare(DB, id=None)
        build.knows(DB, "alice", "web1", "web2")
        assert build.found() == []

    def test_an_entry_without_readers_still_knows_the_path(self, build: Build) -> None:
        """Documents with several groups are on the lock so."""
        sopsfleet.put(build.fleet, APP, [["alice", "web1", "web2"]])
        build.knows(APP)
        build.declare(APP, id=None)
        assert build.found() == []

    def test_of_equal_entries_the_surest_counts(self, build: Build) -> None:
        build.anonymous(DB, "alice", "web1", "web2")
        build.declare(DB)
        build.knows(DB)
        for basis, path in (
            ("assumed", "secrets/a.age"),
            ("wrote", "secrets/b.age"),
            ("assumed", "secrets/c.age"),
        ):
            build.knows(DB, "alice", "web1", "web2", basis=basis, at=path)
        assert dict(build.report().proofs) == {"lock": 1}

    @pytest.mark.parametrize("what", ["no lock", "other content", "assumed", "too few"])
    def test_what_nobody_knows_is_said_and_stops_nothing(self, build: Build, what: str) -> None:
        build.anonymous(DB, "alice", "web1", "web2")
        readers = ("alice", "web1") if what == "too few" else ("alice", "web1", "web2")
        if what != "no lock":
            build.knows(DB, *readers, basis="assumed" if what == "assumed" else "wrote")
        if what == "other content":
            build.anonymous(DB, "alice", "web1", "web2")
        build.declare(DB)
        finding = build.only()
        assert (finding.code, finding.severity, finding.basis) == (Code.ASSUMED, "info", "assumed")
        assert finding.message.startswith("cannot tell whether it opens on web1: it has 3 anonymous recip")
        assert "secretsmith rotate secrets/web/db.age" in finding.hint

    def test_what_is_assumed_never_counts_as_proof(self, build: Build) -> None:
        """As many anonymous stanzas as wanted readers, none of which is web1's."""
        stranger = keys.ed25519_key()
        build.fleet.users["mallory"] = stranger
        build.anonymous(DB, "alice", "web2", "mallory")
        del build.fleet.users["mallory"]
        build.declare(DB)
        report = build.report()
        assert dict(report.proofs) == {"untold": 1}


class TestStory:
    @pytest.mark.parametrize("kind", ["native", "anonymous"])
    def test_a_reinstalled_host(self, build: Build, kind: str) -> None:
        getattr(build, kind)(DB, "alice", "web1", "web2")
        build.knows(DB, "alice", "web1", "web2")
        old, new = build.reinstall("web1")
        build.declare(DB)
        finding = build.only()
        assert finding.message == (
            f"web1 is registered as {new} but secrets/web/db.age is encrypted for {old}"
            " (old key of web1, reinstalled 2026-11-20): run secretsmith rekey"
        )
        assert (finding.code, finding.severity) == (Code.FORMER_KEY, "error")
        assert finding.hint == "secretsmith rekey secrets/web/db.age"
        assert finding.basis == ("file" if kind == "native" else "lock")
        getattr(build, kind)(DB, "alice", "web1", "web2")
        build.knows(DB, "alice", "web1", "web2")
        build.secrets.clear()
        build.declare(DB)
        assert build.found() == []

    def test_a_reinstalled_host_and_a_document(self, build: Build) -> None:
        sopsfleet.put(build.fleet, APP, [["alice", "web1", "web2"]])
        old, new = build.reinstall("web1")
        build.declare(APP, key="mail/smtp")
        finding = build.only()
        assert f"web1 is registered as {new} but {APP} is encrypted for {old}" in finding.message

    def test_a_host_that_was_never_a_reader(self, build: Build) -> None:
        build.native(DB, "alice", "web2")
        build.declare(DB)
        finding = build.only()
        assert finding.code == Code.DRIFT
        assert "is encrypted for alice, web2: run secretsmith rekey" in finding.message

    def test_a_key_that_is_being_replaced(self, build: Build) -> None:
        second = keys.ed25519_key("root@web1")
        build.native(DB, "alice", "web1", "web2")
        text = (build.fleet.root / "secretsmith.toml").read_text()
        first = build.fleet.hosts["web1"].public
        (build.fleet.root / "secretsmith.toml").write_text(
            text.replace(f'["{first}"]', f'["{first}", "{second.public}"]')
        )
        build.declare(DB)
        finding = build.only()
        assert (finding.code, finding.severity) == (Code.DRIFT, "warning")
        assert f"is encrypted for {build.fingerprint('web1')} alone" in finding.message

    def test_a_key_of_a_stranger_is_named(self, build: Build) -> None:
        build.fleet.users["bob"] = keys.ed25519_key()
        build.native(DB, "bob")
        del build.fleet.users["bob"]
        build.declare(DB)
        assert "is encrypted for ssh-tag:" in build.only().message

    def test_key_services_do_not_open_anything_on_a_host(self, build: Build) -> None:
        path = sopsfleet.put(build.fleet, APP, [["alice"]])
        sopsfleet.put_pgp(path)
        build.declare(APP)
        assert "is encrypted for alice, PGP: run" in build.only().message

    @pytest.mark.parametrize(("groups", "proof"), [(("web1", "web1"), "file"), (("web1", "web2"), "refused")])
    def test_key_groups_want_more_than_one_host(
        self, build: Build, groups: tuple[str, str], proof: str
    ) -> None:
        sopsfleet.put(build.fleet, APP, [["alice", groups[0]], [groups[1], "alice"]], threshold=2)
        build.declare(APP)
        report = build.report()
        assert dict(report.proofs) == {proof: 1}
        assert [finding.code for finding in report.findings] == [Code.KEY_GROUPS] * (proof == "refused")


class TestFiles:
    def test_a_missing_file_says_git_add(self, build: Build) -> None:
        source = build.declare(DB)
        finding = build.only()
        assert (finding.code, finding.path) == (Code.NOT_FOUND, DB)
        assert str(source) in finding.message
        assert finding.hint.startswith("git add secrets/web/db.age")

    @pytest.mark.parametrize("kind", ["link", "folder", "fifo"])
    def test_what_is_no_regular_file(self, build: Build, kind: str) -> None:
        source = build.declare(DB)
        if kind == "link":
            source.symlink_to(build.native(DB, "web1"))
        elif kind == "folder":
            source.mkdir()
        else:
            os.mkfifo(source)
        finding = build.only()
        assert (finding.code, finding.severity) == (Code.NOT_REGULAR, "error")

    @pytest.mark.parametrize(
        "path", [DB, APP, "secrets/web/a.json", "secrets/web/a.env", "secrets/web/a.ini", "secrets/web/a.bin"]
    )
    def test_plaintext(self, build: Build, path: str) -> None:
        file = build.fleet.root / path
        file.parent.mkdir(parents=True)
        clear = {".json": b'{"password": "hunter2"}', ".yaml": b"password: hunter2\n"}
        file.write_bytes(clear.get(file.suffix, b"password=hunter2\n"))
        build.declare(path)
        finding = build.only()
        assert (finding.code, finding.severity) == (Code.PLAINTEXT, "error")
        assert "hunter2" not in finding.message + finding.hint

    def test_a_value_in_clear_inside_of_a_document(self, build: Build) -> None:
        file = sopsfleet.put(build.fleet, APP, [["alice", "web1", "web2"]])
        file.write_bytes(file.read_bytes().replace(b"list:\n", b"added: hunter2\nlist:\n"))
        build.declare(APP)
        finding = build.only()
        assert (finding.code, finding.severity) == (Code.PLAINTEXT, "error")
        assert "'added'" in finding.message
        assert "hunter2" not in finding.message

    def test_another_format_than_declared(self, build: Build) -> None:
        build.native(DB, "web1")
        build.declare(DB, format="yaml")
        finding = build.only()
        assert finding.code == Code.FORMAT
        assert finding.message == "is declared as yaml, and is an age file"

    @pytest.mark.parametrize("cut", [0, 10, 60])
    def test_damaged_files_are_findings(self, build: Build, cut: int) -> None:
        file = build.native(DB, "web1")
        file.write_bytes(file.read_bytes()[:cut])
        build.declare(DB)
        assert build.only().severity == "error"

    @pytest.mark.parametrize(
        ("key", "code"),
        [
            ("mail/smtp", None),
            ("list/1", None),
            ("mail/smpt", Code.NOT_FOUND),
            ("list/2", Code.NOT_FOUND),
            ("list/x", Code.NOT_FOUND),
            ("list/~k1", Code.NOT_FOUND),
            ("mail/~x", Code.USAGE),
            ("mail/smtp/x", Code.NOT_FOUND),
            ("mail", Code.YAML_SHAPE),
        ],
    )
    def test_keys(self, build: Build, key: str, code: Code | None) -> None:
        sopsfleet.put(build.fleet, APP, [["alice", "web1", "web2"]])
        build.declare(APP, key=key)
        assert [finding.code for finding in build.found()] == ([] if code is None else [code])
        assert all(f"web1 declares {key} of {APP}" in finding.message for finding in build.found())

    def test_a_mapping_is_fine_as_json(self, build: Build) -> None:
        sopsfleet.put(build.fleet, APP, [["alice", "web1", "web2"]])
        build.declare(APP, key="mail", output="json")
        assert build.found() == []

    @pytest.mark.parametrize(("output", "codes"), [("value", []), ("yaml", []), ("json", [Code.YAML_SHAPE])])
    def test_a_stream_of_documents(
        self, build: Build, monkeypatch: pytest.MonkeyPatch, output: str, codes: list[Code]
    ) -> None:
        """As activation has it: JSON holds one document, and a part would look like all of them."""
        monkeypatch.setitem(sopsfleet.CLEAR, ".yaml", b"a: hunter2\n---\nb: hunter3\n")
        sopsfleet.put(build.fleet, APP, [["alice", "web1", "web2"]])
        build.declare(APP, output=output)
        assert [finding.code for finding in build.found()] == codes

    def test_a_file_is_read_once_for_all_its_secrets(
        self, build: Build, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        sopsfleet.put(build.fleet, APP, [["alice", "web1", "web2"]])
        for number in range(20):
            build.declare(APP, name=f"s{number}", key="mail/smtp")
        inputs = read_inputs(*build.arguments())
        read: list[Path] = []

        def counted(path: Path, limit: int) -> bytes:
            read.append(path)
            return read_file(path, limit)

        monkeypatch.setattr("secretsmith.operations.buildsources.read_file", counted)
        assert check_build(inputs).findings == ()
        assert len(read) == 1


class TestRules:
    def test_an_ungranted_declaration_says_grant_alone(self, build: Build) -> None:
        build.native("secrets/db/root.age", "alice")
        build.declare("secrets/db/root.age")
        finding = build.only()
        assert (finding.code, finding.severity) == (Code.NOT_GRANTED, "error")
        assert finding.hint == "secretsmith grant secrets/db/root.age --to web1"

    def test_it_counts_even_if_the_file_opens(self, build: Build) -> None:
        build.native("secrets/db/root.age", "alice", "web1")
        build.declare("secrets/db/root.age")
        assert build.only().code == Code.NOT_GRANTED

    def test_an_undeclared_grant(self, build: Build) -> None:
        build.native(DB, "alice", "web1", "web2")
        build.native("secrets/web/tls.age", "alice", "web1", "web2")
        for path in (DB, "secrets/web/tls.age"):
            build.knows(path, "alice", "web1", "web2")
        build.declare(DB)
        finding = build.only()
        assert (finding.code, finding.severity) == (Code.UNDECLARED, "info")
        assert finding.path == "secrets/web/tls.age"

    def test_a_file_without_a_place_in_the_repository(self, build: Build) -> None:
        build.native(DB, "alice", "web1", "web2")
        build.declare(DB, id=None)
        finding = build.only()
        assert (finding.code, finding.severity) == (Code.ASSUMED, "info")
        assert "names no file of the repository" in finding.message

    def test_a_file_without_a_place_has_to_open_all_the_same(self, build: Build) -> None:
        build.native(DB, "alice", "web2")
        build.declare(DB, id=None)
        assert [(finding.code, finding.severity) for finding in build.found()] == [
            (Code.ASSUMED, "info"),
            (Code.DRIFT, "error"),
        ]

    def test_an_absolute_id_is_no_file_that_rules_are_about(self, build: Build) -> None:
        """A secret that comes with somebody else's module; only whether it opens can be told."""
        build.native("elsewhere/db.age", "web1")
        build.declare("elsewhere/db.age", id="/store/source/secrets/db/root.age")
        finding = build.only()
        assert (finding.code, finding.severity) == (Code.ASSUMED, "info")
        assert build.report().proofs == {"file": 1}

    def test_rules_that_contradict_each_other(self, build: Build) -> None:
        build.native(DB, "alice", "web1", "web2")
        build.fleet.extra = '[[rules]]\npath = "secrets/web/db.age"\nreaders = ["web1"]\narmor = true\n'
        build.fleet.extra += '[[rules]]\npath = "secrets/web/*"\nreaders = ["web1"]\narmor = false\n'
        build.fleet.write()
        build.declare(DB)
        assert build.only().code == Code.REG_RULES


class TestHost:
    def test_one_that_the_registry_does_not_have(self, build: Build) -> None:
        build.native(DB, "alice")
        build.declare(DB)
        finding = build.only("web3")
        assert (finding.code, finding.path) == (Code.REG_UNKNOWN, "secretsmith.toml")
        assert "did you mean" in finding.hint

    @pytest.mark.parametrize("status", ["retired", "compromised", "pending"])
    def test_one_that_reads_nothing(self, build: Build, status: str) -> None:
        build.native(DB, "alice", "web1", "web2")
        table = f'[hosts.old]\nkeys = []\nstatus = "{status}"\n'
        build.fleet.extra = table
        build.fleet.write()
        build.declare(DB)
        finding = build.only("old")
        assert finding.severity == "error"
        assert f"old is {status} in the registry" in finding.message

    def test_a_manifest_that_was_made_before(self, build: Build) -> None:
        old, new = build.reinstall("web1")
        build.native(DB, "alice", "web1", "web2")
        build.declare(DB)
        build.members["host_key"] = old
        finding = build.only()
        assert finding.code == Code.HOST_KEY
        assert finding.message == (
            f"web1 is registered as {new} but the manifest was made for {old} (old key of web1, reinstalled 2026-11-20)"
        )
        build.members["host_key"] = new
        assert build.found() == []

    def test_a_session_of_a_user(self, build: Build) -> None:
        build.native("secrets/alice/token.age", "alice")
        build.declare("secrets/alice/token.age")
        build.members |= {
            "scope": "user",
            "directory": "$XDG_RUNTIME_DIR/secrets",
            "generations": "$XDG_RUNTIME_DIR/secrets.d",
        }
        assert [finding.code for finding in build.found("laptop")] == [Code.ASSUMED]
        build.members["host_key"] = build.fingerprint("alice")
        report = build.report("laptop")
        assert (report.findings, dict(report.proofs)) == ((), {"file": 1})
        build.members["host_key"] = f"SHA256:{'A' * 43}"
        assert build.only("laptop").code == Code.REG_UNKNOWN


class TestTemplates:
    def template(self, build: Build, content: str, kind: str) -> list[Finding]:
        build.native(DB, "alice", "web1", "web2")
        build.declare(DB)
        build.templates.append(
            {"name": "t", "content": content, "format": kind, "placeholders": {"@db@": {"secret": "db"}}}
        )
        return build.found()

    @pytest.mark.parametrize(
        ("content", "kind"),
        [("x=@db@", "raw"), ('{"a": @db@}', "json"), ("a: @db@\n", "yaml"), ("a = @db@\n", "toml")],
    )
    def test_good_ones(self, build: Build, content: str, kind: str) -> None:
        assert self.template(build, content, kind) == []

    @pytest.mark.parametrize(
        ("content", "kind"), [("x=", "raw"), ('{"a": @db@', "json"), ("a = = @db@", "toml")]
    )
    def test_bad_ones(self, build: Build, content: str, kind: str) -> None:
        (finding,) = self.template(build, content, kind)
        assert (finding.code, finding.severity) == (Code.TEMPLATE, "error")
        assert finding.message.startswith("template t")


class TestInputs:
    def test_missing_files(self, build: Build, tmp_path: Path) -> None:
        build.native(DB, "web1")
        build.declare(DB)
        manifest, registry, _ = build.arguments()
        nowhere = tmp_path / "nowhere"
        for given in ((nowhere, registry, None), (manifest, nowhere, None), (manifest, registry, nowhere)):
            with pytest.raises(NotFound):
                read_inputs(*given)

    def test_an_unfinished_merge_and_a_bad_manifest(self, build: Build, tmp_path: Path) -> None:
        build.native(DB, "web1")
        build.declare(DB)
        manifest, registry, _ = build.arguments()
        broken = tmp_path / "broken"
        broken.write_text("<<<<<<< ours\n{}\n")
        with pytest.raises(Conflict):
            read_inputs(manifest, registry, broken)
        with pytest.raises(RefusedInput):
            read_inputs(broken, registry, None)

    def test_they_may_be_links_into_a_store(self, build: Build, tmp_path: Path) -> None:
        build.native(DB, "alice", "web1", "web2")
        build.declare(DB)
        manifest, registry, _ = build.arguments()
        (tmp_path / "m").symlink_to(manifest)
        (tmp_path / "r").symlink_to(registry)
        assert check_build(read_inputs(tmp_path / "m", tmp_path / "r", None)).findings == ()
