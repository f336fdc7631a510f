"""``set`` on sops documents, with the real sops as the other reader of every result."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

import keys
import pytest
from sopsfleet import put_pgp
from terminals import OnTerminal
from writtendocs import ALL, BINARY, CANARY, TEXTS, DocFleet, changed_lines, make_doc_fleet, password_of

from secretsmith.crypto import agefile
from secretsmith.crypto.publickey import parse_public_key
from secretsmith.documents.format import Format
from secretsmith.documents.seal import read_document
from secretsmith.documents.sopswrite import metadata_edits
from secretsmith.errors import Code, Conflict
from secretsmith.operations import write_document
from secretsmith.operations.write_value import prepare_write
from secretsmith.policy import edit
from secretsmith.policy.lock import Debt, LockEntry
from secretsmith.record import replace
from secretsmith.sensitive import Sensitive

NEW = b"new-canary-%d" % os.getpid()


@pytest.fixture
def fleet(tmp_path: Path, peer: Callable[[str], str]) -> DocFleet:
    return make_doc_fleet(tmp_path, peer("sops"), peer("age-keygen"))


@pytest.mark.parametrize("name", list(ALL))
def test_one_value_changes_its_line_and_the_stamp(fleet: DocFleet, name: str) -> None:
    before = fleet.make(name, ALL[name])
    said = fleet.run("set", f"secrets/{name}", password_of(name), stdin=NEW).stderr
    assert f"wrote secrets/{name}, readable by alice, carol as before".encode() in said
    after = fleet.document(name)
    lines = changed_lines(before, after)
    assert len(lines) == 1
    assert b"password" in lines[0].lower()
    assert fleet.run("show", f"secrets/{name}", password_of(name)).stdout == NEW
    assert fleet.sops_value(name, password_of(name)) == NEW
    assert fleet.holds(NEW) == []
    clear = fleet.run("show", f"secrets/{name}").stdout
    assert clear.count(b"\r\n") == ALL[name].count(b"\r\n")
    assert len(changed_lines(ALL[name], clear)) == 1


def test_a_binary_document_is_replaced_as_a_whole(fleet: DocFleet) -> None:
    before = fleet.make("blob.bin", BINARY)
    fleet.run("set", "./secrets/blob.bin", stdin=NEW + b"\0\xfe\n")
    after = fleet.document("blob.bin")
    lines = changed_lines(before, after)
    assert len(lines) == 1 and b'"data"' in lines[0]
    assert fleet.sops("decrypt", "secrets/blob.bin") == NEW + b"\0\xfe\n"
    fleet.run("set", "./secrets/blob.bin", "a/b", stdin=NEW, code=2)


@pytest.mark.parametrize("name", list(TEXTS))
def test_an_equal_value_writes_nothing(fleet: DocFleet, name: str) -> None:
    fleet.make(name, TEXTS[name])
    files = fleet.files()
    said = fleet.run("set", f"secrets/{name}", password_of(name), stdin=CANARY).stderr
    assert f"secrets/{name}: unchanged, nothing was written".encode() in said
    fleet.run("set", f"secrets/{name}", stdin=TEXTS[name])
    assert fleet.files() == files


def test_another_spelling_of_the_same_text_writes_nothing(fleet: DocFleet) -> None:
    """Quotes around a value are not to be seen once it is sealed."""
    fleet.make("app.yaml", b"a: one\n")
    files = fleet.files()
    assert b"unchanged" in fleet.run("set", "app.yaml", stdin=b"a: 'one'\n").stderr
    assert fleet.files() == files


class TestNewDocument:
    @pytest.mark.parametrize("name", list(TEXTS))
    def test_of_one_value(self, fleet: DocFleet, name: str) -> None:
        said = fleet.run("set", f"secrets/{name}", password_of(name), stdin=NEW).stderr
        assert f"wrote secrets/{name} (new), readable by alice, carol".encode() in said
        assert fleet.sops_value(name, password_of(name)) == NEW
        entry = fleet.lock.files[f"secrets/{name}"]
        owners = {parse_public_key(fleet.public[who]).fingerprint for who in ("alice", "carol")}
        assert set(entry.recipients) == owners
        assert entry.basis == "wrote"
        assert fleet.holds(NEW) == []
        assert b"nothing found" in fleet.run("check", "secrets").stderr

    @pytest.mark.parametrize("name", list(TEXTS))
    def test_of_a_text(self, fleet: DocFleet, name: str) -> None:
        fleet.make(name, TEXTS[name])
        assert fleet.run("show", f"secrets/{name}").stdout == TEXTS[name]
        assert fleet.sops_value(name, password_of(name)) == CANARY

    def test_takes_the_fields_of_its_rule(self, fleet: DocFleet) -> None:
        fields = 'encrypted_regex = "^pass"\nmac_only_encrypted = true'
        fleet.change_registry(lambda text: text.replace('"secrets/**"', f'"secrets/**"\n{fields}'))
        said = fleet.run("set", "app.json", stdin=b'{"password": "p", "user": "canary-in-clear"}').stderr
        assert b"rule" not in said
        stored = json.loads(fleet.document("app.json"))
        assert stored["user"] == "canary-in-clear"
        assert stored["sops"]["encrypted_regex"] == "^pass"
        assert stored["sops"]["mac_only_encrypted"] is True
        assert fleet.sops_value("app.json", "password") == b"p"

    def test_says_what_its_rule_leaves_in_clear(self, fleet: DocFleet) -> None:
        fleet.change_registry(
            lambda text: text.replace('"secrets/**"', '"secrets/**"\nencrypted_regex = "^pass"')
        )
        said = fleet.run("set", "app.yaml", "mail/token", stdin=NEW).stderr.decode()
        assert "mail/token is not encrypted" in said
        assert "encrypted_regex" in said
        assert "not encrypted" in fleet.run("set", "app.yaml", "mail/pin", stdin=NEW).stderr.decode()
        assert "not encrypted" not in fleet.run("set", "app.yaml", "password", stdin=NEW).stderr.decode()

    def test_gets_the_key_groups_of_its_rule(self, fleet: DocFleet) -> None:
        groups = 'key_groups = [["carol"], ["web2"]]\nshamir_threshold = 2'
        fleet.change_registry(lambda text: edit.grant(text, ["secrets/**"], ["web2"]))
        fleet.change_registry(lambda text: text.replace('"secrets/**"', f'"secrets/**"\n{groups}'))
        fleet.run("set", "app.yaml", "a", stdin=NEW, code=0)
        data = fleet.document("app.yaml")
        # Alice is admin and named in no group, so she is in each.
        assert b"shamir_threshold: 2" in data and data.count(b"recipient:") == 4
        assert fleet.sops("decrypt", "secrets/app.yaml", code=128) == b""  # carol alone is one of two
        assert fleet.lock.files["secrets/app.yaml"].recipients == ()

    def test_to_writes_a_rule(self, fleet: DocFleet) -> None:
        fleet.change_registry(lambda text: edit.revoke(text, ["secrets/**"], ["carol"]))
        fleet.run("set", "mail.yaml", "a", "--to", "carol,web2", stdin=NEW)
        assert fleet.document("mail.yaml").count(b"recipient:") == 3
        assert fleet.sops_value("mail.yaml", "a") == NEW

    def test_a_text_that_is_none_is_refused_without_a_word_of_it(self, fleet: DocFleet) -> None:
        files = fleet.files()
        said = fleet.run("set", "app.yaml", stdin=NEW, code=2).stderr
        assert b"secretsmith set secrets/app.yaml KEY" in said
        assert NEW not in said
        fleet.run("set", "app.json", stdin=b'{"a": "' + NEW, code=2)
        fleet.run("set", "app.yaml", stdin=b"", code=2)
        assert fleet.files() == files


class TestPlaces:
    def test_missing_mappings_are_made_and_lists_grow(self, fleet: DocFleet) -> None:
        fleet.make("app.yaml", TEXTS["app.yaml"])
        for key, value in (("mail/smtp/host", b"h"), ("hosts/9", b"three"), ("hosts/0", b"ONE")):
            fleet.run("set", "app.yaml", key, stdin=value)
        assert fleet.sops_value("app.yaml", "mail/smtp/host") == b"h"
        found = json.loads(fleet.sops("decrypt", "--output-type", "json", "secrets/app.yaml"))
        assert found["hosts"] == ["ONE", "two", "three"]
        clear = fleet.run("show", "app.yaml").stdout
        assert clear.startswith(TEXTS["app.yaml"].split(b"- one")[0])

    @pytest.mark.parametrize(
        "given", ["25", "true", "null", '"text"', "[1, {}]", '{"host": "h", "port": 25}', "1.5"]
    )
    @pytest.mark.parametrize("name", ["app.yaml", "app.json"])
    def test_json(self, fleet: DocFleet, name: str, given: str) -> None:
        fleet.make(name, TEXTS[name])
        fleet.run("set", f"secrets/{name}", "new/value", "--json", stdin=given.encode() + b"\n")
        found = json.loads(fleet.sops("decrypt", "--output-type", "json", f"secrets/{name}"))
        assert found["new"]["value"] == json.loads(given)

    @pytest.mark.parametrize(("given", "stored"), [("25", b"25"), ("true", b"true"), ('"t"', b"t")])
    def test_json_in_a_format_of_texts(self, fleet: DocFleet, given: str, stored: bytes) -> None:
        fleet.make("app.env", TEXTS["app.env"])
        fleet.run("set", "app.env", "PORT", "--json", stdin=given.encode())
        assert fleet.run("show", "app.env", "PORT").stdout == stored
        assert b"PORT=" + stored + b"\n" in fleet.sops("decrypt", "secrets/app.env")

    def test_what_has_to_make_room_is_named(self, fleet: DocFleet) -> None:
        fleet.make("app.yaml", TEXTS["app.yaml"])
        said = fleet.run("set", "app.yaml", "db", stdin=NEW).stderr
        assert b"no longer there" in said
        assert b"db/password" in said
        said = fleet.run("set", "app.yaml", "db/x", stdin=NEW).stderr
        assert said.count(b"no longer there") == 1
        assert b"no longer" not in fleet.run("set", "app.yaml", "flag", stdin=NEW).stderr

    @pytest.mark.parametrize(
        ("name", "key", "value", "options"),
        [
            ("app.env", "A", b"canary\\nx", ()),
            ("app.env", "A", b"canary\0x", ()),
            ("app.env", "A", b"canary\xff", ()),
            ("app.env", "A/B", b"canary", ()),
            ("app.env", "sops_mac", b"canary", ()),
            ("app.env", "A", b'{"canary": 1}', ("--json",)),
            ("app.env", "A", b"null", ("--json",)),
            ("app.ini", "A", b"canary", ()),
            ("app.ini", "sops/a", b"canary", ()),
            ("app.json", "a", b"canary\xff", ()),
            ("app.json", "sops/mac", b"canary", ()),
            ("app.yaml", "sops", b"canary", ()),
            ("app.yaml", "a//b", b"canary", ()),
            ("app.yaml", "a", b"canary", ("--json",)),
            ("app.yaml", "a", b"1, 2", ("--json",)),
        ],
    )
    @pytest.mark.parametrize("new", [True, False])
    def test_what_a_format_cannot_hold_is_refused(
        self, fleet: DocFleet, new: bool, name: str, key: str, value: bytes, options: tuple[str, ...]
    ) -> None:
        if not new:
            fleet.make(name, TEXTS[name])
        files = fleet.files()
        said = fleet.run("set", name, key, *options, stdin=value, code=2).stderr
        assert b"canary" not in said
        assert f"secrets/{name}".encode() in said
        assert fleet.files() == files


class TestTrim:
    def test_newline_is_kept_and_said_or_trimmed(self, fleet: DocFleet) -> None:
        assert b"--trim" in fleet.run("set", "app.yaml", "a", stdin=b"x\n").stderr
        assert fleet.run("show", "app.yaml", "a").stdout == b"x\n"
        assert b"--trim" not in fleet.run("set", "app.yaml", "a", "--trim", stdin=b"x\n").stderr
        assert fleet.run("show", "app.yaml", "a").stdout == b"x"
        assert b"--trim" not in fleet.run("set", "app.yaml", stdin=b"a: 1\n").stderr


class TestReaders:
    def test_added_in_the_metadata_alone(self, fleet: DocFleet) -> None:
        before = fleet.make("app.yaml", TEXTS["app.yaml"])
        fleet.change_registry(lambda text: edit.grant(text, ["secrets/**"], ["web2"]))
        said = fleet.run("set", "app.yaml", "flag", stdin=b"on").stderr
        assert b"wrote secrets/app.yaml: added web2; readable by" in said
        kept = [line for line in before.split(b"\n") if b"ENC[" in line and b"mac:" not in line]
        assert sum(line in fleet.document("app.yaml").split(b"\n") for line in kept) == len(kept) - 1

    def test_dropped_with_a_new_data_key(self, fleet: DocFleet) -> None:
        before = fleet.make("app.yaml", TEXTS["app.yaml"])
        fleet.change_registry(lambda text: edit.grant(text, ["secrets/**"], ["web2"]))
        fleet.change_registry(lambda text: edit.revoke(text, ["secrets/**"], ["carol"]))
        said = fleet.run("set", "app.yaml", "flag", stdin=b"on").stderr
        assert b"added web2; dropped carol" in said
        fleet.sops("decrypt", "secrets/app.yaml", code=128)
        sealed = {line for line in before.split(b"\n") if b"ENC[" in line}
        assert not sealed & set(fleet.document("app.yaml").split(b"\n"))
        assert not fleet.lock.files["secrets/app.yaml"].key_exposed

    def test_an_equal_value_is_written_for_the_readers_sake(self, fleet: DocFleet) -> None:
        fleet.make("app.yaml", TEXTS["app.yaml"])
        fleet.change_registry(lambda text: edit.grant(text, ["secrets/**"], ["web2"]))
        said = fleet.run("set", "app.yaml", "db/password", stdin=CANARY).stderr
        assert b"added web2" in said

    def test_recipient_that_nobody_named_stops_the_write(self, fleet: DocFleet) -> None:
        fleet.make("app.yaml", TEXTS["app.yaml"])
        stranger = parse_public_key(keys.ed25519_key().public).derived
        fleet.sops("rotate", "--in-place", "--add-age", stranger, "secrets/app.yaml")
        files = fleet.files()
        said = fleet.run("set", "app.yaml", "flag", stdin=NEW, code=6).stderr
        assert parse_public_key(stranger).fingerprint.encode() in said
        assert fleet.files() == files
        assert b"dropped SHA256:" in fleet.run("set", "app.yaml", "flag", "--drop-unknown", stdin=NEW).stderr
        assert stranger.encode() not in fleet.document("app.yaml")

    def test_key_never_accepted_here_needs_a_word(self, fleet: DocFleet) -> None:
        new = keys.ed25519_key()
        fleet.change_registry(lambda text: edit.add_user(text, "dave", [new.public]))
        fleet.change_registry(lambda text: edit.grant(text, ["secrets/**"], ["dave"]))
        files = fleet.files()
        assert b"dave" in fleet.run("set", "app.yaml", "a", stdin=NEW, code=2).stderr
        assert fleet.files() == files
        fleet.run("set", "app.yaml", "a", "--accept", parse_public_key(new.public).fingerprint, stdin=NEW)

    def test_groups_that_no_rule_describes_stay(self, fleet: DocFleet) -> None:
        clear = fleet.private / "clear.yaml"
        clear.write_bytes(b"a: 1\n")
        config = fleet.private / ".sops.yaml"
        one, two = fleet.public["carol"], fleet.derived("alice")
        config.write_text(
            f"creation_rules: [{{shamir_threshold: 2, key_groups: [{{age: ['{one}', '{two}']}}, {{age: ['{two}']}}]}}]"
        )
        out = fleet.sops("--config", str(config), "encrypt", str(clear))
        (fleet.root / "secrets").mkdir()
        (fleet.root / "secrets/app.yaml").write_bytes(out)
        said = fleet.run("set", "app.yaml", "a", stdin=NEW).stderr
        assert b"key groups that no rule describes" in said
        assert fleet.document("app.yaml").count(b"recipient:") == 3
        assert fleet.run("show", "app.yaml", "a").stdout == NEW


def test_file_that_changed_underneath_is_never_overwritten(fleet: DocFleet) -> None:
    fleet.make("app.yaml", TEXTS["app.yaml"])
    project = fleet.project()
    write = write_document.open_document(project, prepare_write(project, "secrets/app.yaml"))
    change = write_document.with_value(write, "flag", Sensitive(NEW))
    fleet.run("set", "app.yaml", "flag", stdin=b"theirs")
    files = fleet.files()
    with pytest.raises(Conflict) as caught:
        write_document.store_document(project, write, change)
    assert caught.value.code is Code.CHANGED
    assert fleet.files() == files


def test_the_data_key_is_opened_once(fleet: DocFleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each time may be a touch of a security key."""
    fleet.make("app.yaml", TEXTS["app.yaml"])
    fleet.change_registry(lambda text: edit.revoke(text, ["secrets/**"], ["carol"]))
    fleet.owe(Debt("secrets/app.yaml", None, "carol", "revoked", "2026-01-02"))
    opened: list[bytes] = []
    decrypt = agefile.decrypt_age

    def counted(stanza: bytes, identities: object) -> object:
        found = decrypt(stanza, identities)  # type: ignore[arg-type]
        opened.append(stanza)
        return found

    monkeypatch.setattr(agefile, "decrypt_age", counted)
    project = fleet.project()
    write = write_document.open_document(project, prepare_write(project, "secrets/app.yaml"))
    change = write_document.with_value(write, "db/password", Sensitive(NEW))
    assert "dropped carol" in write_document.store_document(project, write, change).change
    assert len(opened) == 1


