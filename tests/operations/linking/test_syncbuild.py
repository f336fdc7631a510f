"""``sync --build`` and ``--prune``: what hosts declare with a source, with the real systemd builder and a fake source."""

from __future__ import annotations

import json

import pytest
from linkings import Linking
from sessions import Recorded

from secretsmith.cli.arguments.linking import SyncParameters
from secretsmith.cli.commands import sync as command
from secretsmith.errors import ExitCode, Interrupted

DB = "secrets/web1/db.age"
SHARED = "secrets/shared.age"


def put(linking: Linking, *names: str) -> None:
    for name in names:
        linking.store.put(name, f"value of {name}".encode())


def sync(linking: Linking, *words: str, code: int = 0) -> str:
    return linking.fleet.run("sync", *words, "--approve", "all", code=code).stderr.decode()


class TestMade:
    def test_what_is_missing_is_made_for_exactly_the_declaring_hosts(self, linking: Linking) -> None:
        put(linking, "db", "shared")
        linking.declare("web1", db="- fake:db", both=f"{SHARED} fake:shared")
        linking.declare("web2", both=f"{SHARED} fake:shared")
        sync(linking, "--build")
        assert linking.rules() == {DB: ("web1",), SHARED: ("web1", "web2")}
        assert linking.fleet.readers(DB) == ["alice", "web1"]
        assert linking.fleet.readers(SHARED) == ["alice", "web1", "web2"]
        assert linking.fleet.opens("web1", DB) == b"value of db"
        assert linking.link_of(DB) == ("fake:db", "@build")
        linking.store.calls()
        assert linking.fleet.run("sync", "--build").stderr == b"nothing to do\n"
        assert not [call for call in linking.store.calls() if call.startswith("fetch")]
        manifest = json.loads(linking.fleet.run("build", "manifest", "web1").stdout)
        assert [secret["id"] for secret in manifest["secrets"]] == [SHARED, DB]

    def test_the_file_follows_the_folder_of_the_secrets(self, linking: Linking) -> None:
        put(linking, "db")
        linking.fleet.change_registry(
            lambda text: text.replace('secrets = "secrets"', 'secrets = "vault"').replace(
                "secrets/", "vault/"
            )
        )
        linking.declare("web1", db="- fake:db")
        sync(linking, "--build")
        assert linking.fleet.readers("vault/web1/db.age") == ["alice", "web1"]

    def test_before_it_is_made_the_hint_is_sync(self, linking: Linking) -> None:
        linking.declare("web1", db="- fake:db")
        assert "sync --build" in linking.fleet.run("build", "manifest", "web1", code=4).stderr.decode()
        assert "sync --build" in linking.fleet.run("build", "hosts", code=3).stderr.decode()
        found = json.loads(linking.fleet.run("check", "--build", "--json", code=3).stdout)["findings"]
        assert {f["hint"] for f in found if f["code"] in ("E_NOT_FOUND", "E_NOT_GRANTED")} == {
            "secretsmith sync --build"
        }

    def test_a_new_host_is_given_it_and_asked_about(self, linking: Linking) -> None:
        put(linking, "shared")
        linking.declare("web1", both=f"{SHARED} fake:shared")
        sync(linking, "--build")
        linking.declare("web2", both=f"{SHARED} fake:shared")
        before = linking.fleet.files()
        refused = linking.fleet.run("sync", "--build", code=6).stderr.decode()
        assert "web2 (SHA256:" in refused and linking.fleet.files() == before
        said = sync(linking, "--build")
        assert "added web2" in said and linking.fleet.readers(SHARED) == ["alice", "web1", "web2"]

    def test_a_host_that_declares_it_no_more_loses_it_and_owes(self, linking: Linking) -> None:
        put(linking, "shared")
        for host in ("web1", "web2"):
            linking.declare(host, both=f"{SHARED} fake:shared")
        sync(linking, "--build")
        linking.declare("web2")
        said = sync(linking, "--build")
        assert "dropped web2" in said and "web2 could read what now should be changed at its source" in said
        assert linking.rules() == {SHARED: ("web1",)} and linking.fleet.readers(SHARED) == ["alice", "web1"]
        assert [(d.path, d.principal, d.reason) for d in linking.fleet.project().lock.debt] == [
            (SHARED, "web2", "revoked")
        ]
        linking.store.put("shared", b"new")
        sync(linking, "--build")
        assert linking.fleet.project().lock.debt == ()

    def test_a_new_source_is_fetched_after_a_question(self, linking: Linking) -> None:
        put(linking, "db", "other")
        linking.declare("web1", db="- fake:db")
        sync(linking, "--build")
        linking.declare("web1", db="- fake:other")
        refused = linking.fleet.run("sync", "--build", code=6).stderr.decode()
        assert "fake:other" in refused
        sync(linking, "--build")
        assert linking.fleet.opens("web1", DB) == b"value of other" and linking.link_of(DB) == (
            "fake:other",
            "@build",
        )

    def test_what_is_declared_without_a_source_is_left_to_grant(self, linking: Linking) -> None:
        put(linking, "db")
        linking.declare("web1", db="- fake:db", mine="secrets/mine.age -")
        sync(linking, "--build")
        assert linking.rules() == {DB: ("web1",)}
        linking.fleet.run("grant", "--from-build")
        assert linking.rules() == {DB: ("web1",), "secrets/mine.age": ("web1",)}
        linking.declare("web1", db="- fake:db")
        sync(linking, "--build")
        assert "secrets/mine.age" in linking.rules(), "rules of other files are not sync's"

    def test_one_that_cannot_be_fetched_leaves_no_rule(self, linking: Linking) -> None:
        put(linking, "db")
        linking.declare("web1", db="- fake:db", nope="- fake:nope")
        said = sync(linking, "--build", code=3)
        assert (
            "failed: secrets/web1/nope.age: fake has no entry nope" in said
            and "1 secret synced, 1 failed" in said
        )
        assert linking.rules() == {DB: ("web1",)}
        before = linking.fleet.files()
        sync(linking, "--build", code=4)
        assert linking.fleet.files() == before

    def test_without_a_builder_it_says_so(self, linking: Linking) -> None:
        for word in ("--build", "--prune"):
            refused = linking.fleet.run("sync", word, code=4).stderr.decode()
            assert "no installed builder recognises this repository" in refused

    def test_paths_limit_it(self, linking: Linking) -> None:
        put(linking, "db", "mail")
        linking.declare("web1", db="- fake:db", mail="- fake:mail")
        sync(linking, "--build", "web1/mail")
        assert linking.rules() == {"secrets/web1/mail.age": ("web1",)} and DB not in linking.fleet.files()


