"""``build check`` without a manifest: all hosts of all builders, each as its own builder makes it."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import jsonschema
import pytest
from keys import ed25519_key
from repositories import Fleet

from secretsmith.activation.templates.rendering import render
from secretsmith.errors import Code, NotFound, SecretsmithError
from secretsmith.manifest import Manifest, ManifestSecret, SourceFormat
from secretsmith.operations.buildcheckhosts import CheckedHosts, check_hosts
from secretsmith.plugin.api import HostDeclaration, PluginContext
from secretsmith.plugin.discovery import Entry
from secretsmith.plugin.loader import Loader

ROOT = Path(__file__).resolve().parents[2]
DB = "secrets/web/db.age"
MAIL = "secrets/mail.age"


def declare(fleet: Fleet, host: str, *files: str) -> None:
    folder = fleet.root / "secretsmith.d"
    folder.mkdir(exist_ok=True)
    tables = [f'[secrets.s{number}]\nfile = "{file}"\n' for number, file in enumerate(files)]
    (folder / f"{host}.toml").write_text("\n".join(tables) or "[secrets]\n")


class Made:
    """A builder that gives each host of made.txt (HOST FILE…) a manifest, and counts how often it is asked."""

    api_version = 1
    asked = 0

    def detect(self, context: PluginContext) -> bool:
        return True

    def hosts(self, context: PluginContext) -> Sequence[HostDeclaration]:
        return [HostDeclaration(host, "here") for host in self._files(context)]

    def manifests(
        self, context: PluginContext, hosts: Sequence[str], source_root: str | None
    ) -> Mapping[str, Manifest]:
        type(self).asked += 1
        assert source_root is None, "with the files as they are here"
        given = self._files(context)
        return {host: _manifest(context.root, host, given[host]) for host in hosts}

    def _files(self, context: PluginContext) -> dict[str, list[str]]:
        lines = [line.split() for line in context.read_file("made.txt").decode().splitlines()]
        return {host: files for host, *files in lines}


class Slow(Made):
    def manifests(
        self, context: PluginContext, hosts: Sequence[str], source_root: str | None
    ) -> Mapping[str, Manifest]:
        type(self).asked += 1
        raise SecretsmithError(Code.PLUGIN_TIMEOUT, "two hours have passed")


def _manifest(root: Path, host: str, files: Sequence[str]) -> Manifest:
    secrets = tuple(
        ManifestSecret(name=f"m{number}", source=f"{root}/{file}", id=file, format=SourceFormat.AGE)
        for number, file in enumerate(files)
    )
    return Manifest(
        host=host, directory="/run/s", generations="/run/s.d", identities=("/k",), secrets=secrets
    )


def loader(*kinds: type[Made], systemd: bool = False) -> Loader:
    sys.modules.setdefault("buildcheckhosts_plugins", sys.modules[__name__])
    entries = [
        Entry("secretsmith.builders", k.__name__.lower(), f"buildcheckhosts_plugins:{k.__name__}", "t", "1")
        for k in kinds
    ]
    if systemd:
        entries.append(Entry("secretsmith.builders", "systemd", "secretsmith_systemd:builder", "s", "1"))
    return Loader(entries)


def codes(done: CheckedHosts) -> dict[tuple[str, str], list[tuple[str, str]]]:
    return {
        (each.report.host, each.builder): [(finding.code, finding.path) for finding in each.report.findings]
        for each in done.hosts
    }


@pytest.fixture
def filled(fleet: Fleet) -> Fleet:
    """web1 reads secrets/web by a rule of the fleet; web2 reads nothing."""
    fleet.set(DB, b"hunter2")
    fleet.set(MAIL, b"hunter2", "--to", "alice")
    return fleet


def test_every_host_is_checked_with_its_files_here(filled: Fleet) -> None:
    declare(filled, "web1", DB)
    declare(filled, "web2", MAIL)
    done = check_hosts(filled.project(), try_template=render)
    found = codes(done)
    assert found[("web1", "systemd")] == []
    assert found[("web2", "systemd")] == [(Code.NOT_GRANTED, MAIL)]
    assert done.hosts[0].report.proofs == {"file": 1} and not done.findings
    # Those that are named alone.
    assert codes(check_hosts(filled.project(), ["web1"])).keys() == {("web1", "systemd")}
    with pytest.raises(NotFound, match="no builder knows a host web7") as caught:
        check_hosts(filled.project(), ["web7"])
    assert caught.value.hints


def test_a_host_that_cannot_be_made_hides_no_other(filled: Fleet) -> None:
    declare(filled, "web1", DB)
    declare(filled, "web2", "secrets/none.age")
    declare(filled, "web9", DB)
    found = codes(check_hosts(filled.project()))
    assert found[("web1", "systemd")] == []
    assert found[("web2", "systemd")] == [(Code.NOT_FOUND, "secrets/none.age")]
    assert [code for code, _ in found[("web9", "systemd")]] == [Code.NOT_FOUND]


def test_two_builders_of_one_host(filled: Fleet) -> None:
    """What one of them declares is not called useless by the other."""
    filled.set("secrets/web/tls.age", b"x")
    declare(filled, "web1", DB)
    (filled.root / "made.txt").write_text("web1 secrets/web/tls.age\n")
    both = loader(Made, systemd=True)
    found = codes(check_hosts(filled.project(), loader=both))
    assert found == {("web1", "made"): [], ("web1", "systemd"): []}
    (filled.root / "made.txt").write_text("web1\n")
    found = codes(check_hosts(filled.project(), loader=both))
    assert found[("web1", "made")] == [(Code.UNDECLARED, "secrets/web/tls.age")]
    # Only that one asked: nothing is known of the other.
    assert len(codes(check_hosts(filled.project(), builder="made", loader=both))[("web1", "made")]) == 2
    # One that cannot be made may declare anything.
    declare(filled, "web1", "secrets/none.age")
    assert codes(check_hosts(filled.project(), loader=both))[("web1", "made")] == []


def test_one_evaluation_for_all(filled: Fleet) -> None:
    (filled.root / "made.txt").write_text(f"web1 {DB}\nweb2\n")
    Made.asked = 0
    check_hosts(filled.project(), loader=loader(Made))
    assert Made.asked == 1
    # What took too long is not begun again for every host.
    Slow.asked = 0
    with pytest.raises(SecretsmithError) as caught:
        check_hosts(filled.project(), loader=loader(Slow))
    assert caught.value.code is Code.PLUGIN_TIMEOUT and Slow.asked == 1


class TestCommand:
    def test_text(self, filled: Fleet) -> None:
        declare(filled, "web1", DB)
        said = filled.run("build", "check")
        assert (
            said.stdout == b""
            and "web1: 1 file; opens: 1 proven by the file; nothing found" in said.stderr.decode()
        )
        declare(filled, "web2", MAIL)
        said = filled.run("build", "check", code=3)
        assert f"error: {MAIL}: web2 declares {MAIL}, which no rule lets it read" in said.stdout.decode()
        assert f"  secretsmith grant {MAIL} --to web2" in said.stdout.decode()
        filled.run("build", "check", "web1")

    def test_a_manifest_that_cannot_be_made(self, filled: Fleet) -> None:
        declare(filled, "web1", DB)
        file = filled.root / "secretsmith.d/web1.toml"
        file.write_text(file.read_text() + "mode = '0777'\n")
        said = filled.run("build", "check", code=3)
        assert said.stdout.decode().startswith("error: secretsmith.d/web1.toml:3: 's0': mode: wants")
        assert "web1: no manifest; 1 error" in said.stderr.decode()

    def test_it_needs_no_key(self, filled: Fleet) -> None:
        declare(filled, "web1", DB)
        filled.run("build", "check", SECRETSMITH_IDENTITY="/nowhere")

    def test_a_reinstalled_host(self, filled: Fleet) -> None:
        declare(filled, "web1", DB)
        line = ed25519_key("web1, reinstalled").public
        filled.run("host", "reprovision", "web1", "--key", line, "--no-rekey", "--yes")
        said = filled.run("build", "check", "web1", code=3).stdout.decode()
        assert f"but {DB} is encrypted for SHA256:" in said and f"  secretsmith rekey {DB}" in said
        filled.run("rekey", "--accept", "all")
        filled.run("build", "check", "web1")

    def test_json(self, filled: Fleet) -> None:
        declare(filled, "web1", DB)
        declare(filled, "web2", "secrets/none.age")
        tree = json.loads(filled.run("build", "check", "--json", code=3).stdout)
        schema = json.loads((ROOT / "docs/reference/schemas/build-check-hosts.schema.json").read_text())
        jsonschema.validate(tree, schema)
        assert [(host["host"], host["builder"], host["sources"]) for host in tree["hosts"]] == [
            ("web1", "systemd", 1),
            ("web2", "systemd", 0),
        ]

    @pytest.mark.parametrize(
        "words",
        [
            ("--registry", "secretsmith.toml"),
            ("--lock", "x"),
            ("--manifest", "m"),
            ("web1", "--manifest", "m", "--registry", "r"),
        ],
    )
    def test_words_that_do_not_go_together(self, filled: Fleet, words: tuple[str, ...]) -> None:
        assert "--manifest" in filled.run("build", "check", *words, code=2).stderr.decode()
