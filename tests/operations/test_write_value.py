from __future__ import annotations

import sys

import keys
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from people import Scripted
from repositories import Fleet
from terminals import OnTerminal

from secretsmith.crypto.publickey import parse_public_key
from secretsmith.errors import Code, Conflict, RefusedInput, SecretsmithError
from secretsmith.operations.show import show_secret
from secretsmith.operations.write_value import prepare_write, store_value
from secretsmith.policy import edit
from secretsmith.policy.lock import Debt, dump_lock, parse_lock
from secretsmith.sensitive import Sensitive

CANARY = b"canary-of-set-7f3a"


def lock_entry(fleet: Fleet, path: str) -> object:
    return parse_lock((fleet.root / "secretsmith.lock").read_text()).files.get(path)


def add_debt(fleet: Fleet, *debts: Debt) -> None:
    path = fleet.root / "secretsmith.lock"
    path.write_text(dump_lock(parse_lock(path.read_text()).with_debt(debts)))


def debts(fleet: Fleet) -> list[str]:
    return [debt.principal for debt in parse_lock((fleet.root / "secretsmith.lock").read_text()).debt]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=st.binary(max_size=300))
def test_any_bytes_come_back(fleet: Fleet, value: bytes) -> None:
    project = fleet.project()
    store_value(project, prepare_write(project, "secrets/web/any.age"), Sensitive(value))
    assert show_secret(fleet.project(), "secrets/web/any.age").expose() == value
    assert fleet.opens("web1", "secrets/web/any.age") == value


def test_new_file_is_armored_recorded_and_read_by_the_wanted(fleet: Fleet) -> None:
    said = fleet.set("web/db", CANARY).stderr
    assert b"wrote secrets/web/db.age (new), readable by alice, web1" in said
    path = fleet.root / "secrets/web/db.age"
    assert path.read_bytes().startswith(b"-----BEGIN AGE ENCRYPTED FILE-----\n")
    assert fleet.readers("secrets/web/db.age") == ["alice", "web1"]
    entry = parse_lock((fleet.root / "secretsmith.lock").read_text()).files["secrets/web/db.age"]
    assert entry.basis == "wrote"
    assert set(entry.recipients) == {parse_public_key(fleet.public[n]).fingerprint for n in ("alice", "web1")}
    assert CANARY not in said
    assert fleet.holds(CANARY) == []


def test_rule_without_armor_is_followed(fleet: Fleet) -> None:
    fleet.change_registry(lambda text: text.replace('"secrets/web/**"', '"secrets/web/**"\narmor = false'))
    fleet.set("web/db", CANARY)
    assert (fleet.root / "secrets/web/db.age").read_bytes().startswith(b"age-encryption.org/v1\n")


@pytest.mark.parametrize("armored", [True, False])
@pytest.mark.parametrize("form", ["native", "derived"])
def test_existing_file_keeps_armor_and_form(fleet: Fleet, armored: bool, form: str) -> None:
    lines = [parse_public_key(fleet.public[name]) for name in ("alice", "web1")]
    recipients = [key.text if form == "native" else key.derived for key in lines]
    path = fleet.encrypt("secrets/web/db.age", *recipients, armor=armored)
    fleet.set("web/db", CANARY)
    data = path.read_bytes()
    assert data.startswith(b"-----BEGIN") is armored
    if not armored:
        assert (b"-> ssh-ed25519 " in data) is (form == "native")
        assert (b"-> X25519 " in data) is (form == "derived")
    for name in ("alice", "web1"):
        assert (
            fleet.run(
                "show",
                "web/db",
                SECRETSMITH_IDENTITY=str(fleet.private / name),
                HOME="/x" if name != "alice" else str(fleet.home),
            ).stdout
            == CANARY
        )


