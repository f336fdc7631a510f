"""``link`` and ``unlink`` by hand, with a fake source and the real age."""

from __future__ import annotations

import json

import pytest
from linkings import Linking
from people import Scripted

from secretsmith.errors import Code, Conflict, Interrupted, SecretsmithError
from secretsmith.operations.linking.link import link_secret, unlink_secret

DB = "secrets/web/db.age"
MAIL = "secrets/mail.age"


def test_a_link_fetches_writes_and_is_recorded(linking: Linking) -> None:
    linking.store.put("web/db", b"hunter2")
    said = linking.fleet.run("link", "fake:web/db", "web/db").stderr.decode()
    assert said == f"linked {DB} to fake:web/db\nwrote {DB} (new), readable by alice, web1\n"
    assert linking.fleet.opens("web1", DB) == b"hunter2"
    assert linking.link_of(DB) == ("fake:web/db", "alice")
    assert "fake:web/db" in linking.approvals()
    assert linking.store.calls() == ["fetch web/db"]


def test_to_writes_the_rule_and_bytes_are_kept(linking: Linking) -> None:
    value = b"\0\xff no newline at the end"
    linking.store.put("mail", value)
    linking.fleet.run("link", "fake:mail", "mail", "--to", "web2,bob")
    assert linking.fleet.readers(MAIL) == ["alice", "bob", "web2"]
    assert linking.fleet.opens("web2", MAIL) == value


def test_linking_again_fetches_again_and_keeps_the_debt_that_is_not_paid(linking: Linking) -> None:
    linking.store.put("mail", b"hunter2")
    linking.fleet.run("link", "fake:mail", "mail", "--to", "web2")
    linking.fleet.run("revoke", MAIL, "--from", "web2", "--rekey")
    linking.fleet.run("link", "fake:mail", "mail")
    assert [debt.principal for debt in linking.fleet.project().lock.debt] == ["web2"]
    linking.store.put("mail", b"hunter3")
    linking.fleet.run("link", "fake:mail", "mail")
    assert linking.fleet.project().lock.debt == () and linking.fleet.opens("alice", MAIL) == b"hunter3"


@pytest.mark.parametrize(
    ("reference", "secret", "code", "said"),
    [
        ("fake:nothing", "mail", 4, "fake has no entry nothing"),
        ("nope:x", "mail", 4, "no plugin named 'nope' among the sources"),
        ("mail", "mail", 2, "'mail' is no reference"),
        ("fake:", "mail", 2, "no reference"),
        ("fake:a\nb", "mail", 2, "no reference"),
        ("fake:mail", "mail.yaml", 2, "secrets/mail.yaml: only a file with one value"),
        ("fake:mail", "../mail.age", 2, "mail.age"),
        ("fake:mail", "./mail.age", 2, "below secrets/ can be linked"),
    ],
)
def test_refused(linking: Linking, reference: str, secret: str, code: int, said: str) -> None:
    linking.store.put("mail", b"hunter2")
    before = linking.fleet.files()
    done = linking.fleet.run("link", reference, secret, "--to", "web1", code=code).stderr.decode()
    assert said in done and linking.fleet.files() == before and linking.approvals() == ""


def test_a_locked_store_writes_nothing(linking: Linking) -> None:
    linking.store.put("mail", b"hunter2")
    linking.store.beside("locked").touch()
    before = linking.fleet.files()
    linking.fleet.run("link", "fake:mail", "mail", "--to", "web1", code=5)
    assert linking.fleet.files() == before and linking.approvals() == ""


def test_a_value_that_is_there_is_asked_about(linking: Linking) -> None:
    linking.store.put("mail", b"from the store")
    linking.fleet.set(MAIL, b"by hand", "--to", "web1")
    refused = linking.fleet.run("link", "fake:mail", "mail", code=2).stderr.decode()
    assert "--replace" in refused and linking.fleet.opens("web1", MAIL) == b"by hand"
    no = Scripted([False])
    with pytest.raises(Interrupted):
        link_secret(linking.fleet.project(no), "fake:mail", MAIL, loader=linking.loader)
    assert "there already" in no.asked[0]
    linking.fleet.run("link", "fake:mail", "mail", "--replace")
    assert linking.fleet.opens("web1", MAIL) == b"from the store"
    linking.store.put("other", b"another")
    again = linking.fleet.run("link", "fake:other", "mail", code=2).stderr.decode()
    assert "linked to fake:mail already" in again


@pytest.mark.parametrize("words", [("set", "mail"), ("edit", "mail")])
def test_a_linked_file_is_changed_at_its_source(linking: Linking, words: tuple[str, ...]) -> None:
    linking.store.put("mail", b"from the store")
    linking.fleet.run("link", "fake:mail", "mail", "--to", "web1")
    before = linking.fleet.files()
    refused = linking.fleet.run(*words, stdin=b"by hand", code=2, EDITOR="false").stderr.decode()
    assert "is linked to fake:mail, where its value is kept" in refused
    assert "secretsmith unlink secrets/mail.age --keep-file" in refused and linking.fleet.files() == before


