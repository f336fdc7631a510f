"""Every hostile input of an age file, a key line and a registry (rows 40 to 72), through the real program.

A row says what the program ends with and what it says; that it says so in one line, with a hint, without a trace, in 2 s of
processor time, and leaves every file as it was, is asserted for all of them.
"""

from __future__ import annotations

import base64
import json
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import fakeplugin
import keys
import pytest
from agemaker import BODY, SHARE, age_file, x25519_stanza
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from keylines import AGE, LINE, ed25519_line
from repositories import Fleet
from terminals import OnTerminal

from secretsmith.crypto import bech32
from secretsmith.crypto.agefile import encrypt_age, inspect_age
from secretsmith.crypto.armor import enarmor
from secretsmith.crypto.header import is_grease
from secretsmith.sensitive import Sensitive

SECRET = "secrets/web/db.age"
VALUE = b"CANARY-hostile-value"


def run(
    fleet: Fleet,
    *argv: str,
    code: int,
    says: str = "",
    stdin: bytes = b"",
    seconds: float = 2,
    **variables: str,
) -> subprocess.CompletedProcess[bytes]:
    """Run the program; it ends with ``code``. A failure says ``says`` in one line, has a hint, and changes no file."""
    before = fleet.files()
    spent = _processor_time()
    done = subprocess.run(
        [sys.executable, "-m", "secretsmith", *argv],
        input=stdin,
        capture_output=True,
        cwd=fleet.root,
        env={**fleet.environ, **variables},
        start_new_session=True,
        timeout=120,
        check=False,
    )
    spent = _processor_time() - spent
    said = done.stderr.decode()
    assert done.returncode == code, (argv, done.returncode, said[:2000])
    assert spent < seconds, f"took {spent:.2f} s"
    assert "Traceback" not in said
    assert "internal error" not in said
    assert VALUE not in done.stderr
    if code not in (0, 3):
        errors = [line for line in said.splitlines() if line.startswith("secretsmith: error: ")]
        assert len(errors) == 1, said
        assert says.lower() in errors[0].lower(), said
        assert len(errors[0]) < 1000, said
        assert "secretsmith: hint: " in said, said
        assert all(line.startswith("secretsmith: ") for line in said.splitlines()), said
        assert all(line.isprintable() for line in said.splitlines()), said
        assert fleet.files() == before
    return done


def _processor_time() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    return Fleet(tmp_path)


def sealed(fleet: Fleet, *, armor: bool = False, size: int = 0) -> bytes:
    """An age file for alice and web1, as the rules want it."""
    readers = [" ".join(fleet.public[name].split()[:2]) for name in ("alice", "web1")]
    return encrypt_age(Sensitive(VALUE + bytes(size)), readers, armor=armor)


