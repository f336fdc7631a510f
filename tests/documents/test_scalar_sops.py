"""The real sops on many random scalars in one document: what it takes them for, and how it writes them."""

from __future__ import annotations

import json
import random
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from recomputed import KEYS, data_key, identities, open_item, read, verified

from secretsmith.documents.scalar import (
    plain_of,
    resolve_yaml,
    to_json_text,
    to_python,
    to_text,
    to_yaml_plain,
)
from secretsmith.documents.tree import LeafKind
from secretsmith.errors import RefusedInput

STR, INT, FLOAT, TIME = LeafKind.STRING, LeafKind.INTEGER, LeafKind.FLOAT, LeafKind.TIME
A_CASE = {"format": "yaml", "identity": {"env": {"SOPS_AGE_KEY_FILE": "keys/a.txt"}}}
RECIPIENT = "age1hnmplpsd0fcx3tkf7t7wrame9vn33ls5svdwl8e9zgggky26s38qyyu6dj"  # of the vectors


class Sops:
    """The real program, on files of one folder, with the vectors' key."""

    def __init__(self, program: str, folder: Path) -> None:
        self.program = program
        self.folder = folder

    def run(self, *arguments: str) -> bytes:
        environment = {"HOME": str(self.folder), "SOPS_AGE_KEY_FILE": str(KEYS / "a.txt"), "PATH": ""}
        done = subprocess.run(
            [self.program, "--disable-version-check", *arguments],
            capture_output=True,
            check=False,
            cwd=self.folder,
            env=environment,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def encrypt(self, text: str, suffix: str = "yaml") -> str:
        name = str(self.folder / f"plain.{suffix}")
        Path(name).write_text(text, encoding="utf-8", newline="")
        sealed = self.folder / f"sealed.{suffix}"
        sealed.write_bytes(self.run("encrypt", "--age", RECIPIENT, name))
        return str(sealed)


@pytest.fixture
def sops(peer: Callable[[str], str], tmp_path: Path) -> Sops:
    return Sops(peer("sops"), tmp_path)


def values_in(sealed: str, case: dict[str, Any] = A_CASE) -> dict[str, Any]:
    """The values of a flat file that sops wrote: kind and byte form."""
    file = read(case, sealed)
    key = data_key(file.metadata, identities(case))
    return {str(item.path[0]): open_item(item, key) if item.sealed else item.value for item in file.items}


_PIECES = ["0", "1", "7", "8", "9", "00", "12", "255", "0x", "0b", "0o", "0X", "f", "e", "E", ".", "..", "-", "+", "_", ":",
           "inf", "nan", ".inf", "true", "Null", "y", "T", "t", "Z", "2001-1-2", "2001-12-14", "21:59:43", "1:2:3", ".10",
           "+01:00", "-05:30", ",5", " ", "~", "o", "99999999999", "18446744073709551616", "a"]  # fmt: skip


def _random_scalar(rng: random.Random) -> str:
    if rng.random() < 0.2:
        return repr(rng.choice([rng.uniform(-1e6, 1e6), rng.gauss(0, 1) * 10 ** rng.randint(-320, 300)]))
    if rng.random() < 0.2:
        date = f"{rng.choice(['2001', '0000', '20011'])}-{rng.randint(0, 13)}-{rng.randint(0, 32):02d}"
        clock = f"{rng.randint(0, 25)}:{rng.randint(0, 60)}:{rng.randint(0, 60):02d}{rng.choice(['', '.5', '.120', ',1'])}"
        return (
            date
            + rng.choice("Tt ")
            + clock
            + rng.choice(["", "Z", "+02:00", "-00:00", "+0100", " Z", "+24:30"])
        )
    return "".join(rng.choice(_PIECES) for _ in range(rng.randint(1, 4)))


def _is_one_plain_scalar(text: str) -> bool:
    """What cannot be misread by a YAML scanner, whatever it means."""
    return text == text.strip() and not re.search(r"^(?:[-?:,](?: |$)|,|---|\.\.\.)|: |:$| #", text)


def test_random_scalars_are_what_sops_takes_them_for(sops: Sops) -> None:
    rng = random.Random(2026)
    texts: dict[str, str] = {}
    refused = 0
    while len(texts) < 1500:
        text = _random_scalar(rng)
        if _is_one_plain_scalar(text):
            try:
                resolve_yaml(text)
            except RefusedInput:
                refused += 1
                continue
            texts[f"k{len(texts)}"] = text
    assert refused < 300
    found = values_in(sops.encrypt("".join(f"{key}: {text}\n" for key, text in texts.items())))
    expected = {key: resolve_yaml(text) for key, text in texts.items()}
    assert {kind for kind, _ in expected.values()} >= {STR, INT, FLOAT, TIME}
    wrong = {texts[key]: (expected[key], found[key]) for key in texts if expected[key] != found[key]}
    assert not wrong


def test_tagged_scalars_are_what_sops_takes_them_for(sops: Sops) -> None:
    tagged = [("!!str 123", "!!str", "123"), ("!!float 3", "!!float", "3"), ('!!int "7"', "!!int", "7"),
              ("!!binary aGk=", "!!binary", "aGk="), ("! 5", "!", "5"), ('!!bool "true"', "!!bool", "true"),
              ('!!timestamp "2020-01-01"', "!!timestamp", "2020-01-01")]  # fmt: skip
    found = values_in(sops.encrypt("".join(f"k{n}: {one[0]}\n" for n, one in enumerate(tagged))))
    assert [resolve_yaml(text, tag=tag) for _, tag, text in tagged] == list(found.values())


def _random_text(rng: random.Random) -> str:
    letters = "aZ09 -?:,[]{}#&*!|>'\"%@`~=.<+_xeoybnTtrulf\\/\n\t\r\x01\x85é漢🦀\u2028\u00a0"
    return "".join(rng.choice(letters) for _ in range(rng.randint(1, 9)))


def test_sops_reads_the_texts_that_we_write(sops: Sops) -> None:
    rng = random.Random(7)
    special = [
        "yes",
        "1:30",
        "null",
        "<<",
        "=",
        "2019-12-31",
        "0644",
        "1e3",
        "---",
        "ENC[x]",
        "a: b",
        "!!str x",
    ]
    texts = {f"k{n}": text for n, text in enumerate([*special, *(_random_text(rng) for _ in range(600))])}
    lines = [f"{key}: {to_yaml_plain(STR, text.encode())}\n" for key, text in texts.items()]
    assert values_in(sops.encrypt("".join(lines))) == {
        key: (STR, text.encode()) for key, text in texts.items()
    }
    flow = [f"{key}: {to_yaml_plain(STR, text.encode(), flow=True)}" for key, text in texts.items()]
    found = values_in(sops.encrypt("{" + ",\n".join(flow) + "}\n"))
    assert found == {key: (STR, text.encode()) for key, text in texts.items()}


def _random_values(rng: random.Random) -> dict[str, tuple[LeafKind, bytes]]:
    floats = [rng.choice([1.0, -1.0]) * rng.random() * 10.0 ** rng.randint(-30, 30) for _ in range(150)]
    round_ones = [float(f"{rng.randint(1, 99)}e{exponent}") for exponent in range(-10, 25)]
    values = [
        (FLOAT, plain_of(FLOAT, value))
        for value in (*floats, *round_ones, 0.0, 5e-324, 1.7976931348623157e308)
    ]
    values += [
        (INT, plain_of(INT, rng.randint(-(2**63), 2**63 - 1) >> rng.randint(0, 63))) for _ in range(50)
    ]
    values += [resolve_yaml(text) for text in ("true", "false", "2019-12-31", "2001-12-14t21:59:43.10-05:00")]
    return {f"k{n}": value for n, value in enumerate(values)}


def test_sops_writes_values_as_we_do(sops: Sops) -> None:
    values = _random_values(random.Random(11))
    # Written with a point, so that sops reads floats.
    lines = [
        f"{key}: {to_python(kind, plain)!r}\n" if kind is FLOAT else f"{key}: {to_yaml_plain(kind, plain)}\n"
        for key, (kind, plain) in values.items()
    ]
    sealed = sops.encrypt("".join(lines))
    assert values_in(sealed) == values
    yaml = "".join(f"{key}: {to_yaml_plain(*value)}\n" for key, value in values.items())
    assert sops.run("decrypt", sealed).decode() == yaml
    tokens = [f"\t{json.dumps(key)}: {to_json_text(*value)}" for key, value in values.items()]
    as_json = "{\n" + ",\n".join(tokens) + "\n}\n"
    assert sops.run("decrypt", "--output-type", "json", sealed).decode() == as_json
    whole = {
        key: value for key, value in values.items() if value[0] is not TIME
    }  # no fraction of a second there
    dotenv = dict(
        line.split("=", 1) for line in sops.run("decrypt", "--output-type", "dotenv", sealed).decode().split()
    )
    assert {key: dotenv[key] for key in whole} == {
        key: to_text(*value).decode() for key, value in whole.items()
    }


def test_sops_writes_json_strings_as_we_do(sops: Sops) -> None:
    rng = random.Random(5)
    texts = {f"k{n}": _random_text(rng) + "<&>" for n in range(300)}
    lines = [f"{key}: {to_yaml_plain(STR, text.encode())}\n" for key, text in texts.items()]
    sealed = sops.encrypt("".join(lines))
    tokens = [f"\t{json.dumps(key)}: {to_json_text(STR, text.encode())}" for key, text in texts.items()]
    found = sops.run("decrypt", "--output-type", "json", sealed).decode()
    assert found == "{\n" + ",\n".join(tokens) + "\n}\n"


def test_unencrypted_scalars_enter_the_mac_in_their_form(sops: Sops) -> None:
    rows = ["true", "1.50", "1e6", "2019-12-31", "0640", "0x1F", ".5", "08", "1_000", "no", ".inf", "~", '""']
    lines = "".join(f"a{n}_unencrypted: {row}\n" for n, row in enumerate(rows)) + "s: x\n"
    file = read(A_CASE, sops.encrypt(lines))
    assert verified(file, data_key(file.metadata, identities(A_CASE)))
