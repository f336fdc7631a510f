"""One evaluation by Nix: pure for flakes, else restricted to the repository; no build, no network, no settings of the flake."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from secretsmith.errors import Code, NotFound, RefusedInput
from secretsmith.plugin.api import Completed, PluginContext
from secretsmith_nix.expression import asking, of_file
from secretsmith_nix.layout import Layout

_HOURS: Final = (
    2 * 3600.0
)  # a fleet of hundreds of NixOS hosts takes minutes; who is in a hurry presses Ctrl-C

_OPTIONS: Final[Mapping[str, str]] = {
    "allow-import-from-derivation": "false",  # else an evaluation would build, and so run, what it names
    "allow-unsafe-native-code-during-evaluation": "false",
    "accept-flake-config": "false",
    "substitute": "false",
    "builders": "",
    "max-jobs": "0",
}
_FLAKE_OPTIONS: Final[Mapping[str, str]] = {
    "pure-eval": "true",
    "eval-cache": "false",
    "use-registries": "false",
    "warn-dirty": "false",
}
# Pinned inputs that were fetched before may be used; the variables below keep the others from being fetched now.
_FILE_OPTIONS: Final[Mapping[str, str]] = {
    "restrict-eval": "true",
    "allowed-uris": "https:// http:// git+",
    "download-attempts": "1",
}
_NO_NETWORK: Final[Mapping[str, str]] = {
    **dict.fromkeys(("http_proxy", "https_proxy", "all_proxy"), "http://127.0.0.1:9"),
    "no_proxy": "",
    "NO_PROXY": "",
    "GIT_ALLOW_PROTOCOL": "file",
    # Where Nix remembers that somebody once trusted the settings of a flake.
    "XDG_DATA_HOME": "/var/empty/secretsmith",
}
_FLAKE_OUTPUTS: Final = ("nixosConfigurations", "colmenaHive.nodes")
_STORE_ROOT = re.compile(r"(?:/[^/\s':]+)*?/[0-9a-z]{32}-[^/\s':]+/")
_PLACE = re.compile(r"^\s*(?:… )?at (?:«[^»]*»/?)?(.+?):([0-9]+)(?::[0-9]+)?:?\s*$", re.MULTILINE)
_OF_HOST = re.compile(r"secretsmith: host (\S+):$")


def ask(
    context: PluginContext, layout: Layout, hosts: Sequence[str] | None, folder: str
) -> list[Mapping[str, Any]]:
    """Return what :func:`~secretsmith_nix.expression.asking` gives, in one evaluation, as JSON.

    Raises:
        NotFound: Nix is not installed.
        RefusedInput: MANIFEST, what Nix refuses, in one line with its place in the repository.
        SecretsmithError: PLUGIN_TIMEOUT.
    """
    asked = asking(hosts, folder)
    if not layout.is_flake:
        # Under restriction Nix allows what it was given and not where links in it lead: the ends of them, then.
        root = context.root.resolve()
        environ = {name: _resolved(text) for name, text in context.environ.items() if name == "NIX_PATH"}
        done = _run(context, _file_command(root, of_file(asked, str(root / layout.entry))), environ)
        return _answer(context, layout, done)
    for output in _FLAKE_OUTPUTS:
        done = _run(context, _flake_command(output, asked))
        # Both versions of the sentence: nix 2.8 and 2.24.
        if not (done.status and "does not provide attribute" in done.errors and output in done.errors):
            return _answer(context, layout, done)
    return []


def _flake_command(output: str, asked: str) -> list[str]:
    return [
        *("nix", "--extra-experimental-features", "nix-command flakes", "eval", "--json"),
        *("--offline", "--no-write-lock-file", "--no-update-lock-file"),
        *_options({**_OPTIONS, **_FLAKE_OPTIONS}),
        *(f".#{output}", "--apply", asked),
    ]


def _file_command(root: Path, expression: str) -> list[str]:
    return [
        *("nix-instantiate", "--eval", "--strict", "--json", "--readonly-mode"),
        *_options({**_OPTIONS, **_FILE_OPTIONS}),
        # Under restriction, only what is on the search path can be read.
        *("-I", f"secretsmith-repository={root}", "-E", expression),
    ]


def _options(options: Mapping[str, str]) -> Iterable[str]:
    return [word for name, value in options.items() for word in ("--option", name, value)]


def _resolved(search_path: str) -> str:
    """Return a NIX_PATH without links: a channel is one, into the store. What is not there, such as parts of URLs, stays."""
    entries = []
    for entry in search_path.split(":"):
        name, path = entry.split("=", 1) if "=" in entry else ("", entry)
        end = os.path.realpath(path)
        is_fit = path.startswith("/") and os.path.exists(end) and ":" not in end
        entries.append((f"{name}={end}" if name else end) if is_fit else entry)
    return ":".join(entries)


def _run(
    context: PluginContext, command: Sequence[str], environ: Mapping[str, str] = MappingProxyType({})
) -> Completed:
    try:
        return context.run(command, timeout=_HOURS, environ={**_NO_NETWORK, **environ})
    except NotFound:
        raise NotFound(
            Code.NOT_FOUND,
            f"no program {command[0]} here, and the hosts of this repository are declared in Nix",
            hints=("install Nix, or run this where it is",),
        ) from None


def _answer(context: PluginContext, layout: Layout, done: Completed) -> list[Mapping[str, Any]]:
    if done.status:
        raise _refused(context.root, layout, done.errors)
    try:
        found = json.loads(done.output.expose())
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise RefusedInput(Code.MANIFEST, f"{layout.entry}: Nix gave something else than hosts")
    return found


def _refused(root: Path, layout: Layout, errors: str) -> RefusedInput:
    """Make one line of what Nix says: what is wrong, and where in the repository; the trace is left to ``nix eval``."""
    before, found, last = f"\n{errors}".rpartition("\nerror:")
    if not found:  # newer versions indent the error behind its trace
        before, _, last = errors.rpartition("error:")
    message = _message(last) or "nix failed, and said nothing"
    place = _place(root, last, 0) or _place(root, before, -1)
    text = _STORE_ROOT.sub("", message)
    where = f"{place}: " if place else "" if layout.entry in text else f"{layout.entry}: "
    path = place.rpartition(":")[0] if place else layout.entry
    return RefusedInput(Code.MANIFEST, f"{where}{text}", hints=_hints(message), path=path)


def _message(text: str) -> str:
    lines: list[str] = []
    for line in text.strip().splitlines():
        said = line.strip()
        if not said or said.startswith(("at ", "…", "(use '--show-trace'")):
            break
        lines.append(said)
    if lines and (host := _OF_HOST.match(lines[0])):
        return f"{host[1]}: " + "; ".join(line.removeprefix("- ") for line in lines[1:])
    return " ".join(lines)


def _place(root: Path, text: str, which: int) -> str | None:
    """Return FILE:LINE of the first (0) or last (-1) place in ``text`` that lies in the repository."""
    found = []
    for match in _PLACE.finditer(text):
        path = _STORE_ROOT.sub("", match[1]).removeprefix(f"{root.resolve()}/")
        # The flake may lie in a folder of the store object.
        parts = path.split("/")
        tails = ("/".join(parts[start:]) for start in range(len(parts)))
        inside = next((tail for tail in tails if tail and (root / tail).is_file()), None)
        if inside is not None and not inside.startswith("/"):
            found.append(f"{inside}:{match[2]}")
    return found[which] if found else None


def _hints(message: str) -> tuple[str, ...]:
    if "lock file" in message:
        return ("nix flake lock",)
    if re.search(
        r"unable to download|not allowed|Could not resolve|Connection refused|transport|'git' failed", message
    ):
        return ("the network is not used for this; fetch the inputs first: nix flake archive",)
    if re.search(r"No such file or directory|does not exist|not tracked", message):
        return ("a flake sees what git tracks: git add --intent-to-add FILE",)
    return ()


__all__ = ["ask"]
