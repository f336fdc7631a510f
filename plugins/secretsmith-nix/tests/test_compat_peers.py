"""agenix's and sops-nix's own example configurations, unmodified: by their own modules, and by secretsmith's in their place.

AGENIX_SOURCE and SOPS_NIX_SOURCE name checkouts of the two; without them this is skipped (README.md).
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from nixstores import PLUGIN, Nix

from secretsmith.manifest import parse_manifest

Row = tuple[str, str, str, str, str]

# README.md of agenix, and doc/reference.md: every option of a secret
AGENIX_README = """{ config, ... }: {
  services.openssh.enable = true;
  age.secrets.example-secret.file = FOLDER/example/secret1.age;
  age.secrets.monitrc = { file = FOLDER/example/secret1.age; path = "/etc/monitrc"; };
  age.secrets.nginx-htpasswd = { file = FOLDER/example/secret1.age; mode = "770"; owner = "nginx"; group = "nginx"; };
  age.secrets."elasticsearch.conf" = { file = FOLDER/example/secret1.age; symlink = false; };
  age.secrets.monit = { name = "monitrc2"; file = FOLDER/example/secret1.age; owner = "app"; };
  age.secretsMountPoint = "/run/secret-generations";
  users.users.app = { group = "www"; };
  users.users.user1 = { isNormalUser = true; hashedPasswordFile = config.age.secrets.example-secret.path; };
}"""
AGENIX_ELSEWHERE = """{
  services.openssh.enable = true;
  age.secretsDir = "/run/keys";
  age.secrets.one.file = FOLDER/example/secret1.age;
}"""
SOPS_README = """{ config, ... }: {
  sops.defaultSopsFile = FOLDER/pkgs/sops-install-secrets/test-assets/secrets.yaml;
  sops.age.sshKeyPaths = [ "/etc/ssh/ssh_host_ed25519_key" ];
  sops.age.keyFile = "/var/lib/sops-nix/key.txt";
  sops.age.generateKey = true;
  sops.secrets.example-key = { };
  sops.secrets."myservice/my_subdir/my_secret" = { };
  sops.secrets.example-secret = { mode = "0440"; owner = config.users.users.nobody.name; group = config.users.users.nobody.group; };
  sops.secrets."home-assistant-secrets.yaml" = { owner = "hass"; path = "/var/lib/hass/secrets.yaml"; restartUnits = [ "home-assistant.service" ]; };
  sops.secrets.my-password.neededForUsers = true;
  sops.secrets.github_token = { format = "json"; sopsFile = FOLDER/pkgs/sops-install-secrets/test-assets/secrets.json; };
  sops.secrets.krb5-keytab = { format = "binary"; sopsFile = FOLDER/pkgs/sops-install-secrets/test-assets/secrets.bin; };
  sops.secrets.my-config = { format = "dotenv"; sopsFile = FOLDER/pkgs/sops-install-secrets/test-assets/secrets.env; };
  sops.secrets.drone-server = { format = "ini"; sopsFile = FOLDER/pkgs/sops-install-secrets/test-assets/secrets.ini; };
  sops.secrets.whole = { key = ""; };
  sops.templates."your-config-with-secrets.toml".content = "password = \\"${config.sops.placeholder.example-key}\\"";
  sops.templates."your-config-with-secrets.toml".owner = "hass";
  users.users.nobody.group = "nogroup";
  users.users.hass.group = "hass";
  users.users.user2.hashedPasswordFile = config.sops.secrets.my-password.path;
}"""


def source(variable: str, nixpkgs_lib: Path) -> tuple[Path, Path]:
    given = os.environ.get(variable)
    if not given:
        pytest.skip(f"{variable} is not set, so nothing is compared (plugins/secretsmith-nix/README.md)")
    return Path(given), nixpkgs_lib


class Pair:
    """A checkout of a peer, and a copy of it whose module is secretsmith's."""

    def __init__(self, nix: Nix, lib: Path, checkout: Path, folder: Path, module: str) -> None:
        self.nix = nix
        self.peers = (
            f'(import {PLUGIN}/tests/stubs/peers.nix {{ nixpkgsLib = {lib}; python = "{sys.executable}"; }})'
        )
        self.theirs, self.ours = folder / "theirs" / "repo", folder / "ours" / "repo"
        for copy in (self.theirs, self.ours):
            shutil.copytree(checkout, copy)
        (folder / "home-manager" / "nixos").mkdir(parents=True)
        (folder / "home-manager" / "nixos" / "default.nix").write_text("{ }\n")
        self.home = folder / "home-manager"
        self.module = module
        (self.ours / module).write_text(
            f"{{ imports = [ (import {PLUGIN}/nix/nixos.nix) (import {PLUGIN}/nix/compat.nix) ]; }}\n"
        )

    def read(self, folder: Path, module: str, of_it: str) -> Any:
        """An expression of ``it``, a configuration with the modules that are in ``folder``."""
        text = module.replace("FOLDER", str(folder))
        return self.nix.value(
            f"let it = {self.peers}.evaluate [ {folder}/{self.module} ({text}) ({self.more(folder)}) ]; in {of_it}"
        )

    def more(self, folder: Path) -> str:
        """What the peer's module cannot do without the whole of nixpkgs: build its program."""
        if folder == self.theirs and "sops" in self.module:
            return "{ pkgs, ... }: { sops.package = pkgs.sops-install-secrets; }"
        return "{ }"


