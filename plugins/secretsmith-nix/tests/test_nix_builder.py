"""The builder of Nix: what is asked, what is answered, and what an evaluation must not do."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from nixrepos import FLAKE, declaration_flake, declare, host_text, store_environ
from nixstores import PLUGIN, Nix

from secretsmith.errors import Code, NotFound, RefusedInput
from secretsmith.manifest import LIVE_ROOT, live_path
from secretsmith.operations.buildexport import export_build, last_export
from secretsmith.operations.grantbuild import grant_from_build, plan_build_grants
from secretsmith.operations.plugincontext import RepositoryContext
from secretsmith.plugin.api import PluginContext, SecretDeclaration, Traceable
from secretsmith.plugin.discovery import Entry
from secretsmith.plugin.loader import Loader
from secretsmith.project import Project, open_project
from secretsmith.testing import HOST_FILES, sample_context
from secretsmith_nix import builder
from secretsmith_nix.answers import declaration_of

DB = "secrets/web/db.age"
Made = Callable[..., PluginContext]


@pytest.fixture
def context(tmp_path: Path, nix: Nix) -> PluginContext:
    """The sample repository; Nix has a store of its own."""
    root = tmp_path / "repository"
    root.mkdir()
    return sample_context(root, store_environ(nix.root))


def git(context: PluginContext, *words: str) -> None:
    subprocess.run(["git", *words], cwd=context.root, check=True, capture_output=True)


def refused(context: PluginContext, kind: type[Exception] = RefusedInput) -> Any:
    with pytest.raises(kind) as caught:
        builder().hosts(context)
    error: Any = caught.value
    assert "\n" not in error.message
    return error


class TestHosts:
    def test_a_declaration_of_the_module_is_told_whole(self, context: PluginContext) -> None:
        declaration_flake(
            context.root,
            {
                "name": "db", "file": DB, "format": "yaml", "key": "a/b", "source": "pass:web/db", "owner": "app",
                "group": "www", "mode": "0440", "origin": "hosts/web1.nix:4", "units": ["a.service"], "option": "x",
            },
            {"name": "other", "file": DB, "format": "age", "origin": None, "option": "secretsmith.secrets.other"},
            {"name": "here-alone", "file": "/etc/machine.age", "format": "age"},
            {"name": "made", "file": None, "format": None},
        )  # fmt: skip
        (host,) = builder().hosts(context)
        assert (host.name, host.origin) == ("web1", "nixosConfigurations.web1")
        assert host.secrets == (
            SecretDeclaration(
                "db",
                DB,
                "yaml",
                "hosts/web1.nix:4",
                "a/b",
                "pass:web/db",
                "app",
                "www",
                "0440",
                ("a.service",),
            ),
            SecretDeclaration("other", DB, "age", "nixosConfigurations.web1: secretsmith.secrets.other"),
        ), "files that lie on the host alone are none of the repository's"

    def test_all_hosts_are_one_evaluation(
        self, context: PluginContext, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for number in range(20):
            declare(context.root, "flake.nix", f"host{number}", {"db": DB})
        ran: list[str] = []
        real = context.run

        def counting(argv: list[str], **options: Any) -> Any:
            ran.append(argv[0])
            return real(argv, **options)

        monkeypatch.setattr(context, "run", counting)
        assert len(builder().hosts(context)) == 20
        assert ran == ["nix"]
        builder().inputs(context)  # type: ignore[attr-defined]
        assert ran == ["nix"], "its own declarations are known without an evaluation"

    def test_a_hive_in_a_flake(self, context: PluginContext) -> None:
        text = FLAKE.replace("nixosConfigurations =", "colmenaHive.nodes =")
        declare(context.root, "flake.nix", "web1", {"db": DB})
        (context.root / "flake.nix").write_text(text)
        assert [host.name for host in builder().hosts(context)] == ["web1"]

    def test_a_flake_without_hosts_has_none(self, context: PluginContext) -> None:
        (context.root / "flake.nix").write_text("{ outputs = { self }: { secretsmith = 1; }; }")
        assert builder().hosts(context) == []

    def test_the_way_to_the_repository_may_lead_through_a_link(
        self, context: PluginContext, tmp_path: Path
    ) -> None:
        declare(context.root, "default.nix", "web1", {"db": DB})
        text = (context.root / "default.nix").read_text()
        (context.root / "default.nix").write_text(f"# secretsmith\n{text}")
        (tmp_path / "link").symlink_to(context.root)
        environ = {**context.environ, "SECRETSMITH_ROOT": str(tmp_path / "link")}
        project = open_project(context.root, environ=environ, interaction=context.interaction)
        assert project.root.is_symlink()
        assert [host.name for host in builder().hosts(RepositoryContext(project))] == ["web1"]
        (context.root / "hosts/web1.nix").write_text("{ host = undefined; }\n")
        assert refused(RepositoryContext(project)).message.startswith("hosts/web1.nix:1: ")

    @pytest.mark.parametrize("search_path", ["library={link}", "x=https://example.org/x:{link}"])
    def test_a_channel_is_a_link(self, tmp_path: Path, nix: Nix, search_path: str) -> None:
        channel, root, link = tmp_path / "1-link" / "library", tmp_path / "repository", tmp_path / "link"
        channel.mkdir(parents=True)
        root.mkdir()
        (channel / "default.nix").write_text('"web1"\n')
        link.symlink_to(channel if search_path.startswith("library") else channel.parent)
        context = sample_context(root, store_environ(nix.root) | {"NIX_PATH": search_path.format(link=link)})
        (root / "default.nix").write_text(
            "{ nixosConfigurations.web1.config.secretsmith.manifest = { host = import <library>; secrets = [ ]; }; }"
        )
        assert [host.name for host in builder().hosts(context)] == ["web1"]

    def test_configurations_without_the_module_are_passed_over(self, context: PluginContext) -> None:
        (context.root / "flake.nix").write_text(
            '{ outputs = { self }: { nixosConfigurations = { a.config.networking.hostName = throw "canary"; b = { };'
            ' c.config.secretsmith = { manifest = { host = "web1"; secrets = [ ]; }; }; }; }; }'
        )
        assert [host.name for host in builder().hosts(context)] == ["web1"]

    @pytest.mark.parametrize(
        ("attributes", "origin"), [(("web1", "web1-vm"), "web1"), (("a-web1", "web1"), "web1")]
    )
    def test_of_two_configurations_of_a_host_the_one_that_is_called_so(
        self, context: PluginContext, attributes: tuple[str, ...], origin: str
    ) -> None:
        given = " ".join(
            f'{name}.config.secretsmith.manifest = {{ host = "web1"; secrets = [ ]; }};'
            for name in attributes
        )
        (context.root / "flake.nix").write_text(
            f"{{ outputs = {{ self }}: {{ nixosConfigurations = {{ {given} }}; }}; }}"
        )
        (host,) = builder().hosts(context)
        assert host.origin == f"nixosConfigurations.{origin}"

    def test_two_configurations_of_a_host_and_none_is_called_so(self, context: PluginContext) -> None:
        given = " ".join(
            f'{name}.config.secretsmith.manifest = {{ host = "web1"; secrets = [ ]; }};'
            for name in ("a", "b")
        )
        (context.root / "flake.nix").write_text(
            f"{{ outputs = {{ self }}: {{ nixosConfigurations = {{ {given} }}; }}; }}"
        )
        error = refused(context)
        assert error.message == "the configurations a and b are both for host web1"
        assert "secretsmith.host" in error.hints[0]

    @pytest.mark.parametrize(
        ("secret", "said"),
        [
            ({"name": 1}, "name' is no text"),
            ({"name": "a", "file": 1}, "secrets.'a'.file is no text"),
            ({"name": "a", "file": DB, "units": "x"}, "secrets.'a'.units is no list of units"),
            ({"name": "a", "file": DB, "origin": []}, "secrets.'a'.origin is no text"),
            ({"file": DB}, "has one without a name"),
            ("text", "has something else than sets in it"),
        ],
    )
    def test_an_answer_of_another_shape_is_refused(
        self, context: PluginContext, secret: Any, said: str
    ) -> None:
        declaration_flake(context.root, secret)
        message = refused(context).message
        assert message.startswith("nixosConfigurations.web1: ")
        assert said.split("'")[-1] in message

    def test_without_nix_it_says_so(self, context: PluginContext, monkeypatch: pytest.MonkeyPatch) -> None:
        declare(context.root, "flake.nix", "web1", {"db": DB})
        monkeypatch.setattr(type(context), "environ", {"PATH": "/nowhere"})
        monkeypatch.setenv("PATH", "/nowhere")
        error = refused(context, NotFound)
        assert "no program nix here" in error.message
        assert error.hints == ("install Nix, or run this where it is",)

    def test_other_repositories_are_none_of_its_business(self, context: PluginContext) -> None:
        (context.root / "flake.nix").write_text("{ outputs = { self }: { }; }")
        assert not builder().detect(context)
        with pytest.raises(NotFound, match="that names secretsmith"):
            builder().hosts(context)


class TestErrors:
    """In one line that says where; the snippets and traces of Nix are left out."""

    def test_problems_of_the_module(self, context: PluginContext) -> None:
        declare(context.root, "flake.nix", "web1", {})
        (context.root / "hosts/web1.nix").write_text(
            'throw "secretsmith: host web1:\\n- secretsmith.secrets.db: no file\\n- secretsmith.secrets.x: no mode"'
        )
        error = refused(context)
        assert "web1: secretsmith.secrets.db: no file; secretsmith.secrets.x: no mode" in error.message
        assert error.code is Code.MANIFEST

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("{\n  host = web1;\n}\n", "hosts/web1.nix:2: undefined variable 'web1'"),
            ('{\n  host = "web1"\n}\n', "hosts/web1.nix:3: syntax error"),
            ("{\n  host = [ ] + 1;\n}\n", "hosts/web1.nix:2: "),
            ('{ host = "web1"; secrets = [\n  (assert 1 == 2; { })\n]; }', "hosts/web1.nix:2: assertion"),
        ],
    )
    def test_mistakes_are_told_with_their_place(self, context: PluginContext, text: str, said: str) -> None:
        declare(context.root, "flake.nix", "web1", {})
        (context.root / "hosts/web1.nix").write_text(text)
        error = refused(context)
        assert error.message.startswith(said), error.message
        assert error.path == "hosts/web1.nix"

    @pytest.mark.parametrize("entry", ["default.nix", "hive.nix"])
    def test_without_flakes_too(self, context: PluginContext, entry: str) -> None:
        declare(context.root, entry, "web1", {})
        (context.root / "hosts/web1.nix").write_text("{\n  host = web1;\n}\n")
        assert refused(context).message.startswith("hosts/web1.nix:2: undefined variable 'web1'")

    def test_a_file_that_git_does_not_track(self, context: PluginContext) -> None:
        git(context, "init", "-q")
        declare(context.root, "flake.nix", "web1", {"db": DB})
        flake = context.root / "flake.nix"
        flake.write_text(FLAKE.replace("builtins.readDir ./hosts", '{ "web1.nix" = 1; }'))
        git(context, "add", "flake.nix")
        error = refused(context)
        assert error.hints == ("a flake sees what git tracks: git add --intent-to-add FILE",)
        assert "/store/" not in error.message
        assert "hosts" in error.message
        git(context, "add", "--intent-to-add", "hosts/web1.nix")
        assert [host.name for host in builder().hosts(context)] == ["web1"]

    def test_a_flake_in_a_folder_of_the_work_tree(self, tmp_path: Path, nix: Nix) -> None:
        root = tmp_path / "top/machines"
        root.mkdir(parents=True)
        context = sample_context(root, store_environ(nix.root))
        subprocess.run(["git", "init", "-q", root.parent], check=True)
        declare(root, "flake.nix", "web1", {"db": DB})
        git(context, "add", ".")
        assert [host.name for host in builder().hosts(context)] == ["web1"]
        (root / "hosts/web1.nix").write_text("{\n  host = web1;\n}\n")
        assert refused(context).message.startswith("hosts/web1.nix:2: undefined variable")

    def test_a_default_nix_without_configurations(self, context: PluginContext) -> None:
        (context.root / "default.nix").write_text("{ secretsmith = 1; }")
        assert "default.nix has no nixosConfigurations and no nodes" in refused(context).message


class TestManifests:
    def test_sources_lie_below_the_folder_that_is_named(self, context: PluginContext) -> None:
        declare(context.root, "flake.nix", "web1", {"db": DB})
        made = builder().manifests(context, ["web1"], "/var/lib/secretsmith")["web1"]
        assert [secret.source for secret in made.secrets] == [f"/var/lib/secretsmith/{DB}"]

    def test_the_module_itself(self, context: PluginContext) -> None:
        """The real declarations → manifest of nix/, for hosts without nixpkgs."""
        root = context.root
        shutil.copytree(PLUGIN / "nix", root / "nix")
        (root / "flake.nix").write_text(
            "# secretsmith\n{ outputs = { self }: { nixosConfigurations.web1 = import ./nix/host.nix {\n"
            '  host = "web1"; root = ./.; modules = [ ./web1.nix ]; }; }; }\n'
        )
        (root / "web1.nix").write_text(
            "{\n  secretsmith.secrets = {\n"
            '    db = { file = ./secrets/web/db.age; owner = "postgres"; restartUnits = [ "db.service" ]; };\n'
            "    tls.file = ./secrets/web1/tls.age;\n  };\n}\n"
        )
        (host,) = builder().hosts(context)
        assert [(each.name, each.file, each.format) for each in host.secrets] == [
            ("db", DB, "age"),
            ("tls", "secrets/web1/tls.age", "age"),
        ]
        assert (host.secrets[0].owner, host.secrets[0].units) == ("postgres", ("db.service",))
        assert host.secrets[0].origin == "web1.nix:3"
        made = builder().manifests(context, ["web1"], "/files")["web1"]
        assert {secret.id: secret.source for secret in made.secrets} == {
            file: f"/files/{file}" for file in HOST_FILES["web1"]
        }
        key = next(who.keys[0] for who in context.principals() if who.name == "web1")
        assert made.host_key == key
        assert made.principals[key].name == "web1"

    def test_a_source_alone_has_a_file_of_its_own(self, context: PluginContext) -> None:
        """It is declared before it is there: that is how `sync --build` learns what to make."""
        root = context.root
        shutil.copytree(PLUGIN / "nix", root / "nix")
        registry = (root / "secretsmith.toml").read_text()
        (root / "flake.nix").write_text(
            "# secretsmith\n{ outputs = { self }: { nixosConfigurations.web1 = import ./nix/host.nix {\n"
            '  host = "web1"; root = ./.; modules = [ { secretsmith.secrets.new.source = "pass:new"; } ]; }; }; }\n'
        )
        for folder in ("secrets", "vault"):
            rules = registry.replace('"secrets/', f'"{folder}/')
            (root / "secretsmith.toml").write_text(
                rules.replace("version = 1", f'version = 1\nsecrets = "{folder}"')
            )
            (host,) = builder().hosts(context)
            (secret,) = host.secrets
            assert (secret.file, secret.source, secret.format) == (
                f"{folder}/web1/new.age",
                "pass:new",
                "age",
            )
        with pytest.raises(RefusedInput, match="secretsmith sync --build"):
            builder().manifests(context, ["web1"], None)
        (root / "vault/web1").mkdir(parents=True)
        (root / "vault/web1/new.age").write_bytes((root / DB).read_bytes())
        made = builder().manifests(context, ["web1"], "/files")["web1"]
        assert [(each.id, each.source) for each in made.secrets] == [
            ("vault/web1/new.age", "/files/vault/web1/new.age")
        ]

    def test_a_live_value_is_completed_by_a_deploy(self, context: PluginContext) -> None:
        root = context.root
        shutil.copytree(PLUGIN / "nix", root / "nix")
        (root / "flake.nix").write_text(
            "# secretsmith\n{ outputs = { self }: { nixosConfigurations.web1 = import ./nix/host.nix {\n"
            '  host = "web1"; root = ./.; modules = [ { secretsmith.secrets.api = { source = "pass:api"; live = true; }; } ]; }; }; }\n'
        )
        (host,) = builder().hosts(context)
        (secret,) = host.secrets
        assert (secret.live, secret.file, secret.source, secret.format) == (True, "", "pass:api", "age")
        assert host.stored == ()
        for folder in (None, "/files"):
            made = builder().manifests(context, ["web1"], folder)["web1"]
            assert [(each.live, each.id, each.source) for each in made.secrets] == [
                ("pass:api", "pass:api", f"{LIVE_ROOT}/{live_path('pass:api')}")
            ]
        # A plain manifest says the reference itself.
        plain = {"secrets": [{"name": "api", "id": "pass:api", "live": "pass:api", "format": "age"}]}
        (again,) = declaration_of("web1", {"attribute": "web1", "manifest": plain}).secrets
        assert (again.live, again.file, again.source) == (True, "", "pass:api")

    def test_a_file_of_an_input_is_none_of_the_repository_s(self, context: PluginContext) -> None:
        """It has the path of one, whose readers web2 must not become."""
        shutil.copytree(PLUGIN / "nix", context.root / "nix")
        module = context.root / "input" / DB
        module.parent.mkdir(parents=True)
        module.write_bytes((context.root / DB).read_bytes())
        (context.root / "flake.nix").write_text(
            "{ outputs = { self }: let input = builtins.path { path = ./input; name = ''source''; }; in {"
            " nixosConfigurations.web2 = (import ./nix/lib.nix).host {"
            " host = ''web2''; root = ./.;"
            f" modules = [ {{ secretsmith.secrets.db.file = input + ''/{DB}''; }} ]; }}; }}; }}"
        )
        (host,) = builder().hosts(context)
        assert (host.name, host.secrets) == ("web2", ())
        (outside,) = host.elsewhere
        assert outside.endswith(f"/source/{DB}"), "so that it can be said"
        (secret,) = builder().manifests(context, ["web2"], "/srv")["web2"].secrets
        assert secret.id.endswith(f"/source/{DB}")
        assert secret.source.endswith(f"-source/{DB}")
        assert Path(secret.source).is_file()

    def test_the_nixos_module(self, tmp_path: Path, nix: Nix, nixpkgs_lib: Path) -> None:
        """As NixOS has it, with the real library of nixpkgs; `<…>` of NIX_PATH may be read under restriction."""
        root = tmp_path / "repository"
        root.mkdir()
        path = f"plugin={PLUGIN}:nixpkgs-lib={nixpkgs_lib}"
        context = sample_context(root, {**store_environ(nix.root), "NIX_PATH": path})
        (root / "default.nix").write_text(
            "let stubs = import <plugin/tests/stubs/nixpkgs.nix> "
            '{ nixpkgsLib = <nixpkgs-lib>; python = "/usr/bin/python3"; };\n'
            "in { nodes.web1 = stubs.nixos [ { secretsmith.root = ./.; services.openssh.enable = true; } ./web1.nix ]; }\n"
        )
        (root / "web1.nix").write_text(
            '{ config, ... }:\n{\n  secretsmith.secrets.db = { file = ./secrets/web/db.age; mode = "0440"; };\n'
            '  secretsmith.templates."app.env" = {\n'
            '    content = "A=${config.secretsmith.placeholder.env.db}"; format = "dotenv"; };\n}\n'
        )
        (host,) = builder().hosts(context)
        assert [(each.file, each.mode, each.origin) for each in host.secrets] == [(DB, "0440", "web1.nix:3")]
        made = builder().manifests(context, ["web1"], "/files")["web1"]
        assert made.identities == ("/etc/ssh/ssh_host_ed25519_key",)
        assert made.secrets[0].source == f"/files/{DB}"
        assert [each.secret for each in made.templates[0].placeholders.values()] == ["db"]

    def test_what_the_registry_says_now_counts(self, context: PluginContext) -> None:
        """Nix may have read another state of registry and lock, or may make things up."""
        declare(context.root, "flake.nix", "web1", {"db": DB})
        host = context.root / "hosts/web1.nix"
        host.write_text(
            host.read_text()
            .replace('format = "age"', 'format = "age"; readers = [ "SHA256:forged" ]')
            .replace("secrets = [", 'host_key = "SHA256:forged"; secrets = [')
        )
        made = builder().manifests(context, ["web1"], None)["web1"]
        assert sorted(made.secrets[0].readers or ()) == sorted(context.readers(DB).wanted or ("none",))
        assert "forged" not in str(made)

    def test_only_what_is_asked_for_is_evaluated(self, context: PluginContext) -> None:
        declare(context.root, "flake.nix", "web1", {"db": DB})
        (context.root / "hosts/web2.nix").write_text('{ host = "web2"; secrets = throw "canary"; }')
        assert list(builder().manifests(context, ["web1"], None)) == ["web1"]

    @pytest.mark.parametrize("name", ['${abort "x"}', '"; abort "x', "\\", "web1\n"])
    def test_a_name_is_never_an_expression(self, context: PluginContext, name: str) -> None:
        declare(context.root, "flake.nix", "web1", {"db": DB})
        with pytest.raises(NotFound) as caught:
            builder().manifests(context, [name], None)
        assert caught.value.hints[0] == "hosts there: web1"

    def test_a_host_that_nobody_registered(self, context: PluginContext) -> None:
        declare(context.root, "flake.nix", "web9", {"db": DB})
        with pytest.raises(NotFound, match="the registry has no host web9"):
            builder().manifests(context, ["web9"], None)

    def test_a_file_that_is_not_there(self, context: PluginContext) -> None:
        declare(context.root, "flake.nix", "web1", {"db": "secrets/none.age"})
        with pytest.raises(NotFound) as caught:
            builder().manifests(context, ["web1"], None)
        assert "host web1: there is no file secrets/none.age for secret db" in caught.value.message
        assert caught.value.hints == ("secretsmith set secrets/none.age",)

    def test_a_manifest_that_no_host_would_take(self, context: PluginContext) -> None:
        declare(context.root, "flake.nix", "web1", {"db": DB})
        host = context.root / "hosts/web1.nix"
        host.write_text(host.read_text().replace("secrets = [", 'directory = "/proc/s"; secrets = ['))
        with pytest.raises(RefusedInput, match=r"host web1: .*/proc"):
            builder().manifests(context, ["web1"], None)


@pytest.fixture
def server() -> Iterator[tuple[str, list[str]]]:
    """The address of a web server on loopback, and what was asked of it."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}", asked
        running.shutdown()
        thread.join()


