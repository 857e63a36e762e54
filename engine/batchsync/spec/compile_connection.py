"""Compile entries of `connections:` into `Connection` values and validate them against the rules of their vendor.

Credentials stay references; they are resolved when a vendor is called.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from batchsync.core.connection import Connection
from batchsync.core.storage_location import STORAGE_FORMS, host_matches, objection_to_declared
from batchsync.errors import BatchsyncError, SpecError
from batchsync.spec.compile_limits import compile_limits
from batchsync.spec.compile_settings import SettingsCompiler
from batchsync.spec.credentials import FORMS, PROXY_FORMS, credential_objection, proxy_objection, secret_paths
from batchsync.spec.interpolate import TypedEntry, TypedMap, TypedSeq, Value
from batchsync.spec.located_yaml import Broken
from batchsync.spec.models_connection import ConnectionModel
from batchsync.spec.secret_policy import SECRET_NAME
from batchsync.util.suggestions import one_of, quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from batchsync.core.vendor_rules import VendorRules
    from batchsync.spec.interpolate import Typed
    from batchsync.spec.model_validator import ModelValidator, ValidationResult
    from batchsync.spec.problems import Problems
    from batchsync.util.path_fence import PathFence

    LoadVendor = Callable[[str, Mapping[str, str]], VendorRules]

_PLACEHOLDERS = {"vendor": "none", "credentials": {}}


class Vendors:
    """Vendor rules by name, each loaded once."""

    def __init__(
        self,
        fixed: Mapping[str, VendorRules] | None,
        names: Callable[[], tuple[str, ...]],
        is_available: Callable[[str], bool],
        load: LoadVendor,
        *,
        has_folders: bool = True,
    ) -> None:
        """Keep the origin of vendors.

        Args:
            fixed: Rules by name; None to use the functions below.
            names: Return the names of all available vendors.
            is_available: Return whether there is a vendor of a name; faster than `names` for bundled vendors.
            load: Load the rules of a vendor by name or folder, and values of its settings.
            has_folders: Whether a folder with a `vendor.yaml` may be named.
        """
        self._fixed = fixed
        self._names = names
        self._is_available = is_available
        self._load = load
        self.has_folders = has_folders
        self._loaded: dict[str, VendorRules | None] = {}

    def names(self) -> tuple[str, ...]:
        """Return the names of the available vendors."""
        return tuple(self._fixed) if self._fixed is not None else self._names()

    def rules(self, name: str, at: int, problems: Problems) -> VendorRules | None:
        """Return the rules of a vendor, or None after reporting a problem at index `at` of the text."""
        if name not in self._loaded:
            self._loaded[name] = self._load_rules(name, at, problems)
        elif self._loaded[name] is None:
            self._load_rules(name, at, problems)
        return self._loaded[name]

    def configured(
        self, rules: VendorRules, name: str, chosen: Mapping[str, str], at: int, problems: Problems
    ) -> VendorRules | None:
        """Return the rules of a vendor with the settings of a connection.

        Args:
            rules: Rules of the vendor with the defaults of its settings.
            name: Name or folder of the vendor.
            chosen: Values of settings.
            at: Index of the connection in the text.
            problems: Receives the problems.

        Returns:
            The rules; None after reporting that values do not go together.
        """
        if self._fixed is not None and name in self._fixed:
            return rules
        try:
            return self._load(name, chosen)
        except SpecError as error:
            problems.extend(error.problems)
        except BatchsyncError as error:
            problems.add("unknown_vendor", at, error.message)
        return None

    def _load_rules(self, name: str, at: int, problems: Problems) -> VendorRules | None:
        if self._fixed is not None and name in self._fixed:
            return self._fixed[name]
        is_folder = "/" in name
        if not is_folder and (self._fixed is not None or not self._is_available(name)):
            known = self.names()
            problems.add(
                "unknown_vendor", at, f"unknown vendor {quoted(name)}", one_of(known), problems.suggest(name, known)
            )
            return None
        try:
            return self._load(name, {})
        except SpecError as error:
            problems.extend(error.problems)
        except BatchsyncError as error:
            expected = f"{one_of(self.names())}, or a folder with a vendor.yaml"
            problems.add("unknown_vendor", at, error.message, expected)
        return None


class ConnectionCompiler:
    """Compiles the connections of one file."""

    def __init__(
        self, folder: Path, validator: ModelValidator, vendors: Vendors, problems: Problems, fence: PathFence
    ) -> None:
        """Keep the collaborators.

        Args:
            folder: Absolute folder of jobs.yaml; relative paths start here.
            validator: Validates blocks against pydantic models.
            vendors: Vendor rules by name.
            problems: Receives the problems.
            fence: Where paths may lead.
        """
        self._fence = fence
        self._folder = folder
        self._validator = validator
        self._vendors = vendors
        self._problems = problems

    def compile(self, entry: TypedEntry) -> tuple[Connection, VendorRules | None] | None:
        """Return the connection and the rules of its vendor (None if unknown); None if the entry is not a mapping."""
        if not isinstance(entry.value, TypedMap):
            if not isinstance(entry.value, Broken):
                self._problems.add(
                    "value", entry.value.start, f"{quoted(entry.key)} is not a mapping", "vendor, credentials, ..."
                )
            return None
        own = tuple(item for item in entry.value.entries if item.key in ConnectionModel.model_fields)
        validated = self._validator.validate(
            ConnectionModel, TypedMap(own, entry.value.start), quoted(entry.key), entry.start, _PLACEHOLDERS
        )
        model = validated.model
        rules, vendor = self._vendor(entry.value, validated)
        others = [item for item in entry.value.entries if item.key not in ConnectionModel.model_fields]
        settings = SettingsCompiler(self._folder, self._problems, self._fence).compile(others, rules)
        if rules is not None and settings.values:
            rules = self._vendors.configured(rules, vendor, settings.values, entry.start, self._problems)
        if rules is not None and not settings.complete:
            # Records may be right for the value that was meant.
            rules = replace(rules, schemas=rules.loosest_schemas)
        base_url = model.base_url or (rules.default_base_url if rules else None) or ""
        if rules is not None and validated.valid("base_url"):
            self._base_url(base_url, rules, entry, entry.value.get("base_url"))
        if validated.valid("credentials"):
            self._credentials(entry.key, entry.value.entry("credentials"), rules)
        self._check_stray_secrets(entry.key, entry.value)
        if validated.valid("proxy") and validated.valid("storage_hosts"):
            self._network(model, entry.value, rules)
        for file in secret_paths([model.proxy]):
            self._path("proxy", Path(file), _start_of(entry.value, "proxy"))
        if model.ca_bundle:
            self._path("ca_bundle", self._folder / model.ca_bundle, _start_of(entry.value, "ca_bundle"))
        connection = Connection(
            name=entry.key,
            vendor=vendor,
            base_url=base_url,
            credentials=dict(model.credentials),
            ca_bundle=str(self._folder / model.ca_bundle) if model.ca_bundle else None,
            proxy=model.proxy or "",
            storage_hosts=tuple(model.storage_hosts or ()),
            poll_every=model.poll_every,
            deadline=model.deadline,
            retry_for=model.retry_for,
            in_flight=model.in_flight,
            limits=compile_limits(model.limits, entry.value, rules, self._problems),
            settings=settings.values,
            setting_files=tuple(settings.files),
            renamed_from=model.renamed_from or (),
            place=self._problems.source.place(entry.start),
        )
        return connection, rules

    def _vendor(self, node: TypedMap, validated: ValidationResult[ConnectionModel]) -> tuple[VendorRules | None, str]:
        if not validated.valid("vendor"):
            return None, ""
        name = validated.model.vendor
        if "/" in name:
            # Paths in jobs.yaml are relative to its folder, not to the working directory.
            name = str((self._folder / name).absolute())
            if not self._may_load(Path(name), _start_of(node, "vendor")):
                return None, name
        return self._vendors.rules(name, _start_of(node, "vendor"), self._problems), name

    def _may_load(self, folder: Path, at: int) -> bool:
        """Return whether the folder of a vendor may be read; report a problem if not."""
        if not self._vendors.has_folders:
            self._problems.add(
                "unknown_vendor", at, "a vendor folder of the tree is not read", one_of(self._vendors.names())
            )
            return False
        if not self._path("vendor", folder, at, is_folder=True):
            return False
        records = sorted((folder / "records").glob("*.yaml"))
        return all(self._path("vendor", file, at) for file in (folder / "vendor.yaml", *records))

    def _path(self, key: str, path: Path, at: int, *, is_folder: bool = False) -> bool:
        """Return whether a path may be opened; report a problem if not."""
        objection = self._fence.objection(path) if is_folder else self._fence.file_objection(path)
        if objection:
            self._problems.add("path", at, f"{quoted(key)} {objection}", self._fence.advice)
        return not objection

    def _base_url(self, url: str, rules: VendorRules, entry: TypedEntry, written: Typed | None) -> None:
        at = written.start if written is not None else entry.start
        if not url:
            self._problems.add(
                "missing_key",
                at,
                f'{quoted(entry.key)} has no "base_url", and vendor {rules.name} has no default',
                f"base_url: https://{_shown_host(rules.api_hosts[0])}" if rules.api_hosts else "base_url: https://...",
            )
            return
        if reason := url_objection(url, rules.api_hosts):
            self._problems.add("base_url", at, reason, f"https:// to {one_of(rules.api_hosts)}")

    def _network(self, model: ConnectionModel, node: TypedMap, rules: VendorRules | None) -> None:
        """Validate `proxy` and `storage_hosts`."""
        if model.proxy and (reason := proxy_objection(model.proxy)):
            self._problems.add("proxy", _start_of(node, "proxy"), f'"proxy": {reason}', PROXY_FORMS)
        listed = node.get("storage_hosts")
        items = listed.items if isinstance(listed, TypedSeq) else ()
        for item, pattern in zip(items, model.storage_hosts or (), strict=False):
            if reason := objection_to_declared(pattern):
                self._problems.add("storage_host", item.start, f"{quoted(pattern)} {reason}", STORAGE_FORMS)
        if rules is not None and rules.dialect is None:
            for name in ("proxy", "storage_hosts"):
                if node.get(name) is not None:
                    message = f'"{name}": {rules.name} is a Python package, which makes its requests itself'
                    self._problems.add("unsupported", _start_of(node, name), message, "a connection without it")

    def _credentials(self, connection: str, node: TypedEntry | None, rules: VendorRules | None) -> None:
        if node is None or not isinstance(node.value, TypedMap):
            return
        for entry in node.value.entries:
            if rules is not None and entry.key not in rules.credentials:
                self._problems.add(
                    "unknown_key",
                    entry.start,
                    f"{rules.name} has no credential {quoted(entry.key)}",
                    one_of(rules.credentials),
                    self._problems.suggest(entry.key, rules.credentials),
                )
            if (
                isinstance(entry.value, Value)
                and isinstance(entry.value.value, str)
                and (reason := credential_objection(entry.value.value))
            ):
                self._problems.add(
                    "literal_secret",
                    entry.value.start,
                    f"{quoted(entry.key)}: {reason}",
                    FORMS,
                    self._advice(connection, entry),
                )
            for file in secret_paths([entry.value.value] if isinstance(entry.value, Value) else []):
                self._path(entry.key, Path(file), entry.value.start)
        present = {entry.key for entry in node.value.entries}
        for name in rules.credentials if rules is not None else ():
            if name not in present:
                self._problems.add(
                    "missing_key",
                    node.start,
                    f'"credentials" has no {quoted(name)}',
                    f"{name}: ${{{variable_name(connection, name)}}}",
                )

    def _advice(self, connection: str, entry: TypedEntry) -> str:
        """Return the reference to write instead of a literal secret; empty if the key may be a secret itself."""
        if self._problems.source.is_hidden(entry.start):
            return ""
        return f"write {entry.key}: ${{{variable_name(connection, entry.key)}}}"

    def _check_stray_secrets(self, connection: str, node: TypedMap) -> None:
        """Report secrets that are keys of the connection instead of `credentials`."""
        for entry in node.entries:
            if entry.key in ConnectionModel.model_fields or not SECRET_NAME.search(entry.key):
                continue
            for scalar in _scalars(entry):
                if isinstance(scalar.value, Value) and credential_objection(str(scalar.value.value)):
                    self._problems.add(
                        "literal_secret",
                        scalar.value.start,
                        f'{quoted(scalar.key)}: a literal secret outside of "credentials"',
                        FORMS,
                        self._advice(connection, scalar),
                    )


def _scalars(entry: TypedEntry) -> Iterator[TypedEntry]:
    """Yield all scalars at and below an entry, each with its nearest key."""
    if isinstance(entry.value, TypedMap):
        for element in entry.value.entries:
            yield from _scalars(element)
    elif isinstance(entry.value, TypedSeq):
        for item in entry.value.items:
            yield from _scalars(TypedEntry(entry.key, entry.start, item))
    else:
        yield entry


def url_objection(url: str, hosts: tuple[str, ...]) -> str:
    """Return why a base URL is refused; empty if it is allowed.

    The message does not contain the URL, which may contain a password.

    Args:
        url: The base URL.
        hosts: Host patterns of the vendor; `*` stands for a part of one label.
    """
    try:
        parts = urlsplit(url)
        host, _ = (parts.hostname or "").lower(), parts.port
    except ValueError:
        return "invalid URL"
    if not host or not re.fullmatch(r"[!-~]+", url):
        return "invalid URL"
    if "@" in parts.netloc or "?" in url or "#" in url:
        return "user info, query or fragment in a base URL"
    local = is_loopback(host)
    if parts.scheme != "https" and not (parts.scheme == "http" and local):
        return f"{parts.scheme}:// to a remote host" if parts.scheme in {"http", "ftp"} else "URL without https://"
    is_allowed = local or host_matches(host, hosts)
    return "" if is_allowed else f"{quoted(host)[1:-1]} is not a host of this vendor"


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _start_of(node: TypedMap, key: str) -> int:
    value = node.get(key)
    return value.start if value is not None else node.start


def variable_name(connection: str, name: str) -> str:
    """Return the name of an environment variable to suggest for a secret of a connection."""
    plain = re.sub(r"[^A-Z0-9]+", "_", f"{connection}_{name}".upper()).strip("_")
    return plain if plain[:1].isalpha() else f"BATCHSYNC_{plain}"


def _shown_host(pattern: str) -> str:
    return pattern.replace("*", "...")
