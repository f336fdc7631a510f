"""The example flake, with the real nix and without a network: shown, checked, built; and nothing secret in the store."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from nixstores import CHECKOUT, PLUGIN, Nix

from secretsmith.manifest import parse_manifest
from secretsmith.operations.buildcompletion import completed_principals
from secretsmith.policy.registry import parse_registry

CANARY = "CANARY-7f3a91c2-plain-text-of-a-secret"
KEYS = CHECKOUT / "testkeys"


def git(folder: Path, *arguments: str) -> None:
    who = ("-c", "user.name=test", "-c", "user.email=test@example.org")
    subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True)


def commit(folder: Path) -> None:
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "all")


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A git repository with what the flake of the plugin needs: the plugin and the package."""
    folder = tmp_path_factory.mktemp("upstream")
    ignored = shutil.ignore_patterns("__pycache__", "tests", "examples")
    shutil.copytree(CHECKOUT / "secretsmith", folder / "secretsmith", ignore=ignored)
    shutil.copytree(PLUGIN, folder / "plugins" / "secretsmith-nix", ignore=ignored)
    git(folder, "init", "-q")
    commit(folder)
    return folder


@pytest.fixture
def flake(fleet: Path, upstream: Path, nix: Nix) -> Path:
    """The example as somebody's own repository."""
    file = fleet / "flake.nix"
    given = file.read_text()
    assert "/srv/secretsmith" in given
    file.write_text(
        given.replace("/srv/secretsmith", str(upstream)).replace("/usr/bin/python3", sys.executable)
    )
    git(fleet, "init", "-q")
    commit(fleet)
    nix.done("nix", "flake", "lock", folder=fleet)
    commit(fleet)
    return fleet


def secretsmith(folder: Path, *arguments: str, stdin: str = "") -> str:
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder.parent),
        "SECRETSMITH_IDENTITY": str(KEYS / "user_ed25519"),
    }
    ran = subprocess.run(
        [sys.executable, "-m", "secretsmith", *arguments],
        cwd=folder,
        env=environ | {"PYTHONPATH": str(CHECKOUT)},
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_show_names_hosts_and_checks(nix: Nix, flake: Path) -> None:
    shown = nix.done("nix", "flake", "show", "--json", folder=flake)
    tree = json.loads(shown[shown.index("{") :])
    assert set(tree["nixosConfigurations"]) == {"web1", "web2", "db1"}
    assert set(tree["checks"]["x86_64-linux"]) == {"secretsmith-web1", "secretsmith-web2", "secretsmith-db1"}


def test_the_plugin_s_own_flake_has_its_outputs(nix: Nix, upstream: Path) -> None:
    shown = nix.done("nix", "flake", "show", "--json", f"git+file://{upstream}?dir=plugins/secretsmith-nix")
    tree = json.loads(shown[shown.index("{") :])
    assert set(tree) == {"nixosModules", "homeManagerModules", "overlays", "lib"}
    assert set(tree["nixosModules"]) == {"compat", "default"}
    nix.done("nix", "flake", "check", f"git+file://{upstream}?dir=plugins/secretsmith-nix")


def test_default_nix_has_the_same_without_flakes(nix: Nix) -> None:
    names = nix.value(f"builtins.attrNames (import {PLUGIN}/default.nix {{ }})")
    assert set(names) == {"nixosModules", "homeManagerModules", "overlays", "lib"}


def test_a_reinstalled_host_fails_until_the_rekey(nix: Nix, flake: Path, tmp_path: Path) -> None:
    nix.done("nix", "flake", "check", folder=flake)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "new")], check=True)
    line = (tmp_path / "new.pub").read_text().strip()
    secretsmith(flake, "host", "reprovision", "web1", "--key", line, "--no-rekey", "--yes", "--accept", "all")
    said = nix.failed(
        "nix", "build", "--no-link", "-L", ".#checks.x86_64-linux.secretsmith-web1", folder=flake
    )
    assert "web1 is registered as SHA256:" in said
    assert "is encrypted for SHA256:" in said
    assert "run secretsmith rekey" in said
    # The others are not concerned.
    nix.done("nix", "build", "--no-link", ".#checks.x86_64-linux.secretsmith-db1", folder=flake)
    secretsmith(flake, "rekey", "--accept", "all")
    nix.done("nix", "flake", "check", folder=flake)