class TestDebt:
    PATH = "secrets/app.yaml"

    @pytest.fixture
    def fleet(self, fleet: DocFleet) -> DocFleet:
        fleet.make("app.yaml", b"a: one\nb: two\nn: 1\n")
        fleet.owe(Debt(self.PATH, None, "web2", "revoked", "2026-01-02"))
        return fleet

    def test_paid_when_all_values_changed(self, fleet: DocFleet) -> None:
        said = fleet.run("set", "app.yaml", "a", stdin=NEW).stderr
        assert b"stays on the list of values to change: not every value that was known changed" in said
        assert fleet.owed == [(None, "web2")]
        said = fleet.run("set", "app.yaml", stdin=b"a: three\nb: four\nn: 2\n").stderr
        assert b"changed since web2 lost access" in said
        assert fleet.owed == []

    def test_not_paid_by_a_value_that_moved(self, fleet: DocFleet) -> None:
        fleet.run("set", "app.yaml", stdin=b"c: one\nn: 2\n")
        assert fleet.owed == [(None, "web2")]

    @pytest.mark.parametrize("text", [b"a: x\nb: y\nn: '1'\n", b"a: x\nb: y\nm: 1\nn: 2\np: '123456'\n"])
    def test_not_paid_by_digits_that_became_a_text_or_moved(self, fleet: DocFleet, text: bytes) -> None:
        fleet.run("set", "app.yaml", stdin=b"n: 1\npin: 123456\n")
        said = fleet.run("set", "app.yaml", stdin=text).stderr
        assert b"not every value that was known changed" in said
        assert fleet.owed == [(None, "web2")]

    def test_paid_by_values_that_are_gone(self, fleet: DocFleet) -> None:
        fleet.run("set", "app.yaml", stdin=b"c: five\n")
        assert fleet.owed == []

    def test_one_value(self, fleet: DocFleet) -> None:
        fleet.owe(Debt(self.PATH, "a", "web2", "revoked", "2026-01-02"))
        fleet.run("set", "app.yaml", "b", stdin=NEW)
        assert fleet.owed == [(None, "web2"), ("a", "web2")]
        said = fleet.run("set", "app.yaml", "a", stdin=NEW).stderr
        assert b"a: changed since web2 lost access" in said
        assert fleet.owed == [(None, "web2")]

    def test_not_paid_by_who_still_reads(self, fleet: DocFleet) -> None:
        fleet.owe(Debt(self.PATH, None, "carol", "left-group", "2026-01-02"))
        fleet.run("set", "app.yaml", stdin=b"c: five\n")
        assert fleet.owed == [(None, "carol")]

    def test_not_paid_under_an_exposed_data_key(self, fleet: DocFleet) -> None:
        entry = fleet.lock.files[self.PATH]
        exposed = LockEntry(entry.sha256, entry.recipients, entry.basis, key_exposed=True)
        fleet.write_lock(fleet.lock.with_file(self.PATH, exposed))
        said = fleet.run("set", "app.yaml", stdin=b"c: five\n").stderr
        assert b"secretsmith rotate secrets/app.yaml" in said
        assert fleet.owed == [(None, "web2")]
        assert fleet.lock.files[self.PATH].key_exposed

    def test_not_paid_under_a_data_key_of_unknown_age(self, fleet: DocFleet) -> None:
        """sops updatekeys drops a reader and keeps the data key; the lock cannot tell what somebody else wrote."""
        fleet.sops("set", self.PATH, '["a"]', '"sops was here"')
        said = fleet.run("set", "app.yaml", stdin=b"c: five\n").stderr
        assert b"its data key may be known" in said
        assert fleet.owed == [(None, "web2")]

    @pytest.mark.parametrize("first", ["set", "rekey"])
    def test_what_we_wrote_under_such_a_data_key_makes_it_no_newer(self, fleet: DocFleet, first: str) -> None:
        """Else the second write would be taken for one under a data key of ours, and pay."""
        fleet.sops("set", self.PATH, '["a"]', '"sops was here"')
        if first == "set":
            fleet.run("set", "app.yaml", stdin=b"c: five\n")
        else:
            fleet.change_registry(lambda text: edit.grant(text, ["secrets/**"], ["web1"]))
            fleet.run("rekey")
        assert fleet.lock.files[self.PATH].basis == "opened"
        said = fleet.run("set", "app.yaml", stdin=b"d: six\n").stderr
        assert b"its data key may be known" in said
        assert fleet.owed == [(None, "web2")]
        fleet.run("rotate", self.PATH)
        assert fleet.lock.files[self.PATH].basis == "wrote"
        fleet.run("set", "app.yaml", stdin=b"e: seven\n")
        assert fleet.owed == []


