"""Templates: only the placeholders' places change, and a value that would change more is refused without being shown."""

from __future__ import annotations

import json
import tomllib
import traceback
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from secretsmith.activation.templates.rendering import render
from secretsmith.errors import Code, RefusedInput
from secretsmith.manifest import Filter, ManifestTemplate, Placeholder, TemplateFormat
from secretsmith.sensitive import Sensitive

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
AWKWARD = st.lists(st.sampled_from(list("\"'\\,:{}[]#&*!|>-= \t\n\r~ax1")), max_size=12).map("".join)


def rendered(format: str, content: str, **given: tuple[str, bytes]) -> bytes:  # noqa: A002
    """Render ``content``; each placeholder ``{{NAME}}`` is given as filter and value."""
    template = ManifestTemplate(
        name="app.conf",
        content=content,
        format=TemplateFormat(format),
        placeholders={
            f"{{{{{name}}}}}": Placeholder(secret=f"secret-{name}", filter=Filter(kind))
            for name, (kind, _) in given.items()
        },
    )
    values = {f"secret-{name}": Sensitive(value) for name, (_, value) in given.items()}
    return render(template, values).expose()


def refused(format: str, content: str, **given: tuple[str, bytes]) -> RefusedInput:  # noqa: A002
    """The error, which must hold nothing of a value, nor lead to it."""
    with pytest.raises(RefusedInput) as caught:
        rendered(format, content, **given)
    error = caught.value
    assert error.code is Code.TEMPLATE
    assert error.message.startswith("template app.conf")
    assert error.__context__ is None
    said = "\n".join([*error.hints, *traceback.format_exception(error)])
    assert "canary" not in said
    return error


class TestMessages:
    def test_the_parsers_words_are_whole(self) -> None:
        error = refused("json", '{"a": "{{x}}"}', x=("raw", b"canary\nmore"))
        assert error.message.endswith("the result is no JSON (invalid control character)")

    def test_several_lines_in_a_file_of_variables(self) -> None:
        error = refused("dotenv", "A={{x}}\n", x=("env", b"canary\nmore"))
        assert error.message.endswith(
            "the value has several lines, which not all readers of such files take for one"
        )


class TestPlaceholders:
    def test_one_pass(self) -> None:
        content = "{{a}} {{b}} {{a}} {{c}}"
        found = rendered("raw", content, a=("raw", b"{{b}}"), b=("raw", b"{{a}}"), c=("raw", b"\xff"))
        assert found == b"{{b}} {{a}} {{b}} \xff"

    def test_only_the_texts_that_are_listed(self) -> None:
        assert rendered("raw", "{{a}} {{other}} $X \\1 %s", a=("raw", b"1")) == b"1 {{other}} $X \\1 %s"

    def test_the_longest_wins(self) -> None:
        template = ManifestTemplate(
            name="t",
            content="@pw2@pw@pw22",
            placeholders={"@pw": Placeholder(secret="one"), "@pw2": Placeholder(secret="two")},
        )
        found = render(template, {"one": Sensitive(b"1"), "two": Sensitive(b"2")})
        assert found.expose() == b"2122"

    def test_one_that_does_not_occur(self) -> None:
        error = refused("raw", "{{a}}", a=("raw", b"canary"), gone=("raw", b"canary"))
        assert error.message == "template app.conf: the placeholder '{{gone}}' does not occur in it"

    def test_one_that_occurs_in_a_longer_one_only(self) -> None:
        template = ManifestTemplate(
            name="t", content="@pw2", placeholders={key: Placeholder(secret="s") for key in ("@pw", "@pw2")}
        )
        with pytest.raises(RefusedInput, match="'@pw' does not occur"):
            render(template, {"s": Sensitive(b"1")})

    def test_characters_of_expressions_mean_nothing(self) -> None:
        template = ManifestTemplate(
            name="t", content="a.c abc", placeholders={"a.c": Placeholder(secret="s")}
        )
        assert render(template, {"s": Sensitive(b"\\g<0>")}).expose() == b"\\g<0> abc"

    def test_what_is_around_stays_as_it_is(self) -> None:
        content = "\ufeffü\r\n{{a}}\u2028\n\n"
        assert rendered("raw", content, a=("raw", b"1\n")) == content.replace("{{a}}", "1").encode()

    def test_no_placeholder_at_all(self) -> None:
        assert rendered("json", "{}") == b"{}"
        assert rendered("raw", "") == b""

    def test_the_line_of_a_value_that_its_filter_cannot_write(self) -> None:
        error = refused("raw", "x\n\n{{a}} {{b}}", a=("raw", b"1"), b=("env", b"canary\r"))
        assert error.message.startswith(
            "template app.conf, line 3: '{{b}}' (secret secret-b, filter env): filter env cannot write the value"
        )


