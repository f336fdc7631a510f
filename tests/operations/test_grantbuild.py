"""``grant --from-build``: with the real systemd builder, and with made ones that break."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence

import pytest
from repositories import Fleet
from sessions import Recorded

from secretsmith.cli.arguments.readers import GrantParameters
from secretsmith.cli.commands import grant as command
from secretsmith.errors import Code, Conflict, ExitCode, Interrupted, RefusedInput, SecretsmithError
from secretsmith.operations.changes import RekeyChoice
from secretsmith.operations.grantbuild import grant_from_build, plan_build_grants
from secretsmith.operations.grants import grant
from secretsmith.plugin.api import HostDeclaration, PluginContext, SecretDeclaration
from secretsmith.plugin.discovery import Entry
from secretsmith.plugin.loader import Loader

DB = "secrets/web/db.age"
MAIL = "secrets/mail.age"


class Made:
    """A builder whose hosts are lines of hosts.txt: HOST FILE."""

    api_version = 1

    def detect(self, context: PluginContext) -> bool:
        return True

    def hosts(self, context: PluginContext) -> Sequence[HostDeclaration]:
        lines = [line.split() for line in context.read_file("hosts.txt").decode().splitlines()]
        return [
            HostDeclaration(
                host,
                host,
                tuple(
                    SecretDeclaration(f, f, "age", f"opt.{f}")
                    for h, *files in lines
                    for f in files
                    if h == host and not f.startswith("/")
                ),
                tuple(f for h, *files in lines for f in files if h == host and f.startswith("/")),
            )
            for host in sorted({host for host, *_ in lines})
        ]

    def manifests(self, context: PluginContext, hosts: Sequence[str], source_root: str | None) -> None:
        raise NotImplementedError


class Traced(Made):
    """One whose answer is kept."""

    def inputs(self, context: PluginContext) -> Sequence[str]:
        return ["hosts.txt"]


SYSTEMD = Entry("secretsmith.builders", "systemd", "secretsmith_systemd:builder", "s", "1")


class Breaking(Made):
    def detect(self, context: PluginContext) -> bool:
        raise KeyError("hunter2")


def made(*kinds: type[Made] | Entry) -> Loader:
    sys.modules.setdefault("grantbuild_test_plugins", sys.modules[__name__])
    return Loader(
        k
        if isinstance(k, Entry)
        else Entry(
            "secretsmith.builders", k.__name__.lower(), f"grantbuild_test_plugins:{k.__name__}", "t", "1"
        )
        for k in kinds
    )


def declare(fleet: Fleet, *lines: str) -> None:
    (fleet.root / "hosts.txt").write_text("".join(f"{line}\n" for line in lines))


def declare_toml(fleet: Fleet, host: str, *files: str) -> None:
    folder = fleet.root / "secretsmith.d"
    folder.mkdir(exist_ok=True)
    tables = [f'[secrets.s{number}]\nfile = "{file}"\n' for number, file in enumerate(files)]
    (folder / f"{host}.toml").write_text("\n".join(tables) or "[secrets]\n")


def follow(fleet: Fleet, *, rekey: bool = False) -> None:
    """Make the rules of what hosts.txt declares."""
    project = fleet.project()
    planned = plan_build_grants(project, loader=made(Made))
    grant_from_build(project, planned, rekey=RekeyChoice() if rekey else None)


def build_rules(fleet: Fleet) -> dict[str, tuple[str, ...]]:
    return {rule.pattern: rule.readers for rule in fleet.project().registry.rules if rule.origin == "build"}


def by_hand(fleet: Fleet) -> list[tuple[str, tuple[str, ...]]]:
    return [(rule.pattern, rule.readers) for rule in fleet.project().registry.rules if rule.origin is None]


class TestRules:
    def test_readers_come_and_go_as_declarations_do(self, fleet: Fleet) -> None:
        hand = by_hand(fleet)
        declare(fleet, f"web1 {DB} {MAIL}", f"web2 {MAIL}")
        follow(fleet)
        assert build_rules(fleet) == {DB: ("web1",), MAIL: ("web1", "web2")}
        fleet.set(MAIL, b"hunter2")
        assert fleet.readers(MAIL) == ["alice", "web1", "web2"]
        declare(fleet, f"web1 {DB}", f"web2 {MAIL}")
        follow(fleet, rekey=True)
        assert build_rules(fleet) == {DB: ("web1",), MAIL: ("web2",)}
        assert fleet.readers(MAIL) == ["alice", "web2"]
        assert by_hand(fleet) == hand

    def test_what_hand_written_rules_give_stays(self, fleet: Fleet) -> None:
        declare(fleet, "web1", "web2")
        fleet.set(DB, b"hunter2")
        before = fleet.registry
        follow(fleet, rekey=True)
        assert fleet.registry == before
        assert fleet.readers(DB) == ["alice", "web1"]

    def test_whoever_loses_access_owes(self, fleet: Fleet) -> None:
        declare(fleet, f"web2 {MAIL} {DB}", f"web1 {MAIL} {DB}")
        follow(fleet)
        for path in (MAIL, DB):
            fleet.set(path, b"hunter2")
        declare(fleet, "web2", f"web1 {MAIL}")
        project = fleet.project()
        done, changed = grant_from_build(project, plan_build_grants(project, loader=made(Made)))
        # web1 lost its rule for DB as well, and reads on through one that was written by hand.
        assert [(change.path, change.remove) for change in done.changes] == [
            (MAIL, ("web2",)),
            (DB, ("web1", "web2")),
        ]
        assert {(debt.path, debt.principal, debt.reason) for debt in changed.owed} == {
            (MAIL, "web2", "revoked"),
            (DB, "web2", "revoked"),
        }

    def test_a_plan_writes_nothing(self, fleet: Fleet) -> None:
        declare(fleet, f"web1 {DB}")
        before = fleet.files()
        planned = plan_build_grants(fleet.project(), loader=made(Made))
        assert [(change.path, change.add) for change in planned.changes] == [(DB, ("web1",))]
        assert fleet.files() == before

    def test_the_second_time_there_is_nothing_to_do(self, fleet: Fleet) -> None:
        declare(fleet, f"web1 {DB} {MAIL}")
        follow(fleet)
        before = fleet.files()
        project = fleet.project()
        done, changed = grant_from_build(project, plan_build_grants(project, loader=made(Made)))
        assert not done.changes and not changed.written and fleet.files() == before

    def test_two_builders_add_up(self, fleet: Fleet) -> None:
        declare(fleet, f"web1 {MAIL}")
        declare_toml(fleet, "web2", MAIL)
        loader = Loader(
            [entry for entry in Loader().entries if entry.name == "systemd"] + list(made(Made).entries)
        )
        project = fleet.project()
        grant_from_build(project, plan_build_grants(project, loader=loader))
        assert build_rules(fleet) == {MAIL: ("web1", "web2")}


class TestRefused:
    def test_a_broken_builder_may_know_more(self, fleet: Fleet) -> None:
        """Else its hosts would lose all that they declare."""
        declare(fleet, f"web1 {MAIL}")
        follow(fleet)
        before = fleet.files()
        with pytest.raises(SecretsmithError) as caught:
            plan_build_grants(fleet.project(), loader=made(Made, Breaking))
        assert caught.value.code is Code.PLUGIN_FAILED and "breaking" in caught.value.message
        assert "hunter2" not in caught.value.message and caught.value.hints == ("secretsmith plugins list",)
        assert fleet.files() == before

    @pytest.mark.parametrize(
        "file", ["secrets/*", "secrets/web/**", "secrets/?.age", "secrets/[a].age", "../x.age"]
    )
    def test_a_file_whose_name_is_a_pattern(self, fleet: Fleet, file: str) -> None:
        """What a builder says must not become a grant of other files."""
        declare(fleet, f"web2 {file}")
        with pytest.raises(RefusedInput, match="web2 declares"):
            plan_build_grants(fleet.project(), loader=made(Made))

    def test_hosts_that_vanished_after_the_plan(self, fleet: Fleet) -> None:
        """Somebody else gave web2 a rule of the build meanwhile, from declarations that are not known here."""
        declare(fleet, f"web1 {MAIL}")
        project = fleet.project()
        planned = plan_build_grants(project, loader=made(Made))
        text = fleet.registry + f'\n[[rules]]\npath = "{DB}"\nreaders = ["web2"]\nfrom = "build"\n'
        fleet.write_registry(text)
        with pytest.raises(Conflict) as caught:
            grant_from_build(project, planned)
        assert caught.value.code is Code.CHANGED and fleet.registry == text

    def test_a_host_that_was_removed_after_the_plan_is_left_out(self, fleet: Fleet) -> None:
        declare(fleet, f"web1 {MAIL}", f"web2 {MAIL}")
        project = fleet.project()
        planned = plan_build_grants(project, loader=made(Made))
        start = fleet.registry.index("[hosts.web2]")
        fleet.write_registry(fleet.registry[:start] + fleet.registry[fleet.registry.index("[[rules]]") :])
        done, _ = grant_from_build(project, planned)
        assert build_rules(fleet) == {MAIL: ("web1",)}
        assert [left.hint for left in done.left] == ["secretsmith host add web2 --scan"]


class TestLeftOut:
    def test_unregistered_hosts_and_files_elsewhere(self, fleet: Fleet) -> None:
        declare(fleet, f"web9 {MAIL}", "bob secrets/b.age", "idle", "web1 config/x.age")
        planned = plan_build_grants(fleet.project(), loader=made(Made))
        assert not planned.changes
        said = [left.message for left in planned.left]
        assert "bob declares secrets, and the registry has no such host" in said, "a user is no host"
        assert "web9 declares secrets, and the registry has no such host" in said
        assert "web1: declared is config/x.age, which does not lie below secrets/" in said
        assert len(said) == 3

    def test_key_groups_are_for_people_to_divide(self, fleet: Fleet) -> None:
        grouped = '\n[[rules]]\npath = "secrets/g.yaml"\nreaders = ["bob", "web1"]\nkey_groups = [["bob"], ["web1"]]\n'
        fleet.write_registry(fleet.registry + grouped)
        declare(fleet, "web1 secrets/g.yaml")
        assert plan_build_grants(fleet.project(), loader=made(Made)).left == ()
        declare(fleet, "web1 secrets/g.yaml", "web2 secrets/g.yaml")
        planned = plan_build_grants(fleet.project(), loader=made(Made))
        assert not planned.changes
        assert "web2: declared is secrets/g.yaml" in planned.left[0].message
        assert "secretsmith.toml:" in planned.left[0].hint

    def test_odd_hosts_and_files_that_are_not_there(self, fleet: Fleet) -> None:
        fleet.run("host", "add", "new", "--pending")
        fleet.run("host", "retire", "web2", "--yes")
        declare(fleet, f"new {MAIL}", f"web2 {MAIL}")
        notes = plan_build_grants(fleet.project(), loader=made(Made)).notes
        assert len(notes) == 3
        assert "new has no key yet" in notes[0] and "web2 is retired" in notes[1]
        assert "1 declared file is not there yet: secrets/mail.age" in notes[2]


class TestCommand:
    def test_it_runs_with_the_systemd_builder(self, fleet: Fleet) -> None:
        declare_toml(fleet, "web2", DB)
        declare_toml(fleet, "web1")
        fleet.set(DB, b"hunter2")
        plan = fleet.run("grant", "--from-build", "--plan", code=3)
        assert plan.stdout.decode() == f"{DB}\n  + web2\n"
        assert "1 rule to change: secretsmith grant --from-build" in plan.stderr.decode()
        assert build_rules(fleet) == {}
        said = fleet.run("grant", "--from-build").stderr.decode()
        assert f"{DB}: + web2" in said and "1 file drifts: secretsmith rekey" in said
        assert fleet.run("grant", "--from-build", "--plan").stdout == b""
        fleet.run("grant", "--from-build", "--rekey")
        assert fleet.readers(DB) == ["alice", "web1", "web2"]
        declare_toml(fleet, "web2")
        said = fleet.run("grant", "--from-build", "--rekey").stderr.decode()
        assert f"{DB}: - web2" in said and "web2 could read 1 value, which now should be changed" in said
        assert fleet.readers(DB) == ["alice", "web1"]

    def test_a_host_that_no_builder_knows_any_more_is_asked_about(self, fleet: Fleet) -> None:
        """The plugin that knows it may not be installed on this computer."""
        declare_toml(fleet, "web1", DB)
        declare_toml(fleet, "web2", MAIL)
        fleet.run("grant", "--from-build")
        (fleet.root / "secretsmith.d/web2.toml").unlink()
        before = fleet.files()
        refused = fleet.run("grant", "--from-build", code=2).stderr.decode()
        assert "--yes" in refused and fleet.files() == before
        assert (
            "web2: no builder here knows it any more"
            in fleet.run("grant", "--from-build", "--plan", code=3).stderr.decode()
        )
        no = Recorded(fleet.root, fleet.environ, answers=[False])
        with pytest.raises(Interrupted):
            command.run(no.session, GrantParameters(from_build=True))
        assert "web2" in no.person.asked[0] and fleet.files() == before
        yes = Recorded(fleet.root, fleet.environ, answers=[True])
        assert command.run(yes.session, GrantParameters(from_build=True)) is ExitCode.OK
        assert build_rules(fleet) == {DB: ("web1",)}

    def test_a_builder_that_is_not_installed_may_know_more(self, fleet: Fleet) -> None:
        """Both builders know web1, and here is only one of them: its readers by the other are not taken away silently."""
        declare_toml(fleet, "web1", DB)
        declare(fleet, f"web1 {MAIL}")
        both, alone = made(Made, SYSTEMD), made(Made)
        grant_from_build(fleet.project(), plan_build_grants(fleet.project(), loader=both), loader=both)
        assert set(build_rules(fleet)) == {DB, MAIL}
        # A fresh clone knows it by its files.
        shutil.rmtree(fleet.project().state)
        planned = plan_build_grants(fleet.project(), loader=alone)
        assert planned.vanished == ("web1",)
        assert planned.doubts == (
            "web1: what systemd declares is not known here, since systemd is not installed",
        )
        assert plan_build_grants(fleet.project(), loader=both).doubts == ()
        # Where nothing would be lost, there is nothing to ask.
        (fleet.root / "secretsmith.d/web1.toml").write_text("[secrets]\n")
        fleet.change_registry(lambda text: text.replace('from = "build"\n', ""))
        assert plan_build_grants(fleet.project(), loader=alone).doubts == ()

    def test_a_builder_that_once_declared_something_is_missed(self, fleet: Fleet) -> None:
        """One that leaves no files that we know of, by what it said in this clone."""
        declare(fleet, f"web1 {MAIL}")
        declare_toml(fleet, "web1", DB)
        both, alone = made(Traced, SYSTEMD), made(SYSTEMD)
        grant_from_build(fleet.project(), plan_build_grants(fleet.project(), loader=both), loader=both)
        plan_build_grants(fleet.project(), loader=alone)  # asking does not make it forgotten
        planned = plan_build_grants(fleet.project(), loader=alone)
        assert planned.doubts == (
            "web1: what traced declares is not known here, since traced is not installed",
        )
        # Somebody said yes: it is gone for good.
        grant_from_build(fleet.project(), planned, loader=alone)
        assert set(build_rules(fleet)) == {DB}
        declare_toml(fleet, "web1")
        assert plan_build_grants(fleet.project(), loader=alone).doubts == ()

    def test_files_that_are_declared_from_another_copy_are_asked_about(self, fleet: Fleet) -> None:
        declare(fleet, f"web1 {MAIL}")
        follow(fleet)
        declare(fleet, f"web1 /nix/store/source/{MAIL}")
        planned = plan_build_grants(fleet.project(), loader=made(Made))
        assert planned.doubts == (
            f"web1: it declares '/nix/store/source/{MAIL}', outside of this repository",
        )
        declare(fleet, "web1 /nix/store/source/secrets/other.age")
        assert plan_build_grants(fleet.project(), loader=made(Made)).doubts == ()

    def test_a_retired_host_needs_no_question(self, fleet: Fleet) -> None:
        declare_toml(fleet, "web1", DB)
        declare_toml(fleet, "web2", MAIL)
        fleet.run("grant", "--from-build")
        fleet.run("host", "retire", "web2", "--yes")
        (fleet.root / "secretsmith.d/web2.toml").unlink()
        fleet.run("grant", "--from-build")
        assert build_rules(fleet) == {DB: ("web1",)}

    def test_what_was_left_out_is_said_and_exits_3(self, fleet: Fleet) -> None:
        declare_toml(fleet, "web1", DB)
        declare_toml(fleet, "web9", DB)
        said = fleet.run("grant", "--from-build", code=3).stderr.decode()
        assert "left out: web9 declares secrets" in said and "secretsmith host add web9 --scan" in said
        assert build_rules(fleet) == {DB: ("web1",)}

    def test_a_failed_rekey_changes_nothing(self, fleet: Fleet) -> None:
        """Registry, lock and files are one transaction."""
        fleet.set(DB, b"hunter2")
        declare_toml(fleet, "web2", DB)
        before = fleet.files()
        # Nobody accepted the key of web2 in this clone, and there is nobody to ask.
        shutil.rmtree(fleet.project().state)
        refused = fleet.run("grant", "--from-build", "--rekey", code=2).stderr.decode()
        assert "--accept" in refused and fleet.files() == before

    @pytest.mark.parametrize(
        "words",
        [
            ("--from-build", DB),
            ("--from-build", "--to", "web1"),
            ("--from-build", "--plan", "--rekey"),
            (DB, "--to", "web1", "--plan"),
            (DB, "--to", "web1", "--yes"),
            (),
            ("--to", "web1"),
            (DB,),
        ],
    )
    def test_words_that_do_not_go_together(self, fleet: Fleet, words: tuple[str, ...]) -> None:
        before = fleet.files()
        fleet.run("grant", *words, code=2)
        assert fleet.files() == before

    def test_many_changes_are_counted(self, fleet: Fleet) -> None:
        declare_toml(fleet, "web1", *(f"secrets/{number:02}.age" for number in range(30)))
        said = fleet.run("grant", "--from-build").stderr.decode()
        assert "and 10 rules more" in said and "30 rules changed" in said
        assert (
            "30 declared files are not there yet: secrets/00.age, secrets/01.age, secrets/02.age, …" in said
        )


def test_grants_by_hand_leave_the_rules_of_the_build_alone(fleet: Fleet) -> None:
    declare(fleet, f"web2 {MAIL}")
    follow(fleet)
    grant(fleet.project(), [MAIL], ["bob"])
    follow(fleet)
    assert build_rules(fleet) == {MAIL: ("web2",)} and (MAIL, ("bob",)) in by_hand(fleet)
