from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import keys
import pytest
from lockedfiles import locked_file
from people import Scripted

from secretsmith.crypto.agefile import decrypt_age
from secretsmith.errors import CannotDecrypt, Code
from secretsmith.identities import ring as ring_module
from secretsmith.identities.ring import IdentityRing, Tried
from secretsmith.interaction import Interaction, NoInteraction
from secretsmith.record import fields

VALUE = b"canary-of-the-ring"


def age_file(folder: Path, *recipients: str, age: str) -> bytes:
    """Encrypt with the real age."""
    argv = [age, *(word for recipient in recipients for word in ("-r", recipient))]
    return subprocess.run(argv, input=VALUE, capture_output=True, check=True, cwd=folder).stdout


def derived(public: str) -> str:
    from secretsmith.crypto.publickey import parse_public_key

    return parse_public_key(public).derived


def age_key(folder: Path, keygen: str, name: str) -> tuple[Path, str]:
    path = folder / name
    subprocess.run([keygen, "-o", path], check=True, capture_output=True)
    recipient = next(line for line in path.read_text().splitlines() if "public key:" in line).rpartition(" ")[
        2
    ]
    return path, recipient


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "home/.ssh").mkdir(parents=True)
    return tmp_path / "home"


@pytest.fixture
def age(peer: Callable[[str], str]) -> str:
    return peer("age")


def make_ring(
    home: Path, interaction: Interaction | None = None, *, as_root: bool = False, **variables: str
) -> IdentityRing:
    environ: Mapping[str, str] = {"HOME": str(home), "PATH": os.environ["PATH"], **variables}
    return IdentityRing(environ, interaction or NoInteraction(), cwd=home, as_root=as_root)


def opened(ring: IdentityRing, data: bytes) -> bytes:
    return decrypt_age(data, ring.for_data(data)).plaintext.expose()


def outcomes(ring: IdentityRing) -> dict[str, str]:
    return {tried.source: tried.outcome for tried in ring.trace()}


def test_places_are_looked_at_in_the_declared_order(home: Path) -> None:
    ring = make_ring(
        home,
        SECRETSMITH_IDENTITY="one:~/two",
        SOPS_AGE_SSH_PRIVATE_KEY_CMD="false",
        SOPS_AGE_SSH_PRIVATE_KEY_FILE="three",
        SOPS_AGE_KEY_CMD="false",
        SOPS_AGE_KEY_FILE="four",
        SOPS_AGE_KEY="nonsense",
        as_root=True,
    )
    assert [(tried.source, tried.path) for tried in ring.trace()] == [
        ("SECRETSMITH_IDENTITY", str(home / "one")),
        ("SECRETSMITH_IDENTITY", str(home / "two")),
        ("SOPS_AGE_KEY", None),
        ("SOPS_AGE_KEY_FILE", str(home / "four")),
        ("SOPS_AGE_KEY_CMD", None),
        ("SOPS_AGE_SSH_PRIVATE_KEY_FILE", str(home / "three")),
        ("SOPS_AGE_SSH_PRIVATE_KEY_CMD", None),
        ("~/.config/sops/age/keys.txt", str(home / ".config/sops/age/keys.txt")),
        ("~/.ssh/id_ed25519", str(home / ".ssh/id_ed25519")),
        ("~/.ssh/id_rsa", str(home / ".ssh/id_rsa")),
        ("/etc/ssh/ssh_host_ed25519_key", "/etc/ssh/ssh_host_ed25519_key"),
    ]
    assert set(outcomes(ring).values()) == {"not needed"}, "nothing is read before it is needed"


def test_xdg_config_home_moves_the_sops_file(home: Path, tmp_path: Path) -> None:
    ring = make_ring(home, XDG_CONFIG_HOME=str(tmp_path / "etc"))
    assert str(tmp_path / "etc/sops/age/keys.txt") in {tried.path for tried in ring.trace()}


@pytest.mark.parametrize("form", ["native", "derived"])
def test_default_ssh_key_opens_both_forms(home: Path, age: str, form: str) -> None:
    key = keys.ed25519_key()
    key.write(home / ".ssh", "id_ed25519")
    data = age_file(home, key.public if form == "native" else derived(key.public), age=age)
    ring = make_ring(home)
    assert opened(ring, data) == VALUE
    assert outcomes(ring)["~/.ssh/id_ed25519"] == "used"