class TestWellFormed:
    def test_json(self) -> None:
        content = '{"quoted": "{{a}}", "part": "x{{a}}y", "port": {{n}}, "{{a}}": [{{o}}, {{n}}]}'
        found = rendered(
            "json", content, a=("json", b'"\\\n'), n=("json", b"5432\n"), o=("raw", b'{"deep": [1, {}]}')
        )
        name = '"\\'
        assert json.loads(found) == {
            "quoted": name, "part": f"x{name}y", "port": 5432, name: [{"deep": [1, {}]}, 5432],
        }  # fmt: skip

    def test_yaml(self) -> None:
        content = (
            "# {{a}}\na: &x !t\n  '{{u}}': \"{{a}}\"\n  port: {{n}}\n  8080: {{o}}\n"
            "b: *x\n---\n- |\n  text {{u}}\n- {{u}}\n"
        )
        found = rendered(
            "yaml",
            content,
            a=("yaml", b'a: "b" #'),
            n=("yaml", b"5432"),
            o=("raw", b"{x: [1]}"),
            u=("url", b"a/b c"),
        )
        yaml = YAML(typ="rt", pure=True)
        first, second = yaml.load_all(found.decode())
        assert first["a"]["a%2Fb%20c"] == 'a: "b" #'
        assert first["a"][8080] == {"x": [1]}
        assert second == ["text a%2Fb%20c\n", "a%2Fb%20c"]

    def test_toml(self) -> None:
        content = 'a = "{{a}}"\n[s."{{a}}"]\nport = {{n}}\nf = 1.{{n}}\nwhen = {{d}}\nl = [{{o}}, 1]\n'
        found = rendered(
            "toml",
            content,
            a=("toml", b'"\n\\'),
            n=("toml", b"5"),
            d=("toml", b"2020-01-01"),
            o=("raw", b"{x = 1}"),
        )
        tree = tomllib.loads(found.decode())
        assert tree["a"] == '"\n\\'
        assert tree["s"]['"\n\\']["f"] == 1.5
        assert tree["s"]['"\n\\']["l"] == [{"x": 1}, 1]

    def test_dotenv(self) -> None:
        content = (
            "# {{u}}\n\nexport A={{a}}\n  B={{s}} \nDSN=postgres://app:{{u}}@db/app?x=1&y=2\r\nC='x y'\n"
        )
        found = rendered("dotenv", content, a=("env", b"a $b\"c'"), s=("shell", b"it's"), u=("url", b"/%"))
        assert found == (
            b"# %2F%25\n\nexport A=\"a \\$b\\\"c'\"\n  B='it'\"'\"'s' \n"
            b"DSN=postgres://app:%2F%25@db/app?x=1&y=2\r\nC='x y'\n"
        )

    def test_ini(self) -> None:
        content = "top = 1\n; {{a}}\n[a]\nx = {{a}}\nempty=\n[sops]\ny = pre {{a}}\n"
        assert b"y = pre pass:=word" in rendered("ini", content, a=("ini", b"pass:=word\n"))

    @pytest.mark.parametrize("format", ["json", "yaml"])
    def test_a_whole_document_from_one_secret(self, format: str) -> None:  # noqa: A002
        assert rendered(format, "{{a}}\n", a=("raw", b'{"a": [1]}')) == b'{"a": [1]}\n'

    @pytest.mark.parametrize("format", ["yaml", "dotenv", "ini", "toml"])
    @pytest.mark.parametrize("content", ["", "\n", "# nothing {{a}}\n"])
    def test_nothing(self, format: str, content: str) -> None:  # noqa: A002
        given = {"a": ("raw", b"1")} if content.endswith("}\n") else {}
        assert rendered(format, content, **given) == content.replace("{{a}}", "1").encode()

    @given(text=TEXTS)
    def test_any_text_in_double_quotes(self, text: str) -> None:
        value = text.encode()
        found = rendered("json", '{"a": "{{a}}"}', a=("json", value))
        assert list(json.loads(found)) == ["a"]
        rendered("yaml", 'a: ["{{a}}", x]\n', a=("yaml", value))
        rendered("toml", 'a = "{{a}}"\n', a=("toml", value))


