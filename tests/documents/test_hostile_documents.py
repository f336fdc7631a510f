"""Hostile documents, rows 1 to 39: through the real program, within 2 s of processor time and 256 MiB.

Row 14 is void: streams of several documents are read. What is not asserted here has its test elsewhere:

=== ==================================== =====================================================================
row what                                 test
=== ==================================== =====================================================================
11  nan and infinity                     test_sops_vectors.py (yaml_inf_nan)
20  CRLF keeps its style                 test_sops_formatting.py, test_line_ends_of_windows_stay
30  a later version is not written       test_sops_engine.py, test_later_versions_are_only_read (read: here)
31  key groups                           test_sops_engine.py, test_groups_and_shares; test_sops_vectors.py
37  which expressions are refused        test_selection.py (that none takes long: here)
=== ==================================== =====================================================================
"""

from __future__ import annotations

import base64
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable

import pytest
from repositories import Fleet

from secretsmith.crypto.publickey import Form, parse_public_key
from secretsmith.documents.format import Format
from secretsmith.documents.sopsnew import new_document

SECRET = "secrets/web/app.yaml"
CANARY = b"CANARY-hostile-value"
CLEAR = b"first: " + CANARY + b"\nsecond: other\nmap:\n  number: 17\n"
MEMORY = 256 << 20


def limited() -> None:
    """What the program may have: writable memory, and no core of what it holds."""
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def run(
    fleet: Fleet, *argv: str, code: int, says: str = "", seconds: float = 2
) -> subprocess.CompletedProcess[bytes]:
    """Run the program; it ends with ``code``. A failure says ``says`` in one line, has a hint, and changes no file."""
    before = fleet.files()
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = subprocess.Popen(
            [sys.executable, "-m", "secretsmith", *argv],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            cwd=fleet.root,
            env=fleet.environ,
            start_new_session=True,
            preexec_fn=limited,
        )
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        done = subprocess.CompletedProcess(argv, process.returncode, out.read(), err.read())
    said = done.stderr.decode()
    assert done.returncode == code, (argv, done.returncode, said[:2000])
    assert used.ru_utime + used.ru_stime < seconds
    assert "Traceback" not in said
    assert "internal error" not in said
    assert CANARY not in done.stderr
    if code not in (0, 3):
        errors = [line for line in said.splitlines() if line.startswith("secretsmith: error: ")]
        assert len(errors) == 1, said
        assert says.lower() in errors[0].lower(), said
        assert len(errors[0]) < 1000
        assert "secretsmith: hint: " in said, said
        assert all(line.startswith("secretsmith: ") and line.isprintable() for line in said.splitlines()), (
            said
        )
        assert done.stdout == b""
    assert fleet.files() == before
    return done


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    made = Fleet(tmp_path_factory.mktemp("hostile"))
    (made.root / SECRET).parent.mkdir(parents=True)
    return made


def recipients(fleet: Fleet, *names: str) -> list[str]:
    return [parse_public_key(fleet.public[name]).recipient(Form.DERIVED) for name in names]


def sealed(fleet: Fleet, clear: bytes = CLEAR, *names: str) -> bytes:
    return new_document(Format.YAML, clear, [recipients(fleet, *(names or ("alice", "web1")))])


def block(fleet: Fleet) -> bytes:
    """The metadata block of a good document."""
    source = sealed(fleet)
    return source[source.index(b"sops:") :]


def put(fleet: Fleet, data: bytes) -> None:
    (fleet.root / SECRET).write_bytes(data)