def manifest_rows(manifest: Mapping[str, Any], section: str) -> set[Row]:
    """name, path, owner, group and mode of everything in a manifest of secretsmith."""
    parsed = parse_manifest(json.dumps(manifest).encode())
    suffix = {"services": "", "users": "-for-users"}
    return {
        (
            item.name,
            item.path or f"{parsed.directory}{suffix[item.phase.value]}/{item.name}",
            item.owner,
            item.group,
            f"{item.mode:o}" if isinstance(item.mode, int) else str(item.mode).lstrip("0"),
        )
        for item in getattr(parsed, section)
    }


class TestAgenix:
    @pytest.fixture
    def pair(self, nix: Nix, nixpkgs_lib: Path, tmp_path: Path) -> Pair:
        checkout, lib = source("AGENIX_SOURCE", nixpkgs_lib)
        return Pair(nix, lib, checkout, tmp_path, "modules/age.nix")

    FIELDS = (
        "builtins.mapAttrs (_: s: { inherit (s) name path owner group mode symlink; file = baseNameOf s.file; })"
        " it.config.age.secrets"
    )

    @staticmethod
    def rows(secrets: Mapping[str, Any]) -> set[Row]:
        def name(who: str) -> str:
            return "root" if who == "0" else who

        return {
            (each["name"], each["path"], name(each["owner"]), name(each["group"]), each["mode"].lstrip("0"))
            for each in secrets.values()
        }

    @pytest.mark.parametrize("module", [AGENIX_README, AGENIX_ELSEWHERE], ids=["readme", "elsewhere"])
    def test_documented_options(self, pair: Pair, module: str) -> None:
        theirs = pair.read(pair.theirs, module, self.FIELDS)
        assert pair.read(pair.ours, module, self.FIELDS) == theirs
        manifest = pair.read(pair.ours, module, "it.config.secretsmith.manifest")
        assert manifest_rows(manifest, "secrets") == self.rows(theirs)
        copies = {each["name"] for each in manifest["secrets"] if each.get("method") == "copy"}
        assert copies == {each["name"] for each in theirs.values() if not each["symlink"]}
        files = {each["name"]: Path(each["id"]).name for each in manifest["secrets"]}
        assert files == {each["name"]: each["file"] for each in theirs.values()}

    def test_its_own_integration_test(self, pair: Pair) -> None:
        def node(folder: Path, of_it: str) -> Any:
            test = (
                f"import {folder}/test/integration.nix {{ nixpkgs = null; inherit ({pair.peers}) pkgs;"
                f' system = "x86_64-linux"; home-manager = {pair.home}; }}'
            )
            return pair.nix.value(f"let it = ({pair.peers}.nodes ({test}) [ ]).system1; in {of_it}")

        theirs = node(pair.theirs, self.FIELDS)
        assert set(theirs) == {"passwordfile-user1", "leading-hyphen"}
        assert node(pair.ours, self.FIELDS) == theirs
        manifest = node(pair.ours, "it.config.secretsmith.manifest")
        assert manifest_rows(manifest, "secrets") == self.rows(theirs)
        phases = {each["name"]: each.get("phase", "services") for each in manifest["secrets"]}
        assert phases == {"passwordfile-user1": "users", "leading-hyphen": "services"}
        # The user's password and the order of scripts are theirs, too.
        of_user = "it.config.users.users.user1.hashedPasswordFile"
        assert node(pair.ours, of_user) == node(pair.theirs, of_user) == theirs["passwordfile-user1"]["path"]
        scripts = node(pair.ours, "builtins.mapAttrs (_: s: s.deps) it.config.system.activationScripts")
        assert "installSSHHostKeys" in scripts["secretsmithUsers"]
        assert "installSSHHostKeys" in scripts["secretsmith"]
        assert manifest["identities"] == ["/etc/ssh/ssh_host_ed25519_key", "/etc/ssh/this_key_wont_exist"]


