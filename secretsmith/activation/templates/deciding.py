"""Templates among the decisions: filled with what this host can open, else with last good values, else kept as they were."""

from __future__ import annotations

from collections.abc import Mapping

from secretsmith.activation.accounts import Ownership
from secretsmith.activation.generations import InstalledFile
from secretsmith.activation.plan import Decision, Judge, Kept, State, Subject
from secretsmith.activation.templates.rendering import render
from secretsmith.activation.values import Values
from secretsmith.errors import SecretsmithError
from secretsmith.manifest import ManifestTemplate
from secretsmith.sensitive import Sensitive


def decide_template(
    template: ManifestTemplate,
    subject: Subject,
    uses: Mapping[str, Subject],
    values: Values,
    owner: Ownership | SecretsmithError,
    judge: Judge,
) -> Decision:
    """Decide one template. ``uses`` are the secrets it takes, by name; one that fails makes the template stale at best."""
    if isinstance(owner, SecretsmithError):
        return judge.decide(subject, owner, owner)
    found = {name: values.value(name) for name in uses}
    failures = {name: item for name, item in found.items() if isinstance(item, SecretsmithError)}
    opened = {name: item for name, item in found.items() if isinstance(item, Sensitive)}
    if not failures:
        return judge.decide(subject, _rendered(template, opened), owner)
    first, error = next(iter(failures.items()))
    # Of the same class and code, so that it is told together with the secret's own failure.
    failure = type(error)(error.code, f"needs {first}: {error.message}", hints=error.hints, path=error.path)
    stand_ins: list[Kept] = []
    for name in failures:
        # To this template's owner: a value that another could have changed must not reach him by way of a template.
        kept = judge.stand_in(uses[name], owner)
        if kept is None:
            return judge.decide(subject, failure, owner)
        opened[name] = kept.content
        stand_ins.append(kept)
    content = _rendered(template, opened)
    if isinstance(content, SecretsmithError) or subject.left_out:
        return judge.decide(subject, failure, owner)
    live = judge.past.reader.file(template.name) if judge.past else None
    file = InstalledFile(template.name, content, owner, template.mode_bits)
    oldest = min((kept.since for kept in stand_ins), key=lambda moment: moment.boot)
    return Decision(
        subject,
        State.STALE,
        file,
        failure,
        oldest,
        known=live is not None,
        same=file == live,
        ours=all(kept.ours for kept in stand_ins),
    )


def _rendered(template: ManifestTemplate, values: Mapping[str, Sensitive]) -> Sensitive | SecretsmithError:
    try:
        return render(template, values)
    except SecretsmithError as error:
        return error


__all__ = ["decide_template"]
