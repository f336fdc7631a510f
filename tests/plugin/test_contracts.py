"""The contract suites: an honest plugin passes, each kind of dishonest one fails."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import keys
import pytest

from secretsmith.crypto.publickey import parse_public_key
from secretsmith.errors import Code, NotFound, RefusedInput
from secretsmith.manifest import Manifest, ManifestPrincipal, ManifestSecret, SourceFormat
from secretsmith.plugin.api import (
    Builder,
    Fetched,
    HostDeclaration,
    IdentityProvider,
    OfferedIdentity,
    PluginContext,
    SecretDeclaration,
    Source,
)
from secretsmith.sensitive import Sensitive
from secretsmith.testing import BuilderContract, IdentityCase, IdentityContract, SourceCase, SourceContract


class FolderSource:
    """A folder of files, told by the environment; a source as small as can be."""

    api_version = 1

    def _path(self, reference: str, context: PluginContext) -> Path:
        return Path(context.environ["FOLDER"], reference)

    def fetch(self, reference: str, context: PluginContext) -> Fetched:
        try:
            value = self._path(reference, context).read_bytes()
        except FileNotFoundError:
            raise NotFound(Code.NOT_FOUND, f"no entry {reference}") from None
        return Fetched(Sensitive(value), self.digest(reference, context))

    def digest(self, reference: str, context: PluginContext) -> str | None:
        path = self._path(reference, context)
        return f"{path.stat().st_mtime_ns}:{path.stat().st_size}" if path.exists() else None


class TestFolderSource(SourceContract):
    def source(self) -> Source:
        return FolderSource()

    def case(self, folder: Path) -> SourceCase:
        entry = folder / "db"
        entry.write_bytes(b"hunter2\0\xff\n")

        def change() -> None:
            entry.write_bytes(b"hunter3 and more")

        return SourceCase("db", entry.read_bytes(), "nothing", change, {"FOLDER": str(folder)})


class Trimming(FolderSource):
    def fetch(self, reference: str, context: PluginContext) -> Fetched:
        found = super().fetch(reference, context)
        return Fetched(Sensitive(found.value.expose().strip()), found.digest)


class Forgetful(FolderSource):
    def digest(self, reference: str, context: PluginContext) -> str | None:
        return "always" if self._path(reference, context).exists() else None


class Restless(FolderSource):
    count = itertools.count()

    def digest(self, reference: str, context: PluginContext) -> str | None:
        return str(next(self.count)) if self._path(reference, context).exists() else None


class Inventing(FolderSource):
    def fetch(self, reference: str, context: PluginContext) -> Fetched:
        return super().fetch(reference if self._path(reference, context).exists() else "db", context)


class Chatty(FolderSource):
    def fetch(self, reference: str, context: PluginContext) -> Fetched:
        if not self._path(reference, context).exists():
            told = self._path("db", context).read_bytes().decode("utf-8", "replace")
            raise NotFound(Code.NOT_FOUND, f"no {reference}", hints=(told,))
        return super().fetch(reference, context)


class Scribbling(FolderSource):
    def digest(self, reference: str, context: PluginContext) -> str | None:
        (context.root / "cache").write_text(reference)
        return super().digest(reference, context)


class Curious(FolderSource):
    def digest(self, reference: str, context: PluginContext) -> str | None:
        found = super().digest(reference, context)
        if found is not None:
            context.read_secret("secrets/web/db.age")
        return found


@pytest.mark.parametrize(
    ("source", "test"),
    [
        (Trimming, "test_fetches_the_value_byte_for_byte"),
        (Forgetful, "test_digest_is_stable_and_follows_changes"),
        (Restless, "test_digest_is_stable_and_follows_changes"),
        (Inventing, "test_a_missing_entry_is_not_found"),
        (Chatty, "test_a_missing_entry_is_not_found"),
        (Scribbling, "test_nothing_is_written"),
        (Curious, "test_digest_needs_no_key"),
    ],
)
def test_a_dishonest_source_fails(source: Callable[[], Source], test: str, tmp_path: Path) -> None:
    class Suite(TestFolderSource):
        def source(self) -> Source:
            return source()

    with pytest.raises(AssertionError) as caught:
        getattr(Suite(), test)(tmp_path)
    assert "hunter" not in str(caught.value), "a contract tells no value"


class ListBuilder:
    """Declarations as lines `HOST NAME FILE` in one file; a builder as small as can be."""

    api_version = 1
    path = "hosts.list"

    def _lines(self, context: PluginContext) -> list[list[str]]:
        if self.path not in context.list_files("."):
            return []
        lines = [line.split() for line in context.read_file(self.path).decode().splitlines()]
        if wrong := [line for line in lines if len(line) != 3]:
            raise RefusedInput(Code.MANIFEST, f"{self.path}: {' '.join(wrong[0])}: not three words")
        return lines

    def detect(self, context: PluginContext) -> bool:
        return self.path in context.list_files(".")

    def hosts(self, context: PluginContext) -> Sequence[HostDeclaration]:
        lines = self._lines(context)
        return [
            HostDeclaration(
                host,
                self.path,
                tuple(
                    SecretDeclaration(name, file, "age", self.path)
                    for who, name, file in lines
                    if who == host
                ),
            )
            for host in sorted({host for host, _, _ in lines})
        ]

    def manifests(
        self, context: PluginContext, hosts: Sequence[str], source_root: str | None
    ) -> Mapping[str, Manifest]:
        declared = {host.name: host for host in self.hosts(context)}
        if missing := [host for host in hosts if host not in declared]:
            raise NotFound(Code.NOT_FOUND, f"{missing[0]} is not in {self.path}")
        return {host: self._manifest(context, declared[host], source_root) for host in hosts}

    def _manifest(self, context: PluginContext, host: HostDeclaration, source_root: str | None) -> Manifest:
        secrets = tuple(
            ManifestSecret(
                name=secret.name,
                source=f"{source_root or context.root}/{secret.file}",
                id=secret.file,
                format=SourceFormat.AGE,
                readers=context.readers(secret.file).wanted,
            )
            for secret in host.secrets
        )
        named = {key: context.key(key) for secret in secrets for key in secret.readers or ()}
        return Manifest(
            host=host.name,
            directory="/run/secrets",
            generations="/run/secrets.d",
            identities=("/etc/ssh/ssh_host_ed25519_key",),
            secrets=secrets,
            host_key=next(who.keys[0] for who in context.principals() if who.name == host.name),
            principals={
                key: ManifestPrincipal(name=who.principal, ssh_tag=who.ssh_tag, recipient=who.recipient)
                for key, who in named.items()
                if who is not None
            },
        )


class TestListBuilder(BuilderContract):
    def builder(self) -> Builder:
        return ListBuilder()

    def declare(self, root: Path, host: str, secrets: Mapping[str, str]) -> None:
        with (root / "hosts.list").open("a") as out:
            out.writelines(f"{host} {name} {file}\n" for name, file in secrets.items())

    def spoil(self, root: Path, host: str) -> None:
        self.declare(root, host, {"name with blank": "x"})


class Eager(ListBuilder):
    def detect(self, context: PluginContext) -> bool:
        return True


class Unsorted(ListBuilder):
    def hosts(self, context: PluginContext) -> Sequence[HostDeclaration]:
        return super().hosts(context)[::-1]


class Anonymous(ListBuilder):
    def _manifest(self, context: PluginContext, host: HostDeclaration, source_root: str | None) -> Manifest:
        from secretsmith.record import replace

        return replace(super()._manifest(context, host, source_root), principals={})


class Keyless(ListBuilder):
    def _manifest(self, context: PluginContext, host: HostDeclaration, source_root: str | None) -> Manifest:
        from secretsmith.record import replace

        return replace(super()._manifest(context, host, source_root), host_key=None)


class Elsewhere(ListBuilder):
    def _manifest(self, context: PluginContext, host: HostDeclaration, source_root: str | None) -> Manifest:
        return super()._manifest(context, host, "/nowhere")


class Placeless(ListBuilder):
    def _lines(self, context: PluginContext) -> list[list[str]]:
        try:
            return super()._lines(context)
        except RefusedInput:
            raise RefusedInput(Code.MANIFEST, "something is wrong somewhere") from None


class Decrypting(ListBuilder):
    def hosts(self, context: PluginContext) -> Sequence[HostDeclaration]:
        context.open_age(context.read_file("secrets/web/db.age"))
        return super().hosts(context)


@pytest.mark.parametrize(
    ("builder", "test"),
    [
        (Eager, "test_detects_only_its_own_repositories"),
        (Unsorted, "test_hosts_declare_what_was_written"),
        (Anonymous, "test_manifests_are_valid_and_say_who_is_who"),
        (Keyless, "test_manifests_are_valid_and_say_who_is_who"),
        (Elsewhere, "test_manifests_are_valid_and_say_who_is_who"),
        (Placeless, "test_a_broken_declaration_is_refused_with_its_place"),
        (Decrypting, "test_nothing_is_written"),
    ],
)
def test_a_dishonest_builder_fails(builder: Callable[[], Builder], test: str, tmp_path: Path) -> None:
    class Suite(TestListBuilder):
        def builder(self) -> Builder:
            return builder()

    with pytest.raises(AssertionError):
        getattr(Suite(), test)(tmp_path)


def test_the_sample_is_a_real_repository(tmp_path: Path) -> None:
    from secretsmith.testing import HOST_FILES, sample_context

    context = sample_context(tmp_path)
    for files in HOST_FILES.values():
        for path in files:
            readers = context.readers(path)
            assert readers.wanted == readers.present
            assert readers.wanted is not None and len(readers.wanted) >= 2
    assert (
        hashlib.sha256((tmp_path / "secrets/web/db.age").read_bytes()).hexdigest()
        in (tmp_path / "secretsmith.lock").read_text()
    )


class FolderIdentities:
    """Keys in files of a folder that the environment names, passphrases in one file of lines; as small as can be."""

    api_version = 1

    def identities(self, context: PluginContext) -> Iterator[OfferedIdentity]:
        for path in sorted(Path(context.environ["FOLDER"]).glob("*.key")):
            yield OfferedIdentity(path.name, Sensitive(path.read_bytes()))

    def passphrase(self, fingerprint: str, context: PluginContext) -> Sensitive | None:
        lines = Path(context.environ["FOLDER"], "words").read_text().splitlines()
        known = dict(line.split(" ", 1) for line in lines)
        return Sensitive(known[fingerprint].encode()) if fingerprint in known else None


class TestFolderIdentities(IdentityContract):
    def provider(self) -> IdentityProvider:
        return FolderIdentities()

    def case(self, folder: Path) -> IdentityCase:
        made = keys.ed25519_key()
        (folder / "work.key").write_bytes(made.private)
        (folder / "words").write_text("SHA256:mine hunter2\n")
        recipient = parse_public_key(made.public).text
        return IdentityCase(recipient, {"SHA256:mine": b"hunter2"}, {"FOLDER": str(folder)})


class Telling(FolderIdentities):
    def identities(self, context: PluginContext) -> Iterator[OfferedIdentity]:
        for offered in super().identities(context):
            yield OfferedIdentity(offered.material.expose().decode().splitlines()[1], offered.material)


class Useless(FolderIdentities):
    def identities(self, context: PluginContext) -> Iterator[OfferedIdentity]:
        return iter(())


class Guessing(FolderIdentities):
    def passphrase(self, fingerprint: str, context: PluginContext) -> Sensitive | None:
        return Sensitive(b"hunter2")


class Noting(FolderIdentities):
    def identities(self, context: PluginContext) -> Iterator[OfferedIdentity]:
        (context.root / "cache").write_text("x")
        return super().identities(context)


@pytest.mark.parametrize(
    ("provider", "test"),
    [
        (Telling, "test_labels_are_for_people"),
        (Useless, "test_offers_a_key_that_opens"),
        (Guessing, "test_passphrases_by_fingerprint"),
        (Noting, "test_nothing_is_written"),
    ],
)
def test_a_dishonest_identity_provider_fails(
    provider: Callable[[], IdentityProvider], test: str, tmp_path: Path
) -> None:
    class Suite(TestFolderIdentities):
        def provider(self) -> IdentityProvider:
            return provider()

    with pytest.raises(AssertionError) as caught:
        getattr(Suite(), test)(tmp_path)
    assert "hunter" not in str(caught.value), "a contract tells no value"
