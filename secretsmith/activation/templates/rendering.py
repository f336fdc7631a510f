"""Templates: texts with values put into them, which must still be what they were meant to be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from secretsmith.activation.templates.filters import quoted, without_newline
from secretsmith.activation.templates.text import CutText
from secretsmith.errors import Code, RefusedInput
from secretsmith.manifest import ManifestTemplate, TemplateFormat
from secretsmith.manifest.members import shown
from secretsmith.sensitive import Sensitive

if TYPE_CHECKING:
    from secretsmith.activation.templates.check import Fault

MAX_RENDERED: Final = 64 * 1024 * 1024

_HINTS: Final[Mapping[TemplateFormat, str]] = {
    TemplateFormat.JSON: 'filter json takes any text, with the placeholder in double quotes: "{{x}}"',
    TemplateFormat.YAML: 'filter yaml takes any text, with the placeholder in double quotes: "{{x}}"',
    TemplateFormat.TOML: 'filter toml takes any text, with the placeholder in double quotes: "{{x}}"',
    TemplateFormat.DOTENV: "filter env takes any text of one line, with no quotes around the placeholder: X={{x}}",
    TemplateFormat.INI: "filter ini takes a text of one line that has no '#' or ';' and no quotes around it",
}
_UNCHECKED: Final = "format raw checks nothing, for programs that read a file in their own way"


def render(template: ManifestTemplate, values: Mapping[str, Sensitive]) -> Sensitive:
    """Return the template's content with ``values`` (secret → bytes) in the places of its placeholders.

    ``values`` holds at least the secrets that ``template.placeholders`` name. An inserted value is never searched for
    placeholders again; of two placeholders that begin at the same place, the longer one counts.

    Raises:
        RefusedInput: TEMPLATE for a placeholder that does not occur, a value that its filter cannot write, a result
            that is not of the template's format, or in which a value changed more than its own place. The message
            names template, line, placeholder and secret, and holds no value.
    """
    cut = CutText(template.content, template.placeholders)
    for text in template.placeholders:
        if text not in cut.places:
            raise _refused(template, None, f"the placeholder {shown(text)} does not occur in it")
    fills = [_inserted(template, text, cut.places[text], values) for text in cut.places]
    if cut.size(fills) > MAX_RENDERED:
        raise _refused(template, None, f"the result is larger than {MAX_RENDERED // 1024 // 1024} MiB")
    if template.format is not TemplateFormat.RAW:
        _check(template, cut, fills, values)
    return Sensitive(cut.filled(fills))


def _inserted(template: ManifestTemplate, text: str, line: int, values: Mapping[str, Sensitive]) -> bytes:
    placeholder = template.placeholders[text]
    try:
        return quoted(placeholder.filter, values[placeholder.secret].expose())
    except RefusedInput as error:
        why = error.message
    raise _refused(template, line, f"{_named(template, text)}: {why}")


def _check(
    template: ManifestTemplate, cut: CutText, fills: list[bytes], values: Mapping[str, Sensitive]
) -> None:
    # Imported here: a raw template needs none of it.
    from secretsmith.activation.templates.check import Check, Insertion

    insertions = []
    for text, fill in zip(cut.places, fills, strict=True):
        placeholder = template.placeholders[text]
        value = without_newline(values[placeholder.secret].expose())
        insertions.append(Insertion(placeholder.filter, fill, value))
    fault = Check(template.format, template.content, cut, insertions).fault()
    if fault is not None:
        raise _faulty(template, cut, fault)


def _faulty(template: ManifestTemplate, cut: CutText, fault: Fault) -> RefusedInput:
    if fault.number is None:
        return _refused(template, fault.line, f"format {template.format}: {fault.why}", _UNCHECKED)
    text, line = list(cut.places.items())[fault.number]
    why = f"{_named(template, text)}: format {template.format}: {fault.why}"
    return _refused(template, line, why, _HINTS[template.format], _UNCHECKED)


def _named(template: ManifestTemplate, text: str) -> str:
    placeholder = template.placeholders[text]
    return f"{shown(text)} (secret {placeholder.secret}, filter {placeholder.filter})"


def _refused(template: ManifestTemplate, line: int | None, why: str, *hints: str) -> RefusedInput:
    where = f"template {template.name}" + (f", line {line}" if line else "")
    return RefusedInput(Code.TEMPLATE, f"{where}: {why}", hints=hints)


__all__ = ["render"]
