"""The modules as a whole, with the real library of nixpkgs (NIXPKGS_LIB) and stubs of the NixOS options that they touch."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from nixstores import CHECKOUT, PLUGIN, Nix

import secretsmith
from secretsmith.manifest import parse_manifest

Evaluate = Callable[..., Any]


@pytest.fixture
def stubs(nixpkgs_lib: Path, tmp_path: Path) -> str:
    """An expression: tests/stubs/nixpkgs.nix, with a program that writes down how it is called."""
    program = tmp_path / "package" / "bin" / "secretsmith-activate"
    program.parent.mkdir(parents=True)
    program.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/called\n')
    program.chmod(0o755)
    return (
        f"(import {PLUGIN}/tests/stubs/nixpkgs.nix {{ nixpkgsLib = {nixpkgs_lib};"
        f' python = "{sys.executable}"; program = "{tmp_path}/package"; }})'
    )


@pytest.fixture
def evaluate(nix: Nix, stubs: str, fleet: Path) -> Evaluate:
    """Evaluate an expression of ``it``, a NixOS (or home-manager's) configuration with these modules."""

    def run(of_it: str, *modules: str, kind: str = "nixos", ssh: bool = True) -> Any:
        base = f"{{ secretsmith.root = {fleet}; }}"
        daemon = "{ services.openssh.enable = true; }" if ssh and kind == "nixos" else "{ }"
        each = " ".join(f"({module})" for module in (base, daemon, *modules)).replace("ROOT", str(fleet))
        return nix.value(f"let it = {stubs}.{kind} [ {each} ]; in {of_it}")

    return run


DB = '{ secretsmith.secrets.db = { file = ROOT/secrets/db.age; owner = "app"; }; }'
EARLY = (
    "{ secretsmith.secrets.password = { file = ROOT/secrets/root-password.age; neededForUsers = true; }; }"
)


def test_the_example_is_the_same_on_nixos(evaluate: Evaluate, nix: Nix, fleet: Path) -> None:
    for name in ("web1", "web2", "db1"):
        module = f'{{ imports = [ ROOT/hosts/{name}.nix ]; networking.hostName = "{name}"; }}'
        found = evaluate("it.config.secretsmith.manifest", module)
        plain = nix.value(
            f'(secretsmith.host {{ host = "{name}"; root = {fleet}; modules = [ {fleet}/hosts/{name}.nix ]; }}).config.secretsmith.manifest'
        )
        assert found == plain
        assert parse_manifest(json.dumps(found).encode()).host == name


def test_a_host_with_live_values_can_be_deployed_to(evaluate: Evaluate) -> None:
    module = '{ secretsmith.secrets.api = { source = "pass:api"; live = true; }; }'
    found = evaluate("it.config.secretsmith.manifest", module)
    assert [secret.live for secret in parse_manifest(json.dumps(found).encode()).secrets] == ["pass:api"]
    assert len(evaluate("it.config.environment.systemPackages", module)) == 2
    assert len(evaluate("it.config.environment.systemPackages", DB)) == 1


def test_paths_and_placeholders_are_usable_elsewhere(evaluate: Evaluate) -> None:
    own = '{ secretsmith.secrets.own = { file = ROOT/secrets/db.age; path = "/etc/own"; }; }'
    paths = evaluate("builtins.mapAttrs (_: s: s.path) it.config.secretsmith.secrets", DB, EARLY, own)
    assert paths == {
        "db": "/run/secrets/db",
        "password": "/run/secrets-for-users/password",
        "own": "/etc/own",
    }
    template = "{ config, ... }: { secretsmith.templates.t.content = config.secretsmith.placeholder.url.db; }"
    (made,) = evaluate("it.config.secretsmith.manifest.templates", DB, template)
    assert made["placeholders"] == {made["content"].strip(): {"secret": "db", "filter": "url"}}
    assert evaluate("it.config.secretsmith.templates.t.path", DB, template) == "/run/secrets/t"


def test_problems_are_assertions_with_their_place(evaluate: Evaluate, fleet: Path) -> None:
    (fleet / "bad.nix").write_text("{\n  secretsmith.secrets.db.file = ./secrets/none.age;\n}\n")
    failed = evaluate(
        "map (a: a.message) (builtins.filter (a: !a.assertion) it.config.assertions)", "ROOT/bad.nix"
    )
    assert len(failed) == 1
    assert failed[0].startswith("bad.nix:2: secretsmith.secrets.db.file: there is no secrets/none.age")
    assert evaluate("builtins.filter (a: !a.assertion) it.config.assertions", DB) == []


def test_identities_are_the_ed25519_host_keys(evaluate: Evaluate) -> None:
    messages = "map (a: a.message) (builtins.filter (a: !a.assertion) it.config.assertions)"
    assert evaluate("it.config.secretsmith.manifest.identities", DB) == ["/etc/ssh/ssh_host_ed25519_key"]
    (none,) = evaluate(messages, DB, ssh=False)
    assert none.startswith("secretsmith.identityPaths is empty")
    rsa = '{ services.openssh.hostKeys = [ { type = "rsa"; path = "/etc/ssh/ssh_host_rsa_key"; } ]; }'
    assert any(
        "services.openssh.hostKeys has no ed25519 key, only rsa: add" in said
        for said in evaluate(messages, DB, rsa)
    )


def test_an_identity_that_is_mounted_late_is_a_warning(evaluate: Evaluate) -> None:
    moved = '{ secretsmith.identityPaths = [ "/persist/key" ]; fileSystems."/persist" = { }; fileSystems."/" = { }; }'
    (said,) = evaluate("it.config.warnings", DB, moved)
    assert 'fileSystems."/persist".neededForBoot = true' in said
    assert evaluate("it.config.warnings", DB, moved, '{ fileSystems."/persist".neededForBoot = true; }') == []
    assert evaluate("it.config.warnings", DB, moved, "{ secretsmith.useSystemd = true; }") == []


def test_activation_scripts_and_their_order(evaluate: Evaluate) -> None:
    scripts = evaluate("it.config.system.activationScripts", DB, EARLY)
    assert scripts["secretsmith"]["deps"] == ["specialfs", "users", "groups"]
    assert scripts["secretsmithUsers"]["deps"] == ["specialfs"]
    assert scripts["users"]["deps"] == ["secretsmithUsers"]
    assert all(scripts[name]["supportsDryActivation"] for name in ("secretsmith", "secretsmithUsers"))
    assert set(evaluate("it.config.system.activationScripts", DB)) == {"secretsmith"}
    assert evaluate("it.config.system.activationScripts") == {}


@pytest.mark.parametrize(
    ("action", "options"),
    [
        ("switch", "--units nixos"),
        ("test", "--units nixos"),
        ("dry-activate", "--dry-run --units nixos"),
    ],
)
def test_what_the_scripts_run(evaluate: Evaluate, tmp_path: Path, action: str, options: str) -> None:
    scripts = evaluate("it.config.system.activationScripts", DB, EARLY)
    for name, phase in (("secretsmithUsers", " --phase users"), ("secretsmith", "")):
        called = tmp_path / "called"
        called.unlink(missing_ok=True)
        subprocess.run(
            ["/bin/sh", "-eu", "-c", scripts[name]["text"]], env={"NIXOS_ACTION": action}, check=True
        )
        (line,) = called.read_text().splitlines()
        assert line.startswith(f"{options}{phase} /")
        assert line.endswith("-secretsmith-web1/manifest.json")


def test_where_systemd_makes_the_users_units_install_secrets(
    evaluate: Evaluate, nix: Nix, stubs: str, fleet: Path
) -> None:
    for option in ("systemd.sysusers.enable", "services.userborn.enable"):
        config = evaluate("it.config.systemd", DB, EARLY, f"{{ {option} = true; }}")
        activate, users = config["services"]["secretsmith-activate"], config["services"]["secretsmith-users"]
        assert activate["wantedBy"] == ["sysinit.target", "sysinit-reactivation.target"]
        assert "requiredBy" not in activate
        assert activate["overrideStrategy"] == users["overrideStrategy"] == "asDropin"
        assert activate["after"] == ["userborn.service"]
        assert "userborn.service" in users["before"]
        scripts = evaluate("it.config.system.activationScripts", DB, EARLY, f"{{ {option} = true; }}")
        assert set(scripts) == {"secretsmith"}
        assert "dry-activate" in scripts["secretsmith"]["text"]
    each = (
        f"{{ secretsmith.root = {fleet}; services.openssh.enable = true; systemd.sysusers.enable = true; }}"
    )
    modules = " ".join(f"({module})" for module in (each, DB, EARLY)).replace("ROOT", str(fleet))
    built = nix.done(
        "nix-build",
        "--no-out-link",
        "-E",
        f"builtins.head ({stubs}.nixos [ {modules} ]).config.systemd.packages",
    )
    units = Path(built.strip()) / "lib/systemd/system"
    assert "secretsmith-users.service" in {path.name for path in units.iterdir()}
    text = (units / "secretsmith-activate.service").read_text()
    assert "-secretsmith-web1/manifest.json\n" in text
    assert "/package/bin/secretsmith-activate --no-mount /" in text


CREDENTIAL = (
    '{ secretsmith.secrets.db = { file = ROOT/secrets/db.age; credentials = [ "web.service:db" ]; }; }'
)


@pytest.mark.parametrize("key", ["", "host", "tpm2"])
def test_credentials_are_handed_to_units(
    nix: Nix, stubs: str, fleet: Path, evaluate: Evaluate, key: str
) -> None:
    asked = f'{{ secretsmith.credentialKey = "{key}"; }}' if key else "{ }"
    manifest = parse_manifest(
        json.dumps(evaluate("it.config.secretsmith.manifest", CREDENTIAL, asked)).encode()
    )
    assert manifest.secrets[0].credentials == ("web.service:db",)
    assert (manifest.credential_key or "") == key
    base = f"{{ secretsmith.root = {fleet}; services.openssh.enable = true; }}"
    modules = " ".join(f"({module})" for module in (base, CREDENTIAL, asked)).replace("ROOT", str(fleet))
    built = nix.done(
        "nix-build",
        "--no-out-link",
        "-E",
        f"builtins.head ({stubs}.nixos [ {modules} ]).config.systemd.packages",
    )
    units = Path(built.strip()) / "lib/systemd/system"
    text = (units / "web.service.d/50-secretsmith.conf").read_text()
    assert ("LoadCredentialEncrypted=db:/var/lib/" if key else "LoadCredential=db:/run/secrets/db\n") in text
    # What makes them at boot is a unit too, where activation scripts could not.
    assert evaluate("it.config.secretsmith.useSystemd", CREDENTIAL, asked) is bool(key)
    assert (units / "secretsmith-activate.service").exists() is bool(key)
    assert ("secretsmith-activate" in evaluate("it.config.systemd.services", CREDENTIAL, asked)) is bool(key)


def test_without_credentials_there_are_no_units(evaluate: Evaluate) -> None:
    assert evaluate("builtins.length it.config.systemd.packages", DB) == 0


def test_a_credential_key_with_users_is_a_warning(evaluate: Evaluate) -> None:
    key = '{ secretsmith.credentialKey = "host"; }'
    assert evaluate("it.config.warnings", CREDENTIAL, key) == []
    (said,) = evaluate("it.config.warnings", CREDENTIAL, EARLY, key)
    assert said.startswith("secretsmith.credentialKey: ")
    assert "systemd.sysusers.enable = true" in said
    assert evaluate("it.config.warnings", CREDENTIAL, EARLY, key, "{ systemd.sysusers.enable = true; }") == []


def test_the_check_is_part_of_the_build_where_there_is_a_registry(evaluate: Evaluate, fleet: Path) -> None:
    text = "it.config.system.activationScripts.secretsmith.text"
    assert "-secretsmith-web1/manifest.json" in evaluate(text, DB)
    off = evaluate(text, DB, "{ secretsmith.check.enable = false; }")
    assert "-secretsmith-web1.json" in off
    assert "manifest.json" not in off
    (fleet / "secretsmith.toml").unlink()
    assert "-secretsmith-web1.json" in evaluate(text, DB)


def test_the_manifest_as_a_file(nix: Nix, stubs: str, fleet: Path) -> None:
    modules = f"({{ secretsmith.root = {fleet}; services.openssh.enable = true; }}) ({DB.replace('ROOT', str(fleet))})"
    for name, inside in (("secretsmithManifest", ""), ("secretsmithCheck", "/manifest.json")):
        built = nix.done(
            "nix-build", "--no-out-link", "-E", f"({stubs}.nixos [ {modules} ]).config.system.build.{name}"
        )
        manifest = parse_manifest(Path(built.strip() + inside).read_bytes())
        assert [secret.owner for secret in manifest.secrets] == ["app"]


def test_what_nobody_uses_changes_nothing(evaluate: Evaluate) -> None:
    found = evaluate(
        "{ inherit (it.config) assertions warnings; inherit (it.config.environment) systemPackages; }",
        ssh=False,
    )
    assert found == {"assertions": [], "warnings": [], "systemPackages": []}


@pytest.mark.parametrize(
    "wrong", ['format = "toml"', 'phase = "later"', 'method = "move"', "mode = 400", "unknown = 1"]
)
def test_types_are_those_of_options(nix: Nix, stubs: str, fleet: Path, wrong: str) -> None:
    secret = f"secretsmith.secrets.db = {{ file = {fleet}/secrets/db.age; {wrong}; }};"
    module = f"{{ services.openssh.enable = true; secretsmith.root = {fleet}; {secret} }}"
    said = nix.error(f"({stubs}.nixos [ ({module}) ]).config.secretsmith.manifest")
    assert f"secretsmith.secrets.db.{wrong.split()[0]}" in said


def test_a_thousand_secrets_cost_no_more_than_their_share(nix: Nix, stubs: str, fleet: Path) -> None:
    def cost(count: int) -> int:
        each = f'builtins.listToAttrs (builtins.genList (i: {{ name = "s${{toString i}}"; value.file = {fleet}/secrets/db.age; }}) {count})'
        modules = (
            f"({{ secretsmith = {{ root = {fleet}; secrets = {each}; }}; services.openssh.enable = true; }})"
        )
        return nix.calls(f"({stubs}.nixos [ {modules} ]).config.secretsmith.manifest")

    few, some, many = cost(2), cost(100), cost(1000)
    assert many - few < 11 * (some - few)


def test_home_manager(evaluate: Evaluate, nix: Nix, stubs: str, fleet: Path) -> None:
    token = '{ secretsmith.identityPaths = [ "$HOME/.ssh/id_ed25519" ]; secretsmith.secrets.token.file = ROOT/secrets/db.age; }'
    manifest = evaluate("it.config.secretsmith.manifest", token, kind="home")
    parsed = parse_manifest(json.dumps(manifest).encode())
    assert (parsed.host, parsed.scope.value, parsed.directory) == (
        "alice",
        "user",
        "$XDG_RUNTIME_DIR/secrets",
    )
    path = evaluate("it.config.secretsmith.secrets.token.path", token, kind="home")
    assert path == parsed.secrets[0].path == "/home/alice/.config/secretsmith/token"
    files = evaluate("it.config.xdg.configFile", token, kind="home")
    assert "systemd/user/default.target.wants/secretsmith-activate.service" in files
    keyless = "{ secretsmith.secrets.token.file = ROOT/secrets/db.age; }"
    (none,) = evaluate("map (a: a.message) it.config.assertions", keyless, kind="home")
    assert "$HOME/.ssh/id_ed25519" in none
    modules = f"({{ secretsmith.root = {fleet}; }}) ({token.replace('ROOT', str(fleet))})"
    handed = token.replace(" }", ' secretsmith.secrets.token.credentials = [ "mail.service:token" ]; }')
    files = evaluate("builtins.attrNames it.config.xdg.configFile", handed, kind="home")
    assert "systemd/user/mail.service.d/50-secretsmith.conf" in files
    name = '"systemd/user/secretsmith-activate.service"'
    expression = f"({stubs}.home [ {modules} ]).config.xdg.configFile.{name}.source"
    place = Path(nix.value(expression))
    drv = f"builtins.head (builtins.attrNames (builtins.getContext {expression}))"
    nix.done("nix-store", "-r", nix.value(drv))
    text = place.read_text()
    assert "WantedBy=default.target" in text
    assert "/package/bin/secretsmith-activate" in text


def test_the_package_has_what_the_project_needs(nix: Nix, nixpkgs_lib: Path, stubs: str) -> None:
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    wanted = {re.split(r"[\[<>=]", line)[0].replace(".", "-") for line in project["dependencies"]}
    packages = " ".join(f'{name} = "{name}";' for name in (*wanted, "hatchling", "bcrypt"))
    made = nix.value(
        f"let lib = {stubs}.lib; made = import {PLUGIN}/package.nix {{ inherit lib; src = null;"
        f" python3Packages = {{ buildPythonApplication = given: given; {packages} }}; }};"
        " in { inherit (made) version dependencies; program = made.meta.mainProgram; }"
    )
    assert made == {
        "version": secretsmith.__version__,
        "dependencies": sorted({*wanted, "bcrypt"}),
        "program": "secretsmith",
    }
