"""The contract of builders, as tests."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from secretsmith.errors import NotFound, RefusedInput
from secretsmith.manifest import Manifest, dump_manifest, parse_manifest
from secretsmith.plugin.api import Builder, PluginContext, Traceable
from secretsmith.plugin.validation import complaint
from secretsmith.testing.expectation import expect, refused
from secretsmith.testing.repository import HOST_FILES, sample_context, snapshot


class BuilderContract(ABC):
    """What every builder does. Each test gets a fresh sample repository (:func:`sample_context`) in ``tmp_path``."""

    @abstractmethod
    def builder(self) -> Builder:
        """Return the builder, as the factory makes it."""

    @abstractmethod
    def declare(self, root: Path, host: str, secrets: Mapping[str, str]) -> None:
        """Write what makes ``host`` declare ``secrets`` (name → path of the file in the repository), nothing else."""

    @abstractmethod
    def spoil(self, root: Path, host: str) -> None:
        """Break what :meth:`declare` wrote for ``host``, in a way that a person might."""

    def _declared(self, root: Path) -> tuple[Builder, PluginContext]:
        context = sample_context(root)
        for host, files in HOST_FILES.items():
            self.declare(root, host, _names(files))
        return self.builder(), context

    def test_satisfies_the_protocol(self) -> None:
        """The loader would accept it."""
        wrong = complaint("secretsmith.builders", self.builder())
        expect(wrong is None, f"the loader refuses it: {wrong}")

    def test_detects_only_its_own_repositories(self, tmp_path: Path) -> None:
        """``detect`` tells a repository that uses the build system from one that does not."""
        context = sample_context(tmp_path)
        expect(not self.builder().detect(context), "it detects a repository that declares nothing")
        self.declare(tmp_path, "web1", {})
        expect(self.builder().detect(context), "it does not detect a repository with a declared host")

    def test_hosts_declare_what_was_written(self, tmp_path: Path) -> None:
        """``hosts`` returns each host once, sorted, with its secrets and where they stand."""
        builder, context = self._declared(tmp_path)
        hosts = builder.hosts(context)
        expect([host.name for host in hosts] == sorted(HOST_FILES), f"hosts: {[host.name for host in hosts]}")
        for host in hosts:
            found = {secret.name: secret.file for secret in host.secrets}
            expect(found == _names(HOST_FILES[host.name]), f"{host.name} declares {found}")
            expect(all(secret.origin for secret in host.secrets), f"{host.name}: a secret without an origin")
            expect(
                all(secret.format == "age" for secret in host.secrets),
                f"{host.name}: a format other than age",
            )

    def test_manifests_are_valid_and_say_who_is_who(self, tmp_path: Path) -> None:
        """``manifests`` gives for all hosts at once what a host would take, with readers and their names."""
        builder, context = self._declared(tmp_path)
        manifests = builder.manifests(context, sorted(HOST_FILES), None)
        expect(sorted(manifests) == sorted(HOST_FILES), f"manifests for {sorted(manifests)}")
        for host, manifest in manifests.items():
            expect(
                parse_manifest(dump_manifest(manifest)) == manifest,
                f"{host}: the manifest does not survive a dump",
            )
            self._check_manifest(context, host, manifest)

    def _check_manifest(self, context: PluginContext, host: str, manifest: Manifest) -> None:
        key = next(who.keys[0] for who in context.principals() if who.name == host)
        expect(manifest.host == host, f"{host}: the manifest is for {manifest.host}")
        expect(manifest.host_key == key, f"{host}: host_key {manifest.host_key}, registered is {key}")
        files = {secret.name: secret.id for secret in manifest.secrets}
        expect(files == _names(HOST_FILES[host]), f"{host}: ids are not the repository's paths: {files}")
        for secret in manifest.secrets:
            expect(Path(secret.source).is_file(), f"{host}: {secret.source} is no file")
            wanted = context.readers(secret.id).wanted
            expect(sorted(secret.readers or ()) == sorted(wanted or ()), f"{host}: readers of {secret.name}")
            unnamed = set(secret.readers or ()) - set(manifest.principals)
            expect(not unnamed, f"{host}: principals do not name {sorted(unnamed)}")
        for fingerprint, named in manifest.principals.items():
            known = context.key(fingerprint)
            expect(
                known is not None and known.principal == named.name,
                f"{host}: {fingerprint} is not {named.name}",
            )
            tag = known.ssh_tag if known else None
            expect(named.ssh_tag == tag, f"{host}: ssh_tag of {named.name} is {named.ssh_tag}, not {tag}")

    def test_an_undeclared_host_is_not_found(self, tmp_path: Path) -> None:
        """A host without a declaration is an error that names it."""
        builder, context = self._declared(tmp_path)
        with refused(NotFound, "an undeclared host") as error:
            builder.manifests(context, ["web9"], None)
        expect("web9" in error[0].message, f"the message does not name the host: {error[0].message}")

    def test_a_broken_declaration_is_refused_with_its_place(self, tmp_path: Path) -> None:
        """An error in a declaration is told in one line that says where."""
        builder, context = self._declared(tmp_path)
        self.spoil(tmp_path, "web1")
        with refused(RefusedInput, "a broken declaration") as error:
            builder.manifests(context, ["web1"], None)
        expect("web1" in error[0].message, f"the message does not lead to the place: {error[0].message}")

    def test_inputs_show_every_change(self, tmp_path: Path) -> None:
        """A builder that is ``Traceable``: its last answer is used for as long as paths and files of ``inputs`` stay the same."""
        builder, context = self._declared(tmp_path)
        if not isinstance(builder, Traceable):
            return
        first = _traced(builder, context)
        builder.hosts(context)
        expect(_traced(builder, context) == first, "the inputs change though nothing did")
        file = HOST_FILES["web1"][0]
        self.declare(tmp_path, "web1", {"another-name": file})
        second = _traced(builder, context)
        expect(second != first, "a changed declaration does not show in the inputs")
        self.declare(tmp_path, "web1", {"another-name": file, "one-more": file})
        third = _traced(builder, context)
        expect(third != second, "a declaration that is new does not show in the inputs")
        self.spoil(tmp_path, "web1")
        expect(
            _traced(builder, context) != third,
            "a broken declaration does not show, or is read for the inputs",
        )

    def test_nothing_is_written(self, tmp_path: Path) -> None:
        """Asking a builder leaves the repository as it was; no key is used (the context would fail the test)."""
        builder, context = self._declared(tmp_path)
        before = snapshot(tmp_path)
        builder.detect(context)
        builder.hosts(context)
        builder.manifests(context, sorted(HOST_FILES), None)
        if isinstance(builder, Traceable):
            builder.inputs(context)
        expect(snapshot(tmp_path) == before, "the builder changed the repository")


def _traced(builder: Traceable, context: PluginContext) -> dict[str, bytes | None]:
    """Return each input with what is in it, None for a file that is not there."""
    found: dict[str, bytes | None] = {}
    for path in builder.inputs(context):
        inside = not path.startswith("/") and ".." not in path.split("/")
        expect(inside, f"the input {path} is no path from the root")
        there = (context.root / path).is_file()
        found[path] = context.read_file(path) if there else None
    return found


def _names(files: tuple[str, ...]) -> dict[str, str]:
    return {PurePosixPath(file).stem: file for file in files}


__all__ = ["BuilderContract"]
