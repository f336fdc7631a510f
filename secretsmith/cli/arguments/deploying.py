"""Parameters of ``deploy``."""

from __future__ import annotations

from secretsmith.cli.parameters import argument, flag, option, options, parameters


@parameters
class DeployParameters:
    """``secretsmith deploy HOST``."""

    host: str = argument("HOST", "The host's name in the registry.")
    dry_run: bool = flag(
        "--dry-run", "Send it, let the host say what would happen, and leave nothing there.", default=False
    )
    rollback: bool = flag("--rollback", "Go back to what was deployed before.", default=False)
    bootstrap: bool = flag(
        "--bootstrap",
        "First install this version of secretsmith there, from wheels that are sent along.",
        default=False,
    )
    wheels: str | None = option(
        "--wheels",
        "DIR",
        "With --bootstrap: the folder of the wheels; without it, pip collects them for the host's Python.",
        default=None,
    )
    address: str | None = option(
        "--address",
        "ADDRESS",
        "Where it is reached, as ssh takes it; default: its address in the registry, else its name.",
        default=None,
    )
    builder: str | None = option(
        "--builder",
        "NAME",
        "The builder to ask; default: the one that recognises the repository.",
        default=None,
    )
    approve: tuple[str, ...] = options(
        "--approve",
        "REFERENCE|all",
        "Approve on this computer that live values go to this host: of this entry, or all; may be repeated.",
        default=(),
    )


__all__ = ["DeployParameters"]
