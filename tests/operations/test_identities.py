"""identity remember, forget, unlock, lock and list: which key is meant, who may, and what is said."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import keys
import pytest
from desktops import Person as Someone
from hypothesis import given
from hypothesis import strategies as st
from people import Scripted

from secretsmith.errors import CannotDecrypt, Code, NotFound, RefusedInput, SecretsmithError
from secretsmith.identities.desktop import DesktopKeyring
from secretsmith.interaction import Interaction, NoInteraction
from secretsmith.operations import identityunlock
from secretsmith.operations.identitykeys import Person, choose_key
from secretsmith.operations.identityremember import forget_passphrases, remember_passphrase
from secretsmith.operations.identityunlock import unlock_key
from secretsmith.sensitive import Sensitive

PROMPT = "passphrase of ~/.ssh/id_ed25519: "
COMMAND = "secretsmith identity unlock"

# Every system call of the keyring answers EPERM from here on, as in most containers (seccomp(2), linux/filter.h).
WITHOUT_KEYRING = """
import ctypes, os, runpy, struct, sys
numbers = {"x86_64": (248, 249, 250), "aarch64": (217, 218, 219)}[os.uname().machine]
code = [(0x20, 0, 0, 0)]
for index, number in enumerate(numbers):
    code.append((0x15, len(numbers) - index, 0, number))
