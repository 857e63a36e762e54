"""Masks of personal data in reports that end up in pull requests and logs of CI: keys, and values in reasons."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from batchsync.core.personal_data import HIDDEN_VALUE, MASKED_KEY, looks_like_email, masked_value, without_values

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from batchsync.ports import KeyRef, PlanPreview
    from batchsync.report.rejects import RejectLine


@dataclass(frozen=True, slots=True, kw_only=True)
class Mask:
    """What is masked.

    Attributes:
        active: Whether anything is masked at all.
        show_values: Whether values of records are shown, which takes `active` off.
        personal: By job, whether its keys are personal data; None, and jobs that are not in it: those that look like
            e-mail addresses.
    """

    active: bool = False
    show_values: bool = False
    personal: Mapping[str, bool | None] = field(default_factory=dict)

    def key(self, job: str, key: str) -> str:
        """Return a key of a job, masked if it is personal."""
        return MASKED_KEY if self._hides(job, key) else key

    def text(self, job: str, text: str, key: str) -> str:
        """Return a reason about a key without values, and without the key if it is masked."""
        if not self.active:
            return text
        return without_values(text.replace(key, MASKED_KEY) if key and self._hides(job, key) else text)

    def value(self, value: object) -> object:
        """Return a value of a record: as it is, masked, or hidden."""
        if self.show_values and not self.active:
            return value
        return HIDDEN_VALUE if self.active else masked_value(value)

    def line(self, line: RejectLine) -> RejectLine:
        """Return a reject with its key and its reason masked."""
        if not self.active:
            return line
        reject = line.reject
        masked = replace(
            reject, key=self.key(line.job, reject.key), reason=self.text(line.job, reject.reason, reject.key)
        )
        return replace(line, reject=masked)

    def preview(self, job: str, preview: PlanPreview) -> PlanPreview:
        """Return the first changes of a plan with their keys masked."""

        def masked(keys: Sequence[KeyRef]) -> tuple[KeyRef, ...]:
            return tuple(replace(item, key=self.key(job, item.key)) for item in keys)

        if not self.active:
            return preview
        return replace(
            preview,
            added=masked(preview.added),
            changed=masked(preview.changed),
            removed=masked(preview.removed),
            invalid=tuple(replace(group, first=masked(group.first)) for group in preview.invalid),
        )

    def _hides(self, job: str, key: str) -> bool:
        """Return whether a key is masked."""
        personal = self.personal.get(job)
        return bool(self.active and key and (looks_like_email(key) if personal is None else personal))
