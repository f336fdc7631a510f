"""``sync`` of links: what changed by digest, fetched once, written together; approvals; what fails."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from linkings import Linking
from people import Scripted

from secretsmith.errors import CannotDecrypt, Code, Conflict, IntegrityFailure
from secretsmith.operations.linking.plan import plan_sync
from secretsmith.operations.linking.sources import Sources
from secretsmith.operations.linking.sync import apply_sync
from secretsmith.policy.lock import Link, dump_lock

DB = "secrets/web/db.age"
MAIL = "secrets/mail.age"
SCHEMA = Path(__file__).resolve().parents[3] / "docs/reference/schemas/sync-plan.schema.json"


def link(linking: Linking, *names: str) -> None:
    """Link fake:NAME to secrets/web/NAME.age."""
    for name in names:
        linking.store.put(name, f"value of {name}".encode())
        linking.fleet.run("link", f"fake:{name}", f"web/{name}")
    linking.store.calls()


def states(linking: Linking, *words: str, code: int = 0) -> dict[str, str]:
    done = linking.fleet.run("sync", "--plan", "--json", *words, code=code)
    tree = json.loads(done.stdout)
    jsonschema.validate(tree, json.loads(SCHEMA.read_text()), cls=jsonschema.Draft202012Validator)
    return {item["path"].removeprefix("secrets/web/"): item["state"] for item in tree["secrets"]}


class TestChanged:
    def test_just_what_changed_is_fetched(self, linking: Linking) -> None:
        link(linking, "a", "b", "c")
        before = linking.fleet.files()
        linking.store.put("b", b"new")
        assert states(linking, code=3) == {"a.age": "fresh", "b.age": "changed", "c.age": "fresh"}
        linking.store.calls()
        said = linking.fleet.run("sync").stderr.decode()
        assert said == "wrote secrets/web/b.age, readable by alice, web1 as before\n1 secret synced\n"
        assert [call for call in linking.store.calls() if call.startswith("fetch")] == ["fetch b"]
        after = linking.fleet.files()
        assert {path for path in after if after[path] != before[path]} == {
            "secrets/web/b.age",
            "secretsmith.lock",
        }
        assert linking.fleet.opens("web1", "secrets/web/b.age") == b"new"
        assert states(linking)["b.age"] == "fresh"

    def test_nothing_to_do_fetches_nothing_and_writes_nothing(self, linking: Linking) -> None:
        link(linking, "a")
        before = linking.fleet.files()
        assert linking.fleet.run("sync").stderr == b"nothing to do\n"
        assert linking.store.calls() == ["digest a"] and linking.fleet.files() == before

    def test_no_link_at_all(self, linking: Linking) -> None:
        assert linking.fleet.run("sync").stderr == b"nothing to do\n"
        assert linking.fleet.run("sync", "--plan").stdout == b""

    def test_one_entry_in_two_files_is_fetched_once(self, linking: Linking) -> None:
        link(linking, "a")
        linking.fleet.run("link", "fake:a", "mail", "--to", "web1")
        linking.store.put("a", b"new")
        linking.store.calls()
        linking.fleet.run("sync")
        assert linking.store.calls() == ["digest a", "fetch a"]
        assert linking.fleet.opens("web1", MAIL) == linking.fleet.opens("web1", "secrets/web/a.age") == b"new"

    def test_paths_limit_it(self, linking: Linking) -> None:
        link(linking, "a", "b")
        for name in "ab":
            linking.store.put(name, b"new")
        assert set(states(linking, "web", code=3)) == {"a.age", "b.age"}
        linking.fleet.run("sync", "web/a")
        assert states(linking, code=3) == {"a.age": "fresh", "b.age": "changed"}
        here = linking.fleet.root / "secrets/web"
        linking.fleet.run("sync", "b.age", cwd=here)
        assert states(linking) == {"a.age": "fresh", "b.age": "fresh"}
        missed = linking.fleet.run("sync", "web/c", code=4).stderr.decode()
        assert "web/c: no linked secret there" in missed

    def test_a_file_that_is_gone_comes_back(self, linking: Linking) -> None:
        link(linking, "a")
        (linking.fleet.root / "secrets/web/a.age").unlink()
        assert states(linking, code=3) == {"a.age": "missing"}
        linking.fleet.run("sync", "web/a")
        assert linking.fleet.opens("web1", "secrets/web/a.age") == b"value of a"

    def test_a_merge_that_does_not_know_the_digest_is_fetched(self, linking: Linking) -> None:
        link(linking, "a")
        lock = linking.fleet.root / "secretsmith.lock"
        digest = linking.fleet.project().lock.links["secrets/web/a.age"].store_digest
        lock.write_text(lock.read_text().replace(digest, ""))
        assert states(linking, code=3) == {"a.age": "changed"}

    def test_debt_is_paid_when_the_value_changes(self, linking: Linking) -> None:
        link(linking, "a")
        linking.fleet.run("grant", "secrets/web/a.age", "--to", "web2", "--rekey")
        linking.fleet.run("revoke", "secrets/web/a.age", "--from", "web2", "--rekey")
        assert [debt.principal for debt in linking.fleet.project().lock.debt] == ["web2"]
        linking.store.put("a", b"new")
        said = linking.fleet.run("sync").stderr.decode()
        assert "changed since web2 lost access" in said and linking.fleet.project().lock.debt == ()


class TestUnknown:
    def test_another_store_or_none_is_no_reason_to_fetch(self, linking: Linking) -> None:
        link(linking, "a", "b")
        (linking.store.folder / "a").unlink()
        assert states(linking) == {"a.age": "unknown", "b.age": "fresh"}
        said = linking.fleet.run("sync").stderr.decode()
        assert said == "nothing to do\nnote: 1 secret cannot be judged here: secretsmith sync --plan\n"
        assert (
            linking.fleet.run("sync", "--plan")
            .stdout.decode()
            .splitlines()[1]
            .endswith("cannot judge: this computer has no such entry in fake")
        )
        del linking.fleet.environ["FAKE_STORE"]
        assert set(states(linking).values()) == {"unknown"}

    def test_named_it_is_fetched_and_says_what_is_wrong(self, linking: Linking) -> None:
        link(linking, "a")
        (linking.store.folder / "a").unlink()
        assert "fake has no entry a" in linking.fleet.run("sync", "web/a", code=4).stderr.decode()

    def test_a_plugin_that_is_not_here(self, linking: Linking) -> None:
        link(linking, "a")
        path = linking.fleet.environ["PYTHONPATH"].partition(":")[0]
        done = linking.fleet.run("sync", "--plan", PYTHONPATH=path)
        assert b"cannot judge: no plugin named 'fake' among the sources" in done.stdout

    def test_a_source_that_wants_to_start_a_program_to_look(self, linking: Linking) -> None:
        link(linking, "a")
        linking.store.beside("starts").touch()
        assert "wants to start a program" in linking.fleet.run("sync", "--plan").stdout.decode()


class TestApproval:
    """A repository cannot make `sync` fetch what its owner did not approve, nor for whom."""

    def hostile(self, linking: Linking) -> None:
        """Do as somebody who may push: the lock names another entry of the store for a file that exists."""
        link(linking, "a")
        linking.store.put("bank", b"the bank's password")
        lock = linking.fleet.root / "secretsmith.lock"
        lock.write_text(lock.read_text().replace("fake:a", "fake:bank"))

    def test_another_entry_is_not_fetched(self, linking: Linking) -> None:
        self.hostile(linking)
        before = linking.fleet.files()
        said = linking.fleet.run("sync", code=6).stderr.decode()
        assert "nobody approved on this computer" in said and "fake:bank" in said
        assert "--approve fake:bank" in said and linking.fleet.files() == before
        assert linking.store.calls() == ["digest bank"]
        assert "to be approved" in linking.fleet.run("sync", "--plan", code=3).stdout.decode()

    def test_wider_readers_are_not_given_it(self, linking: Linking) -> None:
        link(linking, "a")
        linking.fleet.run("grant", "secrets/web/**", "--to", "web2")
        linking.store.put("a", b"new")
        before = linking.fleet.files()
        said = linking.fleet.run("sync", code=6).stderr.decode()
        assert "web2 (SHA256:" in said and "web1" not in said.splitlines()[0]
        assert linking.fleet.files() == before
        linking.fleet.run("sync", "--approve", "fake:a")
        assert linking.fleet.readers("secrets/web/a.age") == ["alice", "web1", "web2"]

    def test_no_option_is_told_without_who_would_read_by_it(self, linking: Linking) -> None:
        """Whoever copies the hint would give away what the message does not name."""
        link(linking, "a", "b")
        linking.fleet.run("link", "fake:b", "mail", "--to", "web1,web2")
        (linking.fleet.home / ".local/state/secretsmith/sources.json").unlink()
        for name in "ab":
            linking.store.put(name, b"new")
        said = linking.fleet.run("sync", code=6).stderr.decode().splitlines()
        assert "web2" not in said[0] and "may read fake:a, and 1 more" in said[0]
        assert said[1] == "secretsmith: hint: if that is meant, add --approve fake:a"
        assert "web2 (SHA256:" in said[2] and said[2].endswith("may read it: --approve fake:b")
        rows = linking.fleet.run("sync", "--plan", code=3).stdout.decode().splitlines()
        assert [row.rpartition("for ")[2] for row in rows[1:]] == [
            "alice, web1, web2",
            "alice, web1",
            "alice, web1, web2",
        ]

    @pytest.mark.parametrize(
        ("path", "source"),
        [
            ("secrets/web/a.age", ""),
            ("secrets/web/a.age", "fake:x\u2066"),
            ("secrets/web/e\u202e.age", "fake:a"),
        ],
    )
    def test_what_can_never_be_fetched_holds_nothing_up(
        self, linking: Linking, path: str, source: str
    ) -> None:
        link(linking, "a", "b")
        linking.store.put("b", b"new")
        lock = linking.fleet.project().lock.with_link(path, Link(source, "0" * 64, "@build"))
        text = json.dumps(json.loads(dump_lock(lock)))
        (linking.fleet.root / "secretsmith.lock").write_text(text)
        assert (
            linking.fleet.run("sync").stderr.decode().splitlines()[:2]
            == "wrote secrets/web/b.age, readable by alice, web1 as before\n1 secret synced".splitlines()
        )

    def test_narrowed_readers_need_no_question(self, linking: Linking) -> None:
        linking.store.put("a", b"old")
        linking.fleet.run("link", "fake:a", "mail", "--to", "web1,web2")
        linking.fleet.run("revoke", MAIL, "--from", "web2")
        linking.store.put("a", b"new")
        linking.fleet.run("sync")
        assert linking.fleet.readers(MAIL) == ["alice", "web1"]

    def test_an_approval_of_another_entry_does_not_count(self, linking: Linking) -> None:
        self.hostile(linking)
        linking.fleet.run("sync", "--approve", "fake:a", code=6)
        linking.fleet.run("sync", "--approve", "fake:bank")
        assert linking.fleet.opens("web1", "secrets/web/a.age") == b"the bank's password"

    def test_it_is_asked_once_for_all_with_the_same_readers(self, linking: Linking) -> None:
        link(linking, "a", "b")
        (linking.fleet.home / ".local/state/secretsmith/sources.json").unlink()
        for name in "ab":
            linking.store.put(name, b"new")
        no = Scripted([False])
        with pytest.raises(IntegrityFailure) as caught:
            apply_sync(plan_sync(linking.fleet.project(no), loader=linking.loader))
        assert caught.value.code is Code.SOURCE_APPROVAL and linking.approvals() == ""
        assert (
            len(no.asked) == 1
            and no.asked[0].endswith("read fake:a, fake:b?")
            and "web1 (SHA256:" in no.asked[0]
        )
        yes = Scripted([True])
        done = apply_sync(plan_sync(linking.fleet.project(yes), loader=linking.loader))
        assert len(done.written) == 2 and "fake:b" in linking.approvals()

    def test_a_key_that_was_never_accepted_is_no_reader_either(self, linking: Linking) -> None:
        link(linking, "a")
        linking.store.put("a", b"new")
        (linking.fleet.project().state / "accepted.json").unlink()
        before = linking.approvals()
        refused = linking.fleet.run("sync", code=2).stderr.decode()
        assert "--accept SHA256:" in refused and linking.approvals() == before
        linking.fleet.run("sync", "--accept", "all")

    def test_a_recipient_that_nobody_named_stops_it(self, linking: Linking) -> None:
        link(linking, "a")
        linking.fleet.encrypt(
            "secrets/web/a.age", "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj"
        )
        linking.store.put("a", b"new")
        before = linking.fleet.files()
        linking.fleet.run("sync", code=6)
        assert linking.fleet.files() == before

    @pytest.mark.parametrize("path", ["flake.nix", "secrets/x.yaml", "secretsmith.toml", ".envrc.age"])
    def test_a_link_that_names_another_file_of_the_repository(self, linking: Linking, path: str) -> None:
        """Whoever may push to the lock must not have files written or removed that are no secrets."""
        link(linking, "a")
        if path != "secretsmith.toml":
            (linking.fleet.root / path).write_text("{ }\n")
        lock = linking.fleet.root / "secretsmith.lock"
        for by in ("alice", "@build"):
            text = linking.fleet.project().lock
            entry = text.links["secrets/web/a.age"]
            hostile = text.with_link(path, Link(entry.source, "0" * 64, by))
            lock.write_text(dump_lock(hostile))
            linking.declare("web1")
            before = linking.fleet.files()
            for words in ((), (path,), ("--prune",)):
                said = linking.fleet.run("sync", *words).stderr.decode()
                assert "nothing to do" in said and linking.fleet.files() == before
        assert "only .age files below secrets/" in linking.fleet.run("sync", "--plan").stdout.decode()


class TestFailures:
    def test_one_that_fails_does_not_lose_the_others(self, linking: Linking) -> None:
        link(linking, "a", "b")
        for name in "ab":
            linking.store.put(name, b"new")
        plan = plan_sync(linking.fleet.project(), loader=linking.loader)
        (linking.store.folder / "a").unlink()
        done = apply_sync(plan)
        assert [failure.item.path for failure in done.failed] == ["secrets/web/a.age"]
        assert linking.fleet.opens("web1", "secrets/web/b.age") == b"new"
        assert linking.fleet.opens("web1", "secrets/web/a.age") == b"value of a"

    def test_when_all_fail_it_is_their_error(self, linking: Linking) -> None:
        link(linking, "a", "b")
        for name in "ab":
            linking.store.put(name, b"new")
        linking.store.beside("locked").touch()
        before = linking.fleet.files()
        said = linking.fleet.run("sync", code=5).stderr.decode()
        assert "secrets/web/a.age: the store is locked" in said and linking.fleet.files() == before

    @pytest.mark.parametrize("answers", [[False], [True, True]])
    def test_who_leaves_one_prompt_is_asked_before_the_next(
        self, linking: Linking, answers: list[bool]
    ) -> None:
        """Other entries may be encrypted to other keys; and a person with a hundred entries wants to stop."""
        link(linking, "a", "b", "c")
        linking.fleet.run("link", "fake:a", "web/again", "--to", "web1")
        for name in "abc":
            linking.store.put(name, b"new")
        linking.store.beside("locked").touch()
        linking.store.calls()
        person = Scripted(list(answers))
        with pytest.raises(CannotDecrypt) as caught:
            apply_sync(plan_sync(linking.fleet.project(person), loader=linking.loader))
        assert caught.value.message == "secrets/web/a.age: the store is locked"
        tried = [call for call in linking.store.calls() if call.startswith("fetch")]
        # An entry of two files is tried once, and after the last one there is nothing to ask.
        assert tried == ["fetch a", "fetch b", "fetch c"][: len(answers) + answers[-1]]
        assert len(person.asked) == len(answers)

    def test_who_stops_keeps_what_was_fetched_before(self, linking: Linking) -> None:
        link(linking, "a", "b", "c")
        linking.fleet.run("link", "fake:a", "web/d", "--to", "web1")
        for name in "abc":
            linking.store.put(name, b"new")
        person = Scripted([False])
        plan = plan_sync(linking.fleet.project(person), loader=linking.loader)
        sources, fetched = plan.sources, plan.sources.fetch("fake:a")
        linking.store.beside("locked").touch()
        done = apply_sync(plan)
        assert [(failure.item.path, failure.error.message) for failure in done.failed] == [
            ("secrets/web/b.age", "the store is locked"),
            ("secrets/web/c.age", "fake:c: not tried after that"),
        ]
        assert sources.fetch("fake:a") is fetched
        assert linking.fleet.opens("web1", "secrets/web/d.age") == b"new"

    def test_a_link_alone_asks_nothing_of_others(self, linking: Linking) -> None:
        linking.store.put("a", b"x")
        linking.store.beside("locked").touch()
        person = Scripted([])
        with pytest.raises(CannotDecrypt):
            Sources(linking.fleet.project(person), linking.loader).fetch("fake:a")
        assert person.asked == []

    def test_a_registry_that_changed_after_the_questions(self, linking: Linking) -> None:
        link(linking, "a")
        linking.store.put("a", b"new")
        plan = plan_sync(linking.fleet.project(), loader=linking.loader)
        linking.fleet.run("grant", "secrets/web/**", "--to", "web2")
        before = linking.fleet.files()
        with pytest.raises(Conflict) as caught:
            apply_sync(plan)
        assert caught.value.code is Code.CHANGED and linking.fleet.files() == before

    def test_a_file_that_changed_after_the_plan(self, linking: Linking) -> None:
        link(linking, "a")
        linking.store.put("a", b"new")
        plan = plan_sync(linking.fleet.project(), loader=linking.loader)
        linking.store.put("a", b"newer")
        linking.fleet.run("sync", "--approve", "all")
        before = linking.fleet.files()
        with pytest.raises(Conflict):
            apply_sync(plan)
        assert linking.fleet.files() == before

    @pytest.mark.parametrize(
        "words",
        [
            ("--json",),
            ("--plan", "--approve", "all"),
            ("--plan", "--accept", "all"),
            ("--yes",),
            ("--plan", "--yes"),
        ],
    )
    def test_words_that_do_not_go_together(self, linking: Linking, words: tuple[str, ...]) -> None:
        linking.fleet.run("sync", *words, code=2)

    def test_values_are_nowhere_on_the_disk(self, linking: Linking) -> None:
        canary = b"canary-5b1d"
        linking.store.put("a", b"old")
        linking.fleet.run("link", "fake:a", "web/a")
        linking.store.put("a", canary)
        linking.fleet.run("sync")
        assert linking.fleet.opens("web1", "secrets/web/a.age") == canary
        assert linking.fleet.holds(canary) == []