def test_a_reader_who_left_without_us_may_know_the_data_key(fleet: DocFleet) -> None:
    """carol takes her stanza out before she is revoked: nothing drifts then, and nothing else would ask for a new key."""
    fleet.make("app.yaml", TEXTS["app.yaml"])
    path = fleet.root / "secrets/app.yaml"
    file = read_document(Format.YAML, path.read_bytes())
    (group,) = file.metadata.groups
    staying = tuple(entry for entry in group.age if entry.recipient != fleet.public["carol"])
    metadata = replace(file.metadata, groups=(replace(group, age=staying),))
    path.write_bytes(file.document.splice(metadata_edits(file, metadata)))
    fleet.change_registry(lambda text: edit.revoke(text, ["secrets/**"], ["carol"]))
    said = fleet.run("set", "app.yaml", "db/password", stdin=NEW).stderr
    assert b"may know the data key of secrets/app.yaml" in said
    assert fleet.lock.files["secrets/app.yaml"].key_exposed
    fleet.run("rotate", "secrets/app.yaml")
    assert not fleet.lock.files["secrets/app.yaml"].key_exposed
    assert b"data key" not in fleet.run("set", "app.yaml", "db/password", stdin=CANARY).stderr


def test_the_note_of_debt_quotes_the_name(fleet: DocFleet) -> None:
    path = "secrets/it's; x.yaml"
    fleet.run("set", path, stdin=b"a: one\n")
    fleet.owe(Debt(path, None, "web2", "revoked", "2026-01-02"))
    fleet.sops("set", path, '["a"]', '"two"')
    said = fleet.run("set", path, stdin=b"a: three\n").stderr.decode()
    assert f"first secretsmith rotate {shlex.quote(path)}, then" in said