def test_a_listing_says_what_is_linked(linking: Linking) -> None:
    linking.store.put("mail", b"from the store")
    linking.fleet.set(DB, b"by hand")
    assert "SOURCE" not in linking.fleet.run("ls").stdout.decode()
    linking.fleet.run("link", "fake:mail", "mail", "--to", "web1")
    rows = [line.split() for line in linking.fleet.run("ls").stdout.decode().splitlines()]
    assert (rows[0][-1], rows[1][-1], rows[2][-1]) == ("SOURCE", "fake:mail", "-")
    listed = json.loads(linking.fleet.run("ls", "--json").stdout)
    assert [item["source"] for item in listed] == ["fake:mail", ""]


def test_a_copy_is_not_linked_and_a_moved_file_is(linking: Linking) -> None:
    linking.store.put("mail", b"from the store")
    linking.fleet.run("link", "fake:mail", "mail", "--to", "web1")
    linking.fleet.run("cp", "mail", "copy", "--to", "web1")
    linking.fleet.run("mv", "mail", "web/mail")
    assert linking.link_of("secrets/copy.age") is None and linking.link_of(MAIL) is None
    assert linking.link_of("secrets/web/mail.age") == ("fake:mail", "alice")


class TestUnlink:
    def linked(self, linking: Linking) -> None:
        linking.store.put("mail", b"from the store")
        linking.fleet.run("link", "fake:mail", "mail", "--to", "web1")

    def test_the_file_goes_with_the_link(self, linking: Linking) -> None:
        self.linked(linking)
        said = linking.fleet.run("unlink", "mail").stderr.decode()
        assert f"removed {MAIL}; fake:mail stays as it is" in said
        assert linking.link_of(MAIL) is None and MAIL not in linking.fleet.files()
        assert MAIL not in linking.fleet.project().lock.files

    def test_or_stays_and_is_a_secret_like_any_other(self, linking: Linking) -> None:
        self.linked(linking)
        linking.fleet.run("unlink", "mail", "--keep-file")
        assert linking.link_of(MAIL) is None and linking.fleet.opens("web1", MAIL) == b"from the store"
        linking.fleet.set(MAIL, b"by hand")
        assert linking.fleet.opens("web1", MAIL) == b"by hand"

    def test_what_is_not_linked_is_said(self, linking: Linking) -> None:
        linking.fleet.set(MAIL, b"by hand", "--to", "web1")
        assert "is not linked" in linking.fleet.run("unlink", "mail", code=4).stderr.decode()
        assert "no linked secret there" in linking.fleet.run("unlink", "nope", code=4).stderr.decode()
        self_linked = linking.fleet.run("unlink", "mail", "--keep-file", "--build", code=2)
        assert b"--keep-file" in self_linked.stderr

    def test_a_link_whose_file_is_gone_can_end(self, linking: Linking) -> None:
        self.linked(linking)
        (linking.fleet.root / MAIL).unlink()
        linking.fleet.run("unlink", "mail")
        assert linking.link_of(MAIL) is None and MAIL not in linking.fleet.project().lock.files

    def test_a_file_that_a_host_declares_stays(self, linking: Linking) -> None:
        self.linked(linking)
        linking.declare("web1", mail=f"{MAIL} -")
        unknown = linking.fleet.run("unlink", "mail", code=9).stderr.decode()
        assert "is not known here" in unknown and "unlink secrets/mail.age --build" in unknown
        refused = linking.fleet.run("unlink", "mail", "--build", code=9).stderr.decode()
        assert "is declared by web1 (secretsmith.d/web1.toml:1)" in refused and "--keep-file" in refused
        # They were asked, and nothing changed since.
        assert "is declared by web1" in linking.fleet.run("unlink", "mail", code=9).stderr.decode()
        assert linking.link_of(MAIL) is not None
        linking.declare("web1")
        linking.fleet.run("unlink", "mail", "--build")
        assert MAIL not in linking.fleet.files()

    def test_a_broken_builder_may_know_more(self, linking: Linking) -> None:
        self.linked(linking)
        folder = linking.fleet.root / "secretsmith.d"
        folder.mkdir()
        (folder / "web1.toml").write_text("[secrets.x]\nfoo = 1\n")
        with pytest.raises(Conflict) as caught:
            unlink_secret(linking.fleet.project(), MAIL, loader=linking.loader)
        assert caught.value.code is Code.LINKED
        with pytest.raises(SecretsmithError, match=r"web1\.toml"):
            unlink_secret(linking.fleet.project(), MAIL, build=True, loader=linking.loader)
