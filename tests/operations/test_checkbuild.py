"""What builds declare, kept between runs and compared with the registry: with the real systemd builder and with made ones."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from fleet import Fleet, make_fleet

from secretsmith.documents.format import Format
from secretsmith.documents.sopsnew import new_document
from secretsmith.errors import Code, NotFound
from secretsmith.findings import Finding
from secretsmith.operations.build import make_manifest
from secretsmith.operations.buildexport import (
    EXPORT_FILE,
    export_build,
    has_export,
    last_export,
    refresh_export,
)
from secretsmith.operations.check import check
from secretsmith.operations.checkbuild import build_findings
from secretsmith.operations.managed import managed_files
from secretsmith.plugin.api import HostDeclaration, PluginContext, SecretDeclaration
from secretsmith.plugin.discovery import Entry
from secretsmith.plugin.loader import Loader

DB = "secrets/web/db.age"
TLS = "secrets/web/tls.age"
APP = "secrets/web/app.yaml"
CODES = (Code.NOT_GRANTED, Code.NOT_FOUND, Code.UNDECLARED, Code.REG_UNKNOWN, Code.BUILD_STALE)


class Made:
    """A builder whose hosts are lines of hosts.txt: HOST FILE."""

    api_version = 1
    asked = 0

    def detect(self, context: PluginContext) -> bool:
        return True

    def hosts(self, context: PluginContext) -> Sequence[HostDeclaration]:
        Made.asked += 1
        lines = [line.split() for line in context.read_file("hosts.txt").decode().splitlines()]
        return [
            HostDeclaration(
                host,
                f"nixosConfigurations.{host}",
                tuple(SecretDeclaration(f, f, "age", f"opt.{f}") for h, f in lines if h == host),
            )
            for host in sorted({host for host, _ in lines})
        ]

    def manifests(self, context: PluginContext, hosts: Sequence[str], source_root: str | None) -> None:
        raise NotImplementedError


class Telling(Made):
    def inputs(self, context: PluginContext) -> Sequence[str]:
        return ["hosts.txt", "hosts.lock"]


class Breaking(Made):
    def hosts(self, context: PluginContext) -> Sequence[HostDeclaration]:
        raise KeyError("hunter2")


def made(*kinds: type[Made], version: str = "1") -> Loader:
    sys.modules.setdefault("checkbuild_test_plugins", sys.modules[__name__])
    return Loader(
        Entry(
            "secretsmith.builders", k.__name__.lower(), f"checkbuild_test_plugins:{k.__name__}", "t", version
        )
        for k in kinds
    )


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    fleet = make_fleet(tmp_path)
    fleet.put(DB, b"hunter2")
    fleet.put(TLS, b"x")
    declare(fleet, "web1", db=DB, tls=TLS)
    declare(fleet, "web2", db=DB, tls=TLS)
    return fleet


def declare(fleet: Fleet, host: str, **files: str) -> None:
    folder = fleet.root / "secretsmith.d"
    folder.mkdir(exist_ok=True)
    tables = [
        f'[secrets.{name}]\nfile = "{file}"\nowner = "app"\nmode = "0440"\n' for name, file in files.items()
    ]
    (folder / f"{host}.toml").write_text("\n".join(tables))


def found(fleet: Fleet, *, build: bool = True, paths: Sequence[str] = ()) -> list[Finding]:
    return [item for item in check(fleet.project(), paths, build=build) if item.code in CODES]


class TestExport:
    def test_it_is_kept_with_all_that_was_declared(self, fleet: Fleet) -> None:
        project = fleet.project()
        assert not has_export(project)
        assert last_export(project) is None
        export_build(project)
        kept = last_export(fleet.project())
        assert kept is not None
        assert kept.made == project.today
        assert [host.declared.name for host in kept.hosts] == ["web1", "web2"]
        secret = kept.hosts[0].declared.secrets[0]
        assert (secret.file, secret.owner, secret.mode) == (DB, "app", "0440")
        assert secret.origin == "secretsmith.d/web1.toml:1"

    def test_an_input_that_changes_comes_or_goes_voids_it(self, fleet: Fleet) -> None:
        export_build(fleet.project())
        file = fleet.root / "secretsmith.d/web1.toml"
        before = file.read_bytes()
        file.write_bytes(before + b"\n# changed\n")
        assert last_export(fleet.project()) is None
        file.write_bytes(before)
        assert last_export(fleet.project()) is not None
        declare(fleet, "web3", db=DB)
        assert last_export(fleet.project()) is None
        (fleet.root / "secretsmith.d/web3.toml").unlink()
        file.unlink()
        assert last_export(fleet.project()) is None

    def test_an_input_that_is_not_there_yet(self, fleet: Fleet) -> None:
        (fleet.root / "hosts.txt").write_text(f"web1 {DB}\n")
        export_build(fleet.project(), loader=made(Telling))
        assert last_export(fleet.project(), loader=made(Telling)) is not None
        (fleet.root / "hosts.lock").write_text("")
        assert last_export(fleet.project(), loader=made(Telling)) is None

    def test_another_builder_than_the_one_that_was_asked(self, fleet: Fleet) -> None:
        (fleet.root / "hosts.txt").write_text(f"web1 {DB}\n")
        export_build(fleet.project(), loader=made(Telling))
        assert last_export(fleet.project(), loader=made(Telling, version="2")) is None
        assert last_export(fleet.project(), loader=made()) is None

    def test_who_cannot_tell_its_inputs_is_not_kept(self, fleet: Fleet) -> None:
        (fleet.root / "hosts.txt").write_text(f"web1 {DB}\n")
        assert len(export_build(fleet.project(), loader=made(Made)).hosts) == 1
        assert last_export(fleet.project(), loader=made(Made)) is None

    def test_one_builder_replaces_its_own_answer_only(self, fleet: Fleet) -> None:
        (fleet.root / "hosts.txt").write_text(f"web1 {DB}\n")
        loader = Loader([*Loader().entries, *made(Telling).entries])
        export_build(fleet.project(), loader=loader)
        (fleet.root / "hosts.txt").write_text(f"web2 {DB}\n")
        export_build(fleet.project(), "telling", loader=loader)
        kept = last_export(fleet.project(), loader=loader)
        assert kept is not None
        assert [(host.builder, host.declared.name) for host in kept.hosts] == [
            ("systemd", "web1"),
            ("systemd", "web2"),
            ("telling", "web2"),
        ]

    def test_it_is_refreshed_only_when_it_does_not_fit(self, fleet: Fleet) -> None:
        (fleet.root / "hosts.txt").write_text(f"web1 {DB}\n")
        Made.asked = 0
        for _ in range(3):
            refresh_export(fleet.project(), loader=made(Telling))
        assert Made.asked == 1
        (fleet.root / "hosts.txt").write_text(f"web2 {DB}\n")
        refresh_export(fleet.project(), loader=made(Telling))
        assert Made.asked == 2
        refresh_export(fleet.project(), loader=made(Breaking))  # the command that asked has its own errors

    @pytest.mark.parametrize(
        "text",
        ["", "{", "[]", '{"version": 2, "builders": {}}', '{"version": 1, "builders": []}']
        + [
            json.dumps({"version": 1, "builders": {"systemd": damage}})
            for damage in ({}, 1, {"inputs": None})
        ],
    )
    def test_a_damaged_one_is_none(self, fleet: Fleet, text: str) -> None:
        project = fleet.project()
        (project.state / EXPORT_FILE).write_text(text)
        assert last_export(project) is None
        assert [item.code for item in found(fleet, build=False)] == [Code.BUILD_STALE]

    def test_damaged_hosts_are_none(self, fleet: Fleet) -> None:
        project = fleet.project()
        export_build(project)
        path = project.state / EXPORT_FILE
        tree = json.loads(path.read_text())
        for damage in ([1], [{"name": "web1"}], [{"name": "w", "origin": "", "secrets": [{"x": 1}]}]):
            tree["builders"]["systemd"]["hosts"] = damage
            path.write_text(json.dumps(tree))
            assert last_export(project) is None

    def test_commands_keep_it(self, fleet: Fleet) -> None:
        make_manifest(fleet.project(), "web1")
        assert not has_export(fleet.project()), "asking alone writes nothing"


class TestFindings:
    def test_nothing_to_find(self, fleet: Fleet) -> None:
        assert found(fleet) == []
        assert found(fleet, build=False) == []

    def test_a_secret_that_the_host_may_not_read(self, fleet: Fleet) -> None:
        fleet.put("secrets/mail.age", b"x") if fleet.rules.setdefault("secrets/mail.age", ("web2",)) else None
        fleet.write()
        declare(fleet, "web1", db=DB, tls=TLS, mail="secrets/mail.age")
        items = [item for item in found(fleet) if item.code is Code.NOT_GRANTED]
        assert [(item.severity, item.path, item.line) for item in items] == [
            ("error", "secretsmith.d/web1.toml", 11)
        ]
        assert "web1 declares secrets/mail.age, which no rule lets it read" in items[0].message
        assert items[0].hint == "secretsmith grant secrets/mail.age --to web1"
        # The last answer of the builder is enough, and the plugin's own words for the same are not repeated.
        assert Code.NOT_GRANTED in {item.code for item in found(fleet, build=False)}
        assert Code.NO_RULE not in {item.code for item in check(fleet.project(), build=True)}

    def test_a_secret_that_does_not_exist(self, fleet: Fleet) -> None:
        (fleet.root / TLS).unlink()
        items = found(fleet)
        assert {(item.code, item.severity, item.path) for item in items} == {
            (Code.NOT_FOUND, "error", "secretsmith.d/web1.toml"),
            (Code.NOT_FOUND, "error", "secretsmith.d/web2.toml"),
        }
        assert items[0].hint == f"secretsmith set {TLS}"

    def test_a_key_that_does_not_exist(self, fleet: Fleet) -> None:
        recipients = [[fleet.key(name).derived for name in ("alice", "web1", "web2")]]
        (fleet.root / APP).write_bytes(
            new_document(Format.YAML, b"mail:\n  smtp: x\nlist:\n- a\n", recipients)
        )
        wrong: list[Finding] = []
        for key, there in (
            ("mail/smtp", True),
            ("mail", True),
            ("list/0", True),
            ("mail/imap", False),
            ("x", False),
        ):
            for host in ("web1", "web2"):
                declare(fleet, host, db=DB, tls=TLS, app=APP)
            path = fleet.root / "secretsmith.d/web1.toml"
            path.write_text(path.read_text() + f'key = "{key}"\n')
            wrong = [item for item in found(fleet) if item.code is Code.NOT_FOUND]
            assert (wrong == []) is there, key
        assert wrong[0].message == f"web1 declares x of {APP}, and there is no such key in it"
        assert wrong[0].hint == f"secretsmith set {APP} x"
        assert found(fleet, build=False) == [], "without being asked, no document is opened for it"

    def test_a_host_that_reads_what_it_does_not_declare(self, fleet: Fleet) -> None:
        declare(fleet, "web2", db=DB)
        (item,) = found(fleet)
        assert (item.code, item.severity, item.path) == (Code.UNDECLARED, "info", TLS)
        assert item.message == "web2 may read it and does not declare it"
        assert "narrow the rule secrets/web/** (secretsmith.toml:" in item.hint, (
            "the rule also lets it read what it needs"
        )

    def test_the_rule_that_only_lets_read_what_nobody_needs(self, fleet: Fleet) -> None:
        fleet.rules["secrets/old.age"] = ("web1", "web2")
        fleet.write()
        fleet.put("secrets/old.age", b"x")
        (item,) = found(fleet)
        assert item.message == "web1, web2 may read it and do not declare it"
        assert item.hint == "secretsmith revoke secrets/old.age --from web1,web2"

    def test_where_rules_follow_the_build_they_are_to_do_it_again(self, fleet: Fleet) -> None:
        fleet.rules |= {"secrets/old.age": ("web1",), "secrets/mail.age": ("web2",)}
        fleet.write()
        for path in ("secrets/old.age", "secrets/mail.age"):
            fleet.put(path, b"x")
        registry = fleet.root / "secretsmith.toml"
        rule = 'path = "secrets/old.age"\n'
        registry.write_text(registry.read_text().replace(rule, f'{rule}from = "build"\n'))
        for host in ("web1", "web2"):
            declare(fleet, host, db=DB, tls=TLS, mail="secrets/mail.age")
        assert {(item.code, item.hint) for item in found(fleet)} == {
            (Code.NOT_GRANTED, "secretsmith grant --from-build"),
            (Code.UNDECLARED, "secretsmith grant --from-build"),
        }

    def test_hosts_and_people_that_no_builder_knows_are_left_alone(self, fleet: Fleet) -> None:
        (fleet.root / "secretsmith.d/web2.toml").unlink()
        assert found(fleet) == []

    def test_a_host_that_the_registry_does_not_have(self, fleet: Fleet) -> None:
        declare(fleet, "web9", db=DB)
        (item,) = found(fleet)
        assert (item.code, item.severity, item.path) == (Code.REG_UNKNOWN, "error", "secretsmith.d/web9.toml")
        assert "web9" in item.message

    def test_a_retired_host_that_is_still_built(self, fleet: Fleet) -> None:
        fleet.extra = '[hosts.old]\nkeys = []\nstatus = "retired"\n'
        fleet.write()
        declare(fleet, "old", db=DB)
        (item,) = [each for each in found(fleet) if each.code is Code.NOT_GRANTED]
        assert "is retired in the registry" in item.message

    def test_a_pending_host_waits(self, fleet: Fleet) -> None:
        fleet.extra = '[hosts.new]\nkeys = []\nstatus = "pending"\n'
        fleet.rules["secrets/web/**"] = ("web1", "web2", "new")
        fleet.write()
        declare(fleet, "new", db=DB)
        assert found(fleet) == []

    def test_what_changed_since_is_said_and_not_compared(self, fleet: Fleet) -> None:
        assert found(fleet) == []
        declare(fleet, "web1", db=DB, nothing="secrets/nothing.age")
        (item,) = found(fleet, build=False)
        assert (item.code, item.severity, item.hint) == (
            Code.BUILD_STALE,
            "info",
            "secretsmith check --build",
        )
        assert {item.code for item in found(fleet)} == {Code.NOT_FOUND, Code.UNDECLARED, Code.NOT_GRANTED}

    def test_paths_limit_it(self, fleet: Fleet) -> None:
        declare(fleet, "web2", db=DB, nothing="secrets/nothing.age")
        assert [item.path for item in found(fleet, paths=[TLS])] == [TLS]
        assert found(fleet, build=False, paths=[DB]) == []

    def test_a_broken_declaration_is_a_finding_with_its_place(self, fleet: Fleet) -> None:
        (fleet.root / "secretsmith.d/web1.toml").write_text("[secrets.db]\nfil = 1\n")
        (fleet.root / "secrets/web/oops.age").write_text("hunter2\n")
        codes = {item.code: item for item in check(fleet.project(), build=True)}
        assert codes[Code.MANIFEST].severity == "error"
        assert codes[Code.MANIFEST].path == "secretsmith.d/web1.toml"
        assert Code.PLAINTEXT in codes, "the rest is looked at"

    def test_no_builder_at_all(self, fleet: Fleet) -> None:
        for file in (fleet.root / "secretsmith.d").iterdir():
            file.unlink()
        assert Code.PLUGIN_MISSING in {item.code for item in check(fleet.project(), build=True)}
        with pytest.raises(NotFound):
            export_build(fleet.project())

    def test_origins_that_are_no_files_fall_back_on_the_secret(self, fleet: Fleet) -> None:
        (fleet.root / "hosts.txt").write_text("web1 secrets/nothing.age\n")
        project = fleet.project()
        items = list(
            build_findings(project, list(managed_files(project)), evaluate=True, loader=made(Telling))
        )
        assert (Code.NOT_FOUND, "secrets/nothing.age", 0) in {(i.code, i.path, i.line) for i in items}