class TestInjection:
    """A raw value, or one in the wrong quotes, that says more than its place."""

    @pytest.mark.parametrize(
        ("format", "content", "value", "why"),
        [
            ("json", '{"a": "{{a}}"}', b'canary", "admin": "yes', "keys"),
            ("json", '{"a": "{{a}}", "b": 1}', b'canary"}', "no JSON"),
            ("json", '{"a": {{a}}}', b'1, "a": "canary"', "a key twice"),
            ("json", '["{{a}}"]', b'canary", "x', "items of a list"),
            ("json", '{"a": {{a}}}', b"NaN", "no JSON"),
            ("json", '{"a": {{a}}}', b"", "no JSON"),
            ("json", '{"a": {{a}}}', b"[" * 100_000, "too deep"),
            ("json", '{"a": {{a}}}', b"[" * 300 + b"]" * 300, "deeper than 200"),
            ("json", '{"a": {{a}}}', b'"canary\xff"', "no text"),
            ("yaml", "a: {{a}}\n", b"canary\nadmin: true", "keys"),
            ("yaml", "a:\n  b: {{a}}\n", b"canary\nadmin: true", "keys"),
            ("yaml", "- x {{a}}\n", b"canary\n- root", "items of a list"),
            ("yaml", "a: x{{a}}\nb: c\n", b"canary\n---\nx: 1", "items of a list"),
            ("yaml", "a: [x {{a}}\n, user]\n", b"canary, root] #", "no YAML"),
            ("yaml", "a: [{{a}}\n , user\n , x ]\n", b"canary, root] #", "no YAML"),
            ("yaml", "a: [{{a}}, 'user',\n x]\n", b"canary, root, #", "what is around it"),
            ("yaml", "a: {{a}}\n", b"canary\na: true", "a key twice"),
            ("yaml", "a: x{{a}}\n", "canary\u2028admin: true".encode(), "U+2028"),
            ("yaml", "a: x{{a}}\n", b"canary\radmin: true", "U+000D"),
            ("yaml", "a: {{a}}\n", b"*canary", "an alias without an anchor"),
            ("yaml", "a: {{a}} x\n", b"!canary", "anchor or tag"),
            ("yaml", "a: {{a}} x\n", b"&canary", "anchor or tag"),
            ("yaml", "{{a}}\n", b"- " * 500 + b"x", "deeper than 200"),
            ("yaml", "a: {{a}}\n", b"[" * 500, "can be checked"),
            ("yaml", "a: x {{a}}\n", b'"canary: 1', "no YAML"),
            ("toml", 'a = "{{a}}"\n', b'canary"\nadmin = "yes', "keys"),
            ("toml", "a = {{a}}\n", b'1\n[admin]\nx = "canary"', "keys"),
            ("toml", "a = {{a}}\n", b"[" * 100_000, "too deep"),
            ("toml", "a = {{a}}\n", b"1" * 5_000, "too long"),
            ("toml", "a = [{{a}}, 'user',\n 'x']\n", b"'canary', 'root', #", "what is around it"),
            ("dotenv", "A={{a}}\n", b"canary\nADMIN=1", "keys"),
            ("dotenv", "A={{a}}\nB=1\n", b"canary\\", "backslash at the end"),
            ("dotenv", "A={{a}}\nB=1\n", b"canary\\\\\\", "backslash at the end"),
            ("dotenv", "A={{a}}\nB='1'\n", b"'canary", "not closed"),
            ("dotenv", "A={{a}}\nB=1\n", b"it's canary", "not closed"),
            ("dotenv", "A={{a}}\n", b"canary\nmore", "not NAME=value"),
            ("dotenv", "A={{a}}\n", b"1\nA=canary", "twice"),
            ("dotenv", "# {{a}}\nB=1\n", b"canary\\", "backslash"),
            ("dotenv", "A={{a}}\n", b"canary\x0bADMIN=1", "U+000B"),
            ("dotenv", "A={{a}}\n", b"canary\0", "no text"),
            ("ini", "[a]\nx = {{a}}\n", b"canary\nadmin = 1", "keys"),
            ("ini", "[a]\nx = {{a}}\n", b"canary\n[admin]", "keys"),
            ("ini", "[a]\nx = {{a}}\n", b"canary\n[sops]\nadmin = 1", "keys"),
            ("ini", "[a]\nx = {{a}}\ny = 1\n", b"canary\\", "backslash"),
            ("ini", "[a]\nx = {{a}}\ny = 1\n", b"`canary", "quotes"),
        ],
    )  # fmt: skip
    def test_raw(self, format: str, content: str, value: bytes, why: str) -> None:  # noqa: A002
        error = refused(format, content, a=("raw", value))
        assert why in error.message
        assert f"(secret secret-a, filter raw): format {format}: " in error.message
        assert error.hints[-1].startswith("format raw")

    @pytest.mark.parametrize(
        ("format", "content", "kind", "value"),
        [
            ("yaml", "a: {{a}}\n", "yaml", b"canary # tail"),
            ("yaml", "a: {{a}}\n", "yaml", b" canary"),
            ("yaml", "a: {{a}}\n", "yaml", b"!canary x"),
            ("yaml", "a: {{a}}\n", "yaml", b"&canary x"),
            ("yaml", "a: &x {{a}}\nb: *x\n", "yaml", b"canary # tail"),
            ("yaml", "- &canary x\n- {{a}}\n", "yaml", b"*canary"),
            ("yaml", "a: '{{a}}'\n", "yaml", b"canary\nx"),
            ("yaml", "a: |\n  {{a}}\n", "yaml", b"canary\nx"),
            ("yaml", "a: {{a}}\n", "yaml", b"[canary]"),
            ("yaml", "{{a}}\n", "yaml", b"canary: 1"),
            ("yaml", "'{{a}}': 1\n", "yaml", b"canary\n1"),
            ("json", '{"a": {{a}}}', "json", b'["canary"]'),
            ("json", '{"a": {{a}}}', "json", b"[1]"),
            ("json", '{"a": {{a}}}', "url", b"canary"),
            ("toml", "a = '{{a}}'\n", "toml", b"canary\nx"),
            ("toml", "a = {{a}}\n", "toml", b"'canary'"),
            ("dotenv", "A='{{a}}'\n", "env", b"canary"),
            ("dotenv", 'A="{{a}}"\n', "env", b"canary b"),
            ("dotenv", 'A="{{a}}"\n', "shell", b"canary b"),
            ("dotenv", "A=x{{a}}\n", "env", b"canary"),
            ("dotenv", "A={{a}}\n", "env", b"canary\nB=1"),
            ("ini", "[a]\nx = {{a}}\n", "ini", b"canary;tail"),
            ("ini", "[a]\nx = {{a}}\n", "ini", b'"canary"'),
        ],
    )  # fmt: skip
    def test_the_wrong_quotes(self, format: str, content: str, kind: str, value: bytes) -> None:  # noqa: A002
        refused(format, content, a=(kind, value))

    @given(value=AWKWARD)
    def test_whatever_is_accepted_says_no_more(self, value: str) -> None:
        """Found by another reader: the mapping has its two keys, and the second one's value."""
        for kind in ("raw", "yaml"):
            try:
                found = rendered("yaml", "a: x{{a}}\nb: 1\n", a=(kind, value.encode()))
            except RefusedInput:
                continue
            tree = YAML(typ="safe", pure=True).load(found.decode())
            assert (list(tree), tree["b"]) == (["a", "b"], 1)
            assert kind == "raw" or tree["a"] == "x" + value.removesuffix("\n")

    @given(value=AWKWARD)
    def test_whatever_is_accepted_in_json(self, value: str) -> None:
        try:
            found = rendered("json", '{"a": "{{a}}", "b": [1, 2]}', a=("raw", value.encode()))
        except RefusedInput:
            assume(set(value) & set('"\\\n\t\r'))
            return
        tree = json.loads(found)
        assert (list(tree), tree["b"], type(tree["a"])) == (["a", "b"], [1, 2], str)

    @pytest.mark.parametrize(
        ("format", "content"),
        [
            ("json", '{"a": "{{a}}", "{{a}}": {{a}}}'),
            ("yaml", "? {{a}}\n: - {{a}}\n  - '{{a}}'\n  - |\n   {{a}}\n"),
            ("toml", "a = {{a}}\nb = '{{a}}'\n[c.\"{{a}}\"]\n"),
            ("dotenv", "A={{a}}\nB='{{a}}'\nC=\"{{a}}\"\n"),
            ("ini", '[{{a}}]\nx = {{a}}\ny = "{{a}}" ; {{a}}\n'),
        ],
    )
    @given(value=st.binary(max_size=8) | AWKWARD.map(str.encode) | TEXTS.map(str.encode))
    def test_whatever_the_value_it_is_installed_or_refused(
        self,
        format: str,  # noqa: A002
        content: str,
        value: bytes,
    ) -> None:
        for kind in ("raw", "yaml", "env", "shell", "ini", "url", "systemd"):
            with suppress(RefusedInput):
                rendered(format, content, a=(kind, value))


