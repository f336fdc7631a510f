"""The one definition of each command's parameters: well formed, and read alike by both doors."""

from __future__ import annotations

import ast
import inspect
import re
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from secretsmith.cli import light, typed
from secretsmith.cli.parameters import Kind, Parameter, build, described
from secretsmith.cli.table import COMMANDS, GROUPS, Command, Invocation
from secretsmith.errors import Code, RefusedInput

BY_NAME = {command.name: command for command in COMMANDS}
WORDS = st.one_of(
    st.sampled_from(
        ["-", "a", "secrets/web/db.age", "--json", "--", "-x", "--to", "a=b", "ß", "a b", "@web", "-C"]
    ),
    st.text(min_size=1, max_size=8).filter(lambda text: text.strip() != ""),
)
ANNOTATIONS = {
    Kind.ARGUMENT: {"str", "str | None"},
    Kind.MANY: {"tuple[str, ...]"},
    Kind.OPTION: {"str", "str | None"},
    Kind.OPTIONS: {"tuple[str, ...]"},
    Kind.FLAG: {"bool"},
    Kind.SWITCH: {"bool | None"},
}
every_command = pytest.mark.parametrize("name", sorted(BY_NAME))


def values_for(parameter: Parameter) -> st.SearchStrategy[Any]:
    text = st.sampled_from(parameter.choices) if parameter.choices else WORDS
    if parameter.separator:
        text = text.map(lambda word: word.replace(",", "").strip()).filter(bool)
    match parameter.kind:
        case Kind.FLAG:
            return st.booleans()
        case Kind.SWITCH:
            return st.sampled_from([None, True, False])
        case Kind.MANY | Kind.OPTIONS:
            return st.lists(text, min_size=1 if parameter.required else 0, max_size=3).map(tuple)
        case Kind.ARGUMENT | Kind.OPTION:
            return text if parameter.required else st.one_of(st.just(parameter.default), text)


def objects_of(command: Command) -> st.SearchStrategy[Any]:
    fields = {p.field: values_for(p) for p in described(command.parameters)}
    return st.fixed_dictionaries(fields).map(lambda values: command.parameters(**values))


@every_command
def test_definition_is_well_formed(name: str) -> None:
    command = BY_NAME[name]
    known = described(command.parameters)
    bases = reversed(command.parameters.__mro__)
    annotations = {
        name: kind for base in bases for name, kind in vars(base).get("__annotations__", {}).items()
    }
    for parameter in known:
        assert annotations[parameter.field] in ANNOTATIONS[parameter.kind], parameter.field
        optional = str(annotations[parameter.field]).endswith("| None")
        assert optional == (not parameter.required and parameter.default is None), parameter.field
        assert parameter.help.endswith("."), parameter.field
        assert all(re.fullmatch(r"--[a-z]+(-[a-z]+)*", n) for n in (*parameter.names, *parameter.off))
    names = [n for p in known for n in (*p.names, *p.off)]
    assert len(names) == len(set(names))
    # Otherwise the light door and typer would give positional words to different parameters.
    places = [p for p in known if p.positional]
    assert [p.required for p in places] == sorted((p.required for p in places), reverse=True)
    assert all(p.kind is Kind.ARGUMENT for p in places[:-1])
    assert not (places and places[-1].kind is Kind.MANY and any(not p.required for p in places[:-1]))
    assert (command.parameters.__doc__ or "").startswith(f"``secretsmith {name}")


def test_table_is_well_formed() -> None:
    assert len(BY_NAME) == len(COMMANDS)
    for command in COMMANDS:
        # A group may be a command itself: debt, and debt clear.
        assert len(command.path) == 1 or (len(command.path) == 2 and command.path[0] in GROUPS)
        assert command.help.endswith(".")
        assert command.help.isprintable()
    assert {c.path[0] for c in COMMANDS if len(c.path) == 2} == set(GROUPS)


@every_command
def test_run_function_takes_session_and_parameters(name: str) -> None:
    function = BY_NAME[name].function()
    assert list(inspect.signature(function).parameters) == ["session", "given"]
    assert inspect.signature(function).parameters["given"].annotation == BY_NAME[name].parameters.__name__
    # `run` gives the status of the program that it ran.
    assert inspect.signature(function).return_annotation == ("int" if name == "run" else "ExitCode")


@every_command
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_both_doors_read_what_was_formatted(name: str, data: st.DataObject) -> None:
    command = BY_NAME[name]
    wanted = Invocation(command, data.draw(objects_of(command)))
    argv = light.format_arguments(command, wanted.given)
    assert light.parse(argv) == wanted
    assert typed.parse(argv, (command,)) == wanted


MUTATIONS = st.sampled_from(["insert", "delete", "replace", "swap", "double"])


def words_around(command: Command) -> st.SearchStrategy[str]:
    """Words that are likely to matter: this command's own options, whole, cut, with and without a value."""
    names = [n for p in described(command.parameters) for n in (*p.names, *p.off)]
    shapes = [shape for n in names for shape in (n, f"{n}=", f"{n}=x", f"{n}=-", n[:-1], n.upper())]
    odd = [
        "",
        "-",
        "--",
        "---",
        "-x",
        "-C",
        "-h",
        "--help",
        "--version",
        " ",
        "--=",
        "-=x",
        "\udc80",
        "native",
        "x,y",
        ",",
    ]
    return st.sampled_from([*shapes, *odd, *command.path])