def test_undeclared_and_ungranted_are_reported(nix: Nix, flake: Path) -> None:
    web2 = flake / "hosts" / "web2.nix"
    web2.write_text(web2.read_text().replace("../secrets/web/tls.age", "../secrets/mail.yaml"))
    said = nix.failed(
        "nix", "build", "--no-link", "-L", ".#checks.x86_64-linux.secretsmith-web2", folder=flake
    )
    assert "web2 declares secrets/mail.yaml, which no rule lets it read" in said
    assert "secrets/web/tls.age: web2 may read it and does not declare it" in said


def test_a_file_that_git_does_not_know_is_explained(nix: Nix, flake: Path) -> None:
    shutil.copy(flake / "secrets/db.age", flake / "secrets/new.age")
    web2 = flake / "hosts" / "web2.nix"
    web2.write_text(web2.read_text().replace("../secrets/db.age", "../secrets/new.age"))
    said = nix.failed("nix", "build", "--no-link", ".#checks.x86_64-linux.secretsmith-web2", folder=flake)
    assert "hosts/web2.nix:4: secretsmith.secrets.db-password.file: there is no secrets/new.age" in said
    git(flake, "add", "--intent-to-add", "secrets/new.age")
    assert "there is no" not in nix.failed(
        "nix", "build", "--no-link", ".#checks.x86_64-linux.secretsmith-web2", folder=flake
    )


def test_what_is_built_is_the_checked_manifest(nix: Nix, flake: Path) -> None:
    nix.done("nix", "build", "-o", "result", ".#checks.x86_64-linux.secretsmith-web1", folder=flake)
    manifest = parse_manifest((flake / "result" / "manifest.json").read_bytes())
    value = nix.done(
        "nix", "eval", "--json", ".#nixosConfigurations.web1.config.secretsmith.manifest", folder=flake
    )
    evaluated = parse_manifest(value.encode())
    assert (
        completed_principals(evaluated, parse_registry((flake / "secretsmith.toml").read_text())) == manifest
    )
    # What Nix leaves out: the form in which the stanzas of sops documents name a host.
    assert not [who for who in evaluated.principals.values() if who.ssh_tag and who.recipient]
    assert all((who.recipient or "").startswith("age1") for who in manifest.principals.values())
    assert {secret.name for secret in manifest.secrets} == {"db-password", "tls-key", "smtp", "root-password"}
    # What the host keeps: the manifest and its files. No package, no registry, no repository.
    closure = nix.done("nix-store", "-qR", str(flake / "result")).split()
    assert sorted(path.rpartition("/")[2][33:] for path in closure) == [
        "db.age",
        "mail.yaml",
        "root-password.age",
        "secretsmith-web1",
        "tls.age",
    ]


def test_texts_with_the_flake_s_own_path_are_files_of_it(nix: Nix, flake: Path) -> None:
    file = flake / "flake.nix"
    text = file.read_text().replace("root = ./.;", "root = self;")
    more = '{ secretsmith.secrets.a.file = "${self}/secrets/db.age"; secretsmith.secrets.b.file = self + "/secrets/db.age"; }'
    file.write_text(
        text.replace('[ (./hosts + "/${name}.nix") ]', f'[ (./hosts + "/${{name}}.nix") {more} ]')
    )
    asked = ".#nixosConfigurations.db1.config.secretsmith.manifest.secrets"
    found = {
        secret["name"]: secret
        for secret in json.loads(nix.done("nix", "eval", "--json", asked, folder=flake))
    }
    for name in ("a", "b"):
        assert {field: found[name][field] for field in ("id", "source", "readers")} == {
            field: found["db-password"][field] for field in ("id", "source", "readers")
        }
    # Not a path in the copy of the whole repository, which a host would then have to get.
    assert "-source/" not in found["a"]["source"]


