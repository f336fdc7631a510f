"""The desktop's keyring as a person meets it: the real gnome-keyring on a session bus of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from desktops import Person
from lockedfiles import locked_file

PLAINTEXT = """
from pathlib import Path
from keyring.backend import KeyringBackend
from keyring.compat import properties

class {name}(KeyringBackend):
    @properties.classproperty
    def priority(cls):
        return {priority}
    def get_password(self, service, username):
        with open("{calls}", "a") as calls:
            calls.write("get " + username + chr(10))
    def set_password(self, service, username, password):
        with open("{calls}", "a") as calls:
            calls.write("set " + username + chr(10))
"""
PROMPT = "passphrase of ~/.ssh/id_ed25519: "
CONSENT = {"[y/N]": "y", PROMPT: "s3same"}


@pytest.fixture
def person(peer: Callable[[str], str]) -> Iterator[Person]:
    """A person with a repository, one secret in it, and a key with a passphrase."""
    with Person(peer) as made:
        made.repository(made.key().public)
        yield made


def shown(person: Person, **variables: Any) -> str:
    return person.secretsmith("show", "secrets/db.age", **variables).stdout


@pytest.fixture
def gnome(person: Person) -> Person:
    """The same person at a desktop whose keyring is unlocked."""
    person.bus()
    person.gnome()
    return person


def backend(person: Person, module: str, *, name: str = "PlaintextKeyring", priority: float = 0.5) -> Path:
    """Install a backend of python's keyring for this person; give the file in which it notes its calls."""
    place = person.home / "site" / Path(*module.split(".")).with_suffix(".py")
    place.parent.mkdir(parents=True, exist_ok=True)
    calls = person.home / f"{module}.calls"
    place.write_text(PLAINTEXT.format(name=name, priority=priority, calls=calls))
    facts = person.home / "site" / f"{module.replace('.', '_')}-1.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1\n")
    (facts / "entry_points.txt").write_text(f"[keyring.backends]\n{module} = {module}\n")
    person.environ["PYTHONPATH"] = f"{person.environ['PYTHONPATH']}:{person.home / 'site'}"
    person.own()
    return calls


def test_remembered_passphrase_opens_without_a_question(gnome: Person) -> None:
    assert "its passphrase is not in the desktop's keyring" in shown(gnome)
    status, text = gnome.answered("identity", "remember", answers=CONSENT)
    assert status == 0
    assert "~/.ssh/id_ed25519: the desktop's keyring (SecretService Keyring) has its passphrase" in text
    assert "s3same" not in text
    assert shown(gnome) == "hunter2"


def test_it_is_found_by_the_key_and_not_by_its_place(gnome: Person) -> None:
    gnome.answered("identity", "remember", answers=CONSENT)
    (gnome.home / ".ssh/id_ed25519").rename(gnome.home / "moved")
    assert shown(gnome, SECRETSMITH_IDENTITY="moved") == "hunter2"


def test_other_programs_see_it_under_the_name_the_documents_say(
    gnome: Person, peer: Callable[[str], str]
) -> None:
    gnome.answered("identity", "remember", answers=CONSENT)
    fingerprint = gnome.program(peer("ssh-keygen"), "-lf", ".ssh/id_ed25519.pub").stdout.split()[1]
    words = ("service", "secretsmith", "username", f"identity:{fingerprint}")
    assert gnome.program(peer("secret-tool"), "lookup", *words).stdout == "s3same"


def test_passphrase_that_another_program_stored_with_a_newline(
    gnome: Person, peer: Callable[[str], str]
) -> None:
    fingerprint = gnome.program(peer("ssh-keygen"), "-lf", ".ssh/id_ed25519.pub").stdout.split()[1]
    words = ("--label", "x", "service", "secretsmith", "username", f"identity:{fingerprint}")
    assert gnome.program(peer("secret-tool"), "store", *words, given=b"s3same\n").returncode == 0
    assert shown(gnome) == "hunter2"


