"""Filters: whatever the value, the language's own readers read it back, and nothing else with it."""

from __future__ import annotations

import configparser
import json
import shlex
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML
from systemdreader import GENERATOR, MANAGER, read_environment_file, read_unit

from secretsmith.activation.templates.environmenttext import read_environment
from secretsmith.activation.templates.filters import MAX_VARIABLE, quoted, without_newline
from secretsmith.documents.iniread import read_ini
from secretsmith.documents.tree import LeafKind
from secretsmith.documents.yamldoc import YamlCodec
from secretsmith.errors import Code, RefusedInput
from secretsmith.manifest import Filter

ANY = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
AWKWARD = st.sampled_from(
    list("\"'\\$`%#;:=[]{}&*!|>@,~- \t\n\r\x01\x1b\x7f\x85\xa0\u2028\u2029\ufeff\ufffe\U0001fffe😀éns")
)
TEXTS = st.lists(st.text(AWKWARD, max_size=4) | st.text(ANY, max_size=4), max_size=6).map("".join)
# What a variable can hold: no control characters but tab and line end, and only characters.
VARIABLES = TEXTS.map(
    lambda text: "".join(
        char
        for char in text
        if char in "\t\n" or (char >= " " and char != "\x7f")
        if not ("\ufdd0" <= char <= "\ufdef" or ord(char) & 0xFFFE == 0xFFFE)
    )
)
HERE = settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
STRUCTURED = [Filter.JSON, Filter.YAML, Filter.TOML]


def arriving(text: str) -> str:
    """What a text is once the newline of a single line is gone."""
    return without_newline(text.encode()).decode()


def written(kind: Filter, text: str) -> str:
    return quoted(kind, text.encode()).decode()


def shell(program: str, folder: Path, script: str) -> list[str]:
    done = subprocess.run(
        [program, "-c", script], cwd=folder, env={"LC_ALL": "C"}, capture_output=True, check=True
    )
    assert not done.stderr
    return done.stdout.decode().split("\0")[:-1]


@pytest.mark.parametrize("kind", STRUCTURED)
class TestInsideDoubleQuotes:
    """json, yaml and toml: each is right in all three, since a program may read YAML as JSON's superset."""

    @given(text=TEXTS)
    def test_json(self, kind: Filter, text: str) -> None:
        assert json.loads(f'{{"x": "{written(kind, text)}"}}') == {"x": arriving(text)}

    @given(text=TEXTS)
    def test_toml(self, kind: Filter, text: str) -> None:
        assert tomllib.loads(f'x = "{written(kind, text)}"\ny = 1') == {"x": arriving(text), "y": 1}

    @given(text=TEXTS)
    def test_yaml(self, kind: Filter, text: str) -> None:
        content = f'a:\n  - "{written(kind, text)}"\nb: "{written(kind, text)}"\n'
        wanted = arriving(text)
        assert YAML(typ="safe", pure=True).load(content) == {"a": [wanted], "b": wanted}
        document = YamlCodec().read(content.encode())
        assert [leaf.plain.decode() for leaf in document.leaves] == [wanted, wanted]

    @given(text=TEXTS)
    def test_one_line_for_every_reader_of_lines(self, kind: Filter, text: str) -> None:
        assert len(f"{written(kind, text)}.".splitlines()) == 1


@pytest.mark.parametrize("program", ["sh", "bash"])
class TestShells:
    @HERE
    @given(texts=st.lists(TEXTS, min_size=1, max_size=15))
    def test_one_word(
        self, peer: Callable[[str], str], tmp_path: Path, program: str, texts: list[str]
    ) -> None:
        words = [written(Filter.SHELL, text) for text in texts]
        assert shell(peer(program), tmp_path, "printf '%s\\0' " + " ".join(words)) == [*map(arriving, texts)]
        assert [shlex.split(word) for word in words] == [[arriving(text)] for text in texts]

    @HERE
    @given(texts=st.lists(VARIABLES, min_size=1, max_size=15))
    def test_variables_of_a_sourced_file(
        self, peer: Callable[[str], str], tmp_path: Path, program: str, texts: list[str]
    ) -> None:
        lines = [f"V{number}={written(Filter.ENV, text)}\n" for number, text in enumerate(texts)]
        (tmp_path / "file").write_bytes("".join(lines).encode())
        names = " ".join(f'"$V{number}"' for number in range(len(texts)))
        assert shell(peer(program), tmp_path, f". ./file; printf '%s\\0' {names}") == [*map(arriving, texts)]


