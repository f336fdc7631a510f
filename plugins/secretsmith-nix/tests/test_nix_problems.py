"""Every error of an evaluation names the option and what to do."""

from __future__ import annotations

from pathlib import Path

import pytest
from nixstores import Nix

DB = "file = ROOT/secrets/db.age;"
MAIL = "file = ROOT/secrets/mail.yaml;"

# declarations (ROOT is the repository) → the option, and words of what to do
CASES = {
    "no file": ("secrets.db = { };", "secretsmith.secrets.db.file", "./secrets/db.age"),
    "missing": (
        "secrets.db.file = ROOT/secrets/new.age;",
        "secretsmith.secrets.db.file",
        "`git add` it first",
    ),
    "missing, with a source": (
        'secrets.db = { file = ROOT/secrets/new.age; source = "pass:db"; };',
        "secretsmith.secrets.db.file",
        "`secretsmith sync --build`, and if it is there, `git add` it first",
    ),
    "a source alone": (
        'secrets."tls/db".source = "pass:db";',
        'secretsmith.secrets."tls/db".file',
        "there is no secrets/web1/tls/db.age: make it with `secretsmith sync --build`",
    ),
    "not here": ('secrets.db.file = "/etc/db.age";', "secretsmith.secrets.db.file", "without quotes"),
    "plaintext": (
        "secrets.db.file = ROOT/secrets/plain.yaml;",
        "secretsmith.secrets.db.file",
        "`secretsmith encrypt` it",
    ),
    "no suffix": (
        "secrets.db.file = ROOT/secrets/blob;",
        "secretsmith.secrets.db.format",
        "set one of age, yaml",
    ),
    "key of age": (f'secrets.db = {{ {DB} key = "a"; }};', "secretsmith.secrets.db.key", "leave it out"),
    "output of age": (
        f'secrets.db = {{ {DB} output = "json"; }};',
        "secretsmith.secrets.db.output",
        "leave it out",
    ),
    "bad key": (f'secrets.db = {{ {MAIL} key = "a//b"; }};', "secretsmith.secrets.db.key", "mail/smtp"),
    "bad age": (f'secrets.db = {{ {DB} maxStale = "30"; }};', "secretsmith.secrets.db.maxStale", '"30d"'),
    "bad source": (
        f'secrets.db = {{ {DB} source = "web/db"; }};',
        "secretsmith.secrets.db.source",
        "pass:web/db",
    ),
    "live without a source": ("secrets.db.live = true;", "secretsmith.secrets.db.live", "pass:web/db"),
    "live with a file": (
        f'secrets.db = {{ {DB} source = "pass:db"; live = true; }};',
        "secretsmith.secrets.db.file",
        "leave it out",
    ),
    "live with a format": (
        'secrets.db = { source = "pass:db"; live = true; format = "yaml"; };',
        "secretsmith.secrets.db.format",
        "leave it out",
    ),
    "live for a user": (
        'secrets.db = { source = "pass:db"; live = true; }; scope = "user"; identityPaths = [ "/k" ];',
        "secretsmith.secrets.db.live",
        "whole machines",
    ),
    "bad credential": (
        f'secrets.db = {{ {DB} credentials = [ "web:db" ]; }};',
        "secretsmith.secrets.db.credentials",
        'such as "web.service:db"',
    ),
    "own credential": (
        f'secrets.db = {{ {DB} credentials = [ "secretsmith-activate.service:db" ]; }};',
        "secretsmith.secrets.db.credentials",
        "cannot wait for one",
    ),
    "a credential twice": (
        f'secrets.a = {{ {DB} credentials = [ "web.service:db" ]; }}; secrets.b = {{ {DB} credentials = [ "web.service:db" ]; }};',
        "secretsmith.secrets.b.credentials",
        "give one of them another",
    ),
    "bad credential key": (
        'credentialKey = "disk";',
        "secretsmith.credentialKey",
        "host, tpm2 and host+tpm2",
    ),
    "bad mode": (
        f'secrets.db = {{ {DB} mode = "0666"; }};',
        "secretsmith.secrets.db.mode",
        "not writable by others",
    ),
    "bad owner": (
        f'secrets.db = {{ {DB} owner = "a b"; }};',
        "secretsmith.secrets.db.owner",
        "no name of an account",
    ),
    "two owners": (
        f'secrets.db = {{ {DB} owner = "a"; uid = 1; }};',
        "secretsmith.secrets.db.uid",
        "one of the two",
    ),
    "two groups": (
        f'secrets.db = {{ {DB} group = "a"; gid = 1; }};',
        "secretsmith.secrets.db.gid",
        "one of the two",
    ),
    "early owner": (
        f'secrets.db = {{ {DB} neededForUsers = true; owner = "app"; }};',
        "secretsmith.secrets.db.owner",
        "give a number (uid)",
    ),
    "early group": (
        f'secrets.db = {{ {DB} phase = "users"; group = "app"; }};',
        "secretsmith.secrets.db.group",
        "give a number (gid)",
    ),
    "initrd": (
        f'secrets.db = {{ {DB} phase = "initrd"; }};',
        "secretsmith.secrets.db.plaintextOnDisk",
        "set it to true",
    ),
    "unit": (
        f'secrets.db = {{ {DB} restartUnits = [ "nginx" ]; }};',
        "secretsmith.secrets.db.restartUnits",
        '"nginx.service"',
    ),
    "reload": (
        f'secrets.db = {{ {DB} reloadUnits = [ "nginx" ]; }};',
        "secretsmith.secrets.db.reloadUnits",
        '"nginx.service"',
    ),
    "detour": (
        f'secrets.db = {{ {DB} path = "/etc/../x"; }};',
        "secretsmith.secrets.db.path",
        "without . and ..",
    ),
    "relative folder": (
        f'directory = "secrets"; secrets.db = {{ {DB} }};',
        "secretsmith.directory",
        '"/run/secrets"',
    ),
    "folder with a slash": (
        f'directory = "/run/secrets/"; secrets.db = {{ {DB} }};',
        "secretsmith.directory",
        '"/run/secrets"',
    ),
    "bad name": (f'secrets."a/../b" = {{ {DB} }};', 'secretsmith.secrets."a/../b".name', "without . and .."),
    "prefix": (
        f'secrets.db = {{ {DB} }}; secrets."db/x" = {{ {DB} }};',
        'secretsmith.secrets."db/x".name',
        "needs a folder where secretsmith.secrets.db is a file",
    ),
    "same but for case": (
        f"secrets.db = {{ {DB} }}; secrets.DB = {{ {DB} }};",
        "secretsmith.secrets.db.name",
        "secretsmith.secrets.DB has the same name",
    ),
    "name of a template": (
        f"secrets.db = {{ {DB} }}; templates.db = {{ }};",
        "secretsmith.templates.db.name",
        "secretsmith.secrets.db has the same name",
    ),
    "two on one path": (
        f'secrets.a = {{ {DB} path = "/etc/x"; }}; secrets.b = {{ {DB} path = "/etc/x"; }};',
        "secretsmith.secrets.b.path",
        "secretsmith.secrets.a has the same path (/etc/x)",
    ),
    "path below a path": (
        f'secrets.a = {{ {DB} path = "/etc/x"; }}; secrets.b = {{ {DB} path = "/etc/x/y"; }};',
        "secretsmith.secrets.b.path",
        "needs a folder where secretsmith.secrets.a is a file",
    ),
    "relative path": (
        f'secrets.db = {{ {DB} path = "etc/x"; }};',
        "secretsmith.secrets.db.path",
        "no absolute path",
    ),
    "path in the store": (
        f'secrets.db = {{ {DB} path = "${{builtins.storeDir}}/x"; }};',
        "secretsmith.secrets.db.path",
        "nothing can be put below",
    ),
    "path of ours": (
        f'secrets.db = {{ {DB} path = "/run/secrets.d/x"; }};',
        "secretsmith.secrets.db.path",
        "in the way of /run/secrets.d",
    ),
    "unknown token": (
        'templates.t.content = "x ${secretsmith.placeholderToken "raw" "gone"}";',
        "secretsmith.templates.t.content",
        "config.secretsmith.placeholder.NAME",
    ),
    "no identity": (
        f"secrets.db = {{ {DB} }}; identityPaths = [ ];",
        "secretsmith.identityPaths",
        "services.openssh",
    ),
    "rsa": (
        f'secrets.db = {{ {DB} }}; identityPaths = [ "/etc/ssh/ssh_host_rsa_key" ];',
        "secretsmith.identityPaths",
        "an RSA key",
    ),
    "rsa by type": (
        f'secrets.db = {{ {DB} }}; identityPaths = [ "/k" ]; identityTypes."/k" = "rsa";',
        "secretsmith.identityPaths",
        "an RSA key",
    ),
    "identity in the store": (
        f'secrets.db = {{ {DB} }}; identityPaths = [ "${{ROOT/key}}" ];',
        "secretsmith.identityPaths",
        "everybody can read it",
    ),
    "relative identity": (
        f'secrets.db = {{ {DB} }}; identityPaths = [ "key" ];',
        "secretsmith.identityPaths",
        "no absolute path",
    ),
    "host": (f'secrets.db = {{ {DB} }}; host = "a b";', "secretsmith.host", "secretsmith.toml"),
    "user's owner": (
        f'secrets.db = {{ {DB} owner = "app"; }}; scope = "user"; identityPaths = [ "/k" ];',
        "secretsmith.secrets.db.owner",
        "leave it out",
    ),
    "user's phase": (
        f'secrets.db = {{ {DB} phase = "users"; }}; scope = "user"; identityPaths = [ "/k" ];',
        "secretsmith.secrets.db.phase",
        "no phases",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_wrong_is_named(nix: Nix, fleet: Path, case: str) -> None:
    declared, option, remedy = CASES[case]
    (fleet / "secrets/plain.yaml").write_text("password: hunter2\n")
    (fleet / "secrets/blob").write_text("x")
    (fleet / "key").write_text("")
    text = f'({{ host = "web1"; root = ROOT; }} // {{ {declared} }})'.replace("ROOT", str(fleet))
    problems = nix.value(f"(secretsmith.evaluate {text}).problems")
    assert len(problems) == 1, problems
    assert problems[0].startswith((f"{option}:", f"{option} is"))
    assert remedy in problems[0]
    assert "hunter2" not in problems[0]
    # Whoever asks for the manifest hears the same.
    assert problems[0] in nix.error(f"secretsmith.mkManifest {text}")


def test_all_are_told_at_once(nix: Nix, fleet: Path) -> None:
    said = nix.error(
        f'secretsmith.mkManifest {{ host = "web1"; root = {fleet}; secrets.a = {{ mode = "x"; }}; secrets.b.file = {fleet}/none.age; }}'
    )
    assert "host web1:" in said
    for option in ("secrets.a.file", "secrets.a.mode", "secrets.b.file"):
        assert f"- secretsmith.{option}" in said


def test_a_file_on_the_host_alone_may_be_allowed(nix: Nix, fleet: Path) -> None:
    tree = nix.value(
        f'secretsmith.mkManifest {{ host = "web1"; root = {fleet}; checkFiles = false; secrets.db.file = "/var/lib/db.age"; }}'
    )
    assert tree["secrets"][0]["source"] == "/var/lib/db.age"


def test_binary_age_files_are_not_read(nix: Nix, fleet: Path) -> None:
    """They hold NUL bytes, which no Nix string can."""
    (fleet / "secrets/raw.age").write_bytes(b"age-encryption.org/v1\n\0\0\0")
    assert (
        nix.value(
            f'(secretsmith.evaluate {{ host = "web1"; root = {fleet}; secrets.db.file = {fleet}/secrets/raw.age; }}).problems'
        )
        == []
    )


def test_a_large_document_is_no_trouble(nix: Nix, fleet: Path) -> None:
    lines = "".join(f"key{number}: ENC[AES256_GCM,data:aaaa]\n" for number in range(50_000))
    (fleet / "secrets/large.yaml").write_text(f"{lines}sops:\n")
    (fleet / "secrets/plain.yaml").write_text(lines.replace("ENC[AES256_GCM,data:", "["))
    for name, count in (("large", 0), ("plain", 1)):
        declared = f'host = "web1"; root = {fleet}; secrets.db.file = {fleet}/secrets/{name}.yaml;'
        assert len(nix.value(f"(secretsmith.evaluate {{ {declared} }}).problems")) == count


def test_a_name_of_a_compatibility_option_is_said(nix: Nix, fleet: Path) -> None:
    declared = f'host = "web1"; root = {fleet}; secrets.db = {{ option = "age.secrets.db"; file = {fleet}/no.age; }};'
    (problem,) = nix.value(f"(secretsmith.evaluate {{ {declared} }}).problems")
    assert problem.startswith("age.secrets.db.file: ")
