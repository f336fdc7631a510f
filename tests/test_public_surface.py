"""The stable names: what outsiders may import, as a list that only changes on purpose."""

from __future__ import annotations

import importlib
import inspect

import pytest

from secretsmith.plugin import api
from secretsmith.record import fields

SURFACE = {
    "secretsmith": ["__version__"],
    "secretsmith.errors": [
        "CannotDecrypt",
        "Code",
        "Conflict",
        "ExitCode",
        "FindingsFound",
        "HostKeyChanged",
        "IntegrityFailure",
        "Interrupted",
        "NotFound",
        "RefusedInput",
        "RemoteFailure",
        "SecretsmithError",
    ],
    "secretsmith.manifest": [
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
    ],
    "secretsmith.plugin.api": [
        "API_VERSION",
        "GROUPS",
        "Builder",
        "CommandPlugin",
        "Completed",
        "Fetched",
        "Finding",
        "Generated",
        "Generator",
        "GeneratorRequest",
        "HostDeclaration",
        "IdentityProvider",
        "Inspecting",
        "KeyName",
        "OfferedIdentity",
        "PassphraseProvider",
        "Plugin",
        "PluginContext",
        "Principal",
        "Readers",
        "SecretDeclaration",
        "Source",
        "StoringSource",
        "Traceable",
    ],
    "secretsmith.testing": [
        "HOST_FILES",
        "BuilderContract",
        "IdentityCase",
        "IdentityContract",
        "SourceCase",
        "SourceContract",
        "sample_context",
    ],
}

# Method → parameters. A change here breaks every plugin that exists: it takes a new API_VERSION.
METHODS = {
    "Builder.detect": "context",
    "Builder.hosts": "context",
    "Builder.manifests": "context hosts source_root",
    "CommandPlugin.run": "arguments context write",
    "Generator.generate": "request context",
    "IdentityProvider.identities": "context",
    "Inspecting.findings": "context",
    "PassphraseProvider.passphrase": "fingerprint context",
    "PluginContext.key": "fingerprint",
    "PluginContext.list_files": "folder",
    "PluginContext.age_recipients": "identity_file",
    "PluginContext.open_age": "data",
    "PluginContext.open_age_with": "data identity_file",
    "PluginContext.principals": "",
    "PluginContext.read_file": "path",
    "PluginContext.read_secret": "path key",
    "PluginContext.readers": "path",
    "PluginContext.run": "argv stdin timeout environ folder",
    "PluginContext.scratch": "",
    "PluginContext.seal_age": "value recipients",
    "PluginContext.write_user_file": "path data",
    "Source.digest": "reference context",
    "Source.fetch": "reference context",
    "StoringSource.references": "prefix context",
    "StoringSource.store": "reference value context",
    "Traceable.inputs": "context",
}

FIELDS = {
    "Completed": "status output errors",
    "Fetched": "value digest",
    "Finding": "code severity path message hint basis line",
    "Generated": "value public not_after",
    "GeneratorRequest": "secret parameters inputs",
    "HostDeclaration": "name origin secrets elsewhere",
    "KeyName": "fingerprint principal ssh_tag recipient state",
    "OfferedIdentity": "label material",
    "Principal": "name kind status keys former address",
    "Readers": "wanted present",
    "SecretDeclaration": "name file format origin key source owner group mode units live",
}


@pytest.mark.parametrize("module", sorted(SURFACE))
def test_names(module: str) -> None:
    loaded = importlib.import_module(module)
    assert sorted(loaded.__all__) == sorted(SURFACE[module])
    assert all(hasattr(loaded, name) for name in loaded.__all__)


@pytest.mark.parametrize("module", sorted(SURFACE))
def test_everything_public_is_documented(module: str) -> None:
    loaded = importlib.import_module(module)
    for name in loaded.__all__:
        value = getattr(loaded, name)
        if inspect.isclass(value) or inspect.isfunction(value):
            # A dataclass without a docstring gets its signature as one.
            assert value.__doc__ and not value.__doc__.startswith(f"{name}("), f"{module}.{name}"


def test_plugin_methods() -> None:
    found = {
        f"{name}.{method}": " ".join(list(inspect.signature(member).parameters)[1:])
        for name in api.__all__
        if inspect.isclass(protocol := getattr(api, name)) and getattr(protocol, "_is_protocol", False)
        for method, member in vars(protocol).items()
        if inspect.isfunction(member) and not method.startswith("_")
    }
    assert found == METHODS
    assert api.API_VERSION == 1


def test_plugin_data() -> None:
    found = {
        name: " ".join(field.name for field in fields(value))
        for name in api.__all__
        if hasattr(value := getattr(api, name), "__record_fields__") and isinstance(value, type)
    }
    assert found == FIELDS
