"""Makes a Connection of one entry of `connections:`, held against the rules of its vendor.

It does not know the network, nor any secret: credentials stay references.
"""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from lading.core.job import Connection
from lading.errors import LadingError, SpecError
from lading.spec.credentials import FORMS, objection
from lading.spec.interpolate import TypedEntry, TypedMap, TypedSeq, Value
from lading.spec.located_yaml import Broken
from lading.spec.models_source import ConnectionModel
from lading.spec.secrecy import SECRET_NAME
from lading.spec.suggest import one_of, quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from lading.core.vendor_rules import VendorRules
    from lading.spec.interpolate import Typed
    from lading.spec.problems import Problems
    from lading.spec.shape import Shaped, Shaper

_STAND_INS = {"vendor": "none", "credentials": {}}


class Vendors:
    """The vendors by name: those given, or those that `load_vendor` finds. Each is loaded once."""

    def __init__(
        self,
        given: Mapping[str, VendorRules] | None,
        names: Callable[[], tuple[str, ...]],
        load: Callable[[str], VendorRules],
    ) -> None:
        """Keep where vendors come from; `names` and `load` are used when none are given."""
        self._given = given
        self._names = names
        self._load = load
        self._loaded: dict[str, VendorRules | None] = {}

    def names(self) -> tuple[str, ...]:
        """Return the names of the vendors in the box."""
        return tuple(self._given) if self._given is not None else self._names()

    def rules(self, name: str, at: int, problems: Problems) -> VendorRules | None:
        """Return the rules of a vendor, or None after a complaint."""
        if name not in self._loaded:
            self._loaded[name] = self._found(name, at, problems)
        elif self._loaded[name] is None:
            self._found(name, at, problems)
        return self._loaded[name]

    def _found(self, name: str, at: int, problems: Problems) -> VendorRules | None:
        known = self.names()
        if self._given is not None and name in self._given:
            return self._given[name]
        is_folder = "/" in name
        if name not in known and not is_folder:
            problems.add(
                "unknown_vendor", at, f"there is no vendor {quoted(name)}", one_of(known), problems.suggest(name, known)
            )
            return None
        try:
            return self._load(name)
        except SpecError as error:
            problems.extend(error.problems)
        except LadingError as error:
            problems.add("unknown_vendor", at, error.message, f"{one_of(known)}, or a folder with a vendor.yaml")
        return None