class TestBlame:
    def test_the_placeholder_whose_value_is_wrong(self) -> None:
        names = [f"p{number}" for number in range(40)]
        content = "{\n" + ",\n".join(f'"{name}": "{{{{{name}}}}}"' for name in names) + "\n}"
        given = dict.fromkeys(names, ("raw", b"fine"))
        given["p23"] = ("raw", b'canary", "x": "')
        error = refused("json", content, **given)
        assert "line 25: '{{p23}}' (secret secret-p23, filter raw)" in error.message

    @pytest.mark.parametrize(
        ("format", "content", "line"),
        [
            ("json", '{\n"a": {{a}}\n', 3),
            ("yaml", "a: {{a}}\nb: [\n", 3),
            ("yaml", "a: {{a}}\na: 1\n", None),
            ("toml", "a = {{a}}\nb\n", 2),
            ("dotenv", "A={{a}}\nB\n", 2),
            ("dotenv", "A={{a}}\nA=1\n", 2),
            ("ini", "[a]\nx={{a}}\nb\n", 3),
        ],
    )
    def test_a_template_that_is_wrong_itself(self, format: str, content: str, line: int | None) -> None:  # noqa: A002
        error = refused(format, content, a=("raw", b"canary"))
        assert "with numbers for its placeholders it" in error.message
        assert line is None or error.message.startswith(f"template app.conf, line {line}: ")

    def test_digits_in_the_template_are_no_tokens(self) -> None:
        content = '{"a": "7190346528", "b": "7190346528{{a}}00000", "c": 9{{a}}}'
        found = rendered("json", content, a=("json", b"1"))
        assert json.loads(found) == {"a": "7190346528", "b": "7190346528100000", "c": 91}


