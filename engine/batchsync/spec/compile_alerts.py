"""Compile `alerts:` of jobs.yaml, and the channels that jobs name. No reference is resolved and nothing is sent."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from batchsync.core.alert_channels import AlertSettings, AppriseChannel, EmailChannel, WebhookChannel
from batchsync.core.alert_conditions import TRANSITIONS
from batchsync.core.selection import JobFacts, SelectorError, needs_journal, select
from batchsync.spec.check_names import check_names
from batchsync.spec.credentials import FORMS, PROXY_FORMS, credential_objection, proxy_objection, secret_paths
from batchsync.spec.interpolate import TypedMap, TypedSeq, Value
from batchsync.spec.located_yaml import Broken
from batchsync.spec.models_alerts import (
    AlertsModel,
    AppriseModel,
    ChannelModel,
    EmailModel,
    WebhookModel,
)
from batchsync.util.suggestions import one_of, quoted

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    from batchsync.core.alert_channels import AnyChannel
    from batchsync.core.job import Job
    from batchsync.spec.interpolate import Typed, TypedEntry
    from batchsync.spec.model_validator import ModelValidator
    from batchsync.spec.problems import Problems
    from batchsync.util.path_fence import PathFence

M = TypeVar("M", bound=ChannelModel)

#: An address: no blanks, angle brackets or line breaks, so that it cannot add headers or recipients.
_ADDRESS = re.compile(r"[^\s<>@,;:\"\\]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,253}[A-Za-z0-9])?")
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,253}[A-Za-z0-9])?|\[?[0-9A-Fa-f:]+\]?")
_PORTS = {"starttls": 587, "implicit": 465, "none": 25}
_PLACEHOLDERS: dict[str, Any] = {
    "webhook": "json",
    "url": "${URL}",
    "email": ["name@example.com"],
    "sender": "name@example.com",
    "host": "localhost",
    "apprise": ["${URL}"],
}


@dataclass(frozen=True, slots=True)
class DeclaredJobs:
    """The jobs of a file: their typed blocks, and as far as they are valid, facts for selectors.

    Attributes:
        entries: All jobs, with places.
        facts: Facts of the valid jobs.
    """

    entries: Sequence[TypedEntry]
    facts: Sequence[JobFacts]

    @property
    def complete(self) -> bool:
        """Whether all jobs are valid, so that a selector that matches nothing is wrong."""
        return len(self.entries) == len(self.facts)


def job_facts(job: Job, vendor: str) -> JobFacts:
    """Return what selectors of channels refer to.

    Args:
        job: The job.
        vendor: Name of its vendor.
    """
    return JobFacts(
        name=job.name,
        former_names=job.all_names - {job.name},
        tags=frozenset(job.tags),
        connection=job.connection,
        vendor=vendor,
        depends_on=job.depends_on,
    )


@dataclass(frozen=True, slots=True)
class AlertsCompiler:
    """Compiler of the alerts of one file.

    Attributes:
        folder: Folder of jobs.yaml; relative paths start here.
        validator: Validates blocks against pydantic models.
        fence: Where paths may lead.
        problems: Receives the problems.
    """

    folder: Path
    validator: ModelValidator
    fence: PathFence
    problems: Problems

    def compile(self, written: TypedEntry | None, jobs: DeclaredJobs) -> AlertSettings:
        """Return the settings of alerts; without channels where there are none, or they are invalid.

        Args:
            written: The block `alerts:`; None if there is none.
            jobs: The jobs, which channels select and which name channels.
        """
        node = written.value if written is not None else None
        block = node if isinstance(node, TypedMap) else TypedMap((), written.start if written else 0)
        channels = block.entry("channels")
        own = tuple(
            type(entry)(entry.key, entry.start, TypedMap((), entry.start))
            if entry is channels and isinstance(entry.value, TypedMap)
            else entry
            for entry in block.entries
        )
        start = written.start if written is not None else 0
        model = self.validator.validate(AlertsModel, TypedMap(own, block.start), '"alerts"', start, {}).model
        for key in ("ping", "proxy"):
            self._reference(block, key, getattr(model, key) or "")
        found = channels.value if channels is not None and isinstance(channels.value, TypedMap) else TypedMap((), 0)
        check_names("channel", found, self.problems)
        compiled = [self._channel(entry, jobs) for entry in found.entries]
        return AlertSettings(
            channels=tuple(item for item in compiled if item is not None),
            overrides=self._overrides(jobs.entries, [entry.key for entry in found.entries]),
            late_after=model.late_after,
            ping=model.ping or "",
            ping_proxy=model.proxy or "",
        )

    def _channel(self, entry: TypedEntry, jobs: DeclaredJobs) -> AnyChannel | None:
        """Return a channel; None after reporting a problem that leaves nothing of it."""
        node = entry.value
        if not isinstance(node, TypedMap):
            if not isinstance(node, Broken):
                expected = "webhook: slack, email: [...] or apprise: [...]"
                self.problems.add("value", node.start, f"{quoted(entry.key)} is not a mapping", expected)
            return None
        kinds = [kind for kind in ("webhook", "email", "apprise") if node.get(kind) is not None]
        if len(kinds) != 1:
            message = f"channel {quoted(entry.key)} has {' and '.join(kinds) if kinds else 'no kind'}"
            self.problems.add("alerts", entry.start, message, "one of webhook, email and apprise")
            return None
        if kinds == ["webhook"]:
            return self._webhook(entry, node, jobs)
        return self._email(entry, node, jobs) if kinds == ["email"] else self._apprise(entry, node, jobs)

    def _validated(self, model: type[M], entry: TypedEntry, node: TypedMap) -> M:
        """Return the model of a channel, with placeholders for what is invalid."""
        placeholders = {key: value for key, value in _PLACEHOLDERS.items() if key in model.model_fields}
        return self.validator.validate(model, node, quoted(entry.key), entry.start, placeholders).model

    def _common(self, model: ChannelModel, entry: TypedEntry, node: TypedMap, jobs: DeclaredJobs) -> dict[str, Any]:
        """Return what channels of every kind have."""
        return {
            "name": entry.key,
            "transitions": frozenset(model.on or TRANSITIONS),
            "jobs": self._selected(node.get("jobs"), model.jobs, jobs),
            "place": self.problems.source.place(entry.start),
        }

    def _apprise(self, entry: TypedEntry, node: TypedMap, jobs: DeclaredJobs) -> AppriseChannel:
        model = self._validated(AppriseModel, entry, node)
        listed = node.get("apprise")
        for item in listed.items if isinstance(listed, TypedSeq) else ():
            self._secret("apprise", item)
        return AppriseChannel(urls=tuple(model.apprise), **self._common(model, entry, node, jobs))

    def _webhook(self, entry: TypedEntry, node: TypedMap, jobs: DeclaredJobs) -> WebhookChannel:
        model = self._validated(WebhookModel, entry, node)
        for key in ("url", "secret", "proxy"):
            self._reference(node, key, getattr(model, key) or "")
        return WebhookChannel(
            shape=model.webhook,
            url=model.url,
            secret=model.secret or "",
            proxy=model.proxy or "",
            ca_bundle=self._ca_bundle(model.ca_bundle, node),
            **self._common(model, entry, node, jobs),
        )

    def _email(self, entry: TypedEntry, node: TypedMap, jobs: DeclaredJobs) -> EmailChannel:
        model = self._validated(EmailModel, entry, node)
        listed = node.get("email")
        recipients = listed.items if isinstance(listed, TypedSeq) else ()
        for item in (*recipients, node.get("sender")):
            if isinstance(item, Value) and not _ADDRESS.fullmatch(str(item.value)):
                self.problems.add("alerts", item.start, "invalid e-mail address", "name@example.com")
        host = node.get("host")
        if isinstance(host, Value) and not _HOST.fullmatch(str(host.value)):
            self.problems.add("alerts", host.start, '"host" is not the name of a server', "smtp.example.com")
        for key in ("user", "password"):
            self._reference(node, key, getattr(model, key) or "")
        if bool(model.user) != bool(model.password):
            missing = "password" if model.user else "user"
            self.problems.add("missing_key", node.start, f"a login without {quoted(missing)}", f"{missing}: ${{NAME}}")
        if model.tls == "none" and model.user:
            at = _start_of(node, "tls")
            self.problems.add("alerts", at, '"tls": none with a login', "starttls or implicit, or no user and password")
        return EmailChannel(
            to=tuple(model.email),
            sender=model.sender,
            host=model.host.strip("[]"),
            port=model.port or _PORTS[model.tls],
            tls=model.tls,
            user=model.user or "",
            password=model.password or "",
            ca_bundle=self._ca_bundle(model.ca_bundle, node),
            **self._common(model, entry, node, jobs),
        )

    def _ca_bundle(self, path: str | None, node: TypedMap) -> str | None:
        """Return the absolute path of a file of certificates."""
        if path is None:
            return None
        found = str(self.folder / path)
        if objection := self.fence.file_objection(found):
            self.problems.add("path", _start_of(node, "ca_bundle"), f'"ca_bundle" {objection}', self.fence.advice)
        return found

    def _reference(self, node: TypedMap, key: str, text: str) -> None:
        """Report a value that is no reference, or no proxy."""
        written = node.get(key)
        if not text or written is None:
            return
        if key == "proxy":
            if reason := proxy_objection(text):
                self.problems.add("proxy", written.start, f'"proxy": {reason}', PROXY_FORMS)
            return
        self._secret(key, written)

    def _secret(self, key: str, written: Typed) -> None:
        """Report a secret that is written literally, or in a file that may not be read."""
        text = written.value if isinstance(written, Value) else None
        if not isinstance(text, str):
            return
        if reason := credential_objection(text):
            self.problems.add("literal_secret", written.start, f"{quoted(key)}: {reason}", FORMS)
        for file in secret_paths([text]):
            if objection := self.fence.file_objection(file):
                self.problems.add("path", written.start, f"{quoted(key)} {objection}", self.fence.advice)

    def _selected(self, node: Typed | None, words: Sequence[str] | None, jobs: DeclaredJobs) -> frozenset[str]:
        """Return the names of the jobs that a channel selects."""
        if words is None:
            return frozenset(item.name for item in jobs.facts)
        places = node.items if isinstance(node, TypedSeq) else ()
        found: set[str] = set()
        for word, place in zip(words, places, strict=False):
            if needs_journal([word]):
                message = f"{quoted(word)} selects by runs, which change"
                self.problems.add("alerts", place.start, message, "a name, a pattern, tag:, connection: or vendor:")
                continue
            try:
                found.update(select([word], jobs.facts).names)
            except SelectorError as error:
                if jobs.complete:
                    advice = self.problems.suggest(error.word, error.known)
                    self.problems.add("alerts", place.start, f'"jobs": {error.message}', one_of(error.known), advice)
        return frozenset(found)

    def _overrides(self, entries: Sequence[TypedEntry], channels: Collection[str]) -> dict[str, tuple[str, ...]]:
        """Return the channels of the jobs that name theirs, and report channels that do not exist."""
        found: dict[str, tuple[str, ...]] = {}
        for entry in entries:
            listed = entry.value.get("alerts") if isinstance(entry.value, TypedMap) else None
            if not isinstance(listed, TypedSeq):
                continue
            names = [(item, str(item.value)) for item in listed.items if isinstance(item, Value)]
            for item, name in names:
                if name not in channels:
                    expected = one_of(channels) if channels else "a channel of alerts: {channels: ...}, or []"
                    advice = self.problems.suggest(name, channels)
                    self.problems.add("alerts", item.start, f"unknown channel {quoted(name)}", expected, advice)
            found[entry.key] = tuple(name for _, name in names)
        return found


def _start_of(node: TypedMap, key: str) -> int:
    value = node.get(key)
    return value.start if value is not None else node.start