class TestConfinement:
    """Code of a repository is evaluated, not trusted."""

    BUILT = (
        'import (derivation {{ name = "x"; system = "x86_64-linux"; builder = "/bin/sh";'
        ' args = [ "-c" "echo made > {canary}; echo 1 > $out" ]; }})'
    )

    def host(self, context: PluginContext, entry: str, expression: str) -> None:
        declare(context.root, entry, "web1", {})
        text = host_text("web1", {}).replace("secrets = [", f"x = {expression}; secrets = [")
        (context.root / "hosts/web1.nix").write_text(text)

    @pytest.mark.parametrize("entry", ["flake.nix", "default.nix"])
    def test_nothing_is_built(self, context: PluginContext, entry: str, tmp_path: Path) -> None:
        canary = tmp_path / "canary"
        self.host(context, entry, self.BUILT.format(canary=canary))
        refused(context)
        assert not canary.exists()

    def test_the_settings_of_a_flake_are_not_used(self, context: PluginContext, tmp_path: Path) -> None:
        """Even where somebody said yes to them once."""
        canary = tmp_path / "canary"
        self.host(context, "flake.nix", self.BUILT.format(canary=canary))
        flake = context.root / "flake.nix"
        flake.write_text(FLAKE.replace("{\n", "{\n  nixConfig.allow-import-from-derivation = true;\n", 1))
        trusted = Path(context.environ["HOME"]) / ".local/share/nix/trusted-settings.json"
        trusted.parent.mkdir(parents=True)
        trusted.write_text(json.dumps({"allow-import-from-derivation": {"true": True}}))
        assert "allow-import-from-derivation" in refused(context).message
        assert not canary.exists()

    @pytest.mark.parametrize("entry", ["flake.nix", "default.nix"])
    @pytest.mark.parametrize(
        "expression",
        ["builtins.readFile /etc/passwd", 'builtins.exec [ "true" ]', "builtins.readDir ../..", "<nixpkgs>"],
    )
    def test_nothing_else_is_read_or_run(self, context: PluginContext, entry: str, expression: str) -> None:
        self.host(context, entry, expression)
        message = refused(context).message
        assert any(
            word in message
            for word in ("forbidden", "restricted", "missing", "exec", "not found", "cannot look up")
        ), message

    @pytest.mark.parametrize("entry", ["flake.nix", "default.nix"])
    def test_the_environment_is_not_seen(self, context: PluginContext, entry: str) -> None:
        self.host(context, entry, 'assert builtins.getEnv "HOME" == ""; 1')
        assert [host.name for host in builder().hosts(context)] == ["web1"]

    @pytest.mark.parametrize("entry", ["flake.nix", "default.nix"])
    def test_the_network_is_not_used(
        self, context: PluginContext, entry: str, server: tuple[str, list[str]]
    ) -> None:
        address, asked = server
        sum_ = "0" * 52
        self.host(
            context,
            entry,
            f'builtins.readFile (builtins.fetchurl {{ url = "{address}/x"; sha256 = "{sum_}"; }})',
        )
        refused(context)
        assert asked == []

    def test_inputs_are_not_fetched(self, context: PluginContext, server: tuple[str, list[str]]) -> None:
        address, asked = server
        declare(context.root, "flake.nix", "web1", {})
        flake = context.root / "flake.nix"
        for url in (f"{address}/x.tar.gz", f"git+{address}/x.git"):
            flake.write_text(
                FLAKE.replace("{\n", f'{{\n  inputs.x.url = "{url}";\n', 1).replace("{ self }", "{ self, x }")
            )
            assert refused(context).hints
            assert asked == []
            assert not (context.root / "flake.lock").exists()


