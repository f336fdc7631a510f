"""Age plugins: a real process that speaks the protocol, well or badly (hostile input 67)."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

import fakeplugin
import keys
import pytest

from secretsmith.crypto import bech32, parameters
from secretsmith.crypto.agefile import decrypt_age, encrypt_age, inspect_age
from secretsmith.crypto.agesecret import PluginSecret, parse_age_identities
from secretsmith.crypto.evidence import evidence_of
from secretsmith.crypto.identity import PluginIdentity, SshIdentity
from secretsmith.crypto.plugins import PluginSettings
from secretsmith.crypto.privatekey import SshPrivateKey, parse_ssh_private_key
from secretsmith.errors import CannotDecrypt, Code, ExitCode, IntegrityFailure, RefusedInput, SecretsmithError
from secretsmith.interaction import NoInteraction
from secretsmith.sensitive import Sensitive

Within = Callable[[float], AbstractContextManager[None]]
VALUE = Sensitive(b"CANARY-plugin-value")


@dataclass
class Scripted:
    """An interaction with prepared answers that writes down what was asked."""

    yes: bool = True
    text: str = "blue"
    words: bytes = b"open sesame"
    seconds: float = 0.0
    asked: list[str] = field(default_factory=list)
    available: bool = True

    def confirm(self, question: str, *, flag: str) -> bool:
        self.asked.append(question)
        time.sleep(self.seconds)
        return self.yes

    def ask(self, question: str, *, flag: str) -> str:
        self.asked.append(question)
        return self.text

    def passphrase(self, prompt: str, *, flag: str) -> Sensitive:
        self.asked.append(prompt)
        return Sensitive(self.words)

    def notice(self, message: str) -> None:
        self.asked.append(message)


@pytest.fixture
def settings(tmp_path: Path) -> PluginSettings:
    """A search path with the fake plugin, and a short deadline."""
    folder = tmp_path / "plugins"
    folder.mkdir()
    fakeplugin.install(folder, "fake")
    fakeplugin.install(folder, "other")
    given = {**os.environ, "PATH": str(folder), "TMPDIR": str(tmp_path), "SECRET_TOKEN": "x"}
    return PluginSettings.from_environ(given, seconds=20)


def recipient(act: str, name: str = "fake") -> str:
    """The recipient text for a behaviour."""
    return bech32.encode(f"age1{name}", act.encode())


def identity(
    act: str, settings: PluginSettings, interaction: object = None, name: str = "fake"
) -> PluginIdentity:
    """The identity for a behaviour."""
    (secret,) = parse_age_identities(bech32.encode(f"AGE-PLUGIN-{name.upper()}-", act.encode()).encode())
    assert isinstance(secret, PluginSecret)
    given = interaction if isinstance(interaction, Scripted) else NoInteraction()
    return PluginIdentity(secret, "test", given, settings)


def seal(settings: PluginSettings, act: str = "plain", *more: str, interaction: object = None) -> bytes:
    """Encrypt the value to a behaviour and further recipients."""
    given = interaction if isinstance(interaction, Scripted) else NoInteraction()
    return encrypt_age(VALUE, [recipient(act), *more], armor=False, interaction=given, plugins=settings)


def failure(data: bytes, act: str, settings: PluginSettings, interaction: object = None) -> SecretsmithError:
    """Decrypt with a behaviour and give the error."""
    with pytest.raises(SecretsmithError) as caught:
        decrypt_age(data, [identity(act, settings, interaction)])
    assert "\n" not in caught.value.message
    assert caught.value.message.isprintable()
    return caught.value


def test_round_trip(settings: PluginSettings) -> None:
    data = seal(settings)
    assert [evidence.kind for evidence in evidence_of(inspect_age(data)[0])] == ["plugin"]
    opened = decrypt_age(data, [identity("plain", settings)])
    assert opened.plaintext == VALUE


def test_beside_other_recipients(settings: PluginSettings) -> None:
    key = keys.ed25519_key()
    data = seal(settings, "plain", key.public, recipient("second"), recipient("plain", "other"))
    kinds = [evidence.kind for evidence in evidence_of(inspect_age(data)[0])]
    assert sorted(kinds) == ["plugin", "plugin", "ssh-ed25519"] or sorted(kinds) == ["plugin"] * 3 + [
        "ssh-ed25519"
    ]
    private = parse_ssh_private_key(key.private)
    assert isinstance(private, SshPrivateKey)
    assert decrypt_age(data, [SshIdentity(private, "test")]).plaintext == VALUE
    assert decrypt_age(data, [identity("plain", settings, name="other")]).plaintext == VALUE


@pytest.mark.parametrize("act", ["message", "confirm", "public", "passphrase"])
def test_questions_reach_the_person_marked_as_the_plugin_s(act: str, settings: PluginSettings) -> None:
    person = Scripted()
    data = seal(settings, act, interaction=person)
    assert decrypt_age(data, [identity(act, settings, person)]).plaintext == VALUE
    assert len(person.asked) == 2
    assert all(question.startswith("age-plugin-fake: ") for question in person.asked)


@pytest.mark.parametrize("act", ["confirm", "public", "passphrase"])
def test_wrong_answers(act: str, settings: PluginSettings) -> None:
    data = seal(settings)
    problem = failure(data, act, settings, Scripted(yes=False, text="red", words=b"please"))
    assert problem.code is Code.PLUGIN_FAILED


@pytest.mark.parametrize("act", ["confirm", "public", "passphrase"])
def test_without_a_terminal_a_question_is_an_error(act: str, settings: PluginSettings) -> None:
    problem = failure(seal(settings), act, settings)
    assert problem.code is Code.NOT_INTERACTIVE
    assert problem.exit_code is ExitCode.USAGE


def test_an_answer_that_raises_ends_the_plugin(settings: PluginSettings) -> None:
    class Interrupting(Scripted):
        def confirm(self, question: str, *, flag: str) -> bool:
            raise KeyboardInterrupt

    data = seal(settings)
    with pytest.raises(KeyboardInterrupt):
        decrypt_age(data, [identity("confirm", settings, Interrupting())])
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_a_person_may_take_longer_than_the_plugin(settings: PluginSettings) -> None:
    data = seal(settings)
    short = PluginSettings(settings.search, settings.environ, seconds=1.5)
    person = Scripted(seconds=2.0)
    assert decrypt_age(data, [identity("confirm", short, person)]).plaintext == VALUE


def test_control_characters_of_a_plugin_reach_no_terminal(settings: PluginSettings) -> None:
    person = Scripted()
    decrypt_age(seal(settings), [identity("escape", settings, person)])
    (message,) = person.asked
    assert message.isprintable()
    assert message.isascii()
    assert len(message) <= parameters.PLUGIN_TEXT + 40


def test_row_67_missing(settings: PluginSettings) -> None:
    nowhere = PluginSettings((), {}, 1)
    for search in (nowhere, PluginSettings(("/nonexistent",), {}, 1)):
        problem = failure(seal(settings), "plain", search)
        assert (problem.code, problem.exit_code) == (Code.PLUGIN_MISSING, ExitCode.CANNOT_DECRYPT)
        assert "age-plugin-fake" in problem.hints[0]
        with pytest.raises(SecretsmithError) as caught:
            seal(search)
        assert (caught.value.code, caught.value.exit_code) == (Code.PLUGIN_MISSING, ExitCode.ERROR)


def test_row_67_hangs(settings: PluginSettings, within: Within) -> None:
    data = seal(settings)
    short = PluginSettings(settings.search, settings.environ, seconds=1)
    with within(2):
        problem = failure(data, "hang", short)
    assert (problem.code, problem.exit_code) == (Code.PLUGIN_TIMEOUT, ExitCode.CANNOT_DECRYPT)
    with pytest.raises(SecretsmithError) as caught:
        seal(short, "hang")
    assert (caught.value.code, caught.value.exit_code) == (Code.PLUGIN_TIMEOUT, ExitCode.ERROR)


def test_row_67_what_a_plugin_started_is_killed_too(settings: PluginSettings, tmp_path: Path) -> None:
    data = seal(settings)
    short = PluginSettings(settings.search, settings.environ, seconds=2)
    assert failure(data, "linger", short).code is Code.PLUGIN_TIMEOUT
    child = int((tmp_path / "linger.pid").read_text())
    for _ in range(100):
        if not _runs(child):
            return
        time.sleep(0.05)
    pytest.fail("the plugin's child still runs")


def _runs(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(") ")[2][0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_row_67_a_gigabyte(settings: PluginSettings, within: Within) -> None:
    data = seal(settings)
    short = PluginSettings(settings.search, settings.environ, seconds=3)
    with within(2):
        problem = failure(data, "gigabyte", short)
    assert problem.code in (Code.PLUGIN_FAILED, Code.PLUGIN_TIMEOUT)


def test_row_67_a_flood_of_prompts(settings: PluginSettings, within: Within) -> None:
    data = seal(settings)
    person = Scripted()
    with within(2):
        problem = failure(data, "flood", settings, person)
    assert problem.code is Code.PLUGIN_FAILED
    assert len(person.asked) == parameters.PLUGIN_QUESTIONS


@pytest.mark.parametrize("act", ["error", "crash"])
def test_failures(act: str, settings: PluginSettings) -> None:
    problem = failure(seal(settings), act, settings)
    assert (problem.code, problem.exit_code) == (Code.PLUGIN_FAILED, ExitCode.CANNOT_DECRYPT)
    with pytest.raises(SecretsmithError) as caught:
        seal(settings, act)
    assert caught.value.code is Code.PLUGIN_FAILED


def test_no_stanza_for_it(settings: PluginSettings) -> None:
    assert failure(seal(settings), "deny", settings).code is Code.NO_IDENTITY
    with pytest.raises(SecretsmithError) as caught:
        seal(settings, "deny")
    assert caught.value.code is Code.PLUGIN_FAILED


def test_a_failing_plugin_does_not_keep_others_from_trying(settings: PluginSettings) -> None:
    data = seal(settings)
    opened = decrypt_age(data, [identity("error", settings), identity("plain", settings)])
    assert opened.plaintext == VALUE


def test_row_43_and_damage_behind_a_plugin(settings: PluginSettings) -> None:
    """Pins the words of pyrage that the plugin path depends on."""
    data = seal(settings)
    place = inspect_age(data)[0].end - 20
    broken = data[:place] + (b"A" if data[place : place + 1] != b"A" else b"B") + data[place + 1 :]
    for changed, code in (
        (broken, Code.AGE_MAC),
        (data + b"x", Code.AGE_PAYLOAD),
        (data[:-1], Code.AGE_PAYLOAD),
    ):
        with pytest.raises(IntegrityFailure) as caught:
            decrypt_age(changed, [identity("plain", settings)])
        assert caught.value.code is code


def test_the_plugin_sees_a_small_environment_and_no_descriptor_of_ours(
    settings: PluginSettings, tmp_path: Path
) -> None:
    data = seal(settings)
    with open(tmp_path / "open", "w") as mine:
        os.set_inheritable(mine.fileno(), True)
        message = failure(data, "environment", settings).message
    seen = message.partition("(internal) ")[2]
    names, _, descriptors = seen.partition(" fds ")
    assert "SECRET_TOKEN" not in names
    assert set(names.split()) <= {"PATH", "LC_CTYPE", *settings.environ}
    # 0, 1, 2 and the one that lists the folder; pyrage holds pipes of its own, all closed on exec.
    assert 1 <= len(descriptors.split()[:6]) <= 4


def test_relative_folders_are_never_searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fakeplugin.install(tmp_path, "fake")
    monkeypatch.chdir(tmp_path)
    relative = PluginSettings.from_environ({"PATH": ".:" + os.pathsep + "bin"})
    assert relative.search == ()
    with pytest.raises(SecretsmithError) as caught:
        seal(relative)
    assert caught.value.code is Code.PLUGIN_MISSING


def test_no_process_is_left_behind(settings: PluginSettings) -> None:
    data = seal(settings)
    decrypt_age(data, [identity("plain", settings)])
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


@pytest.mark.parametrize("name", ["..", "../x", "a/b", "-x", "x" * 300])
def test_row_66_plugin_names_of_identities(name: str) -> None:
    with pytest.raises(RefusedInput) as caught:
        parse_age_identities(bech32.encode(f"AGE-PLUGIN-{name.upper()}-", b"plain").encode())
    assert caught.value.code is Code.PLUGIN_NAME


def test_may_open(settings: PluginSettings) -> None:
    fake = identity("plain", settings)
    ssh_only = encrypt_age(VALUE, [keys.ed25519_key().public], armor=False)
    assert not fake.may_open(inspect_age(ssh_only)[0])
    assert fake.may_open(inspect_age(seal(settings))[0])
    with pytest.raises(CannotDecrypt) as caught:
        decrypt_age(ssh_only, [fake])
    assert caught.value.code is Code.NO_IDENTITY