class TestBytes:
    def test_one_line_with_a_newline_is_kept_and_said(self, fleet: Fleet) -> None:
        assert b"--trim removes it" in fleet.set("web/db", b"hunter2\n").stderr
        assert fleet.run("show", "web/db").stdout == b"hunter2\n"

    @pytest.mark.parametrize("value", [b"hunter2", b"a\nb\n", b"\0\n\n"])
    def test_other_values_need_no_note(self, fleet: Fleet, value: bytes) -> None:
        assert b"--trim" not in fleet.set("web/db", value).stderr

    @pytest.mark.parametrize(
        ("given_value", "kept"), [(b"a\n", b"a"), (b"a\n\n", b"a\n"), (b"a", b"a"), (b"a\r\n", b"a\r")]
    )
    def test_trim_removes_one_newline(self, fleet: Fleet, given_value: bytes, kept: bytes) -> None:
        fleet.set("web/db", given_value, "--trim")
        assert fleet.run("show", "web/db").stdout == kept

    def test_a_value_as_argument_is_refused(self, fleet: Fleet) -> None:
        assert b"standard input" in fleet.run("set", "web/db", "hunter2", code=2).stderr
        assert not (fleet.root / "secrets").exists()

    def test_json_is_for_values_of_documents(self, fleet: Fleet) -> None:
        for words in (("web/db", "--json"), ("web/db", "a/b", "--json")):
            fleet.run("set", *words, stdin=b"1", code=2)
        assert not (fleet.root / "secrets").exists()


class TestNewPathWithoutRule:
    def test_it_is_written_for_the_admins_with_the_command_to_grant(self, fleet: Fleet) -> None:
        said = fleet.set("mail", CANARY).stderr.decode()
        assert "only admins can read it: secretsmith grant secrets/mail.age --to WHO --rekey" in said
        assert fleet.readers("secrets/mail.age") == ["alice"]

    def test_to_writes_a_rule_with_exactly_that_path(self, fleet: Fleet) -> None:
        fleet.set("mail", CANARY, "--to", "web2,bob")
        assert fleet.readers("secrets/mail.age") == ["alice", "bob", "web2"]
        rules = fleet.project().registry.rules
        assert [(rule.pattern, set(rule.readers)) for rule in rules][1:] == [
            ("secrets/mail.age", {"web2", "bob"})
        ]

    def test_unknown_reader_changes_nothing(self, fleet: Fleet) -> None:
        before = fleet.files()
        fleet.run("set", "mail", "--to", "web9", stdin=CANARY, code=2)
        assert fleet.files() == before

    def test_a_path_with_wildcards_gets_no_rule(self, fleet: Fleet) -> None:
        before = fleet.files()
        assert b"rule of its own" in fleet.run("set", "ma*l", "--to", "web2", stdin=CANARY, code=2).stderr
        assert fleet.files() == before

    def test_a_person_is_asked(self, fleet: Fleet) -> None:
        person = Scripted(["web2, bob"])
        prepared = prepare_write(fleet.project(person), "secrets/mail.age")
        assert set(prepared.wanted.names) == {"alice", "bob", "web2"}
        assert "no rule names secrets/mail.age" in person.asked[0]

    def test_an_empty_answer_is_nobody(self, fleet: Fleet) -> None:
        assert prepare_write(fleet.project(Scripted([""])), "secrets/mail.age").wanted.names == ("alice",)

    def test_never_a_file_that_no_admin_opens(self, fleet: Fleet) -> None:
        fleet.change_registry(lambda text: text.replace("admin = true\n", ""))
        before = fleet.files()
        assert b"admin" in fleet.run("set", "web/db", stdin=CANARY, code=2).stderr
        assert fleet.files() == before