class TestLeft:
    @pytest.mark.parametrize(
        ("words", "said"),
        [
            ("secrets/d.yaml fake:db", "only files whose name ends in .age can have a source"),
            ("config/x.age fake:db", "which does not lie below secrets/"),
            ("secrets/x.age fake:a\u2066b", "is no reference"),
        ],
    )
    def test_what_cannot_be_followed(self, linking: Linking, words: str, said: str) -> None:
        put(linking, "db")
        linking.declare("web1", db=words, good="- fake:db")
        told = sync(linking, "--build", code=3)
        assert "left out: " in told and said in told
        assert linking.rules() == {"secrets/web1/good.age": ("web1",)}

    def test_two_sources_for_one_file(self, linking: Linking) -> None:
        put(linking, "a", "b")
        linking.declare("web1", x=f"{SHARED} fake:a")
        linking.declare("web2", x=f"{SHARED} fake:b")
        told = sync(linking, "--build", code=3)
        assert "two sources are declared: fake:a (secretsmith.d/web1.toml:1) and fake:b" in told
        assert SHARED not in linking.fleet.files() and linking.rules() == {}

    def test_a_value_by_hand_is_not_replaced(self, linking: Linking) -> None:
        put(linking, "db")
        linking.fleet.set(DB, b"by hand", "--to", "web1")
        linking.declare("web1", db="- fake:db")
        told = sync(linking, "--build", code=3)
        assert (
            f"is there and not linked, and its value stays\n  hint: if that of fake:db is to take its place: secretsmith link fake:db {DB} --replace"
            in told
        )
        assert linking.fleet.opens("web1", DB) == b"by hand" and linking.link_of(DB) is None

    def test_a_link_by_hand_to_elsewhere_stays(self, linking: Linking) -> None:
        put(linking, "db", "mine")
        linking.fleet.run("link", "fake:mine", DB, "--to", "web1")
        linking.declare("web1", db="- fake:db")
        told = sync(linking, "--build", code=3)
        assert "linked to fake:mine by hand and declared with fake:db" in told
        assert linking.link_of(DB) == ("fake:mine", "alice")

    def test_a_host_that_nobody_registered(self, linking: Linking) -> None:
        put(linking, "db")
        linking.declare("web9", db="- fake:db")
        told = sync(linking, "--build", code=3)
        assert "web9 declares secrets, and the registry has no such host" in told and linking.rules() == {}