code += [(0x06, 0, 0, 0x7FFF0000), (0x06, 0, 0, 0x00050000 | 1)]
packed = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in code))
class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_void_p)]
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.prctl(22, 2, ctypes.byref(Program(len(code), ctypes.addressof(packed)))) == 0
sys.argv = ["secretsmith", *sys.argv[1:]]
runpy.run_module("secretsmith", run_name="__main__")
"""


def person(folder: Path, interaction: Interaction | None = None, **environ: str) -> Person:
    known = {"HOME": str(folder), "PATH": os.environ["PATH"], **environ}
    return Person(known, interaction or NoInteraction(), folder, as_root=False)


def locked(folder: Path, name: str = ".ssh/id_ed25519") -> keys.SshKey:
    (folder / ".ssh").mkdir(exist_ok=True)
    made = keys.ed25519_key(passphrase=b"s3same")
    made.write(folder, name)
    return made


@pytest.fixture
def someone(peer: Callable[[str], str]) -> Iterator[Someone]:
    """A user who is not root, with a key under a passphrase."""
    with Someone(peer) as made:
        made.key()
        yield made


class TestChoice:
    def test_the_only_key_with_a_passphrase(self, tmp_path: Path) -> None:
        locked(tmp_path)
        keys.ed25519_key().write(tmp_path, "plain")
        chosen = choose_key(None, person(tmp_path, SECRETSMITH_IDENTITY="plain"), COMMAND)
        assert (chosen.shown, chosen.declared) == ("~/.ssh/id_ed25519", True)

    def test_same_key_in_two_places_is_one(self, tmp_path: Path) -> None:
        locked(tmp_path)
        (tmp_path / "copy").write_bytes((tmp_path / ".ssh/id_ed25519").read_bytes())
        assert choose_key(None, person(tmp_path, SECRETSMITH_IDENTITY="copy"), COMMAND).declared

    def test_several_are_named_with_the_commands(self, tmp_path: Path) -> None:
        locked(tmp_path)
        locked(tmp_path, "other")
        with pytest.raises(RefusedInput) as refused:
            choose_key(None, person(tmp_path, SECRETSMITH_IDENTITY="other"), COMMAND)
        assert refused.value.code is Code.AMBIGUOUS
        assert refused.value.hints == (f"{COMMAND} {tmp_path}/other", f"{COMMAND} ~/.ssh/id_ed25519")

    def test_none(self, tmp_path: Path) -> None:
        with pytest.raises(NotFound) as refused:
            choose_key(None, person(tmp_path), COMMAND)
        assert refused.value.message == "no private key here has a passphrase"

    def test_a_path(self, tmp_path: Path) -> None:
        locked(tmp_path)
        locked(tmp_path, "other")
        me = person(tmp_path)
        assert choose_key(".ssh/id_ed25519", me, COMMAND).declared
        assert not choose_key("other", me, COMMAND).declared

    def test_a_path_without_a_locked_key(self, tmp_path: Path) -> None:
        key = keys.ed25519_key()
        key.write(tmp_path, "plain")
        (tmp_path / "garbage").write_text("hunter2")
        me = person(tmp_path)
        for name, kind, words in (
            ("plain", RefusedInput, "plain: the key has no passphrase"),
            ("plain.pub", RefusedInput, "plain.pub: "),
            ("garbage", RefusedInput, "garbage: "),
            ("missing", NotFound, "missing: no such file"),
        ):
            with pytest.raises(kind) as refused:
                choose_key(name, me, COMMAND)
            assert refused.value.message.startswith(words)
            assert "hunter2" not in str(refused.value)


class TestRoot:
    def test_root_is_refused_with_the_reason(self, tmp_path: Path) -> None:
        locked(tmp_path)
        root = Person({"HOME": str(tmp_path)}, Scripted(), tmp_path, as_root=True)
        for act, reason in (
            (lambda: unlock_key(None, root, how_long="1m"), "every program that runs as root"),
            (lambda: remember_passphrase(None, root, consent=True), "belongs to the person who sits there"),
            (lambda: forget_passphrases(None, root, everything=True), "belongs to the person who sits there"),
        ):
            with pytest.raises(RefusedInput) as refused:
                act()
            assert refused.value.code is Code.ACCESS
            assert refused.value.message.startswith("not as root: ")
            assert reason in refused.value.message


class TestTime:
    @pytest.mark.parametrize(
        "text", ["", "0m", "15", "m", "1d", "25h", "1441m", "86401s", "-1m", "1 m", "1m1s", "٣m"]
    )
    def test_what_is_no_time(self, tmp_path: Path, text: str) -> None:
        with pytest.raises(RefusedInput) as refused:
            unlock_key(None, person(tmp_path), how_long=text)
        assert refused.value.message.startswith("--for: not a time of up to 24h")

    @given(number=st.integers(1, 10**6), unit=st.sampled_from("smh"))
    def test_no_time_is_longer_than_a_day(self, number: int, unit: str) -> None:
        wanted = number * {"s": 1, "m": 60, "h": 3600}[unit]
        try:
            assert identityunlock._seconds(f"{number}{unit}") == wanted <= 86400
        except RefusedInput:
            assert wanted > 86400


class TestRemember:
    @pytest.fixture
    def stored(self, monkeypatch: pytest.MonkeyPatch) -> dict[str, Sensitive]:
        """A desktop's keyring in memory."""
        kept: dict[str, Sensitive] = {}
        monkeypatch.setattr(DesktopKeyring, "name", lambda _: "a keyring")
        monkeypatch.setattr(DesktopKeyring, "remember", lambda _, entry, value: kept.update({entry: value}))
        return kept

    def test_consent_comes_before_the_passphrase(self, tmp_path: Path, stored: dict[str, Sensitive]) -> None:
        locked(tmp_path)
        someone = Scripted([False])
        with pytest.raises(SecretsmithError, match="nothing was stored"):
            remember_passphrase(None, person(tmp_path, someone), consent=False)
        assert len(someone.asked) == 1
        assert stored == {}

    def test_wrong_one_is_not_stored(self, tmp_path: Path, stored: dict[str, Sensitive]) -> None:
        locked(tmp_path)
        with pytest.raises(CannotDecrypt) as refused:
            remember_passphrase(None, person(tmp_path, Scripted(["nope"])), consent=True)
        assert refused.value.code is Code.PASSPHRASE
        assert stored == {}

    def test_right_one_is_stored_by_the_fingerprint(
        self, tmp_path: Path, stored: dict[str, Sensitive]
    ) -> None:
        locked(tmp_path)
        done = remember_passphrase(None, person(tmp_path, Scripted(["s3same"])), consent=True)
        assert stored == {done.chosen.key.entry: Sensitive(b"s3same")}

    def test_without_a_terminal_nothing_is_asked(self, tmp_path: Path, stored: dict[str, Sensitive]) -> None:
        locked(tmp_path)
        for consent in (True, False):
            with pytest.raises(RefusedInput) as refused:
                remember_passphrase(None, person(tmp_path), consent=consent)
            assert refused.value.code is Code.NOT_INTERACTIVE
        assert stored == {}


