"""`build hosts` and `build manifest`: which builder is asked, and what it may answer."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import jsonschema
import pytest

from secretsmith.errors import Code, NotFound, RefusedInput, SecretsmithError
from secretsmith.findings import Finding
from secretsmith.interaction import NoInteraction
from secretsmith.manifest import Manifest, ManifestSecret, SourceFormat, parse_manifest
from secretsmith.operations.build import list_hosts, make_manifest, write_manifest
from secretsmith.plugin.api import HostDeclaration, PluginContext
from secretsmith.plugin.discovery import Entry
from secretsmith.plugin.loader import Loader
from secretsmith.project import Project, open_project
from secretsmith.record import replace
from secretsmith.testing import sample_context

ROOT = Path(__file__).resolve().parents[2]
GROUP = "secretsmith.builders"


class Fixed:
    """A builder that knows web1, and web9 which the registry does not know."""

    api_version = 1

    def detect(self, context: PluginContext) -> bool:
        return True

    def hosts(self, context: PluginContext) -> Sequence[HostDeclaration]:
        return [HostDeclaration("web9", "here"), HostDeclaration("web1", "here")]

    def manifests(
        self, context: PluginContext, hosts: Sequence[str], source_root: str | None
    ) -> Mapping[str, Manifest]:
        secret = ManifestSecret(name="db", source=f"{source_root}/db.age", format=SourceFormat.AGE)
        return {
            host: Manifest(
                host=host, directory="/run/s", generations="/run/s.d", identities=("/key",), secrets=(secret,)
            )
            for host in hosts
        }


class Shy(Fixed):
    def detect(self, context: PluginContext) -> bool:
        return False


class Breaking(Fixed):
    def detect(self, context: PluginContext) -> bool:
        raise KeyError("hunter2")


class Swapping(Fixed):
    def manifests(
        self, context: PluginContext, hosts: Sequence[str], source_root: str | None
    ) -> Mapping[str, Manifest]:
        return {
            host: next(iter(super(Swapping, self).manifests(context, ["web2"], "/x").values()))
            for host in hosts
        }


class Unsafe(Fixed):
    def manifests(
        self, context: PluginContext, hosts: Sequence[str], source_root: str | None
    ) -> Mapping[str, Manifest]:
        made = super().manifests(context, hosts, "/x")
        return {host: replace(manifest, directory="/proc/s") for host, manifest in made.items()}


class Forgetting(Fixed):
    def manifests(
        self, context: PluginContext, hosts: Sequence[str], source_root: str | None
    ) -> Mapping[str, Manifest]:
        return {}


class Worried(Fixed):
    def findings(self, context: PluginContext) -> Sequence[Finding]:
        return [Finding("E_X", "warning", "a:1", "something", "do that")]


def builders(**known: type[Fixed]) -> Loader:
    """A loader for builders of this module, through the same entry points as anybody's."""
    sys.modules.setdefault("build_test_plugins", sys.modules[__name__])
    return Loader(
        Entry(GROUP, name, f"build_test_plugins:{kind.__name__}", "test", "1") for name, kind in known.items()
    )


@pytest.fixture
def project(tmp_path: Path) -> Project:
    sample_context(tmp_path)
    return open_project(tmp_path, environ={}, interaction=NoInteraction())


def test_hosts_of_all_that_recognise_the_repository(project: Project) -> None:
    built = list_hosts(project, loader=builders(a=Fixed, b=Shy, c=Worried))
    assert [(host.declared.name, host.builder, host.registered) for host in built.hosts] == [
        ("web1", "a", True),
        ("web1", "c", True),
        ("web9", "a", False),
        ("web9", "c", False),
    ]
    assert [finding.message for finding in built.findings] == ["something"]


def test_a_named_builder_is_asked_even_if_it_would_not_detect(project: Project) -> None:
    assert {host.builder for host in list_hosts(project, "b", loader=builders(a=Fixed, b=Shy)).hosts} == {"b"}


def test_a_broken_builder_is_reported_and_does_not_stop_others(project: Project) -> None:
    built = list_hosts(project, loader=builders(a=Fixed, b=Breaking))
    assert len(built.hosts) == 2
    (finding,) = built.findings
    assert finding.severity == "warning"
    assert "builder b (test 1) failed with KeyError" in finding.message
    assert "hunter2" not in finding.message