def test_a_rule_is_told_of_when_nothing_else_is_written(fleet: DocFleet) -> None:
    fleet.make("app.yaml", TEXTS["app.yaml"])
    said = fleet.run("set", "app.yaml", "db/password", "--to", "carol", stdin=CANARY).stderr
    assert b"unchanged, nothing was written" in said
    assert b"secretsmith.toml has a rule for secrets/app.yaml now" in said


def test_keys_of_other_services_are_named(fleet: DocFleet) -> None:
    """Whoever has them reads on, and the registry does not say who that is."""
    fleet.make("app.yaml", TEXTS["app.yaml"])
    put_pgp(fleet.root / "secrets/app.yaml")
    said = fleet.run("set", "app.yaml", "db/password", stdin=NEW).stderr
    assert b"secrets/app.yaml is also encrypted under PGP" in said
    assert b"secretsmith rekey secrets/app.yaml --drop-unknown" in said
    fleet.run("rekey", "secrets/app.yaml", "--drop-unknown")
    assert b"PGP" not in fleet.run("set", "app.yaml", "db/password", stdin=CANARY).stderr


def test_a_file_that_lies_elsewhere_is_only_a_file(fleet: DocFleet) -> None:
    """No registry says who reads it: a document keeps its readers, a new one asks the environment of sops."""
    elsewhere = fleet.folder / "elsewhere"
    elsewhere.mkdir()
    recipients = ",".join((fleet.public["carol"], fleet.derived("alice")))
    for name in ("app.yaml", "app.env"):
        key = password_of(name)
        fleet.run("set", name, key, stdin=b"old", cwd=elsewhere, SOPS_AGE_RECIPIENTS=recipients)
        said = fleet.run("set", f"../elsewhere/{name}", key, stdin=NEW).stderr
        assert b"as before" in said
        assert NEW in fleet.sops("decrypt", str(elsewhere / name))
        fleet.run("set", name, "other", "--json", stdin=b"1", cwd=elsewhere)
        fleet.run("unset", name, key, cwd=elsewhere)
        fleet.run("unset", name, key, cwd=elsewhere, code=4)
        assert NEW not in fleet.sops("decrypt", str(elsewhere / name))
    assert b"--to" in fleet.run("set", "b.yaml", "a", "--to", "x", cwd=elsewhere, code=2).stderr
    assert not (fleet.root / "secretsmith.lock").exists()