def bomb() -> bytes:
    lines = [b"a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [b"a%d: &a%d [%s]" % (n, n, b", ".join([b"*a%d" % (n - 1)] * 10)) for n in range(1, 10)]
    return b"\n".join(lines) + b"\n"


def merge_bomb() -> bytes:
    lines = [b"a0: &a0 {k: x}"] + [
        b"a%d: &a%d\n  l: *a%d\n  m: *a%d\n  <<: *a%d" % (n, n, n - 1, n - 1, n - 1) for n in range(1, 40)
    ]
    return b"\n".join(lines) + b"\n"


# row: (text before the metadata block, finding of check, what the message says)
TEXTS: dict[str, tuple[Callable[[], bytes], str, str]] = {
    "1 alias bomb": (bomb, "E_YAML_ALIAS", "aliases"),
    "1 alias bomb of merges": (merge_bomb, "E_YAML_ALIAS", "aliases"),
    "2 recursive alias": (lambda: b"a: &a [1, *a]\n", "E_YAML_ALIAS", "line 1"),
    "2 recursive alias in block style": (lambda: b"a: &a\n  b: *a\n", "E_YAML_ALIAS", "line 2"),
    "3 merge of itself": (lambda: b"a: &a\n  <<: *a\n", "E_YAML_ALIAS", "line 2"),
    "4 100,000 brackets": (lambda: b"a: " + b"[" * 100_000 + b"]" * 100_000 + b"\n", "E_YAML_DEPTH", "nest"),
    "4 100,000 braces": (lambda: b"a: " + b"{a: " * 60_000 + b"\n", "E_YAML_DEPTH", "nest"),
    "4 100,000 dashes": (lambda: b"a:\n  " + b"- " * 100_000 + b"x\n", "E_YAML_DEPTH", "nested"),
    "4 2,000 levels of keys": (
        lambda: b"".join(b" " * n + b"k:\n" for n in range(2000)),
        "E_YAML_DEPTH",
        "nested",
    ),
    "4 5,000 brackets that are not closed": (lambda: b"a: " + b"[" * 5000 + b"\n", "E_YAML_DEPTH", "nest"),
    "5 50 MB": (lambda: b"a: " + b"x" * 50_000_000 + b"\n", "E_TOO_BIG", "larger than"),
    "6 1,000,000 keys": (
        lambda: b"".join(b"k%d: v\n" % n for n in range(1_000_000)),
        "E_TOO_BIG",
        "values",
    ),
    "6 1,000,000 items in brackets": (lambda: b"a: [" + b"1," * 1_000_000 + b"]\n", "E_TOO_BIG", "large"),
    "6 1,000,000 comments": (lambda: b"#\n" * 1_000_000 + b"a: 1\n", "E_TOO_BIG", "values"),
    "6 60,000 quoted numbers": (lambda: b"".join(b'"%d": "%d"\n' % (n, n) for n in range(60_000)), "E_TOO_BIG", "values"),
    "7 a key twice": (lambda: b"a: 1\nb: 2\na: 3\n", "E_YAML_DUP", "line 3: 'a'"),
    "7 a key twice, quoted": (lambda: b"m:\n  a: 1\n  'a': 2\n", "E_YAML_DUP", "line 3"),
    "7 a key twice, in brackets": (lambda: b'm: {a: 1, "\\x61": 2}\n', "E_YAML_DUP", "line 1"),
    "8 keys that look the same": (lambda: "\u00e9: 1\ne\u0301: 2\n".encode(), "E_NAME_DUP", "two encodings"),
    "9 5,000 digits": (lambda: b"a: " + b"9" * 5000 + b"\n", "E_YAML_VALUE", "line 1: a number"),
    "9 1,000,000 digits": (lambda: b"a: " + b"9" * 1_000_000 + b"\n", "E_YAML_VALUE", "line 1: a number"),
    "10 5,000 digits in base 16": (lambda: b"a: 0x" + b"f" * 5000 + b"\n", "E_YAML_VALUE", "line 1: a number"),
    "10 64 bits and one": (lambda: b"a: 0xffffffffffffffff\n", "E_YAML_VALUE", "line 1: a number"),
    "12 a tag of Python": (lambda: b'a: !!python/object/apply:os.system ["true"]\n', "E_YAML_TAG", "tag"),
    "12 a scalar's tag of Python": (lambda: b"a: !!python/name:os.system x\n", "E_YAML_TAG", "tag"),
    "13 a tag of its own": (lambda: b"a: !vault x\n", "E_YAML_TAG", "tag"),
    "13 a tag of its own on a mapping": (lambda: b"a: !thing\n  b: 1\n", "E_YAML_TAG", "tag"),
    "18 not UTF-8": (lambda: b"a: 1\nb: caf\xe9\n", "E_ENCODING", "byte 11"),
    "18 half of a character": (lambda: b'a: "\\ud800"\n', "E_ENCODING", "line 1"),
    "19 NUL": (lambda: b"a: 1\nb: x\0y\n", "E_YAML_CHAR", "line 2"),
    "19 escape": (lambda: b"a: \x1b[31m\n", "E_YAML_CHAR", "line 1"),
    "21 a tab that indents": (lambda: b"a:\n\tb: 1\n", "E_YAML_SYNTAX", "line 2"),
    "21 a tab that indents a list": (lambda: b"a:\n\t- 1\n", "E_YAML_SYNTAX", "line 2"),
    "22 conflict": (
        lambda: b"<<<<<<< HEAD\na: 1\n=======\na: 2\n>>>>>>> feature/x\n",
        "E_CONFLICT",
        "'HEAD' and 'feature/x'",
    ),
    "38 a list": (lambda: b"- a\n- b\n", "E_PLAINTEXT", "line 1"),
    "38 one value": (lambda: b"just a text\n", "E_PLAINTEXT", "line 1"),
    "39 a value named sops": (lambda: b"sops: x\n", "E_YAML_SHAPE", "'sops'"),
    "39 a list named sops": (lambda: b"sops:\n  - x\n", "E_YAML_SHAPE", "'sops'"),
    "blank lines and spaces": (lambda: (b" " * 1000 + b"\n") * 10_000 + b"a: [\n", "E_TOO_BIG", "large"),
    "1,000,000 quotes": (lambda: b"a: '" + b"''" * 1_000_000 + b"\n", "E_TOO_BIG", "large"),
    "escapes without end": (lambda: b'a: "' + b"\\x41" * 400_000 + b'"\n', "E_TOO_BIG", "large"),
    "a long key": (lambda: b"k" * 2_000_000 + b": 1\n", "E_TOO_BIG", "large"),
}  # fmt: skip
_ALONE = ("38", "39")


@pytest.mark.parametrize("row", TEXTS)
def test_texts(fleet: Fleet, row: str) -> None:
    make, finding, says = TEXTS[row]
    put(fleet, make() + (b"" if row.startswith(_ALONE) else block(fleet)))
    code = 9 if finding == "E_CONFLICT" else 2
    shown = run(fleet, "show", SECRET, code=code, says=says)
    assert SECRET.encode() in shown.stderr
    run(fleet, "ls", code=0)
    expect_finding(fleet, finding)


def expect_finding(fleet: Fleet, code: str) -> None:
    found = json.loads(run(fleet, "check", "--json", code=3).stdout)["findings"]
    mine = [each for each in found if each["path"] == SECRET and each["severity"] == "error"]
    assert [code] == [each["code"] for each in mine]
    assert all(each["hint"] for each in mine)


@pytest.mark.parametrize(
    ("row", "data", "says"),
    [
        ("15 empty", b"", "empty"),
        ("15 blank", b" \n\n", "empty"),
        ("16 only comments", b"# one\n# two\n", "no keys"),
        ("17 UTF-16", "\ufeffa: 1\n".encode("utf-16-le"), "UTF-16"),
    ],
)
def test_files_of_nothing(fleet: Fleet, row: str, data: bytes, says: str) -> None:
    put(fleet, data)
    run(fleet, "show", SECRET, code=2, says=says)
    expect_finding(fleet, "E_PLAINTEXT" if "UTF" in row else "E_EMPTY")


def test_row_17_a_byte_order_mark(fleet: Fleet) -> None:
    put(fleet, b"\xef\xbb\xbf" + sealed(fleet))
    assert run(fleet, "show", SECRET, code=0).stdout == b"\xef\xbb\xbf" + CLEAR
    assert run(fleet, "show", SECRET, "first", code=0).stdout == CANARY


def test_row_20_windows_line_ends(fleet: Fleet) -> None:
    clear = CLEAR.replace(b"\n", b"\r\n")
    put(fleet, sealed(fleet, clear))
    assert run(fleet, "show", SECRET, code=0).stdout == clear


def test_row_23_a_conflict_in_the_metadata(fleet: Fleet) -> None:
    source = sealed(fleet)
    found = re.search(rb" +lastmodified: .*\n +mac: .*\n", source)
    assert found
    ours = b"<<<<<<< ours\n" + found[0] + b"=======\n" + found[0] + b">>>>>>> theirs\n"
    put(fleet, source.replace(found[0], ours))
    run(fleet, "show", SECRET, code=9, says="'ours' and 'theirs'")
    expect_finding(fleet, "E_CONFLICT")


SEALED = re.compile(rb"ENC\[AES256_GCM,data:([^,]*),iv:([^,]*),tag:([^,]*),type:(\w+)\]")


def tampered(row: str, source: bytes) -> bytes:
    """The sealed document with one thing wrong."""
    first, second = [found[0] for found in SEALED.finditer(source)][:2]
    mac = re.search(rb"\n( +mac: (.*)\n)", source)
    assert mac
    iv = SEALED.match(first)[2]  # type: ignore[index]
    changes: dict[str, tuple[bytes, bytes]] = {
        "24 another value's MAC": (mac[2], first),
        "24 an entry that went": (b"second: " + second + b"\n", b""),
        "25 no MAC": (mac[1], b""),
        "25 an empty MAC": (mac[2], b'""'),
        "26 moved to another key": (b"second: " + second, b"second: " + first),
        "27 a text that says it is a number": (first, first.replace(b"type:str", b"type:int")),
        "27 a type that there is not": (first, first.replace(b"type:str", b"type:bytes")),
        "28 cut base64": (first, first.replace(b",iv:", b"A,iv:")),
        "28 no data": (first, re.sub(rb"data:[^,]*", b"data:", first)),
        "28 no end": (first, first[:-1]),
        "28 text in clear": (first, b"in clear"),
        "29 no nonce": (first, first.replace(iv, b"")),
        "29 a nonce of 12 bytes": (first, first.replace(iv, base64.b64encode(bytes(12)))),
        "36 another suffix": (b"unencrypted_suffix: _unencrypted", b"unencrypted_suffix: st"),
        "36 another rule": (b"unencrypted_suffix: _unencrypted", b"encrypted_regex: ^nothing$"),
    }
    old, new = changes[row]
    assert old in source
    return source.replace(old, new, 1)


TAMPERED = {
    **dict.fromkeys(
        ("24 another value's MAC", "24 an entry that went", "25 no MAC", "25 an empty MAC"), "MAC"
    ),
    **dict.fromkeys(("26 moved to another key", "27 a text that says it is a number"), ""),
    **dict.fromkeys(("27 a type that there is not", "28 cut base64", "28 no data", "28 no end"), "'first'"),
    **dict.fromkeys(("28 text in clear", "29 no nonce", "29 a nonce of 12 bytes"), "'first'"),
    **dict.fromkeys(("36 another suffix", "36 another rule"), "MAC"),
}


@pytest.mark.parametrize("row", TAMPERED)
def test_tampered(fleet: Fleet, row: str) -> None:
    put(fleet, tampered(row, sealed(fleet)))
    run(fleet, "show", SECRET, code=6, says=TAMPERED[row])


def test_row_29_a_nonce_of_32_bytes_is_read(fleet: Fleet) -> None:
    source = sealed(fleet)
    assert {len(base64.b64decode(found[2])) for found in SEALED.finditer(source)} == {32}
    put(fleet, source)
    assert run(fleet, "show", SECRET, code=0).stdout == CLEAR


def test_row_30_a_later_version_is_read(fleet: Fleet) -> None:
    put(fleet, re.sub(rb"version: .*", b"version: 99.0.0", sealed(fleet)))
    assert run(fleet, "show", SECRET, "second", code=0).stdout == b"other"
    run(fleet, "set", SECRET, "second", code=2, says="later version")


@pytest.mark.parametrize(
    ("service", "entry"),
    [
        (
            "kms",
            b"  kms:\n    - arn: arn:aws:kms:x:1:key/1\n      created_at: x\n      enc: x\n",
        ),
        ("pgp", b"  pgp:\n    - created_at: x\n      enc: x\n      fp: ABCD\n"),
    ],
)
def test_row_32_other_services_only(fleet: Fleet, service: str, entry: bytes) -> None:
    source = sealed(fleet)
    start, end = (source.index(word) - 2 for word in (b"age:\n", b"lastmodified:"))
    put(fleet, source[:start] + entry + source[end:])
    run(fleet, "show", SECRET, code=5, says=service)


def test_row_33_an_extra_recipient(fleet: Fleet) -> None:
    import keys

    stranger = parse_public_key(keys.ed25519_key("stranger").public).recipient(Form.DERIVED)
    put(fleet, new_document(Format.YAML, CLEAR, [[*recipients(fleet, "alice", "web1"), stranger]]))
    expect_finding(fleet, "E_RECIPIENT_EXTRA")
    run(fleet, "set", SECRET, "second", code=6, says="never named")


def test_row_34_a_missing_recipient(fleet: Fleet) -> None:
    put(fleet, sealed(fleet, CLEAR, "alice"))
    found = json.loads(run(fleet, "check", "--json", code=3).stdout)["findings"]
    assert "E_DRIFT" in [each["code"] for each in found if each["path"] == SECRET]


def test_row_35_a_recipient_that_is_not_in_its_stanza(fleet: Fleet) -> None:
    alice, web1, bob = recipients(fleet, "alice", "web1", "bob")
    put(fleet, sealed(fleet, CLEAR, "alice", "bob").replace(bob.encode(), web1.encode()))
    assert run(fleet, "show", SECRET, "second", code=0).stdout == b"other"
    assert alice != bob


@pytest.mark.parametrize(
    ("expression", "code"),
    [("(a+)+$", 6), ("(a|a)*b", 6), ("(?!x)ab", 2), ("(.*)\\1", 2), ("a{1,100000}", 2), ("[", 2)],
)
def test_row_37_expressions(fleet: Fleet, expression: str, code: int) -> None:
    clear = b"a" * 900 + b"!: x\nfirst: " + CANARY + b"\n"
    source = sealed(fleet, clear)
    put(
        fleet,
        source.replace(b"unencrypted_suffix: _unencrypted", b"encrypted_regex: '%s'" % expression.encode()),
    )
    run(fleet, "show", SECRET, code=code, says="encrypted_regex" if code == 2 else "MAC")
    if code == 2:
        expect_finding(fleet, "E_RULES")


LARGE: dict[str, tuple[Format, Callable[[int], bytes]]] = {
    "app.yaml": (Format.YAML, lambda count: b"".join(b"key%d: value %d\n" % (n, n) for n in range(count))),
    "commented.yaml": (
        Format.YAML,
        lambda count: b"".join(b"# comment %d\nkey%d: value\n" % (n, n) for n in range(count // 2)),
    ),
    "app.json": (
        Format.JSON,
        lambda count: b"{" + b",\n".join(b'"key%d": "value %d"' % (n, n) for n in range(count)) + b"}",
    ),
    "app.env": (Format.DOTENV, lambda count: b"".join(b"KEY%d=value %d\n" % (n, n) for n in range(count))),
    "app.ini": (
        Format.INI,
        lambda count: b"[s]\n" + b"".join(b"key%d = value %d\n" % (n, n) for n in range(count)),
    ),
}


@pytest.mark.parametrize("name", LARGE)
def test_the_largest_that_is_read(fleet: Fleet, name: str) -> None:
    kind, make = LARGE[name]
    clear = make(49_900)
    path = fleet.root / "secrets/web" / name
    path.write_bytes(new_document(kind, clear, [recipients(fleet, "alice", "web1")]))
    shown = run(fleet, "show", f"secrets/web/{name}", code=0)
    assert shown.stdout == clear
    path.unlink()