class ConnectionCompiler:
    """Compiles the connections of one file."""

    def __init__(self, folder: Path, shaper: Shaper, vendors: Vendors, problems: Problems) -> None:
        """Keep the folder of jobs.yaml and where problems go."""
        self._folder = folder
        self._shaper = shaper
        self._vendors = vendors
        self._problems = problems

    def compile(self, entry: TypedEntry) -> tuple[Connection, VendorRules | None] | None:
        """Return the connection and its vendor, as far as they are known; None when nothing can be said of it."""
        if not isinstance(entry.value, TypedMap):
            if not isinstance(entry.value, Broken):
                self._problems.add(
                    "value", entry.value.start, f"{quoted(entry.key)} is no mapping", "vendor, credentials, ..."
                )
            return None
        shaped = self._shaper.shaped(ConnectionModel, entry.value, quoted(entry.key), entry.start, _STAND_INS)
        model = shaped.model
        rules, vendor = self._vendor(entry.value, shaped)
        base_url = model.base_url or (rules.default_base_url if rules else None) or ""
        if rules is not None and shaped.good("base_url"):
            self._base_url(base_url, rules, entry, entry.value.get("base_url"))
        if shaped.good("credentials"):
            self._credentials(entry.key, entry.value.entry("credentials"), rules)
        self._astray(entry.key, entry.value)
        connection = Connection(
            name=entry.key,
            vendor=vendor,
            base_url=base_url,
            credentials=dict(model.credentials),
            ca_bundle=str(self._folder / model.ca_bundle) if model.ca_bundle else None,
            poll_every=model.poll_every,
            deadline=model.deadline,
            in_flight=model.in_flight,
            place=self._problems.source.place(entry.start),
        )
        return connection, rules

    def _vendor(self, node: TypedMap, shaped: Shaped[ConnectionModel]) -> tuple[VendorRules | None, str]:
        if not shaped.good("vendor"):
            return None, ""
        name = shaped.model.vendor
        if "/" in name:
            # A folder is meant, and paths in jobs.yaml are relative to it, not to where somebody stands.
            name = str((self._folder / name).absolute())
        return self._vendors.rules(name, _start_of(node, "vendor"), self._problems), name

    def _base_url(self, url: str, rules: VendorRules, entry: TypedEntry, given: Typed | None) -> None:
        at = given.start if given is not None else entry.start
        if not url:
            self._problems.add(
                "missing_key",
                at,
                f'{quoted(entry.key)} has no "base_url", and vendor {rules.name} has no default',
                f"base_url: https://{_shown_host(rules.api_hosts[0])}" if rules.api_hosts else "base_url: https://...",
            )
            return
        if wrong := url_objection(url, rules.api_hosts):
            self._problems.add("base_url", at, wrong, f"https:// to {one_of(rules.api_hosts)}")

    def _credentials(self, connection: str, node: TypedEntry | None, rules: VendorRules | None) -> None:
        if node is None or not isinstance(node.value, TypedMap):
            return
        for one in node.value.entries:
            if rules is not None and one.key not in rules.credentials:
                self._problems.add(
                    "unknown_key",
                    one.start,
                    f"{rules.name} has no credential {quoted(one.key)}",
                    one_of(rules.credentials),
                    self._problems.suggest(one.key, rules.credentials),
                )
            if (
                isinstance(one.value, Value)
                and isinstance(one.value.value, str)
                and (why := objection(one.value.value))
            ):
                self._problems.add(
                    "literal_secret",
                    one.value.start,
                    f"{quoted(one.key)}: {why}",
                    FORMS,
                    self._advice(connection, one),
                )
        given = {one.key for one in node.value.entries}
        for name in rules.credentials if rules is not None else ():
            if name not in given:
                self._problems.add(
                    "missing_key",
                    node.start,
                    f'"credentials" has no {quoted(name)}',
                    f"{name}: ${{{_variable(connection, name)}}}",
                )

    def _advice(self, connection: str, one: TypedEntry) -> str:
        """Return what to write instead of a literal secret; nothing for a name that may be a secret itself."""
        if self._problems.source.is_hidden(one.start):
            return ""
        return f"write {one.key}: ${{{_variable(connection, one.key)}}}"

    def _astray(self, connection: str, node: TypedMap) -> None:
        """Complain about each secret that stands beside `credentials` instead of in it."""
        for entry in node.entries:
            if entry.key in ConnectionModel.model_fields or not SECRET_NAME.search(entry.key):
                continue
            for one in _scalars(entry):
                if isinstance(one.value, Value) and objection(str(one.value.value)):
                    self._problems.add(
                        "literal_secret",
                        one.value.start,
                        f'{quoted(one.key)}: a literal secret, and outside of "credentials"',
                        FORMS,
                        self._advice(connection, one),
                    )


def _scalars(entry: TypedEntry) -> Iterator[TypedEntry]:
    """Yield the values at and below an entry, each with the key nearest to it."""
    if isinstance(entry.value, TypedMap):
        for one in entry.value.entries:
            yield from _scalars(one)
    elif isinstance(entry.value, TypedSeq):
        for item in entry.value.items:
            yield from _scalars(TypedEntry(entry.key, entry.start, item))
    else:
        yield entry


def url_objection(url: str, hosts: tuple[str, ...]) -> str:
    """Say why a base URL will not do; empty when it will. The URL is not repeated: it might hold a password."""
    try:
        parts = urlsplit(url)
        host, _ = (parts.hostname or "").lower(), parts.port
    except ValueError:
        return "this is no URL"
    if not host or not re.fullmatch(r"[!-~]+", url):
        return "this is no URL"
    if "@" in parts.netloc or "?" in url or "#" in url:
        return "a user, a ? or a # in a base URL"
    local = is_loopback(host)
    if parts.scheme != "https" and not (parts.scheme == "http" and local):
        return f"{parts.scheme}:// to another machine" if parts.scheme in {"http", "ftp"} else "a URL without https://"
    known = local or any(host_matches(host, one) for one in hosts)
    return "" if known else f"{quoted(host)[1:-1]} is no host of this vendor"


def host_matches(host: str, pattern: str) -> bool:
    """Whether a host is meant by a pattern, in which `*` stands for (a part of) one label."""
    return bool(re.fullmatch(re.escape(pattern.lower()).replace(r"\*", "[a-z0-9-]+"), host))


def is_loopback(host: str) -> bool:
    """Whether a host is this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _start_of(node: TypedMap, key: str) -> int:
    value = node.get(key)
    return value.start if value is not None else node.start


def _variable(connection: str, name: str) -> str:
    plain = re.sub(r"[^A-Z0-9]+", "_", f"{connection}_{name}".upper()).strip("_")
    return plain if plain[:1].isalpha() else f"LADING_{plain}"


def _shown_host(pattern: str) -> str:
    return pattern.replace("*", "...")