class TestLimits:
    def test_a_result_too_large(self) -> None:
        assert "larger than 64 MiB" in refused("raw", "{{a}}" * 100, a=("raw", b"x" * 1024 * 1024)).message

    @pytest.mark.parametrize("format", ["json", "yaml", "toml", "dotenv", "ini"])
    def test_too_large_to_be_checked(self, format: str) -> None:  # noqa: A002
        error = refused(format, "{{a}}" if format == "json" else "# {{a}}", a=("raw", b"1" * 300 * 1024))
        assert "can be checked" in error.message

    def test_many_placeholders(self, within: Callable[[float], AbstractContextManager[None]]) -> None:
        names = [f"p{number}" for number in range(10_000)]
        content = "".join(f"{name}={{{{{name}}}}}\n" for name in names)
        with within(2):
            found = rendered("dotenv", content, **dict.fromkeys(names, ("env", b"v")))
        assert found.count(b'"v"') == len(names)

    @pytest.mark.parametrize(
        ("format", "content", "fits"),
        [
            ("yaml", "a: {{a}}\n" + "".join(f"k{number}: 1\n" for number in range(4_990)), True),
            ("yaml", "a: {{a}}\nb: [" + "1," * 9_980 + "1]\n", True),
            ("yaml", "a: {{a}}\nb: [" + "1," * 10_000 + "1]\n", False),
            ("yaml", "a: {{a}}\n" + "".join(f"k{number}: 1\n" for number in range(8_000)), False),
            ("toml", "a = {{a}}\n" + "".join(f"k{number} = 1\n" for number in range(15_000)), True),
            ("json", '{"a": {{a}}, "b": [' + "1," * 120_000 + "1]}", True),
            ("ini", "a={{a}}\n" + "".join(f"k{number} = 1\n" for number in range(15_000)), True),
        ],
    )
    def test_time(
        self,
        within: Callable[[float], AbstractContextManager[None]],
        format: str,  # noqa: A002
        content: str,
        fits: bool,
    ) -> None:
        with within(2):
            if fits:
                assert rendered(format, content, a=("raw", b"1")) == content.replace("{{a}}", "1").encode()
            else:
                assert "larger than can be checked" in refused(format, content, a=("raw", b"1")).message