class TestOnATerminal:
    def test_a_value_is_asked_for_twice_and_hidden(self, fleet: DocFleet) -> None:
        with on_terminal(fleet, "app.yaml", "db/password") as terminal:
            for prompt in (b"value of db/password in secrets/app.yaml: ", b"once more: "):
                terminal.expect(prompt)
                terminal.settle()
                terminal.press(NEW + b"\n")
            assert terminal.end() == 0, terminal.shown
            assert NEW not in terminal.shown
        assert fleet.run("show", "app.yaml", "db/password").stdout == NEW

    def test_a_value_that_cannot_be_held_is_not_asked_for_again(self, fleet: DocFleet) -> None:
        with on_terminal(fleet, "app.env", "A") as terminal:
            terminal.expect(b"value of A in secrets/app.env: ")
            terminal.settle()
            terminal.press(b"canary\\nx\n")
            assert terminal.end() == 2
            assert b"once more" not in terminal.shown
            assert b"canary" not in terminal.shown

    def test_a_key_that_cannot_be_is_not_asked_for_at_all(self, fleet: DocFleet) -> None:
        for words in (("app.env", "A/B"), ("app.yaml",)):
            with on_terminal(fleet, *words) as terminal:
                assert terminal.end() == 2
                assert b": \r\n" not in terminal.shown, "a question"


def on_terminal(fleet: DocFleet, *words: str) -> OnTerminal:
    argv = [sys.executable, "-m", "secretsmith", "set", *words]
    return OnTerminal(argv, cwd=fleet.root, environ=fleet.environ)