def test_age_identity_file_under_a_passphrase(gnome: Person, peer: Callable[[str], str]) -> None:
    import pyrage

    identity = pyrage.x25519.Identity.generate()
    (gnome.home / "keys.age").write_bytes(locked_file(str(identity).encode(), "s3same"))
    (gnome.home / "plain.age").write_bytes(pyrage.encrypt(b"hunter3", [identity.to_public()]))
    gnome.own()
    variables: dict[str, Any] = {"SECRETSMITH_IDENTITY": "keys.age"}
    assert gnome.secretsmith("show", "plain.age", **variables).returncode == 5
    status, text = gnome.answered(
        "identity", "remember", "keys.age", answers={"[y/N]": "y", "keys.age: ": "s3same"}, **variables
    )
    assert status == 0, text
    assert gnome.secretsmith("show", "plain.age", **variables).stdout == "hunter3"


def test_wrong_stored_passphrase_is_said_once_and_the_prompt_comes_next(
    gnome: Person, peer: Callable[[str], str]
) -> None:
    fingerprint = gnome.program(peer("ssh-keygen"), "-lf", ".ssh/id_ed25519.pub").stdout.split()[1]
    words = ("--label", "x", "service", "secretsmith", "username", f"identity:{fingerprint}")
    gnome.program(peer("secret-tool"), "store", *words, given=b"old-one")
    gnome.secretsmith("set", "secrets/two.age", given=b"second")
    assert "the desktop's keyring holds a wrong passphrase for it" in shown(gnome)
    status, text = gnome.answered("rotate", "secrets/db.age", "secrets/two.age", answers={PROMPT: "s3same"})
    assert status == 0, text
    assert text.count("holds a wrong passphrase for ~/.ssh/id_ed25519") == 1
    assert "old-one" not in text
    status, text = gnome.answered("identity", "remember", answers=CONSENT)
    assert status == 0, text
    assert shown(gnome) == "hunter2"


def test_locked_keyring_without_a_display(gnome: Person) -> None:
    gnome.answered("identity", "remember", answers=CONSENT)
    gnome.stop()
    gnome.gnome(unlocked=False)
    assert "the desktop's keyring is locked" in shown(gnome)
    status, text = gnome.answered("show", "secrets/db.age", answers={PROMPT: "s3same"})
    assert (status, "hunter2" in text) == (0, True)
    refused = gnome.secretsmith("identity", "forget")
    assert (refused.returncode, "is locked" in refused.stdout) == (1, True)


def test_keyring_that_nobody_set_up(person: Person) -> None:
    person.bus()
    person.gnome(unlocked=False)
    assert "the desktop's keyring is not set up" in shown(person)


def test_no_session_bus_and_a_bus_without_a_keyring(person: Person) -> None:
    assert "the desktop's keyring is not there" in shown(person)
    person.bus()
    assert "the desktop's keyring is not there" in shown(person)
    refused = person.secretsmith("identity", "remember", "--yes")
    assert (refused.returncode, "is not there" in refused.stdout) == (1, True)


def test_keyring_that_never_answers_is_asked_once_and_given_up(person: Person) -> None:
    person.bus()
    person.secretsmith("set", "secrets/two.age", given=b"second")
    person.hanging()
    status, text = person.answered(
        "rotate", "secrets/db.age", "secrets/two.age", answers={"waiting": "", PROMPT: "s3same"}
    )
    assert status == 0, text
    assert text.count("waiting for the desktop's keyring") == 1


def test_interrupt_skips_the_wait_and_not_the_command(person: Person) -> None:
    person.bus()
    person.hanging()
    with person.at_terminal("show", "secrets/db.age") as terminal:
        terminal.expect(b"waiting for the desktop's keyring (Ctrl-C skips it)")
        terminal.press(b"\x03")
        terminal.expect(b"passphrase of ~/.ssh/id_ed25519: ")
        terminal.press(b"s3same\n")
        assert terminal.end() == 0
        assert b"hunter2" in terminal.shown


def test_keyring_that_its_user_disabled(gnome: Person) -> None:
    said = shown(gnome, PYTHON_KEYRING_BACKEND="keyring.backends.null.Keyring")
    assert "the desktop's keyring is turned off: python's keyring is disabled" in said