class TestReaders:
    def test_a_write_says_who_was_added_and_dropped(self, fleet: Fleet) -> None:
        fleet.set("web/db", b"old")
        fleet.change_registry(lambda text: edit.grant(text, ["secrets/web/**"], ["web2"]))
        fleet.change_registry(lambda text: edit.revoke(text, ["secrets/web/**"], ["web1"]))
        assert b"added web2; dropped web1" in fleet.set("web/db", CANARY).stderr
        assert fleet.readers("secrets/web/db.age") == ["alice", "web2"]

    def test_recipient_that_nobody_named_stops_the_write(self, fleet: Fleet) -> None:
        """Somebody with push access adds a recipient; the next honest write must not encrypt to them."""
        stranger = keys.ed25519_key()
        readers = (fleet.public["alice"], fleet.public["web1"], stranger.public)
        path = fleet.encrypt("secrets/web/db.age", *readers, value=b"junk")
        before = fleet.files()
        said = fleet.run("set", "web/db", stdin=CANARY, code=6).stderr.decode()
        assert "secrets/web/db.age" in said
        assert "ssh-tag:" in said
        assert fleet.files() == before
        assert b"dropped ssh-tag:" in fleet.set("web/db", CANARY, "--drop-unknown").stderr
        assert fleet.readers("secrets/web/db.age") == ["alice", "web1"]
        assert path.read_bytes().count(b"ssh-ed25519") in (0, 2)

    def test_key_never_accepted_here_needs_a_word(self, fleet: Fleet) -> None:
        new = keys.ed25519_key()
        fingerprint = parse_public_key(new.public).fingerprint
        fleet.change_registry(lambda text: edit.add_host(text, "web3", [new.public]))
        fleet.change_registry(lambda text: edit.grant(text, ["secrets/web/**"], ["web3"]))
        before = fleet.files()
        said = fleet.run("set", "web/db", stdin=CANARY, code=2).stderr.decode()
        assert f"web3 (ssh-ed25519 {fingerprint})" in said
        assert f"--accept {fingerprint}" in said
        assert fleet.files() == before
        fleet.set("web/db", CANARY, "--accept", fingerprint)
        fleet.set("web/db", CANARY)  # once is enough

    def test_key_that_was_slipped_into_file_and_registry_needs_a_word(self, fleet: Fleet) -> None:
        """Nothing would be added by this write, and yet the new value would be the stranger's."""
        stranger = keys.ed25519_key()
        fleet.change_registry(lambda text: edit.add_user(text, "mallory", [stranger.public]))
        fleet.change_registry(lambda text: edit.grant(text, ["secrets/web/**"], ["mallory"]))
        readers = (fleet.public["alice"], fleet.public["web1"], stranger.public)
        fleet.encrypt("secrets/web/db.age", *readers, value=b"junk")
        assert b"mallory" in fleet.run("set", "web/db", stdin=CANARY, code=2).stderr

    def test_own_key_needs_no_word(self, fleet: Fleet) -> None:
        for state in fleet.root.rglob(".secretsmith/*"):
            state.unlink()
        said = fleet.run("set", "mail", stdin=CANARY).stderr  # only alice reads it
        assert b"accepted" not in said
        assert b"web1" in fleet.run("set", "web/db", stdin=CANARY, code=2).stderr

    def test_a_person_is_asked_for_acceptance_once(self, fleet: Fleet) -> None:
        new = keys.ed25519_key()
        fleet.change_registry(lambda text: edit.add_host(text, "web3", [new.public]))
        fleet.change_registry(lambda text: edit.grant(text, ["secrets/web/**"], ["web3"]))
        person = Scripted([True])
        project = fleet.project(person)
        store_value(project, prepare_write(project, "secrets/web/db.age"), Sensitive(CANARY))
        prepare_write(fleet.project(person), "secrets/web/db.age")
        assert len(person.asked) == 1
        other = keys.ed25519_key()
        fleet.change_registry(lambda text: edit.add_host(text, "web4", [other.public]))
        fleet.change_registry(lambda text: edit.grant(text, ["secrets/web/**"], ["web4"]))
        with pytest.raises(RefusedInput) as caught:
            prepare_write(fleet.project(Scripted([False])), "secrets/web/db.age")
        assert caught.value.code is Code.KEY_ACCEPT