def _cut_header(fleet: Fleet) -> bytes:
    data = sealed(fleet)
    return data[: inspect_age(data)[0].end // 2]


def _low_order(fleet: Fleet) -> bytes:
    return age_file(x25519_stanza(base64.b64encode(bytes(32)).decode().rstrip("=")))


_PGP = b"-----BEGIN PGP MESSAGE-----\n\nhQEMA\n=aaaa\n-----END PGP MESSAGE-----\n"
_SCRYPT = b"-> scrypt " + b"A" * 22 + b" 18\n" + BODY

# row: (bytes of the file, exit code, code of check's finding, what the message says)
_AGE_ROWS: dict[str, tuple[Callable[[Fleet], bytes], int, str, str]] = {
    "40 empty": (lambda _: b"", 2, "E_EMPTY", "empty"),
    "41 cut in the header": (_cut_header, 2, "E_AGE_HEADER", "header"),
    "42 cut in the payload": (lambda f: sealed(f, size=200_000)[:-9], 6, "", "cut off"),
    "43 trailing bytes": (lambda f: sealed(f) + b"junk", 6, "", ""),
    "44 version 2": (
        lambda f: sealed(f).replace(b"org/v1", b"org/v2", 1),
        2,
        "E_AGE_VERSION",
        "version",
    ),
    "45 an argument of 100 kB": (
        lambda _: age_file(b"-> X25519 " + b"A" * 100_000 + b"\n" + BODY),
        2,
        "E_AGE_HEADER",
        "",
    ),
    "46 100,000 stanzas": (lambda _: age_file(x25519_stanza() * 100_000), 2, "E_AGE_HEADER", ""),
    "46 100,000 tiny stanzas": (lambda _: age_file(b"-> x\n\n" * 100_000), 2, "E_AGE_HEADER", ""),
    "47 scrypt": (lambda _: age_file(_SCRYPT), 2, "E_RECIPIENT_EXTRA", "passphrase"),
    "48 armor too big": (lambda _: enarmor(bytes(90 << 20)), 2, "E_TOO_BIG", ""),
    "48 50 MB of armor": (lambda _: enarmor(bytes(37 << 20)), 2, "E_TOO_BIG", ""),
    "49 junk before armor": (lambda f: b"junk\n" + sealed(f, armor=True), 2, "", ""),
    "49 junk after armor": (lambda f: sealed(f, armor=True) + b"junk\n", 2, "E_AGE_ARMOR", ""),
    "49 conflict markers": (
        lambda f: b"<<<<<<< HEAD\n%b=======\n%b>>>>>>> other\n" % ((sealed(f, armor=True),) * 2),
        2,
        "",
        "conflict markers of a merge",
    ),
    "51 PGP": (lambda _: _PGP, 2, "", "pgp"),
    "52 low-order share": (_low_order, 2, "E_AGE_HEADER", ""),
}


@pytest.mark.parametrize("row", _AGE_ROWS)
def test_age_files(fleet: Fleet, row: str) -> None:
    make, code, finding, says = _AGE_ROWS[row]
    target = fleet.root / SECRET
    target.parent.mkdir(parents=True)
    target.write_bytes(make(fleet))
    shown = run(fleet, "show", SECRET, code=code, says=says)
    assert shown.stdout == b""
    assert SECRET.encode() in shown.stderr
    # A passphrase in the place of the readers is an injected recipient, for what writes.
    run(fleet, "edit", SECRET, code=6 if "scrypt" in row else code, EDITOR="true")
    run(fleet, "ls", code=0)
    found = json.loads(run(fleet, "check", "--json", code=3).stdout)["findings"]
    mine = [entry for entry in found if entry["path"] == SECRET and entry["severity"] == "error"]
    if finding:
        assert finding in [entry["code"] for entry in mine]
        assert all(entry["hint"] for entry in mine)


@pytest.mark.parametrize("row", ["50 armor with CRLF", "54 GREASE stanzas"])
def test_age_files_that_open(fleet: Fleet, row: str) -> None:
    data = sealed(fleet, armor=True).replace(b"\n", b"\r\n")
    while row.startswith("54"):
        data = sealed(fleet)
        if any(is_grease(stanza) for stanza in inspect_age(data)[0].stanzas):
            break
    target = fleet.root / SECRET
    target.parent.mkdir(parents=True)
    target.write_bytes(data)
    assert run(fleet, "show", SECRET, code=0).stdout == VALUE
    (entry,) = json.loads(run(fleet, "ls", "--json", code=0).stdout)
    assert (entry["readers_present"], entry["drift"]) == (["alice", "web1"], False)


def test_row_53_post_quantum_beside_classic_keys(fleet: Fleet) -> None:
    line = bech32.encode("age1pq", bytes(1216))
    run(fleet, "user", "add", "quentin", "--key", line, code=2, says="quentin: ")


def _rsa(bits: int) -> str:
    public = rsa.generate_private_key(65537, bits).public_key()
    return public.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH).decode()