def test_switched_off(gnome: Person) -> None:
    gnome.answered("identity", "remember", answers=CONSENT)
    assert "is turned off by SECRETSMITH_KEYRING=off" in shown(gnome, SECRETSMITH_KEYRING="off")
    refused = gnome.secretsmith("identity", "remember", "--yes", SECRETSMITH_KEYRING="off")
    assert (refused.returncode, "turned off" in refused.stdout) == (1, True)


@pytest.mark.parametrize(
    ("module", "priority", "reason"),
    [
        ("keyrings.alt.file", 0.5, "in the open or asks for one itself"),
        ("keyrings.alt.file", 9, "in the open or asks for one itself"),
        ("somebodys_file", 0.5, "python's keyring does not recommend"),
    ],
)
def test_backends_that_keep_it_in_the_open_are_refused(
    person: Person, module: str, priority: float, reason: str
) -> None:
    calls = backend(person, module, priority=priority)
    refused = person.secretsmith("identity", "remember", "--yes")
    assert refused.returncode == 1
    assert f"{module}.PlaintextKeyring" in refused.stdout
    assert reason in refused.stdout
    assert reason in shown(person)
    assert not calls.exists(), "it was not asked either"


def test_backend_that_only_derives_from_a_refused_one(person: Person) -> None:
    backend(person, "keyrings.alt.file", priority=0.1)
    (person.home / "site/mine.py").write_text(
        "from keyrings.alt.file import PlaintextKeyring\nclass Mine(PlaintextKeyring):\n    priority = 9\n"
    )
    person.own()
    refused = person.secretsmith("identity", "remember", "--yes", PYTHON_KEYRING_BACKEND="mine.Mine")
    assert "mine.Mine, which keeps passphrases in the open" in refused.stdout


def test_chain_goes_to_the_one_that_is_written_to_and_to_no_other(gnome: Person) -> None:
    calls = backend(gnome, "keyrings.alt.file")
    assert "its passphrase is not in the desktop's keyring" in shown(gnome)
    status, text = gnome.answered("identity", "remember", answers=CONSENT)
    assert (status, "SecretService Keyring" in text) == (0, True), text
    assert shown(gnome) == "hunter2"
    assert gnome.secretsmith("identity", "forget").returncode == 0
    assert not calls.exists()


def test_chain_whose_head_keeps_it_in_the_open(person: Person) -> None:
    backend(person, "keyrings.alt.file", priority=0.5)
    backend(person, "somebodys_file", priority=0.4)
    refused = person.secretsmith("identity", "remember", "--yes")
    assert "keyrings.alt.file.PlaintextKeyring, which keeps passphrases in the open" in refused.stdout


def test_our_own_backend_is_passed_over(gnome: Person) -> None:
    calls = backend(gnome, "secretsmith_backend_of_a_test", priority=9)
    status, text = gnome.answered("identity", "remember", answers=CONSENT)
    assert (status, "SecretService Keyring" in text) == (0, True), text
    assert shown(gnome) == "hunter2"
    assert not calls.exists(), "a keyring that opens secrets with our key would ask us for it"


def test_backend_that_breaks_is_a_line(person: Person) -> None:
    backend(person, "broken_of_a_test", priority=9)
    file = person.home / "site/broken_of_a_test.py"
    file.write_text(
        file.read_text().replace(
            "        with open", "        raise ZeroDivisionError('canary')\n        with open"
        )
    )
    said = shown(person)
    assert "the desktop's keyring failed (ZeroDivisionError)" in said
    assert "canary" not in said


def test_root_never_asks(gnome: Person, peer: Callable[[str], str]) -> None:
    gnome.answered("identity", "remember", answers=CONSENT)
    gnome.become = []
    if gnome.program("id", "-u").stdout.strip() != "0":
        pytest.skip("needs root")
    assert "keyring" not in shown(gnome)
    listed = gnome.secretsmith("identity", "list").stdout
    assert listed.count("not used as root") == 2
    for words in (("remember", "--yes"), ("forget",), ("unlock",)):
        refused = gnome.secretsmith("identity", *words)
        assert (refused.returncode, "not as root" in refused.stdout) == (2, True), refused.stdout
