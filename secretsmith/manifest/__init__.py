"""The activation manifest, version 1: what a build system hands to a host (docs/reference/manifest.md).

:func:`parse_manifest` reads it in two steps. The first is the shape, the same that
``docs/reference/schemas/manifest.schema.json`` states (a test holds them together). The second is what a schema cannot
say: names that clash, paths that lead elsewhere, references to nothing. A manifest that passes is safe to act on.
"""

from secretsmith.manifest.model import (
    LIVE_ROOT,
    CredentialKey,
    Filter,
    Manifest,
    ManifestEntry,
    ManifestPrincipal,
    ManifestSecret,
    ManifestTemplate,
    Method,
    Output,
    Phase,
    Placeholder,
    Scope,
    SourceFormat,
    TemplateFormat,
    live_path,
)
from secretsmith.manifest.rules import is_below
from secretsmith.manifest.text import MAX_MANIFEST_BYTES, dump_manifest, parse_manifest

__all__ = [
    "LIVE_ROOT",
    "MAX_MANIFEST_BYTES",
    "CredentialKey",
    "Filter",
    "Manifest",
    "ManifestEntry",
    "ManifestPrincipal",
    "ManifestSecret",
    "ManifestTemplate",
    "Method",
    "Output",
    "Phase",
    "Placeholder",
    "Scope",
    "SourceFormat",
    "TemplateFormat",
    "dump_manifest",
    "is_below",
    "live_path",
    "parse_manifest",
]