def test_folder_that_cannot_be_written_is_said_before_the_value_is_asked_for(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root may write everywhere, so the answer of the system is made up here; the real one is in test_edit_document."""
    fleet.set("web/db", b"old")
    shut = fleet.root / "secrets/web"
    monkeypatch.setattr("os.access", lambda path, mode: str(path) != str(shut))
    for path in ("secrets/web/db.age", "secrets/web/new/deep.age"):
        with pytest.raises(SecretsmithError, match="secrets/web") as caught:
            prepare_write(fleet.project(), path)
        assert caught.value.code is Code.ACCESS


class TestChangedUnderneath:
    @pytest.mark.parametrize("kind", ["changed", "removed", "appeared"])
    def test_it_is_never_overwritten(self, fleet: Fleet, kind: str) -> None:
        path = fleet.root / "secrets/web/db.age"
        if kind != "appeared":
            fleet.set("web/db", b"old")
        project = fleet.project()
        prepared = prepare_write(project, "secrets/web/db.age")
        if kind == "removed":
            path.unlink()
        else:
            fleet.set("web/db", b"of somebody else")
        before = fleet.files()
        with pytest.raises(Conflict) as caught:
            store_value(project, prepared, Sensitive(CANARY))
        assert caught.value.code is Code.CHANGED
        assert caught.value.exit_code == 9
        assert fleet.files() == before

    def test_registry_that_changed_meanwhile_is_obeyed(self, fleet: Fleet) -> None:
        project = fleet.project()
        prepared = prepare_write(project, "secrets/web/db.age")
        fleet.change_registry(lambda text: edit.revoke(text, ["secrets/web/**"], ["web1"]))
        store_value(project, prepared, Sensitive(CANARY))
        assert fleet.readers("secrets/web/db.age") == ["alice"]


class TestDebt:
    OWED = Debt("secrets/web/db.age", None, "web2", "revoked", "2026-01-02")

    def test_a_changed_value_pays(self, fleet: Fleet) -> None:
        fleet.set("web/db", b"old")
        add_debt(fleet, self.OWED)
        assert b"changed since web2 lost access" in fleet.set("web/db", CANARY).stderr
        assert debts(fleet) == []

    def test_the_same_value_does_not(self, fleet: Fleet) -> None:
        fleet.set("web/db", b"old")
        add_debt(fleet, self.OWED)
        assert b"the value is the same" in fleet.set("web/db", b"old").stderr
        assert debts(fleet) == ["web2"]

    def test_a_change_that_nobody_saw_does_not(self, fleet: Fleet) -> None:
        fleet.set("web/db", b"old")
        add_debt(fleet, self.OWED)
        said = fleet.run("set", "web/db", stdin=CANARY, HOME="/nonexistent").stderr
        assert b"cannot open the old value" in said
        assert debts(fleet) == ["web2"]

    def test_debtor_who_reads_again_still_owes(self, fleet: Fleet) -> None:
        fleet.set("web/db", b"old")
        reinstalled = Debt("secrets/web/db.age", None, "web1", "reinstalled", "2026-01-02")
        add_debt(fleet, Debt("secrets/web/db.age", None, "web1", "removed", "2026-01-02"), reinstalled)
        fleet.set("web/db", CANARY)
        assert [d.reason for d in parse_lock((fleet.root / "secretsmith.lock").read_text()).debt] == [
            "removed"
        ]

    def test_debt_of_other_files_stays(self, fleet: Fleet) -> None:
        fleet.set("web/db", b"old")
        add_debt(fleet, Debt("secrets/web/other.age", None, "web2", "revoked", "2026-01-02"))
        fleet.set("web/db", CANARY)
        assert debts(fleet) == ["web2"]


def set_on_terminal(fleet: Fleet) -> OnTerminal:
    argv = [sys.executable, "-m", "secretsmith", "set", "web/db"]
    return OnTerminal(argv, cwd=fleet.root, environ=fleet.environ)


def test_on_a_terminal_the_value_is_asked_for_twice_and_hidden(fleet: Fleet) -> None:
    with set_on_terminal(fleet) as terminal:
        terminal.expect(b"value of secrets/web/db.age: ")
        terminal.settle()
        terminal.press(CANARY + b"\n")
        terminal.expect(b"once more: ")
        terminal.settle()
        terminal.press(b"something else\n")
        terminal.expect(b"the two differ")
        for prompt in (b"value of secrets/web/db.age: ", b"once more: "):
            terminal.expect(prompt, 2)
            terminal.settle()
            terminal.press(CANARY + b"\n")
        assert terminal.end() == 0
        assert CANARY not in terminal.shown
    assert fleet.run("show", "web/db").stdout == CANARY
    assert fleet.holds(CANARY) == []


def test_ctrl_c_at_the_question_writes_nothing(fleet: Fleet) -> None:
    before = fleet.files()
    with set_on_terminal(fleet) as terminal:
        terminal.expect(b"value of secrets/web/db.age: ")
        terminal.settle()
        terminal.press(CANARY[:5] + b"\x03")
        assert terminal.end() == 130
    assert fleet.files() == before