def mutated(data: st.DataObject, argv: list[str], pool: st.SearchStrategy[str]) -> list[str]:
    result = list(argv)
    for mutation in data.draw(st.lists(MUTATIONS, min_size=1, max_size=4)):
        at = data.draw(st.integers(0, max(len(result) - 1, 0)))
        if mutation == "insert" or not result:
            result.insert(at, data.draw(pool))
        elif mutation == "delete":
            del result[at]
        elif mutation == "replace":
            result[at] = data.draw(pool)
        elif mutation == "double":
            result.insert(at, result[at])
        else:
            other = data.draw(st.integers(0, len(result) - 1))
            result[at], result[other] = result[other], result[at]
    return result


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(command=st.sampled_from(COMMANDS), data=st.data())
def test_light_door_agrees_with_typer_or_is_silent(command: Command, data: st.DataObject) -> None:
    valid = light.format_arguments(command, data.draw(objects_of(command)))
    argv = mutated(data, valid, words_around(command))
    read = light.parse(argv)
    assume(read is not None)
    assert read is not None
    assert typed.parse(argv, (read.command,)) == read


@pytest.mark.parametrize("directory", ["x", "/tmp", "a b"])
def test_directory_comes_before_the_command(directory: str) -> None:
    argv = ["-C", directory, "ls", "--json"]
    read = light.parse(argv)
    assert read is not None
    assert read.directory == directory
    assert typed.parse(argv) == read


@pytest.mark.parametrize(
    "argv",
    [
        [], ["-C"], ["-C", "x"], ["-C", "", "ls"], ["-C", "-x", "ls"], ["-Cx", "ls"], ["-C", "a", "-C", "b", "ls"],
        ["ls", "-C", "x"], ["ls", "--help"], ["ls", "-h"], ["ls", "--jso"], ["ls", "--json=1"], ["ls", "--json", "--json"],
        ["show"], ["show", "a", "b", "c"], ["set", "a", "--to"], ["set", "a", "--to", "--trim"], ["set", "a", "--to="],
        ["set", "a", "--to=b,,c"], ["rekey", "--form", "other"], ["mv", "a", "b", "--rekey", "--no-rekey"],
        ["host"], ["host", "nope"], ["nope"], ["--", "ls"], ["revoke", "a"], ["revoke", "--from", "b"], ["HOST", "list"],
    ],
)  # fmt: skip
def test_light_door_leaves_all_else_to_typer(argv: list[str]) -> None:
    assert light.parse(argv) is None


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["sho"], "no such command 'sho'"),
        (["show"], "missing"),
        (["ls", "--jsn"], "no such option"),
        (["set", "a", "--to=b,,c"], "--to was given an empty value"),
        (["rekey", "--form", "other"], "--form is one of native, derived"),
        (["revoke", "p"], "missing option '--from'"),
        (["show", "a", "b", "c"], "unexpected extra argument"),
        (["debt", "nope"], "no such command 'nope'"),
        (["debt", "--json", "clear", "a", "--because", "b"], "debt has options of its own"),
    ],
)
def test_typer_explains_mistakes_as_ours(argv: list[str], said: str) -> None:
    with pytest.raises(RefusedInput) as caught:
        typed.parse(argv)
    assert caught.value.code is Code.USAGE
    assert said in caught.value.message
    assert caught.value.hints


def test_typer_guesses_the_command() -> None:
    with pytest.raises(RefusedInput) as caught:
        typed.parse(["host", "lst"])
    assert caught.value.hints[0] == "did you mean 'list'?"


def test_separated_values_are_split_and_trimmed() -> None:
    grant = BY_NAME["grant"]
    read = light.parse(["grant", "p", "--to", "web1, web2", "--to=@db"])
    assert read == Invocation(grant, grant.parameters(patterns=("p",), to=("web1", "web2", "@db")))


def test_build_refuses_a_choice_without_echoing_it() -> None:
    rekey = BY_NAME["rekey"].parameters
    with pytest.raises(RefusedInput) as caught:
        build(rekey, described(rekey), {"form": "canary-value"})
    assert "canary-value" not in caught.value.message


def test_build_refuses_what_is_missing() -> None:
    revoke = BY_NAME["revoke"].parameters
    with pytest.raises(RefusedInput, match="--from is missing"):
        build(revoke, described(revoke), {"patterns": ["p"]})


def test_typer_is_used_by_its_public_interface_only() -> None:
    tree = ast.parse(inspect.getsource(typed))
    imported = [
        n for node in ast.walk(tree) if isinstance(node, ast.Import) for n in (a.name for a in node.names)
    ]
    imported += [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    assert not [n for n in imported if n.startswith(("click", "typer."))]
    used = {
        f"{node.value.id}.{node.attr}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "typer"
    }
    assert used <= {"typer.Typer", "typer.Argument", "typer.Option", "typer.Exit", "typer.echo", "typer.main"}