class TestSystemd:
    @HERE
    @given(texts=st.lists(VARIABLES, min_size=1, max_size=15))
    def test_environment_file(self, peer: Callable[[str], str], tmp_path: Path, texts: list[str]) -> None:
        peer(GENERATOR)
        # This program, unlike EnvironmentFile=, expands variables and leaves out empty ones.
        texts = ["x" + text.replace("$", "") for text in texts]
        lines = [f"V{number}={written(Filter.ENV, text)}\n" for number, text in enumerate(texts)]
        found = read_environment_file(tmp_path, "".join(lines).encode())
        assert [found[f"V{number}"] for number in range(len(texts))] == [*map(arriving, texts)]

    @settings(HERE, max_examples=25)
    @given(texts=st.lists(TEXTS.filter(str.isprintable) | VARIABLES | st.just("\x01\x1b\r\x7f"), max_size=15))
    def test_environment_of_a_unit(
        self, peer: Callable[[str], str], tmp_path: Path, texts: list[str]
    ) -> None:
        peer(MANAGER)
        texts = [text for text in texts if not has_noncharacter(text)]
        found = read_unit(tmp_path, [quoted(Filter.SYSTEMD, text.encode()) for text in texts])
        assert [text.decode() for text in found] == [*map(arriving, texts)]

    @given(text=TEXTS)
    def test_one_line(self, text: str) -> None:
        assume(not has_noncharacter(text))
        assert not {"\n", "\r", "\t"} & set(written(Filter.SYSTEMD, text))

    @pytest.mark.parametrize("kind", [Filter.ENV, Filter.SYSTEMD])
    @pytest.mark.parametrize("text", ["a\ufffe", "\ufdd0", "\U0010ffff"])
    def test_systemd_refuses_a_whole_file_for_these(self, kind: Filter, text: str) -> None:
        assert "no character" in refusal(kind, text.encode())


def has_noncharacter(text: str) -> bool:
    return any("\ufdd0" <= char <= "\ufdef" or ord(char) & 0xFFFE == 0xFFFE for char in text)


@given(text=VARIABLES)
def test_variables_in_our_own_reader(text: str) -> None:
    assume("\n" not in arriving(text))
    line = f"X={written(Filter.ENV, text)}\nY={written(Filter.SHELL, text)}\nZ=1"
    assert read_environment(line) == {"X": arriving(text), "Y": arriving(text), "Z": "1"}


@given(text=TEXTS)
def test_url(text: str) -> None:
    found = written(Filter.URL, text)
    assert unquote(found, errors="strict") == arriving(text)
    assert not set(found) - set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~%")


@given(text=TEXTS)
def test_ini_is_the_text_or_refused(text: str) -> None:
    wanted = arriving(text)
    if len(f"{wanted}.".splitlines()) > 1 or wanted != wanted.strip():
        refusal(Filter.INI, text.encode())
        return
    content = f"[a]\nx = {written(Filter.INI, text)}\ny = 1\n"
    parser = configparser.ConfigParser(interpolation=None, comment_prefixes=(), delimiters="=")
    parser.read_string(content)
    assert dict(parser["a"]) == {"x": wanted, "y": "1"}


@given(text=st.from_regex(r"\A[^\s\x00\"'`#;\\][^\s\x00#;\\]*\Z"))
def test_ini_in_our_own_reader(text: str) -> None:
    assume("\ufeff" not in text and "\ud800" not in text)
    leaves = read_ini(f"[a]\nx = {written(Filter.INI, text)}\ny = 1\n".encode()).leaves
    assert [leaf.plain.decode() for leaf in leaves if leaf.kind is LeafKind.STRING] == [text, "1"]


@given(value=st.binary())
def test_raw_is_the_bytes(value: bytes) -> None:
    assert quoted(Filter.RAW, value) == without_newline(value)


@pytest.mark.parametrize(
    ("value", "arrives"),
    [
        (b"one\n", b"one"),
        (b"\n", b""),
        (b"", b""),
        (b"one", b"one"),
        (b"one\ntwo\n", b"one\ntwo\n"),
        (b"one\n\n", b"one\n\n"),
        (b"\none", b"\none"),
        (b"\xff\n", b"\xff"),
    ],
)
def test_the_newline_of_one_line(value: bytes, arrives: bytes) -> None:
    assert quoted(Filter.RAW, value) == arrives


@pytest.mark.parametrize("kind", [kind for kind in Filter if kind is not Filter.RAW])
@pytest.mark.parametrize(("value", "why"), [(b"canary\xff", "not UTF-8"), (b"canary\0", "NUL")])
def test_no_text(kind: Filter, value: bytes, why: str) -> None:
    assert why in refusal(kind, value)


@pytest.mark.parametrize(
    ("kind", "value", "why"),
    [
        (Filter.ENV, b"canary\r", "U+000D"),
        (Filter.ENV, b"canary\x1b[0m", "U+001B"),
        (Filter.ENV, b"canary\x7f", "U+007F"),
        (Filter.ENV, b"x" * (MAX_VARIABLE + 1), "128 KiB"),
        (Filter.SYSTEMD, b"x" * (MAX_VARIABLE + 1), "128 KiB"),
        (Filter.INI, b"canary\nx", "more than one line"),
        (Filter.INI, b"canary\r", "more than one line"),
        (Filter.INI, "canary\u2028x".encode(), "more than one line"),
        (Filter.INI, b" canary", "blank"),
        (Filter.INI, "canary\xa0".encode(), "blank"),
    ],
)
def test_what_cannot_be_written(kind: Filter, value: bytes, why: str) -> None:
    assert why in refusal(kind, value)


def test_a_variable_as_long_as_linux_takes(peer: Callable[[str], str]) -> None:
    value = quoted(Filter.ENV, b"x" * MAX_VARIABLE).decode()[1:-1]
    subprocess.run([peer("true")], env={"N" * 200: value}, check=True)


def refusal(kind: Filter, value: bytes) -> str:
    """The message, which must not hold the value, and neither must what the error drags along."""
    with pytest.raises(RefusedInput) as caught:
        quoted(kind, value)
    assert caught.value.code is Code.TEMPLATE
    assert caught.value.__context__ is None
    assert "canary" not in str(caught.value)
    return caught.value.message
