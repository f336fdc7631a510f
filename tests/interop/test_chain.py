"""One document with comments everywhere, changed by turns on two command lines: ours keeps every byte outside of the change."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from interopbench import KINDS, Bench, Programs

NAME = "secrets/shop.yaml"
# sops itself would lose a comment that stands last in a mapping (tests/documents/test_sops_formatting.py), so there is none.
HAND = b"""\
# secrets of the shop, change them quarterly
---

# --- database ---
database:   # inline, behind a key
  user:   shop          # inline, behind a value
  password: "hunter2"   # quoted


  # before the hosts
  hosts:
    - db1.example.org     # first
    # between two
    - 'db2.example.org'
    -   port: 5432
        tls:  yes

'quoted key': 0x1F
plain_unencrypted: value in clear   # stays
list: [one, "two", 3]
# things to be dropped, one by one
spare:
    # the first to go
    turn2: a
    turn5: "b"
    turn8: 'c'
    # this one stays
    kept: d   # to the end

empty: {}
text: |
  first line

    indented
  last line

# the end
last: 1.50
"""
COMMENTS = sorted(part.strip() for part in re.findall(rb"(?:^|\s)#(.*)", HAND))
_WRITTEN = re.compile(r" +(mac|lastmodified): ")


def comments(clear: bytes) -> list[bytes]:
    return sorted(part.strip() for part in re.findall(rb"(?:^|\s)#(.*)", clear))


def outside(text: bytes, key: str) -> tuple[list[str], int]:
    """Give the lines but those of one value and what every write changes, and how many there are of that value."""
    lines = text.decode().split("\n")
    value = [line for line in lines if re.match(rf" *{key}: ", line)]
    return [line for line in lines if line not in value and not _WRITTEN.match(line)], len(value)


def ours(bench: Bench, turn: int, registry: bool) -> tuple[str, str | None]:
    """Change a value by set, edit or unset; gives its key and what it is then."""
    accept = ("--accept", "all") if registry else ()
    new = f"ours{turn}"
    if turn % 3 == 0:
        bench.run("secretsmith", "set", NAME, "database/user", *accept, stdin=new.encode())
    elif turn % 3 == 1 and registry:
        bench.run("secretsmith", "edit", NAME, *accept, EDITOR=rf"sed -i -E 's/(user: +)\S+/\1{new}/'")
    elif turn % 3 == 1:
        # `edit` wants a repository; the whole text may be given instead.
        clear = bench.run("secretsmith", "decrypt", NAME)
        bench.run("secretsmith", "set", NAME, stdin=re.sub(rb"(user: +)\S+", rb"\g<1>" + new.encode(), clear))
    else:
        bench.run("secretsmith", "unset", NAME, f"spare/turn{turn}", *accept)
        return f"turn{turn}", None
    return "user", new


def theirs(bench: Bench, turn: int) -> None:
    words = (("set", NAME, '["last"]', str(turn)), ("rotate", "-i", NAME), ("edit", NAME))[turn % 3]
    bench.run("sops", *words, EDITOR=f"sed -i s/^last:.*/last:\\ {turn}/")


@pytest.mark.parametrize("registry", [True, False], ids=["repository", "no-registry"])
@pytest.mark.parametrize("program", ["sops", pytest.param("sops-3.13", marks=pytest.mark.slow)])
def test_twenty_edits_by_turns(
    registry: bool, program: str, tmp_path: Path, peer: Callable[[str], str]
) -> None:
    (kind,) = (kind for kind in KINDS if kind.slug == "converted")
    bench = Bench(tmp_path, kind, Programs(sops=peer(program)))
    bench.fresh()
    bench.describe(registry=registry)
    file = bench.path(NAME)
    file.write_bytes(HAND)
    bench.run("secretsmith", "encrypt", "--in-place", NAME, *(("--accept", "all") if registry else ()))
    expected = json.loads(bench.run("sops", "decrypt", "--output-type", "json", NAME))
    for turn in range(10):
        before = file.read_bytes()
        key, value = ours(bench, turn, registry)
        kept, count = outside(before, key)
        assert count == 1
        assert outside(file.read_bytes(), key) == (kept, 0 if value is None else 1)
        if value is None:
            del expected["spare"][key]
        else:
            expected["database"][key] = value
        assert json.loads(bench.run("sops", "decrypt", "--output-type", "json", NAME)) == expected
        assert comments(bench.run("secretsmith", "decrypt", NAME)) == COMMENTS

        theirs(bench, turn)
        if turn % 3 != 1:
            expected["last"] = turn
        shown = bench.run("secretsmith", "decrypt", "--output-type", "json", NAME)
        assert json.loads(shown) == expected
        assert comments(bench.run("secretsmith", "decrypt", NAME)) == COMMENTS