class TestSopsNix:
    @pytest.fixture
    def pair(self, nix: Nix, nixpkgs_lib: Path, tmp_path: Path) -> Pair:
        checkout, lib = source("SOPS_NIX_SOURCE", nixpkgs_lib)
        return Pair(nix, lib, checkout, tmp_path, "modules/sops/default.nix")

    # Their manifests are texts; what names a file of the store there is of no interest here.
    MANIFESTS = (
        "map (m: builtins.unsafeDiscardStringContext m.text)"
        " [ it.config.system.build.sops-nix-manifest it.config.system.build.sops-nix-users-manifest ]"
    )

    @staticmethod
    def rows(entries: list[Mapping[str, Any]], prefix: str = "") -> set[Row]:
        def who(entry: Mapping[str, Any], name: str, number: str) -> str:
            found = entry[name] if entry[name] is not None else str(entry[number] or 0)
            return "root" if found == "0" else found

        return {
            (
                prefix + entry["name"],
                entry["path"],
                who(entry, "owner", "uid"),
                who(entry, "group", "gid"),
                entry["mode"].lstrip("0"),
            )
            for entry in entries
        }

    def compare(self, theirs: list[str], ours: Mapping[str, Any]) -> None:
        first, users = (json.loads(text) for text in theirs)
        secrets, templates = first["secrets"] + users["secrets"], first["templates"]
        assert manifest_rows(ours, "secrets") == self.rows(secrets)
        assert manifest_rows(ours, "templates") == self.rows(templates, "rendered/")
        made = {entry["name"]: entry for entry in ours["secrets"]}
        for entry in secrets:
            mine = made[entry["name"]]
            assert mine["format"] == entry["format"]
            assert mine.get("restart_units", []) == entry["restartUnits"]
            assert mine.get("reload_units", []) == entry["reloadUnits"]
            assert mine.get("phase", "services") == ("users" if entry["neededForUsers"] else "services")
            whole = entry["format"] not in ("yaml", "json") or not entry["key"]
            assert mine.get("key") == (None if whole else entry["key"])
            assert entry["sopsFile"].endswith(Path(mine["id"]).name)
        # Filled with values, both templates are the same text.
        for entry, template in zip(templates, ours.get("templates", []), strict=True):
            filled, expected = template["content"], entry["content"]
            for token, stands_for in template.get("placeholders", {}).items():
                assert stands_for["filter"] == "raw"
                filled = filled.replace(token, f"({stands_for['secret']})")
            for name, text in first["placeholderBySecretName"].items():
                expected = expected.replace(text, f"({name})")
            assert filled == expected
            assert template.get("restart_units", []) == entry["restartUnits"]
            assert template.get("reload_units", []) == entry["reloadUnits"]

    def test_documented_options(self, pair: Pair) -> None:
        theirs = pair.read(pair.theirs, SOPS_README, self.MANIFESTS)
        self.compare(theirs, pair.read(pair.ours, SOPS_README, "it.config.secretsmith.manifest"))
        for same in (
            "it.config.sops.placeholder",
            "builtins.mapAttrs (_: s: [ s.path s.sopsFileHash s.group ]) it.config.sops.secrets",
            "builtins.mapAttrs (_: s: [ s.path s.owner s.group ]) it.config.sops.templates",
            "it.config.users.users.user2.hashedPasswordFile",
        ):
            assert pair.read(pair.ours, SOPS_README, same) == pair.read(pair.theirs, SOPS_README, same)

    def test_its_own_nixos_tests(self, pair: Pair) -> None:
        def nodes(folder: Path, of_it: str, more: str = "{ }") -> Any:
            tests = f"import {folder}/checks/nixos-test.nix {{ inherit (peers) lib; inherit (peers.pkgs) testers; }}"
            return pair.nix.value(
                f"let peers = {pair.peers}; each = builtins.mapAttrs (_: it: {of_it});"
                f" in builtins.mapAttrs (_: test: each (peers.nodes test [ ({more}) ({pair.more(folder)}) ])) ({tests})"
            )

        theirs = nodes(pair.theirs, self.MANIFESTS)
        assert len(theirs) >= 8
        # Those that have PGP or RSA keys alone get a key: it is their one difference.
        keyed = '{ secretsmith.identityPaths = [ "/etc/key" ]; }'
        ours = nodes(pair.ours, "it.config.secretsmith.manifest", keyed)
        assert ours.keys() == theirs.keys()
        for name, machines in theirs.items():
            for machine, manifests in machines.items():
                self.compare(manifests, ours[name][machine])
        failed = nodes(
            pair.ours, "map (a: a.message) (builtins.filter (a: !a.assertion) it.config.assertions)"
        )
        refused = {name for name, machines in failed.items() if any(machines.values())}
        assert refused == {"ssh-keys", "pgp-keys"}
        assert all(
            said.startswith(
                ("secretsmith.identityPaths is empty", "services.openssh.hostKeys has no ed25519")
            )
            for name in refused
            for machine in failed[name].values()
            for said in machine
        )