def spellings(value: bytes) -> Iterator[bytes]:
    """All that a search has to look for: raw, hex, and base64 at each of three places in a longer text."""
    yield value
    yield value.hex().encode()
    yield value.hex().upper().encode()
    for offset in range(3):
        text = base64.b64encode(bytes(offset) + value)
        # The characters at both ends depend on what is around.
        yield text[(offset * 8 + 5) // 6 : len(text) - 4]


def holding(folder: Path, values: list[bytes]) -> list[str]:
    """Files below ``folder`` that hold any of the values, or whose names do."""
    wanted = [spelling for value in values for spelling in spellings(value)]
    found = []
    for path in sorted(folder.rglob("*")):
        data = os.fsencode(path.name) + (
            path.read_bytes() if path.is_file() and not path.is_symlink() else b""
        )
        if any(spelling in data for spelling in wanted):
            found.append(path.name)
    return found


def secret_values() -> list[bytes]:
    private = [
        (KEYS / name).read_text().splitlines()[2].encode() for name in ("host_ed25519", "user_ed25519")
    ]
    return [CANARY.encode(), *private]


@pytest.mark.parametrize("offset", range(3))
def test_the_search_finds_what_is_there(tmp_path: Path, offset: int) -> None:
    text = b"x" * offset + CANARY.encode() + b"tail"
    (tmp_path / "base64").write_bytes(base64.b64encode(text))
    (tmp_path / "hex").write_bytes(text.hex().encode())
    (tmp_path / "raw").write_bytes(text)
    (tmp_path / "other").write_bytes(base64.b64encode(text[: 15 + offset]))
    assert holding(tmp_path, [CANARY.encode()]) == ["base64", "hex", "raw"]


def test_no_value_and_no_key_reaches_the_store(nix: Nix, flake: Path) -> None:
    """Everything is built and one check fails, in a fresh store, beside plaintext and keys that are not in git."""
    assert secretsmith(flake, "show", "secrets/db.age") == CANARY
    (flake / "notes.txt").write_text(CANARY)
    shutil.copy(KEYS / "host_ed25519", flake / "key")
    nix.done("nix", "flake", "check", folder=flake)
    nix.done(
        "nix", "build", "--no-link", ".#nixosConfigurations.web1.config.system.build.toplevel", folder=flake
    )
    # Without flakes too, where a path that is taken whole would bring all of the folder.
    host = f'(secretsmith.host {{ host = "web1"; root = {flake}; modules = [ {flake}/hosts/web1.nix ]; }})'
    expression = f"let secretsmith = import {PLUGIN}/nix/lib.nix; in {host}.config.system.build.toplevel"
    nix.done("nix-build", "--no-out-link", "-E", expression)
    registry = flake / "secretsmith.toml"
    registry.write_text(registry.read_text().replace('readers = ["web1"]', 'readers = ["web2"]'))
    nix.failed("nix", "build", "--no-link", ".#checks.x86_64-linux.secretsmith-web1", folder=flake)

    names = [path.name for path in (nix.root / "store").iterdir()]
    assert any(name.endswith("-db.age") for name in names)
    assert any(name.endswith("-secretsmith-web1.drv") for name in names)
    assert list((nix.root / "log").rglob("*.drv*"))
    assert holding(nix.root, secret_values()) == []
    # The search would see it: public keys are there, and a file that is added is found.
    assert holding(nix.root, [(KEYS / "host_ed25519.pub").read_bytes().split()[1]])
    nix.done("nix-store", "--add", str(flake / "notes.txt"))
    assert len(holding(nix.root, secret_values())) >= 1