def test_rsa_key_opens_by_its_default_place_and_by_name(home: Path, age: str) -> None:
    key = keys.rsa_key()
    path = key.write(home / ".ssh", "id_rsa")
    data = age_file(home, key.public, age=age)
    assert opened(make_ring(home), data) == VALUE
    path.rename(home / "other")
    with pytest.raises(CannotDecrypt):
        opened(make_ring(home), data)
    assert opened(make_ring(home, SECRETSMITH_IDENTITY=str(home / "other")), data) == VALUE


def test_locked_rsa_key_is_asked_for_only_by_files_that_name_it(home: Path, age: str) -> None:
    keys.rsa_key(passphrase=b"s3same").write(home / ".ssh", "id_rsa")
    data = age_file(home, keys.rsa_key().public, keys.ed25519_key().public, age=age)
    person = Scripted()
    with pytest.raises(CannotDecrypt):
        opened(make_ring(home, person), data)
    assert not person.asked


def test_places_add_up(home: Path, age: str, peer: Callable[[str], str]) -> None:
    first, second = keys.ed25519_key(), keys.ed25519_key()
    first.write(home, "first")
    second.write(home / ".ssh", "id_ed25519")
    path, recipient = age_key(home, peer("age-keygen"), "keys.txt")
    ring = make_ring(home, SECRETSMITH_IDENTITY="first", SOPS_AGE_KEY=path.read_text())
    for wanted in (first.public, second.public, recipient):
        assert opened(ring, age_file(home, wanted, age=age)) == VALUE


def test_every_variable_of_sops_works(home: Path, age: str, peer: Callable[[str], str]) -> None:
    path, recipient = age_key(home, peer("age-keygen"), "keys with space.txt")
    key = keys.ed25519_key()
    ssh = key.write(home, "ssh key")
    cases = [
        ("SOPS_AGE_KEY", path.read_text(), recipient),
        ("SOPS_AGE_KEY_FILE", str(path), recipient),
        ("SOPS_AGE_KEY_CMD", shlex.join(["cat", str(path)]), recipient),
        ("SOPS_AGE_SSH_PRIVATE_KEY_FILE", str(ssh), key.public),
        ("SOPS_AGE_SSH_PRIVATE_KEY_CMD", shlex.join(["cat", str(ssh)]), key.public),
    ]
    for name, value, wanted in cases:
        ring = IdentityRing(
            {"HOME": str(home), "PATH": os.environ["PATH"], name: value},
            NoInteraction(),
            cwd=home,
            as_root=False,
        )
        assert opened(ring, age_file(home, wanted, age=age)) == VALUE, name
        assert outcomes(ring)[name] == "used"


def test_a_command_is_not_run_when_an_earlier_key_opens(home: Path, age: str) -> None:
    key = keys.ed25519_key()
    key.write(home, "key")
    ring = make_ring(home, SECRETSMITH_IDENTITY="key", SOPS_AGE_KEY_CMD=f"touch {home}/ran")
    opened(ring, age_file(home, key.public, age=age))
    assert not (home / "ran").exists()
    assert outcomes(ring)["SOPS_AGE_KEY_CMD"] == "not needed"


def test_outcomes_say_why_a_place_gave_nothing(home: Path, age: str) -> None:
    wrong = keys.ed25519_key()
    wrong.write(home / ".ssh", "id_ed25519")
    (home / "garbage").write_text("hunter2-in-the-wrong-file\n")
    (home / "folder").mkdir()
    ring = make_ring(
        home,
        SECRETSMITH_IDENTITY="garbage:folder:missing",
        SOPS_AGE_KEY_CMD="false",
        SOPS_AGE_KEY="AGE-SECRET-KEY-1CANARY",
    )
    data = age_file(home, keys.ed25519_key().public, age=age)
    with pytest.raises(CannotDecrypt) as caught:
        opened(ring, data)
    assert caught.value.code is Code.NO_IDENTITY
    trace = ring.trace()
    assert trace[0].outcome.startswith("skipped: ")
    assert trace[1].outcome.startswith("skipped: ")
    assert trace[2].outcome == "absent"
    said = outcomes(ring)
    assert "status 1" in said["SOPS_AGE_KEY_CMD"]
    assert said["~/.ssh/id_ed25519"] == "does not open it"
    found = next(tried for tried in trace if tried.source == "~/.ssh/id_ed25519")
    assert found.fingerprint is not None
    assert found.recipient == wrong.public.strip()
    assert "hunter2" not in repr(trace)
    assert "CANARY" not in repr(trace)


