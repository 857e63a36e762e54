"""What is known of a vendor besides its rules: sources of facts, and what its answers mean."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from batchsync.core.vendor_rules import VendorRules
    from batchsync.core.verification import FactCheck


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerMeaning:
    """Meaning of a vendor's answer where it differs from that of its HTTP status.

    Attributes:
        call: Request, such as `upload`.
        status: HTTP status.
        body: Text that the body contains; empty for any.
        means: Classification, as in `ResponseClass`.
        source: Document that says so.
    """

    call: str
    status: int
    body: str
    means: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownFact:
    """A documented or assumed behaviour of a vendor; `certainty` is documented, observed, inferred or assumed.

    `check` is how an account shows it; None if nothing that a test batch does can show it.
    """

    id: str
    text: str
    source: str
    certainty: str
    check: FactCheck | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VendorDetails:
    """A vendor with the sources of its facts.

    Attributes:
        rules: Compiled vendor spec.
        sources: Documents that state each block of the vendor spec, by the name of the block.
        statuses: Meaning of each vendor status: a verdict, `running` or `empty`.
        answers: Meanings of answers to requests.
        facts: Known behaviour, in the order of its file.
        schema_sources: Documents that state each record schema, by its name.
    """

    rules: VendorRules
    sources: Mapping[str, str]
    statuses: Mapping[str, str] = field(default_factory=dict)
    answers: tuple[AnswerMeaning, ...] = ()
    facts: tuple[KnownFact, ...] = ()
    schema_sources: Mapping[str, str] = field(default_factory=dict)