def test_a_broken_builder_alone_is_the_error(project: Project) -> None:
    with pytest.raises(SecretsmithError) as caught:
        list_hosts(project, loader=builders(b=Breaking, c=Shy))
    assert caught.value.code is Code.PLUGIN_FAILED


def test_no_builder_at_all(project: Project) -> None:
    with pytest.raises(NotFound) as caught:
        list_hosts(project, loader=builders(b=Shy))
    assert caught.value.code is Code.PLUGIN_MISSING
    assert "installed builders: b" in caught.value.hints


def test_several_builders_want_a_choice(project: Project) -> None:
    with pytest.raises(RefusedInput) as caught:
        make_manifest(project, "web1", loader=builders(a=Fixed, c=Worried))
    assert caught.value.code is Code.AMBIGUOUS
    assert (
        make_manifest(project, "web1", "c", loader=builders(a=Fixed, c=Worried), source_root="/src").host
        == "web1"
    )


def test_a_relative_source_root_is_refused(project: Project) -> None:
    with pytest.raises(RefusedInput, match="absolute"):
        make_manifest(project, "web1", source_root="secrets", loader=builders(a=Fixed))


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        (Swapping, "made a manifest for web2, not for web1"),
        (Unsafe, "made a bad manifest: directory: '/proc/s' is below /proc"),
        (Forgetting, "failed with KeyError"),
    ],
)
def test_a_wrong_answer_is_the_builders_fault(project: Project, kind: type[Fixed], says: str) -> None:
    with pytest.raises(SecretsmithError) as caught:
        make_manifest(project, "web1", source_root="/x", loader=builders(a=kind))
    assert caught.value.code is Code.PLUGIN_FAILED
    assert "builder a (test 1) " in caught.value.message
    assert says in caught.value.message


def test_a_written_manifest_is_whole_and_readable(project: Project, tmp_path: Path) -> None:
    made = make_manifest(project, "web1", source_root="/x", loader=builders(a=Fixed))
    out = tmp_path / "web1.json"
    write_manifest(made, out)
    assert parse_manifest(out.read_bytes()) == made
    assert out.stat().st_mode & 0o777 == 0o644


def secretsmith(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "secretsmith", "-C", str(folder), *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def declared(project: Project) -> Path:
    folder = project.root / "secretsmith.d"
    folder.mkdir()
    (folder / "web1.toml").write_text('[secrets.db]\nfile = "secrets/web/db.age"\nowner = "postgres"\n')
    return project.root


def test_commands_with_the_real_systemd_plugin(declared: Path) -> None:
    listed = secretsmith(declared, "build", "hosts", "--json")
    assert (listed.returncode, listed.stderr) == (0, "")
    schema = json.loads((ROOT / "docs/reference/schemas/build-hosts.schema.json").read_text())
    jsonschema.validate(json.loads(listed.stdout), schema, jsonschema.Draft202012Validator)
    assert secretsmith(declared, "build", "hosts").stdout == "web1  systemd  1 secret\n"

    printed = secretsmith(declared, "build", "manifest", "web1", "--source-root", "/var/lib/secretsmith")
    assert printed.returncode == 0, printed.stderr
    made = parse_manifest(printed.stdout.encode())
    assert made.secrets[0].source == "/var/lib/secretsmith/secrets/web/db.age"

    written = secretsmith(
        declared, "build", "manifest", "web1", "--source-root", "/var/lib/secretsmith", "--out", "m.json"
    )
    assert (written.returncode, written.stdout) == (0, "")
    assert (declared / "m.json").read_text() == printed.stdout


def test_commands_report_what_is_wrong(declared: Path) -> None:
    (declared / "secretsmith.d/web9.toml").write_text('[secrets.db]\nfile = "secrets/web/db.age"\n')
    listed = secretsmith(declared, "build", "hosts")
    assert listed.returncode == 3
    assert "the registry has no host web9" in listed.stderr
    assert "secretsmith host add web9" in listed.stderr
    missing = secretsmith(declared, "build", "manifest", "web7")
    assert missing.returncode == 4
    assert "host web7 declares nothing: there is no secretsmith.d/web7.toml" in missing.stderr
    (declared / "secretsmith.d/web1.toml").write_text("[secrets.db]\nfil = 1\n")
    broken = secretsmith(declared, "build", "manifest", "web1")
    assert broken.returncode == 2
    assert broken.stderr.startswith("secretsmith: error: secretsmith.d/web1.toml:2: unknown field 'fil'")