def _foreign(kind: str) -> str:
    blob = len(kind).to_bytes(4, "big") + kind.encode() + bytes(60)
    return f"{kind} {base64.b64encode(blob).decode()} comment"


_SSH_PRIVATE = keys.ed25519_key().private.decode()
_AGE_PRIVATE = bech32.encode("AGE-SECRET-KEY-", bytes(range(32)))

_KEY_ROWS: dict[str, tuple[str, str]] = {
    "55 two keys in one line": (f"{LINE} {LINE}", ""),
    "55 a second line": (f"{LINE}\n{LINE}", ""),
    "56 NUL": (f"{LINE}\x00", ""),
    "57 options": (f'command="rm -rf /" {LINE}', "options"),
    "59 type word and blob differ": (f"ssh-rsa {LINE.split()[1]}", ""),
    "60 ssh private key": (_SSH_PRIVATE, "private key"),
    "61 age private key": (_AGE_PRIVATE, "private key"),
    "62 RSA of 1024 bits": (_rsa(1024), "1024"),
    "63 ecdsa": (keys.ecdsa_key().public, "ecdsa"),
    "63 dss": (_foreign("ssh-dss"), "ssh-dss"),
    "63 sk": (_foreign("sk-ssh-ed25519@openssh.com"), "sk-ssh-ed25519"),
    "64 mixed-case bech32": (AGE[:20] + AGE[20:].upper(), "case"),
    "65 low-order ed25519": (ed25519_line(bytes(32)), ""),
    "65 low-order x25519": (bech32.encode("age", bytes(32)), ""),
    "65 non-canonical y": (ed25519_line((2**255 - 1).to_bytes(32, "little")), ""),
    "66 plugin ../x": (bech32.encode("age1../x", b"data"), "plugin"),
    "66 plugin ..": (bech32.encode("age1..", b"data"), "plugin"),
    "66 plugin of 300 characters": (bech32.encode("age1" + "x" * 300, b"data"), "plugin"),
}


@pytest.mark.parametrize("door", ["user", "host", "file", "registry"])
@pytest.mark.parametrize("row", _KEY_ROWS)
def test_key_lines(fleet: Fleet, row: str, door: str, tmp_path: Path) -> None:
    line, says = _KEY_ROWS[row]
    if door in ("user", "host") and "\x00" in line:
        return  # no argument of a program can hold a NUL
    if door == "registry":
        quoted = json.dumps(line)  # as a TOML string, for these characters
        fleet.write_registry(fleet.registry + f"\n[users.mallory]\nkeys = [\n  {quoted},\n]\n")
        at = fleet.registry.splitlines().index(f"  {quoted},") + 1
        done = run(fleet, "ls", code=2, says=f"secretsmith.toml:{at}:3: ")
    elif door == "file":
        (tmp_path / "key.pub").write_text(line)
        if row == "55 a second line":
            return  # a file may hold several keys, one a line
        done = run(
            fleet, "user", "add", "mallory", "--key-file", str(tmp_path / "key.pub"), code=2, says=says
        )
    else:
        done = run(fleet, door, "add", "mallory", "--key", line, code=2)
    said = done.stderr.decode()
    assert says in said
    if door == "file" and row.startswith("60"):
        assert "key.pub: " in said
    assert not any(word in said for word in line.split() if len(word) > 60)
    assert _AGE_PRIVATE not in said