class TestInputs:
    def inputs(self, context: PluginContext) -> list[str]:
        made = builder()
        assert isinstance(made, Traceable)
        return list(made.inputs(context))

    def test_a_flake_in_git_is_made_of_tracked_files(self, context: PluginContext) -> None:
        git(context, "init", "-q")
        declare(context.root, "flake.nix", "web1", {})
        (context.root / "flake.lock").write_text("{}")
        (context.root / "hosts/data.json").write_text("{}")
        git(context, "add", ".")
        (context.root / "hosts/untracked.nix").write_text("{ }")
        assert self.inputs(context) == ["flake.lock", "flake.nix", "hosts/data.json", "hosts/web1.nix"]

    @pytest.mark.parametrize("entry", ["flake.nix", "default.nix"])
    def test_others_are_made_of_all_files(self, context: PluginContext, entry: str) -> None:
        declare(context.root, entry, "web1", {})
        (context.root / "npins").mkdir()
        (context.root / "npins/sources.json").write_text("{}")
        os.symlink("/etc", context.root / "link")
        os.symlink("/etc/passwd", context.root / "link.nix")
        assert self.inputs(context) == sorted([entry, "hosts/web1.nix", "npins/sources.json"])

    def test_where_there_is_no_nix_there_are_none(self, context: PluginContext) -> None:
        assert self.inputs(context) == []


