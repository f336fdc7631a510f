"""Good, broken, slow, duplicate and wrong-version plugins: one line each, and nothing else is harmed."""

from __future__ import annotations

import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from secretsmith.errors import Code, NotFound, SecretsmithError
from secretsmith.plugin import discovery
from secretsmith.plugin.discovery import installed_entries
from secretsmith.plugin.loader import Loader, list_plugins

GOOD = """
    class Plugin:
        api_version = 1
        def fetch(self, reference, context): ...
        def digest(self, reference, context): ...

    def make():
        return Plugin()
"""
SOURCES = "secretsmith.sources"

MakeDistribution = Callable[..., None]


@pytest.fixture
def distribution(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MakeDistribution]:
    """Install a distribution with one module and its entry points into a folder of the search path."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(site)
    before = set(sys.modules)

    def make(name: str, code: str = GOOD, *, points: str | None = None, version: str = "1.2") -> None:
        module = name.replace("-", "_")
        (site / f"{module}.py").write_text(textwrap.dedent(code))
        info = site / f"{module}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        text = points if points is not None else f"[{SOURCES}]\n{name.partition('-')[0]} = {module}:make\n"
        (info / "entry_points.txt").write_bytes(text.encode("latin-1"))

    yield make
    for name in set(sys.modules) - before:
        if getattr(sys.modules[name], "__file__", None) and str(site) in str(sys.modules[name].__file__):
            del sys.modules[name]


def refusal(name: str, *, limit: float = 10.0) -> str:
    with pytest.raises(SecretsmithError) as caught:
        Loader(limit=limit).source(name)
    assert caught.value.code is Code.PLUGIN_FAILED
    assert "\n" not in caught.value.message
    assert caught.value.hints
    return caught.value.message


def test_a_good_plugin_is_loaded_once_and_only_when_named(distribution: MakeDistribution) -> None:
    distribution("vault-plugin", GOOD)
    loader = Loader()
    assert "vault" in loader.names(SOURCES)
    assert "vault_plugin" not in sys.modules
    first = loader.source("vault")
    assert first.plugin.api_version == 1
    assert loader.source("vault") is first
    assert first.entry.title == "source vault (vault-plugin 1.2)"


def test_an_unknown_name_lists_what_there_is(distribution: MakeDistribution) -> None:
    distribution("vault-plugin", GOOD)
    with pytest.raises(NotFound) as caught:
        Loader().source("volt")
    assert caught.value.code is Code.PLUGIN_MISSING
    assert any("vault" in hint for hint in caught.value.hints)


def test_a_plugin_of_ours_that_is_not_installed_is_named() -> None:
    with pytest.raises(NotFound) as caught:
        Loader([]).source("passage")
    assert caught.value.hints[0] == "install secretsmith-pass, which brings it"


CLASS = "class Plugin:\n    api_version = 1\n    def fetch(self, reference, context): ...\n"
MAKE = "\ndef make():\n    return Plugin()\n"


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("import no_such_module\n", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("def make(\n", "SyntaxError"),
        ("raise SystemExit(3)\n", "SystemExit: 3"),
        ("x = 1\n", "AttributeError"),
        ("make = 5\n", "TypeError"),
        ("def make(option):\n    return None\n", "TypeError"),
        ("def make():\n    raise ValueError('line one\\nline two')\n", "ValueError: line one"),
        ("def make():\n    return None\n", "has no api_version"),
        (CLASS.replace("= 1", "= 2") + MAKE, "written for plugin API 2, this secretsmith speaks 1"),
        (CLASS.replace("= 1", "= True") + MAKE, "has no api_version"),
        (CLASS + MAKE, "has no method digest(reference, context)"),
        (CLASS + "    digest = 3\n" + MAKE, "has no method digest(reference, context)"),
        (
            CLASS + "    def digest(self, name, context): ...\n" + MAKE,
            "its method digest takes (name, context), not (reference, context)",
        ),
        (CLASS + "    def digest(self, reference): ...\n" + MAKE, "takes (reference), not"),
        (CLASS + "    def digest(self, *, reference, context): ...\n" + MAKE, "not (reference, context)"),
        (CLASS + "    def digest(self, reference, context, more): ...\n" + MAKE, "not (reference, context)"),
        (
            GOOD + "    Plugin.store = lambda self, x: None\n",
            "its method store takes (x), not (reference, value, context)",
        ),
    ],
)
def test_a_broken_plugin_is_refused_in_one_line(distribution: MakeDistribution, code: str, says: str) -> None:
    distribution("vault-plugin", code)
    message = refusal("vault")
    assert message.startswith("source vault (vault-plugin 1.2) is refused: ")
    assert says in message


@pytest.mark.parametrize(
    "extra",
    [
        "def digest(self, reference, context, more=1): ...",
        "def digest(self, reference, context, *rest, **more): ...",
    ],
)
def test_further_optional_parameters_are_fine(distribution: MakeDistribution, extra: str) -> None:
    distribution("vault-plugin", CLASS + f"    {extra}\n" + MAKE)
    assert Loader().source("vault").plugin.api_version == 1


def test_half_a_capability_is_refused(distribution: MakeDistribution) -> None:
    distribution("vault-plugin", GOOD + "    Plugin.references = lambda self, prefix, context: []\n")
    assert "has no method store(reference, value, context)" in refusal("vault")


def test_a_hanging_import_is_interrupted_even_if_it_catches_everything(
    distribution: MakeDistribution,
) -> None:
    code = "import time\ntry:\n    while True:\n        time.sleep(0.01)\nexcept Exception:\n    pass\n"
    distribution("vault-plugin", code + textwrap.dedent(GOOD))
    assert "not loaded after 0.2 s" in refusal("vault", limit=0.2)


def test_a_slow_plugin_works_and_is_reported(distribution: MakeDistribution) -> None:
    distribution("vault-plugin", "import time\ntime.sleep(0.05)\n" + textwrap.dedent(GOOD))
    (row,) = [row for row in list_plugins(Loader(budget=0.01)) if row.name == "vault"]
    assert row.state == "slow"
    assert "the budget is 0.01 s" in row.error


def test_loading_works_off_the_main_thread(distribution: MakeDistribution) -> None:
    distribution("vault-plugin", GOOD)
    found: list[object] = []
    thread = threading.Thread(target=lambda: found.append(Loader().source("vault").plugin))
    thread.start()
    thread.join()
    assert found


def test_two_distributions_with_one_name_are_both_refused(distribution: MakeDistribution) -> None:
    distribution("vault-plugin", GOOD)
    distribution("vault-clone", GOOD, version="9")
    distribution("other-plugin", GOOD)
    message = refusal("vault")
    assert "vault-plugin 1.2" in message
    assert "vault-clone 9" in message
    assert Loader().source("other").plugin.api_version == 1
    assert {row.state for row in list_plugins() if row.name == "vault"} == {"broken"}


def test_a_plugin_cannot_take_the_name_of_a_built_in(
    distribution: MakeDistribution, monkeypatch: pytest.MonkeyPatch
) -> None:
    distribution("builtin-plugin", GOOD)
    distribution("vault-plugin", GOOD)
    monkeypatch.setattr(discovery, "BUILT_INS", {(SOURCES, "vault"): "builtin_plugin:make"})
    assert Loader().source("vault").entry.distribution == "secretsmith"
    rows = [(row.distribution, row.state) for row in list_plugins() if row.name == "vault"]
    assert rows == [("secretsmith", "ok"), ("vault-plugin", "broken")]


def test_a_built_in_is_validated_like_any_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discovery, "BUILT_INS", {(SOURCES, "vault"): "builtins:object"})
    assert "source vault (secretsmith" in refusal("vault")


@pytest.mark.parametrize(
    "points", ["[secretsmith.sources]\nnonsense\n", "[secretsmith.sources]\nBad Name = x:y\n"]
)
def test_malformed_metadata_harms_only_itself(distribution: MakeDistribution, points: str) -> None:
    distribution("broken-plugin", points=points)
    distribution("undecodable-plugin", points="[secretsmith.sources]\n\xff = \xfe:\xfd\n")
    distribution("vault-plugin", GOOD)
    assert Loader().source("vault").plugin.api_version == 1
    (row,) = [row for row in list_plugins() if row.distribution == "broken-plugin"]
    assert row.state == "broken"
    assert "entry point is malformed" in row.error


def test_a_second_copy_further_down_the_search_path_does_not_count(
    distribution: MakeDistribution, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    distribution("vault-plugin", GOOD)
    shadow = tmp_path / "shadow" / "Vault.Plugin-1.0.dist-info"
    shadow.mkdir(parents=True)
    (shadow / "METADATA").write_text("Metadata-Version: 2.1\nName: Vault.Plugin\nVersion: 1.0\n")
    (shadow / "entry_points.txt").write_text("[secretsmith.sources]\nvault = vault_plugin:make\n")
    monkeypatch.setattr(sys, "path", [*sys.path, str(shadow.parent)])
    assert [entry.version for entry in installed_entries() if entry.name == "vault"] == ["1.2"]
    assert Loader().source("vault").plugin.api_version == 1


def test_other_groups_are_not_ours(distribution: MakeDistribution) -> None:
    distribution(
        "vault-plugin", points="[secretsmith.unknown]\nx = y:z\n[console_scripts]\nsecretsmith.x = y:z\n"
    )
    assert not [entry for entry in Loader().entries if entry.distribution == "vault-plugin"]


def test_what_a_plugin_prints_at_import_stays_out_of_the_data(
    distribution: MakeDistribution, capsys: pytest.CaptureFixture[str]
) -> None:
    distribution("vault-plugin", "print('hello')\n" + textwrap.dedent(GOOD))
    assert Loader().source("vault").plugin.api_version == 1
    assert capsys.readouterr().out == ""


def test_a_failing_call_names_the_plugin_and_hides_the_text(distribution: MakeDistribution) -> None:
    code = CLASS + "    def digest(self, reference, context):\n        raise KeyError('hunter2')\n" + MAKE
    distribution("vault-plugin", code)
    loaded = Loader().source("vault")
    with pytest.raises(SecretsmithError) as caught, loaded.guard():
        loaded.plugin.digest("x", None)  # type: ignore[arg-type]
    assert caught.value.code is Code.PLUGIN_FAILED
    assert (
        caught.value.message == "source vault (vault-plugin 1.2) failed with KeyError in vault_plugin, line 5"
    )
    assert caught.value.__suppress_context__


def test_our_own_errors_pass_through_the_guard(distribution: MakeDistribution) -> None:
    distribution("vault-plugin", GOOD)
    good = NotFound(Code.NOT_FOUND, "no such entry")
    with pytest.raises(NotFound) as caught, Loader().source("vault").guard():
        raise good
    assert caught.value is good


def test_the_alarm_of_others_is_put_back(distribution: MakeDistribution) -> None:
    import signal

    distribution("vault-plugin", GOOD)
    mine = signal.signal(signal.SIGALRM, signal.SIG_IGN)
    try:
        assert Loader().source("vault").seconds >= 0
        assert signal.getsignal(signal.SIGALRM) is signal.SIG_IGN
        assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    finally:
        signal.signal(signal.SIGALRM, mine)