def test_row_58_comments_reach_no_terminal_raw(fleet: Fleet) -> None:
    run(fleet, "user", "add", "mallory", "--key", f"{LINE} \x1b[31mred\u202eelif", code=0)
    for command in (["user", "list"], ["user", "list", "--json"], ["ls"], ["check"]):
        done = run(fleet, *command, code=3 if command == ["check"] else 0)
        assert b"\x1b" not in done.stdout + done.stderr
        assert "\u202e".encode() not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("act", "says"),
    [("missing", "not installed"), ("error", "it broke"), ("gigabyte", ""), ("flood", ""), ("crash", "")],
)
def test_row_67_plugins(fleet: Fleet, act: str, says: str, tmp_path: Path) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    if act != "missing":
        fakeplugin.install(programs, "fake")
    line = bech32.encode("age1fake", act.encode())
    fleet.change_registry(lambda text: text + f'\n[users.mallory]\nkeys = ["{line}"]\nadmin = true\n')
    fleet.accept_all()
    path = f"{programs}:{fleet.environ['PATH']}"
    # The plugin and the worker that reads it have two seconds of computing each, ours comes on top.
    done = run(fleet, "set", SECRET, stdin=VALUE, code=1, says=says, seconds=6, PATH=path)
    assert b"age-plugin-fake" in done.stderr


def _registry_with(addition: str) -> Callable[[Fleet], None]:
    return lambda fleet: fleet.write_registry(fleet.registry + addition)


_REGISTRY_ROWS: dict[str, tuple[str, str]] = {
    "68 a host twice": ('\n[hosts.web1]\nkeys = ["KEY"]\n', "web1"),
    "69 a name with a slash": ('\n[hosts."a/b"]\nkeys = ["KEY"]\n', "'a/b'"),
    "69 a name with a newline": ('\n[hosts."a\\nb"]\nkeys = ["KEY"]\n', "'a\\nb'"),
    "69 a name with a leading hyphen": ('\n[hosts."-a"]\nkeys = ["KEY"]\n', "'-a'"),
    "70 a group in itself": ('\n[groups]\na = ["@b"]\nb = ["@c"]\nc = ["@a"]\n', "@a → @b → @c → @a"),
    "71 a rule for nobody": ('\n[[rules]]\npath = "secrets/x/**"\nreaders = []\n', "'secrets/x/**'"),
    "71 a rule for an unknown name": ('\n[[rules]]\npath = "secrets/x/**"\nreaders = ["web3"]\n', "'web3'"),
}


@pytest.mark.parametrize("row", _REGISTRY_ROWS)
def test_registries(fleet: Fleet, row: str) -> None:
    addition, says = _REGISTRY_ROWS[row]
    fleet.write_registry(fleet.registry + addition.replace("KEY", LINE))
    for command in (["ls"], ["check"], ["rekey"], ["host", "list"], ["user", "add", "x", "--key", AGE]):
        done = run(fleet, *command, code=2, says="secretsmith.toml:")
        assert says in done.stderr.decode()


def test_row_68_one_key_under_two_names(fleet: Fleet) -> None:
    run(fleet, "host", "add", "web3", "--key", fleet.public["web1"], code=2, says="web1")
    fleet.write_registry(fleet.registry + f'\n[hosts.web3]\nkeys = ["{fleet.public["web1"]}"]\n')
    run(fleet, "ls", code=0)
    found = json.loads(run(fleet, "check", "--json", code=3).stdout)["findings"]
    (warning,) = [entry for entry in found if entry["code"] == "E_REG_DUP"]
    assert warning["severity"] == "warning"
    assert "web1" in warning["message"]
    assert "web3" in warning["message"]


@pytest.mark.parametrize("name", ["a/b", "a\nb", "-a", "", ".", "..", "a" * 64, "a b"])
@pytest.mark.parametrize("kind", ["host", "user", "group"])
def test_row_69_names(fleet: Fleet, name: str, kind: str) -> None:
    last = ["--", name, "web1"] if kind == "group" else ["--key", LINE, "--", name]
    run(fleet, kind, "add", *last, code=2)


def test_row_70_a_command_makes_no_cycle(fleet: Fleet) -> None:
    run(fleet, "group", "add", "a", "web1", code=0)
    run(fleet, "group", "add", "b", "@a", code=0)
    run(fleet, "group", "add", "a", "@b", code=2, says="contains itself")