def test_key_that_others_can_read_is_used_with_a_remark(home: Path, age: str) -> None:
    key = keys.ed25519_key()
    key.write(home / ".ssh", "id_ed25519").chmod(0o644)
    ring = make_ring(home)
    assert opened(ring, age_file(home, key.public, age=age)) == VALUE
    assert outcomes(ring)["~/.ssh/id_ed25519"] == "used; readable by others"


@pytest.mark.parametrize(
    ("mode", "works"), [(0o600, True), (0o400, True), (0o640, False), (0o604, False), (0o620, False)]
)
def test_host_key_that_others_can_touch_is_refused(
    home: Path, age: str, monkeypatch: pytest.MonkeyPatch, mode: int, works: bool
) -> None:
    key = keys.ed25519_key()
    path = key.write(home, "ssh_host_ed25519_key")
    path.chmod(mode)
    monkeypatch.setattr("secretsmith.identities.sources.HOST_KEY", str(path))
    ring = make_ring(home, as_root=True)
    data = age_file(home, key.public, age=age)
    if works:
        assert opened(ring, data) == VALUE
        return
    with pytest.raises(CannotDecrypt):
        opened(ring, data)
    assert "by others" in outcomes(ring)[str(path)]


def test_key_behind_a_symlink_is_found(home: Path, age: str) -> None:
    key = keys.ed25519_key()
    (home / "dotfiles").mkdir()
    path = key.write(home / "dotfiles", "key")
    (home / ".ssh/id_ed25519").symlink_to(path)
    assert opened(make_ring(home), age_file(home, key.public, age=age)) == VALUE


