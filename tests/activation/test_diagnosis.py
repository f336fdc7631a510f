"""What a person is told of a source that does not open, and of a key that cannot be used: each cause in its own words."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pyrage
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from keys import ecdsa_key, ed25519_key, rsa_key
from sopsfleet import put_pgp
from vaults import KINDS, SUFFIX, Vault, derived, fingerprint, principals, text_of

from secretsmith.activation.opening.diagnosis import no_key_at_all, nothing_opens
from secretsmith.activation.opening.hostkeys import load_host_keys
from secretsmith.activation.opening.openings import Openings
from secretsmith.activation.opening.readers import Readers, readers_of_source
from secretsmith.activation.opening.sources import Sources
from secretsmith.documents.format import Format
from secretsmith.errors import CannotDecrypt, Code, IntegrityFailure, SecretsmithError
from secretsmith.manifest import SourceFormat

pytestmark = pytest.mark.usefixtures("open_descriptors")

SOPS_SAYS = "successful groups"


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    return Vault(tmp_path)


def problem(path: Path, trusted: frozenset[int] | None = None) -> SecretsmithError:
    """Why the key in ``path`` cannot be used."""
    found = load_host_keys([str(path)], trusted or frozenset({0, os.geteuid()}))
    assert found.keys == ()
    (error,) = found.problems
    assert isinstance(error, CannotDecrypt)
    assert error.path == str(path)
    assert str(path) in error.message
    return error


# Sources for others


@pytest.mark.parametrize("kind", KINDS)
def test_a_document_for_others_says_for_whom(vault: Vault, kind: Format) -> None:
    alice, bob, stranger = (ed25519_key(name) for name in ("alice", "bob", "stranger"))
    vault.members["principals"] = principals(web1=vault.key, alice=alice, bob=bob)
    recipients = [
        derived(alice),
        bob.public,
        derived(stranger),
        str(pyrage.x25519.Identity.generate().to_public()),
    ]
    path = vault.document(f"d.{SUFFIX[kind]}", KINDS[kind], [recipients])
    error = vault.failure(path, id="secrets/web/d")
    assert isinstance(error, CannotDecrypt)
    assert error.code is Code.NO_IDENTITY
    assert error.message == (
        f"{path} is not encrypted for this host; it is for: alice {fingerprint(alice)}, bob {fingerprint(bob)},"
        f" {derived(stranger)}, {recipients[3]}"
    )
    assert error.hints == ("on your workstation: secretsmith explain secrets/web/d web1",)
    assert SOPS_SAYS not in text_of(error)


def test_an_age_file_for_others_by_tag(vault: Vault) -> None:
    alice, stranger = ed25519_key("alice"), ed25519_key("stranger")
    vault.members["principals"] = principals(alice=alice)
    message = vault.failure(vault.age("db", b"x", alice, stranger)).message
    assert f"it is for: alice {fingerprint(alice)}, a key with ssh tag " in message
    assert message.endswith("that the manifest does not name")


def test_anonymous_stanzas_and_what_the_manifest_says(vault: Vault) -> None:
    vault.members["principals"] = principals(web1=vault.key)
    data = pyrage.encrypt(b"x", [pyrage.x25519.Identity.generate().to_public()])
    error = vault.failure(vault.write("db.age", data), readers=[fingerprint(vault.key)])
    assert "1 anonymous age1… key (such stanzas do not say whose)" in error.message
    assert f"by the manifest it is for: web1 {fingerprint(vault.key)}" in error.hints


def test_each_secret_of_a_source_has_its_own_command(vault: Vault) -> None:
    path = vault.document("d.yaml", KINDS[Format.YAML], [[ed25519_key().public]])
    vault.add("a", path, id="one")
    vault.add("b", path, id="two; reboot")
    found = vault.opened()
    hints = [item.hints[-1] for item in found.values() if isinstance(item, SecretsmithError)]
    assert hints == [
        "on your workstation: secretsmith explain one web1",
        "on your workstation: secretsmith explain 'two; reboot' web1",
    ]


def test_a_document_under_pgp(vault: Vault) -> None:
    alice = ed25519_key("alice")
    vault.members["principals"] = principals(alice=alice)
    path = vault.document("d.yaml", KINDS[Format.YAML], [[derived(alice)]])
    put_pgp(path)
    error = vault.failure(path)
    assert f"alice {fingerprint(alice)}, PGP D7229043384BCC60326C6FB9D8720D957C3D3074" in error.message
    assert "activation uses age keys only: no PGP and no key service" in error.hints
    assert "gnupg" not in text_of(error), "nothing that a host should install"
    put_pgp(path, alone=True)
    assert "it is for: PGP D7229043384BCC60326C6FB9D8720D957C3D3074" in vault.failure(path).message


def test_a_name_that_is_not_whose_stanza_it_is(vault: Vault) -> None:
    """The document says it is for this host; what stands there is for somebody else."""
    path = vault.document("d.yaml", KINDS[Format.YAML], [[ed25519_key().public]])
    other = vault.folder / "other.yaml"
    data = path.read_text()
    start = data.index("ssh-ed25519 ")
    line = data[start : data.index("\n", start)]
    other.write_text(data.replace(line, vault.key.public.rsplit(" ", 1)[0]))
    error = vault.failure(other)
    assert isinstance(error, IntegrityFailure)
    assert "names this host's key, but what it holds for that key is damaged" in error.message
    assert any("it is for somebody else" in hint for hint in error.hints)


def test_a_damaged_stanza_of_this_host(vault: Vault) -> None:
    path = vault.document("d.yaml", KINDS[Format.YAML])
    data = path.read_text()
    at = data.index("-----BEGIN AGE ENCRYPTED FILE-----") + 80
    path.write_text(data[:at] + ("A" if data[at] != "A" else "B") + data[at + 1 :])
    error = vault.failure(path)
    assert isinstance(error, IntegrityFailure)
    assert "damaged" in error.message


def test_hostile_names_do_not_reach_the_terminal(vault: Vault) -> None:
    path = vault.document("d.json", KINDS[Format.JSON], [[ed25519_key().public]])
    data = path.read_text()
    start = data.index("ssh-ed25519 ")
    line = data[start : data.index('"', start)]
    path.write_text(data.replace(line, "age1\\u001b[2J\\u202e" + "x" * 500))
    message = vault.failure(path).message
    assert message.isprintable()
    assert len(message) < len(str(path)) + 300


def test_a_long_list_of_readers_is_cut(vault: Vault) -> None:
    groups = [[str(pyrage.x25519.Identity.generate().to_public()) for _ in range(30)]]
    message = vault.failure(vault.document("d.yaml", b"a: 1\n", groups)).message
    assert message.count("age1") == 20
    assert message.endswith(", 10 more")


def test_an_rsa_key_is_named_as_the_cause(vault: Vault) -> None:
    vault.key = rsa_key()
    vault.key.write(vault.folder, "host_key")
    error = vault.failure(vault.document("d.yaml", b"a: 1\n", [[derived(ed25519_key())]]))
    assert f"{vault.key_file} is an RSA key" in text_of(error)
    assert "ssh-keygen -A" in text_of(error)


# Nothing opens


def nothing(vault: Vault) -> CannotDecrypt:
    """What is said when no secret opens."""
    manifest = vault.manifest()
    keys = load_host_keys(manifest.identities, frozenset({0, os.geteuid()}))
    sources = Sources()
    openings = Openings(manifest, sources, keys)
    for secret in manifest.secrets:
        assert isinstance(openings.value(secret), CannotDecrypt)
    files = openings.readers(secret.source for secret in manifest.secrets)
    assert sources.contents == {}, "whom they are for is known, the bytes are not needed"
    return nothing_opens(manifest, keys, files, 2e9, ["not installed: all"])


def test_a_reinstalled_host_with_a_mix_of_files(vault: Vault) -> None:
    old, alice = vault.key, ed25519_key("alice")
    vault.members["principals"] = principals(web1=old, alice=alice)
    vault.members["host_key"] = fingerprint(old)
    vault.add("age", vault.age("db", b"x", old, alice))
    for kind, clear in KINDS.items():
        path = vault.document(f"d.{SUFFIX[kind]}", clear, [[derived(old), alice.public]])
        vault.add(str(kind), path)
        vault.add(f"{kind}-again", path)
    vault.key = ed25519_key("root@web1")
    vault.key.write(vault.folder, "host_key")
    error = nothing(vault)
    assert error.message == "web1: this host's key does not open any of its 6 secret files"
    assert (
        f"the secrets are encrypted for: web1 {fingerprint(old)}, alice {fingerprint(alice)}" in error.hints
    )
    assert "the host key changed: the machine was probably reinstalled" in error.hints
    public = " ".join(vault.key.public.split()[:2])
    assert error.hints[-1] == f'on your workstation: secretsmith host reprovision web1 --key "{public}"'
    assert SOPS_SAYS not in text_of(error)


def test_the_right_key_and_files_that_are_behind(vault: Vault) -> None:
    vault.members["host_key"] = fingerprint(vault.key)
    vault.add("a", vault.document("d.yaml", b"a: 1\n", [[derived(ed25519_key())]]))
    error = nothing(vault)
    assert "reinstalled" not in text_of(error)
    assert error.message.endswith("does not open its secret file")
    assert error.hints[-1] == "on your workstation: secretsmith rekey"


def test_live_values_are_mended_by_a_deploy(vault: Vault, tmp_path: Path) -> None:
    there = vault.age("token", b"x", ed25519_key())
    error = vault.failure(there, id="pass:token", live="pass:token")
    assert error.hints[-1] == "on your workstation: secretsmith deploy web1"
    error = vault.failure(tmp_path / "gone.age", id="pass:token", live="pass:token")
    assert error.code is Code.NOT_FOUND and "it would hold pass:token, a live value" in error.message
    assert error.hints == ("on your workstation: secretsmith deploy web1",)
    vault.members["host_key"] = fingerprint(vault.key)
    vault.add("token", there, live="pass:token")
    assert nothing(vault).hints[-1] == "on your workstation: secretsmith deploy web1"
    vault.add("db", vault.age("db", b"x", ed25519_key()))
    assert nothing(vault).hints[-1] == "on your workstation: secretsmith rekey"


@pytest.mark.parametrize("kind", SourceFormat)
@pytest.mark.parametrize("data", [b"", b"garbage", b"sops: 1\n", b'{"sops": {}}', b"\xff" * 64])
def test_readers_of_garbage_are_nobody(kind: SourceFormat, data: bytes) -> None:
    assert readers_of_source(kind, data) == Readers()


# Keys that cannot be used


def test_no_identity_yet(vault: Vault) -> None:
    vault.key_file.unlink()
    error = problem(vault.key_file)
    assert error.code is Code.NO_IDENTITY
    assert error.message == f"no identity yet: {vault.key_file} does not exist"
    assert error.hints == ("sshd makes its host keys with: ssh-keygen -A",)


def test_no_identity_yet_on_a_filesystem_that_is_not_mounted(vault: Vault) -> None:
    error = problem(vault.folder / "persist" / "etc" / "ssh_host_ed25519_key")
    assert (
        error.hints[0]
        == f"the folder {vault.folder}/persist/etc is not there either: is its filesystem mounted?"
    )
    assert "ssh-keygen -A" in error.hints[1]


def test_no_identity_yet_of_a_user(vault: Vault) -> None:
    (hint,) = problem(vault.folder / "keys.txt").hints
    assert f"age-keygen -o {vault.folder}/keys.txt" in hint
    assert "-A" not in hint


@pytest.fixture
def unprivileged() -> Iterator[Path]:
    """A folder that user 65534 can reach, and this process as that user."""
    with tempfile.TemporaryDirectory(prefix="secretsmith-test-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        ed25519_key().write(folder, "key")
        (folder / "closed").mkdir(mode=0o700)
        ed25519_key().write(folder / "closed", "key")
        os.seteuid(65534)
        try:
            yield folder
        finally:
            os.seteuid(0)


@pytest.mark.usefixtures("as_root")
def test_a_key_that_cannot_be_read(unprivileged: Path) -> None:
    error = problem(unprivileged / "key")
    assert error.code is Code.ACCESS
    assert error.message.endswith("/key cannot be read by user 65534: it belongs to user 0, mode 0600")


@pytest.mark.usefixtures("as_root")
def test_a_key_in_a_closed_folder(unprivileged: Path) -> None:
    message = problem(unprivileged / "closed" / "key").message
    assert message.endswith(
        f"cannot be read by user 65534: the folder {unprivileged}/closed is closed to that user"
    )


@pytest.mark.usefixtures("as_root")
def test_a_key_of_somebody_else(vault: Vault) -> None:
    os.chown(vault.key_file, 65534, 65534)
    error = problem(vault.key_file, frozenset({0}))
    assert error.code is Code.ACCESS
    assert "belongs to user 65534, who could exchange it" in error.message
    assert error.hints == (f"chown 0 {vault.key_file}",)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601])
def test_a_key_that_others_have(vault: Vault, mode: int) -> None:
    vault.key_file.chmod(mode)
    error = problem(vault.key_file)
    assert error.code is Code.ACCESS
    assert error.hints[0] == f"chmod 600 {vault.key_file}"


def test_a_symlink_says_where_it_points(vault: Vault) -> None:
    (vault.folder / "real").mkdir()
    real = vault.key_file.rename(vault.folder / "real" / "key")
    vault.key_file.symlink_to("real/key")
    error = problem(vault.key_file)
    assert error.code is Code.NOT_REGULAR
    assert error.hints == (f"name the file itself in the manifest's identities: {real}",)


def pem(
    key: ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey, passphrase: bytes | None = None
) -> bytes:
    encryption = (
        serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
    )
    shape = (
        serialization.PrivateFormat.PKCS8 if passphrase else serialization.PrivateFormat.TraditionalOpenSSL
    )
    return key.private_bytes(serialization.Encoding.PEM, shape, encryption)


def locked_age_file() -> bytes:
    return bytes(pyrage.passphrase.encrypt(str(pyrage.x25519.Identity.generate()).encode(), "secret"))


PUBLIC_PEM = b"-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA\n-----END PUBLIC KEY-----\n"
KEYS: dict[str, tuple[Callable[[], bytes], Code, str]] = {
    "ecdsa": (lambda: ecdsa_key().private, Code.KEY_UNSUPPORTED, "ecdsa-sha2-nistp256 is a key type that"),
    "ecdsa pem": (
        lambda: pem(ec.generate_private_key(ec.SECP256R1())),
        Code.KEY_UNSUPPORTED,
        "ecdsa is a key",
    ),
    "weak rsa": (lambda: rsa_key(1024).private, Code.KEY_WEAK, "of 1024 bits; 2048 are needed"),
    "passphrase": (lambda: ed25519_key(passphrase=b"x").private, Code.PASSPHRASE, "has a passphrase"),
    "pem passphrase": (
        lambda: pem(ed25519.Ed25519PrivateKey.generate(), b"x"),
        Code.PASSPHRASE,
        "has a passphrase",
    ),
    "age passphrase": (locked_age_file, Code.PASSPHRASE, "has a passphrase"),
    "plugin": (lambda: b"AGE-PLUGIN-YUBIKEY-1QQQSYQCYQ\n", Code.KEY_FORMAT, "line 1"),
    "public": (lambda: ed25519_key("a").public.encode(), Code.KEY_FORMAT, "is a public key; the private one"),
    "public age": (lambda: b"# mine\nage1qqqqqq\n", Code.KEY_FORMAT, "is a public key; the private one"),
    "public pem": (lambda: PUBLIC_PEM, Code.KEY_FORMAT, "is a public key; the private one"),
    "certificate": (
        lambda: b"ssh-ed25519-cert-v01@openssh.com AAAA\n",
        Code.KEY_FORMAT,
        "is a public key; the private one",
    ),
    "putty": (lambda: b"PuTTY-User-Key-File-3: ssh-ed25519\n", Code.KEY_UNSUPPORTED, "this is a PuTTY key"),
    "empty": (lambda: b"", Code.EMPTY, "is empty: there is no identity in the file"),
    "blank": (lambda: b"\n \n", Code.EMPTY, "is empty"),
    "comments": (lambda: b"# created: today\n", Code.EMPTY, "there is no identity in the file"),
    "garbage": (lambda: b"hunter2", Code.KEY_FORMAT, "line 1: neither an identity nor a comment"),
    "bytes": (lambda: bytes(range(190, 254)), Code.KEY_FORMAT, "no UTF-8 text"),
    "cut off": (lambda: ed25519_key().private[:150], Code.KEY_FORMAT, "cut off"),
    "huge": (lambda: bytes(2 << 20), Code.TOO_BIG, "larger than"),
}


@pytest.mark.parametrize("what", KEYS)
def test_each_wrong_key_has_its_own_message(vault: Vault, what: str) -> None:
    make, code, said = KEYS[what]
    data = make()
    vault.key_file.write_bytes(data)
    error = problem(vault.key_file)
    assert (error.code, said in error.message) == (code, True), error.message
    assert "hunter2" not in text_of(error)
    lines = [line for line in data.decode("latin-1").splitlines() if len(line) > 30 and "KEY" not in line]
    assert not any(line in text_of(error) for line in lines), "nothing of a key is repeated"


def test_an_empty_key_file_goes_before_a_new_one_is_made(vault: Vault) -> None:
    path = vault.folder / "mine"
    path.touch(0o600)
    assert problem(path).hints[0] == f"rm {path}"


def test_a_public_key_is_said_before_its_mode(vault: Vault) -> None:
    path = vault.folder / "host_key.pub"
    path.chmod(0o644)
    error = problem(path)
    assert "is a public key" in error.message
    assert error.hints == (f"name the private key in the manifest's identities: {vault.key_file}",)


def test_plugins_only(vault: Vault) -> None:
    from secretsmith.crypto import bech32

    text = bech32.encode("AGE-PLUGIN-YUBIKEY-", b"12345678").upper()
    vault.key_file.write_text(text + "\n")
    error = problem(vault.key_file)
    assert error.code is Code.KEY_UNSUPPORTED
    assert "has plugin identities only, and activation runs no plugins" in error.message


@pytest.mark.parametrize("what", ["ecdsa", "ecdsa pem"])
def test_another_type_names_the_right_one(vault: Vault, what: str) -> None:
    vault.key_file.write_bytes(KEYS[what][0]())
    assert problem(vault.key_file).hints == (
        "ssh-keygen -A makes an ed25519 host key: name that in the manifest's identities",
    )


def test_the_command_that_takes_a_passphrase_off_works(vault: Vault, peer: Callable[[str], str]) -> None:
    vault.key_file.write_bytes(ed25519_key(passphrase=b"secret").private)
    (hint,) = problem(vault.key_file).hints
    command = hint.removeprefix("take it off: ").replace(
        "ssh-keygen -p", f"{peer('ssh-keygen')} -P secret -p"
    )
    subprocess.run(["sh", "-c", command], check=True, capture_output=True)
    assert len(load_host_keys([str(vault.key_file)], frozenset({os.geteuid()})).keys) == 1


def test_one_bad_key_does_not_hide_the_others(vault: Vault) -> None:
    paths = [str(vault.folder / "gone"), str(vault.key_file), str(vault.folder / "host_key.pub")]
    found = load_host_keys(paths, frozenset({0, os.geteuid()}))
    assert [key.path for key in found.keys] == [str(vault.key_file)]
    assert [item.code for item in found.problems] == [Code.NO_IDENTITY, Code.KEY_FORMAT]


def test_no_key_at_all_says_each_cause(vault: Vault) -> None:
    vault.add("a", vault.age("a", b"x"))
    paths = [str(vault.folder / "gone"), str(vault.folder / "host_key.pub")]
    problems = load_host_keys(paths, frozenset({0, os.geteuid()})).problems
    error = no_key_at_all(vault.manifest(), problems, ["not installed: a"])
    assert error.message == "web1: this host has no key to open secrets with"
    text = text_of(error)
    assert f"no identity yet: {paths[0]} does not exist" in text
    assert f"{paths[1]} is a public key" in text
    assert error.hints[-1] == "not installed: a"
