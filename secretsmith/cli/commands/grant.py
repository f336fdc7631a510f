"""``secretsmith grant``."""

from __future__ import annotations

from secretsmith.cli.arguments.readers import GrantParameters
from secretsmith.cli.rekeying import chosen_rekey, report_rekey
from secretsmith.cli.session import Session
from secretsmith.errors import Code, ExitCode, RefusedInput
from secretsmith.operations.grants import grant


def run(session: Session, given: GrantParameters) -> ExitCode:
    """Add readers to the rule of each pattern; or, with ``--from-build``, follow what hosts declare."""
    _refuse_mixed(given)
    if given.from_build:
        from secretsmith.cli.commands.grantbuild import (
            run_from_build,
        )  # knows plugins; a plain grant need not

        return run_from_build(session, given)
    done = grant(session.project(), given.patterns, given.to, rekey=chosen_rekey(session, given))
    may = "may read" if done.changed.written else "may read already"
    session.note(f"{', '.join(given.to)} {may}: {', '.join(given.patterns)}")
    for note in done.notes:
        session.note(note)
    report_rekey(session, done.changed, given.rekey, given.accept)
    return ExitCode.OK


def _refuse_mixed(given: GrantParameters) -> None:
    if given.from_build:
        if given.patterns or given.to:
            raise RefusedInput(
                Code.USAGE, "--from-build takes neither PATTERN nor --to: what hosts declare says both"
            )
        if given.plan and (given.rekey is not None or given.accept):
            raise RefusedInput(Code.USAGE, "--plan changes nothing: --rekey and --accept do not go with it")
        return
    if given.plan or given.yes:
        what = "--plan" if given.plan else "--yes"
        raise RefusedInput(Code.USAGE, f"{what} goes with --from-build")
    if not given.patterns:
        raise RefusedInput(
            Code.USAGE,
            "nothing to read named: PATTERN is missing",
            hints=("secretsmith grant 'secrets/web/**' --to NAME", "secretsmith grant --from-build"),
        )


__all__ = ["run"]