class TestPassphrase:
    def locked(self, home: Path, peer: Callable[[str], str], *cipher: str) -> str:
        """A key with a passphrase, by the real ssh-keygen."""
        path = home / ".ssh/id_ed25519"
        argv = [
            peer("ssh-keygen"),
            "-q",
            "-t",
            "ed25519",
            "-N",
            "s3same",
            "-a",
            "2",
            *cipher,
            "-f",
            str(path),
        ]
        subprocess.run(argv, check=True, stdin=subprocess.DEVNULL)
        return path.with_suffix(".pub").read_text().strip()

    def test_is_asked_for_once_a_run(self, home: Path, age: str, peer: Callable[[str], str]) -> None:
        public = self.locked(home, peer)
        person = Scripted(["s3same"])
        ring = make_ring(home, person)
        for _ in range(3):
            assert opened(ring, age_file(home, public, age=age)) == VALUE
        assert opened(ring, age_file(home, derived(public), age=age)) == VALUE
        assert person.asked == ["passphrase of ~/.ssh/id_ed25519"]

    def test_is_not_asked_for_when_the_header_is_for_others(
        self, home: Path, age: str, peer: Callable[[str], str]
    ) -> None:
        self.locked(home, peer)
        person = Scripted()
        ring = make_ring(home, person)
        data = age_file(home, keys.ed25519_key().public, age=age)
        assert not ring.may_open(data)
        with pytest.raises(CannotDecrypt):
            opened(ring, data)
        assert person.asked == []
        assert outcomes(ring)["~/.ssh/id_ed25519"] == "does not open it"

    def test_is_not_asked_for_when_another_key_opens(
        self, home: Path, age: str, peer: Callable[[str], str]
    ) -> None:
        public = self.locked(home, peer)
        other = keys.ed25519_key()
        other.write(home, "other")
        person = Scripted()
        ring = make_ring(home, person, SOPS_AGE_SSH_PRIVATE_KEY_FILE="other")
        assert opened(ring, age_file(home, public, other.public, age=age)) == VALUE
        assert person.asked == []

    def test_wrong_one_is_said_and_not_asked_again(
        self, home: Path, age: str, peer: Callable[[str], str]
    ) -> None:
        public = self.locked(home, peer)
        person = Scripted(["wrong"])
        ring = make_ring(home, person)
        data = age_file(home, public, age=age)
        with pytest.raises(CannotDecrypt) as caught:
            opened(ring, data)
        assert caught.value.code is Code.PASSPHRASE
        with pytest.raises(CannotDecrypt):
            opened(ring, data)
        assert len(person.asked) == 1
        assert outcomes(ring)["~/.ssh/id_ed25519"] == "locked: wrong passphrase"

    def test_without_a_terminal_it_is_locked(self, home: Path, age: str, peer: Callable[[str], str]) -> None:
        public = self.locked(home, peer)
        ring = make_ring(home)
        with pytest.raises(CannotDecrypt) as caught:
            opened(ring, age_file(home, public, age=age))
        assert caught.value.code is Code.NO_IDENTITY
        assert outcomes(ring)["~/.ssh/id_ed25519"].startswith("locked: no terminal")

    def test_public_half_is_known_without_it(self, home: Path, peer: Callable[[str], str]) -> None:
        public = self.locked(home, peer)
        ring = make_ring(home, Scripted())
        assert [key.text for key in ring.own_keys()] == [" ".join(public.split()[:2])]
        ring.survey()
        assert outcomes(ring)["~/.ssh/id_ed25519"] == "locked"

    def test_cipher_that_cannot_be_read_is_said_without_a_question(
        self, home: Path, age: str, peer: Callable[[str], str]
    ) -> None:
        public = self.locked(home, peer, "-Z", "chacha20-poly1305@openssh.com")
        ring = make_ring(home, Scripted())
        with pytest.raises(CannotDecrypt):
            opened(ring, age_file(home, public, age=age))
        assert "ssh-keygen -p -Z aes256-ctr" in outcomes(ring)["~/.ssh/id_ed25519"]

    def test_pem_key_takes_its_public_half_from_the_pub_file(
        self, home: Path, age: str, peer: Callable[[str], str]
    ) -> None:
        path = home / ".ssh/old"
        argv = [
            peer("ssh-keygen"),
            "-q",
            "-t",
            "rsa",
            "-b",
            "2048",
            "-m",
            "PEM",
            "-N",
            "s3same",
            "-f",
            str(path),
        ]
        subprocess.run(argv, check=True, stdin=subprocess.DEVNULL)
        public = path.with_suffix(".pub").read_text().strip()
        person = Scripted(["s3same"])
        ring = make_ring(home, person, SECRETSMITH_IDENTITY=".ssh/old")
        with pytest.raises(CannotDecrypt):
            opened(ring, age_file(home, keys.rsa_key().public, age=age))
        assert person.asked == [], "the .pub file shows that the header is for another key"
        assert opened(ring, age_file(home, public, age=age)) == VALUE

    def test_identity_file_under_a_passphrase(self, home: Path, age: str, peer: Callable[[str], str]) -> None:
        path, recipient = age_key(home, peer("age-keygen"), "plain.txt")
        (home / "keys.age").write_bytes(locked_file(path.read_bytes(), "s3same"))
        person = Scripted(["s3same"])
        ring = make_ring(home, person, SOPS_AGE_KEY_FILE="keys.age")
        with pytest.raises(CannotDecrypt):
            opened(ring, age_file(home, keys.ed25519_key().public, age=age))
        assert person.asked == [], "an identity file holds no ssh keys"
        for _ in range(2):
            assert opened(ring, age_file(home, recipient, age=age)) == VALUE
        assert len(person.asked) == 1


def test_ring_of_files_looks_nowhere_else(home: Path, age: str, monkeypatch: pytest.MonkeyPatch) -> None:
    key = keys.ed25519_key()
    path = key.write(home, "key")
    monkeypatch.setenv("SOPS_AGE_KEY_FILE", str(path))
    assert IdentityRing.of_files([], NoInteraction()).trace() == ()
    ring = IdentityRing.of_files([path], NoInteraction(), strict=True)
    assert opened(ring, age_file(home, key.public, age=age)) == VALUE
    path.chmod(0o644)
    strict = IdentityRing.of_files([path], NoInteraction(), strict=True)
    assert "readable by others" in strict.survey()[0].outcome


def test_making_a_ring_reads_and_imports_nothing_heavy(home: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from secretsmith.identities.ring import IdentityRing;"
        "from secretsmith.interaction import NoInteraction; IdentityRing({}, NoInteraction(), cwd=Path('/'));"
        "print(sorted({'pyrage', 'nacl', 'cryptography', 'subprocess', 'tomllib'} & set(sys.modules)))"
    )
    root = Path(ring_module.__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root, check=True)
    assert done.stdout.strip() == "[]"


def test_record_has_no_place_for_a_private_half() -> None:
    names = {"source", "path", "outcome", "fingerprint", "recipient", "entry"}
    assert {field.name for field in fields(Tried)} == names