def test_row_71_a_rule_that_matches_nothing(fleet: Fleet) -> None:
    done = run(fleet, "grant", "nowhere/**", "--to", "web1", code=0)
    assert b"'nowhere/**' matches nothing" in done.stderr


def test_row_72_ten_thousand_hosts(fleet: Fleet) -> None:
    hosts = []
    for number in range(10_000):
        point = (3 + number).to_bytes(31, "little") + b"\x11"
        hosts.append(f'[hosts.h{number}]\nkeys = ["{ed25519_line(point)}"]\n')
    text = fleet.registry + "\n" + "\n".join(hosts)
    fleet.write_registry(text + '\n[[rules]]\npath = "secrets/all/**"\nreaders = ["h1", "h9999"]\n')
    fleet.encrypt("secrets/all/a.age", fleet.public["alice"])
    for command, code in ((["ls"], 0), (["check"], 3), (["rekey", "--plan"], 3)):
        run(fleet, *command, code=code)


def test_the_share_of_the_rows_is_sound() -> None:
    """Row 52 differs from an ordinary stanza in the share only."""
    assert inspect_age(age_file(x25519_stanza(SHARE)))[0].stanzas[0].args == (SHARE,)


def test_a_word_of_a_new_rule_that_nobody_has(fleet: Fleet) -> None:
    done = run(fleet, "set", "other/x", "--to", "nobody", stdin=VALUE, code=2, says="'nobody'")
    assert b"register it" in done.stderr


def test_who_loses_access_need_not_be_registered_first(fleet: Fleet) -> None:
    done = run(fleet, "revoke", "secrets/web/**", "--from", "web3", code=4, says="'web3'")
    assert b"register" not in done.stderr
    assert b"did you mean" in done.stderr


def test_a_key_of_somebody_else(fleet: Fleet) -> None:
    of_a_host = run(fleet, "user", "add", "x", "--key", fleet.public["web1"], code=2, says="web1")
    assert b"/etc/ssh/ssh_host_" in of_a_host.stderr
    of_a_person = run(fleet, "user", "add", "x", "--key", fleet.public["bob"], code=2, says="bob")
    assert b"/etc/ssh" not in of_a_person.stderr


def test_check_counts_in_words(fleet: Fleet) -> None:
    fleet.encrypt("secrets/a.age", fleet.public["alice"])
    assert b"warnings" in run(fleet, "check", code=3).stderr


def test_a_locked_key_that_reads_the_file_is_told_so(fleet: Fleet, peer: Callable[[str], str]) -> None:
    fleet.set(SECRET, VALUE)
    key = fleet.home / ".ssh/id_ed25519"
    subprocess.run([peer("ssh-keygen"), "-q", "-p", "-a", "2", "-N", "s3same", "-f", key], check=True)
    said = run(fleet, "show", SECRET, code=5).stderr
    assert b"opens it: run this on a terminal" in said
    assert b"rekey" not in said
    argv = [sys.executable, "-m", "secretsmith", "show", SECRET]
    environ = {**fleet.environ, "HOME": "/nonexistent", "SECRETSMITH_IDENTITY": str(key)}
    with OnTerminal(argv, cwd=fleet.root, environ=environ) as terminal:
        terminal.expect(f"passphrase of {key} (SECRETSMITH_IDENTITY): ".encode())
        terminal.press(b"wrong\n")
        assert terminal.end() == 5
        assert b"try again with the right passphrase" in terminal.shown


def test_a_passphrase_file_is_replaced_as_the_hint_says(fleet: Fleet) -> None:
    target = fleet.root / SECRET
    target.parent.mkdir(parents=True)
    target.write_bytes(age_file(_SCRYPT))
    said = run(fleet, "set", SECRET, code=6, stdin=VALUE).stderr.decode()
    assert f"secretsmith set {SECRET} --drop-unknown" in said
    run(fleet, "set", SECRET, "--drop-unknown", code=0, stdin=VALUE)
    assert fleet.readers(SECRET) == ["alice", "web1"]
