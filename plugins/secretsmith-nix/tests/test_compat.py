"""age.secrets and sops.secrets through secretsmith's module, with the real library of nixpkgs (NIXPKGS_LIB)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from nixstores import PLUGIN, Nix

from secretsmith.manifest import parse_manifest

Evaluate = Callable[..., Any]

AGE = "{ age.secrets.db.file = ROOT/secrets/db.age; }"
SOPS = "{ sops.defaultSopsFile = ROOT/secrets/mail.yaml; sops.secrets.smtp = { }; }"
SSHD = "{ services.openssh.enable = true; }"
MANIFEST = "it.config.secretsmith.manifest"
SECRETS = f"{MANIFEST}.secrets"
DEPS = "builtins.mapAttrs (_: s: s.deps) it.config.system.activationScripts"
FAILED = "map (a: a.message) (builtins.filter (a: !a.assertion) it.config.assertions)"


@pytest.fixture
def evaluate(nix: Nix, nixpkgs_lib: Path, fleet: Path) -> Evaluate:
    """Evaluate an expression of ``it``, a NixOS configuration with both modules of the flake."""
    flake = f"(import {PLUGIN}/default.nix {{ }}).nixosModules"
    peers = f'(import {PLUGIN}/tests/stubs/peers.nix {{ nixpkgsLib = {nixpkgs_lib}; python = "{sys.executable}"; }})'

    def run(of_it: str, *modules: str) -> Any:
        each = " ".join(f"({module})" for module in (SSHD, *modules)).replace("ROOT", str(fleet))
        return nix.value(f"let it = {peers}.evaluate [ {flake}.default {flake}.compat {each} ]; in {of_it}")

    return run


def test_nothing_is_declared_by_the_module_itself(evaluate: Evaluate) -> None:
    assert evaluate(f"{{ s = it.config.secretsmith.secrets; a = {DEPS}; w = it.config.warnings; }}") == {
        "s": {},
        "a": {},
        "w": [],
    }


def test_paths_are_those_that_programs_know(evaluate: Evaluate) -> None:
    found = evaluate("[ it.config.age.secrets.db.path it.config.sops.secrets.smtp.path ]", AGE, SOPS)
    assert found == ["/run/agenix/db", "/run/secrets/smtp"]
    db, smtp = evaluate(SECRETS, AGE, SOPS)
    assert (db["name"], db["path"], db["format"]) == ("db", "/run/agenix/db", "age")
    # It is there anyway: no link.
    assert (smtp["name"], smtp.get("path"), smtp["key"]) == ("smtp", None, "smtp")


def test_both_are_beside_secretsmiths_own(evaluate: Evaluate) -> None:
    own = "{ secretsmith.secrets.own.file = ROOT/secrets/db.age; }"
    manifest = evaluate(MANIFEST, AGE, SOPS, own)
    assert {secret.name for secret in parse_manifest(json.dumps(manifest).encode()).secrets} == {
        "db",
        "own",
        "smtp",
    }


def test_an_option_that_they_have_not_is_added(evaluate: Evaluate) -> None:
    more = '{ secretsmith.secrets."age.db" = { restartUnits = [ "app.service" ]; mode = "0440"; }; }'
    (db,) = evaluate(SECRETS, AGE, more)
    assert (db["restart_units"], db["mode"]) == (["app.service"], "0440")


def test_what_a_password_is_read_from_comes_before_users(evaluate: Evaluate) -> None:
    password = "{ config, ... }: { users.users.alice.hashedPasswordFile = config.age.secrets.db.path; }"
    (db,) = evaluate(SECRETS, AGE, password)
    assert (db["phase"], db["path"]) == ("users", "/run/agenix/db")
    assert evaluate(DEPS, AGE, password)["users"] == ["secretsmithUsers"]
    assert "phase" not in evaluate(SECRETS, AGE)[0]


def test_groups_are_those_of_owners(evaluate: Evaluate) -> None:
    users = (
        '{ users.users.app.group = "www"; age.secrets.db.owner = "app"; sops.secrets.smtp.owner = "app"; }'
    )
    found = evaluate(SECRETS, AGE, SOPS, users)
    assert [(secret["owner"], secret["group"]) for secret in found] == [("app", "www")] * 2


@pytest.mark.parametrize(
    ("module", "said"),
    [
        ('{ age.secrets."a b".file = ROOT/secrets/db.age; }', 'age.secrets."a b".name'),
        ("{ age.secrets.new.file = ROOT/secrets/new.age; }", "`git add` it first"),
        (
            "{ sops.secrets.smtp.sopsFile = ROOT/secrets/new.yaml; }",
            "sops.secrets.smtp.sopsFile: there is no",
        ),
        ('{ sops.secrets.smtp.restartUnits = [ "postfix" ]; }', 'write "postfix.service"'),
        (
            '{ sops.secrets.smtp = { neededForUsers = true; owner = "app"; group = "app"; }; }',
            "sops.secrets.smtp.owner: app does not exist yet",
        ),
        ('{ sops.templates.t = { mode = "9"; }; }', "sops.templates.t.mode"),
        (
            "{ age.secrets.smtp.file = ROOT/secrets/db.age; }",
            "sops.secrets.smtp.name: age.secrets.smtp has the same name",
        ),
    ],
)
def test_messages_call_options_as_they_were_written(evaluate: Evaluate, module: str, said: str) -> None:
    assert any(said in message for message in evaluate(FAILED, SOPS, module))


def test_identities(evaluate: Evaluate) -> None:
    of_it = f"{MANIFEST}.identities"
    host = "/etc/ssh/ssh_host_ed25519_key"
    assert evaluate(of_it, AGE) == evaluate(of_it, SOPS) == evaluate(of_it, AGE, SOPS) == [host]
    assert evaluate("it.config.age.identityPaths", AGE) == ["/etc/ssh/ssh_host_rsa_key", host]
    assert evaluate(of_it, SOPS, '{ sops.age.keyFile = "/var/lib/key.txt"; }') == [host, "/var/lib/key.txt"]
    assert evaluate(of_it, AGE, '{ age.sshKeyPaths = [ "/persist/key" ]; }') == ["/persist/key"]
    assert evaluate(of_it, AGE, '{ secretsmith.identityPaths = [ "/own" ]; }') == ["/own"]
    (said,) = evaluate(FAILED, AGE, '{ age.identityPaths = [ "/etc/ssh/ssh_host_rsa_key" ]; }')
    assert "/etc/ssh/ssh_host_rsa_key is an RSA key" in said


def template(text: str) -> str:
    return f"{{ config, ... }}: {{ sops.templates.t = {{ {text} }}; }}"


def filled(manifest: Any) -> str:
    (made,) = manifest["templates"]
    text = made["content"]
    for token, stands_for in made["placeholders"].items():
        text = text.replace(token, f"({stands_for['secret']})")
    return str(text)


def test_templates(evaluate: Evaluate) -> None:
    written = template('content = "a ${config.sops.placeholder.smtp} b"; restartUnits = [ "a.service" ];')
    assert filled(evaluate(MANIFEST, SOPS, written)) == "a (smtp) b"
    digest = sha256(b"smtp").hexdigest()
    assert evaluate("it.config.sops.placeholder", SOPS, written) == {"smtp": f"<SOPS:{digest}:PLACEHOLDER>"}
    assert evaluate("it.config.sops.templates.t.path", SOPS, written) == "/run/secrets/rendered/t"
    (made,) = evaluate(f"{MANIFEST}.templates", SOPS, written)
    assert (made["name"], made.get("path"), made["restart_units"]) == ("rendered/t", None, ["a.service"])


def test_a_template_in_a_file_goes_before_its_content(evaluate: Evaluate, fleet: Path) -> None:
    digest = sha256(b"smtp").hexdigest()
    (fleet / "t.conf").write_text(f"x = <SOPS:{digest}:PLACEHOLDER>\n")
    manifest = evaluate(MANIFEST, SOPS, template('content = "other"; file = ROOT/t.conf;'))
    assert filled(manifest) == "x = (smtp)\n"


def test_a_secret_with_a_name_of_its_own_in_a_template(evaluate: Evaluate) -> None:
    named = '{ sops.secrets.smtp.name = "mail/password"; sops.placeholder.smtp = "@smtp@"; }'
    manifest = evaluate(MANIFEST, SOPS, named, template('content = "${config.sops.placeholder.smtp}!";'))
    assert filled(manifest) == "(mail/password)!"


def test_a_placeholder_that_stands_for_nothing_is_refused(evaluate: Evaluate) -> None:
    stray = f"<SOPS:{'0' * 64}:PLACEHOLDER>"
    (said,) = evaluate(FAILED, SOPS, template(f'content = "{stray}";'))
    assert said.startswith(f"sops.templates.t.content: {stray} stands for no secret")


@pytest.mark.parametrize(
    ("module", "option"),
    [
        ('{ age.ageBin = "/bin/rage"; }', "age.ageBin"),
        ('{ sops.gnupg.home = "/root/.gnupg"; }', "sops.gnupg.home"),
        ("{ sops.age.generateKey = true; }", "sops.age.generateKey"),
        ("{ sops.useTmpfs = true; }", "sops.useTmpfs"),
        ('{ sops.gnupgHome = "/root/.gnupg"; }', "sops.gnupg.home"),
    ],
)
def test_what_has_no_effect_is_a_warning(evaluate: Evaluate, module: str, option: str) -> None:
    said = evaluate("it.config.warnings", AGE, SOPS, module)
    assert any(line.startswith(f"{option} has no effect with secretsmith: ") for line in said)
    quiet = "{ sops.gnupg.sshKeyPaths = [ ]; sops.age.generateKey = false; }"
    assert evaluate("it.config.warnings", AGE, SOPS, quiet) == []


@pytest.mark.parametrize(("given", "keep"), [("0", 100), ("10", 10), ("1000", 100)])
def test_generations(evaluate: Evaluate, given: str, keep: int) -> None:
    assert evaluate(f"{MANIFEST}.keep", SOPS, f"{{ sops.keepGenerations = {given}; }}") == keep
    assert "keep" not in evaluate(MANIFEST, SOPS)


def test_files_that_are_on_the_host_alone(evaluate: Evaluate) -> None:
    away = '{ sops.secrets.smtp.sopsFile = "/root/secrets.yaml"; }'
    (said,) = evaluate(FAILED, SOPS, away)
    assert "is not in this repository" in said
    (smtp,) = evaluate(SECRETS, SOPS, away, "{ sops.validateSopsFiles = false; }")
    assert smtp["source"] == "/root/secrets.yaml"


def test_scripts_that_others_name(evaluate: Evaluate) -> None:
    others = '{ system.activationScripts.app = { text = "true"; deps = [ "agenix" "setupSecrets" ]; }; }'
    before = (
        '{ system.activationScripts = { agenixInstall.deps = [ "keys" ]; setupSecrets.deps = [ "more" ]; '
        'setupSecretsForUsers.deps = [ "most" ]; }; sops.secrets.smtp.neededForUsers = true; }'
    )
    deps = evaluate(DEPS, AGE, SOPS, others, before)
    assert all(name in deps for name in ("agenix", "agenixInstall", "agenixChown", "agenixNewGeneration"))
    assert "secretsmith" in deps["agenix"]
    assert "secretsmith" in deps["setupSecrets"]
    assert "secretsmithUsers" in deps["setupSecretsForUsers"]
    assert {"keys", "more"} <= set(deps["secretsmith"])
    assert {"keys", "most"} <= set(deps["secretsmithUsers"])
    assert set(evaluate(DEPS, SOPS)) == {"secretsmith", "setupSecrets"}


@pytest.mark.parametrize(
    ("link", "left"),
    [("mounted/7", False), ("elsewhere", True), (None, True)],
    ids=["agenix", "other", "folder"],
)
def test_the_folder_of_agenix_takes_the_place_of_its_link(
    evaluate: Evaluate, tmp_path: Path, link: str | None, left: bool
) -> None:
    place = tmp_path / "run it"
    if link is None:
        place.mkdir()
    else:
        place.symlink_to(tmp_path / link)
    moved = f'{{ age.secretsDir = "{place}"; age.secretsMountPoint = "{tmp_path}/mounted"; }}'
    scripts = evaluate("it.config.system.activationScripts", AGE, moved)
    assert "secretsmithAfterAgenix" in scripts["secretsmith"]["deps"]
    assert not scripts["secretsmithAfterAgenix"]["supportsDryActivation"]
    text = scripts["secretsmithAfterAgenix"]["text"]
    subprocess.run(["/bin/sh", "-eu", "-c", text], check=True)
    assert os.path.lexists(place) == left
    subprocess.run(["/bin/sh", "-eu", "-c", text], check=True)


def test_units_install_them_where_theirs_would(evaluate: Evaluate) -> None:
    services = "builtins.attrNames it.config.systemd.services"
    for module in ("{ systemd.sysusers.enable = true; }", "{ sops.useSystemdActivation = true; }"):
        assert evaluate(services, SOPS, module) == ["secretsmith-activate"]
        assert set(evaluate(DEPS, SOPS, module)) == {"secretsmith"}
    assert evaluate(services, SOPS) == []