class TestPruned:
    def test_what_nobody_declares_goes_with_link_and_rule(self, linking: Linking) -> None:
        put(linking, "db", "mail")
        linking.declare("web1", db="- fake:db", mail="- fake:mail")
        sync(linking, "--build")
        linking.declare("web1", mail="- fake:mail")
        assert "1 secret declared no more: secretsmith sync --prune" in sync(linking, "--build")
        assert DB in linking.fleet.files()
        plan = linking.fleet.run("sync", "--prune", "--plan", code=3).stdout.decode()
        assert "declared no more: to be removed" in plan and DB in linking.fleet.files()
        said = linking.fleet.run("sync", "--prune").stderr.decode()
        assert said == f"removed {DB}: no host declares it any more\n1 secret synced\n"
        assert DB not in linking.fleet.files() and linking.link_of(DB) is None
        assert linking.rules() == {"secrets/web1/mail.age": ("web1",)}
        lock = linking.fleet.project().lock
        assert DB not in lock.files and lock.debt == ()
        assert linking.fleet.run("sync", "--prune").stderr == b"nothing to do\n"

    def test_links_by_hand_never_go(self, linking: Linking) -> None:
        put(linking, "db", "mine", "mail")
        linking.fleet.run("link", "fake:mine", "web/mine")
        linking.fleet.run("link", "fake:db", DB, "--to", "bob")
        linking.declare("web1", db="- fake:db", mail="- fake:mail")
        sync(linking, "--build")
        assert linking.rules()[DB] == ("web1",) and linking.fleet.readers(DB) == ["alice", "bob", "web1"]
        linking.declare("web1", mail="- fake:mail")
        linking.fleet.run("sync", "--prune")
        assert linking.link_of("secrets/web/mine.age") == ("fake:mine", "alice")
        assert linking.link_of(DB) == ("fake:db", "alice") and DB in linking.fleet.files()
        assert DB not in linking.rules(), "the build's rule goes"

    def test_a_declaration_that_loses_its_source_keeps_the_file(self, linking: Linking) -> None:
        put(linking, "db")
        linking.declare("web1", db=f"{DB} fake:db")
        sync(linking, "--build")
        linking.declare("web1", db=f"{DB} -")
        said = linking.fleet.run("sync", "--prune").stderr.decode()
        assert "no longer linked: it is declared without a source" in said
        assert linking.link_of(DB) is None and linking.fleet.readers(DB) == ["alice", "web1"]

    def test_a_file_that_is_gone_already(self, linking: Linking) -> None:
        put(linking, "db", "mail")
        linking.declare("web1", db="- fake:db", mail="- fake:mail")
        sync(linking, "--build")
        (linking.fleet.root / DB).unlink()
        linking.declare("web1", mail="- fake:mail")
        linking.fleet.run("sync", "--prune")
        assert linking.link_of(DB) is None and DB not in linking.fleet.project().lock.files

    def test_debt_stays_as_after_rm(self, linking: Linking) -> None:
        put(linking, "shared", "db")
        linking.declare("web1", db="- fake:db")
        linking.declare("web2", both=f"{SHARED} fake:shared")
        sync(linking, "--build")
        linking.fleet.run("grant", SHARED, "--to", "bob", "--rekey")
        linking.fleet.run("revoke", SHARED, "--from", "bob", "--rekey")
        linking.declare("web2", both=f"{DB} fake:db")
        said = sync(linking, "--prune")
        assert f"the value of {SHARED} is still to be changed at its source" in said
        assert [(d.path, d.principal) for d in linking.fleet.project().lock.debt] == [(SHARED, "bob")]

    def test_a_host_that_no_builder_knows_any_more_is_asked_about(self, linking: Linking) -> None:
        """The plugin that knows it may not be installed on this computer."""
        put(linking, "db", "mail")
        linking.declare("web1", db="- fake:db")
        linking.declare("web2", mail="- fake:mail")
        sync(linking, "--build")
        (linking.fleet.root / "secretsmith.d/web2.toml").unlink()
        before = linking.fleet.files()
        refused = linking.fleet.run("sync", "--prune", code=2).stderr.decode()
        assert "--yes" in refused and linking.fleet.files() == before
        no = Recorded(linking.fleet.root, linking.fleet.environ, answers=[False])
        with pytest.raises(Interrupted):
            command.run(no.session, SyncParameters(prune=True))
        assert "web2" in no.person.asked[0] and linking.fleet.files() == before
        yes = Recorded(linking.fleet.root, linking.fleet.environ, answers=[True])
        assert command.run(yes.session, SyncParameters(prune=True)) is ExitCode.OK
        assert "secrets/web2/mail.age" not in linking.fleet.files()

    def test_a_broken_declaration_prunes_nothing(self, linking: Linking) -> None:
        put(linking, "db")
        linking.declare("web1", db="- fake:db")
        sync(linking, "--build")
        (linking.fleet.root / "secretsmith.d/web1.toml").write_text("[secrets\n")
        before = linking.fleet.files()
        linking.fleet.run("sync", "--prune", code=2)
        assert linking.fleet.files() == before