class TestTogether:
    """With the commands that ask builders."""

    @pytest.fixture
    def project(self, context: PluginContext) -> Project:
        declare(context.root, "flake.nix", "web1", {"db": DB})
        declare(context.root, "flake.nix", "web2", {"db": DB})
        return self.opened(context)

    def opened(self, context: PluginContext) -> Project:
        return open_project(context.root, environ=context.environ, interaction=context.interaction)

    def loader(self) -> Loader:
        return Loader(
            [Entry("secretsmith.builders", "nix", "secretsmith_nix:builder", "secretsmith-nix", "0.1.0")]
        )

    def test_the_answer_is_kept_while_the_files_are_the_same(
        self, project: Project, context: PluginContext
    ) -> None:
        export_build(project, loader=self.loader())
        kept = last_export(self.opened(context), loader=self.loader())
        assert kept is not None
        assert [host.declared.name for host in kept.hosts] == ["web1", "web2"]
        host = context.root / "hosts/web1.nix"
        host.write_text(host.read_text() + "# changed\n")
        assert last_export(self.opened(context), loader=self.loader()) is None

    def test_rules_follow_what_hosts_declare(self, project: Project, context: PluginContext) -> None:
        planned = plan_build_grants(project, loader=self.loader())
        assert [(change.path, change.add) for change in planned.changes] == [(DB, ("web1", "web2"))]
        grant_from_build(project, planned)
        (context.root / "hosts/web2.nix").write_text(host_text("web2", {}))
        project = self.opened(context)
        done, _ = grant_from_build(project, plan_build_grants(project, loader=self.loader()))
        assert [(change.path, change.remove) for change in done.changes] == [(DB, ("web2",))]
        assert done.vanished == ()