class TestByHand:
    """The commands themselves, with the real keyrings."""

    def test_unlock_and_lock(self, someone: Someone) -> None:
        refused = someone.secretsmith("identity", "unlock")
        assert (refused.returncode, "without a terminal" in refused.stdout) == (2, True)
        status, text = someone.answered("identity", "unlock", answers={PROMPT: "nope"})
        assert (status, "wrong passphrase for ~/.ssh/id_ed25519" in text) == (5, True)
        status, text = someone.answered("identity", "unlock", "--for", "5m", answers={PROMPT: "s3same"})
        assert (status, "~/.ssh/id_ed25519: unlocked until " in text) == (0, True)
        listed = json.loads(someone.secretsmith("identity", "list", "--json").stdout)
        by_source = {item["source"]: item for item in listed}
        assert by_source["~/.ssh/id_ed25519"]["unlocked_until"].endswith("Z")
        assert by_source["kernel keyring"]["outcome"] == "1 key unlocked"
        assert someone.secretsmith("identity", "lock", ".ssh/id_ed25519").stdout == "1 key locked\n"
        assert someone.secretsmith("identity", "lock").stdout == "no key was unlocked\n"
        listed = json.loads(someone.secretsmith("identity", "list", "--json").stdout)
        assert {item["unlocked_until"] for item in listed} == {None}

    def test_unlocked_key_opens_until_it_is_locked(self, someone: Someone) -> None:
        someone.repository((someone.home / ".ssh/id_ed25519.pub").read_text().strip())
        assert someone.secretsmith("show", "db").returncode == 5
        someone.answered("identity", "unlock", answers={PROMPT: "s3same"})
        assert someone.secretsmith("show", "db", SECRETSMITH_KEYRING="off").stdout == "hunter2"
        someone.secretsmith("identity", "lock")
        refused = someone.secretsmith("show", "db")
        assert refused.returncode == 5
        assert "hint: unlock your key on a terminal first: secretsmith identity unlock" in refused.stdout

    def test_remembered_passphrase_unlocks_without_a_question(self, someone: Someone) -> None:
        someone.bus()
        someone.gnome()
        someone.answered("identity", "remember", "--yes", answers={PROMPT: "s3same"})
        done = someone.secretsmith("identity", "unlock", "--for", "1m")
        assert (done.returncode, "unlocked until" in done.stdout) == (0, True)

    def test_key_that_nobody_looks_for(self, someone: Someone) -> None:
        someone.key("elsewhere")
        status, text = someone.answered("identity", "unlock", "elsewhere", answers={"elsewhere: ": "s3same"})
        assert status == 0
        assert "keys are not looked for there: SECRETSMITH_IDENTITY=elsewhere names it" in text

    def test_forget_one_and_all(self, someone: Someone) -> None:
        someone.bus()
        someone.gnome()
        someone.key("gone")
        for name in ("gone", ".ssh/id_ed25519"):
            status, text = someone.answered(
                "identity", "remember", name, "--yes", answers={f"passphrase of {name}: ": "s3same"}
            )
            assert status == 0, text
        (someone.home / "gone").unlink()
        listed = someone.secretsmith("identity", "list").stdout
        assert "locked; passphrase in the desktop's keyring" in listed
        assert "SecretService Keyring: unlocked" in listed
        done = someone.secretsmith("identity", "forget", "--all", ".ssh/id_ed25519")
        assert done.returncode == 2
        done = someone.secretsmith("identity", "forget", "--all")
        assert (done.returncode, done.stdout.count("has its passphrase no more")) == (0, 2)
        done = someone.secretsmith("identity", "forget", "--all")
        assert (done.returncode, done.stdout) == (0, "the desktop's keyring had no such passphrase\n")

    def test_list_never_prompts_and_never_hangs(self, someone: Someone) -> None:
        someone.bus()
        someone.gnome()
        someone.answered("identity", "remember", "--yes", answers={PROMPT: "s3same"})
        someone.stop()
        someone.gnome(unlocked=False)
        listed = someone.secretsmith("identity", "list").stdout
        assert "SecretService Keyring: locked" in listed
        assert "locked; passphrase in the desktop's keyring" in listed, "seen without unlocking"
        someone.stop()
        someone.hanging()
        listed = someone.secretsmith("identity", "list").stdout
        assert "not used: the desktop's keyring did not answer within 5 seconds" in listed

    def test_list_without_a_locked_key_asks_neither(self, someone: Someone) -> None:
        keys.ed25519_key().write(someone.home, ".ssh/id_ed25519")
        someone.own()
        listed = json.loads(someone.secretsmith("identity", "list", "--json").stdout)
        assert [(item["source"], item["outcome"]) for item in listed[-2:]] == [
            ("kernel keyring", "not needed"),
            ("desktop keyring", "not needed"),
        ]

    def test_keyring_is_imported_for_locked_keys_alone(self, someone: Someone) -> None:
        (someone.home / "traps").mkdir()
        (someone.home / "traps/keyring.py").write_text("import os\nos._exit(99)\n")
        someone.environ["PYTHONPATH"] += f":{someone.home}/traps"
        someone.repository((someone.home / ".ssh/id_ed25519.pub").read_text().strip())
        assert someone.secretsmith("show", "db").returncode == 99, "the trap bites"
        assert someone.secretsmith("identity", "list").returncode == 99
        assert someone.secretsmith("check").returncode == 3
        assert someone.secretsmith("rekey", "--plan").returncode == 0
        assert someone.secretsmith("show", "db", SECRETSMITH_KEYRING="off").returncode == 5
        status, text = someone.answered(
            "identity", "unlock", answers={PROMPT: "s3same"}, SECRETSMITH_KEYRING="off"
        )
        assert status == 0, text
        assert someone.secretsmith("show", "db").stdout == "hunter2", "the kernel has it"
        keys.ed25519_key().write(someone.home, ".ssh/id_ed25519")
        someone.own()
        assert someone.secretsmith("show", "db").returncode == 5
        assert someone.secretsmith("identity", "list").returncode == 0

    def test_kernel_that_forbids_its_keyring(self, someone: Someone) -> None:
        if os.uname().machine not in ("x86_64", "aarch64"):
            pytest.skip("the filter knows two machines")
        someone.repository((someone.home / ".ssh/id_ed25519.pub").read_text().strip())

        def filtered(*words: str) -> tuple[int, str]:
            done = someone.program(sys.executable, "-c", WITHOUT_KEYRING, *words)
            return done.returncode, done.stdout

        refusal = "the kernel's keyring cannot be used here: operation not permitted"
        status, text = filtered("identity", "unlock")
        assert (status, f"error: {refusal}\n" in text, "identity remember" in text) == (1, True, True), text
        status, text = filtered("identity", "list")
        assert (status, f"not used: {refusal}" in text) == (0, True), text
        status, text = filtered("show", "db")
        assert (status, "kernel" in text) == (5, False), "nobody asked for it: nothing to speak of"
