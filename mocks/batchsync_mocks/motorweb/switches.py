"""What can be turned at the mock of Motorweb BDP: each place where motorweb-bdp.md, section 10 or 12, leaves a choice.

It does not know how the mock does what a switch says.
"""

from __future__ import annotations

from dataclasses import dataclass

from lading_mocks.switches import amount, bound, choice, flag


@dataclass(frozen=True, slots=True, kw_only=True)
class MotorwebSwitches:
    """Each field is a switch; its default is the reading of the reference."""

    done_word: str = choice("COMPLETED", "COMPLETE", says="status of a finished batch: P6's table, or P4's example")
    create_status: int = choice(201, 200, says="status of a good create: P3, or P1's diagram")
    printed_expiry: bool = flag(says="`expiry` of the create call as P3 prints it, `123-2022-08-09T06:22:21`")
    delete_scheduled: bool = flag(default=True, says="DELETE takes SCHEDULED batches too, not only PENDING ones (12.5)")
    delete_refusal: int = choice(409, 400, says="status of a refused DELETE (12.7)")
    deleted_status: int = choice(200, 204, says="status of a good DELETE: P1, or what clients should also take (12.6)")
    unknown_error_type: int = choice(400, 200, says="an unknown `errorType` is refused, or gives an empty list (12.18)")
    no_errors: int = choice(200, 404, 204, says="the errors calls of a known batch without errors (12.17)")
    error_body: str = choice(
        "service", "fault", "apigee", "html", "empty", says="shape of error bodies; no page shows one (8.2, 12.9)"
    )
    visible_after: float = amount(
        0, says="seconds until the service notices an uploaded file (section 5, After upload)"
    )
    prefix: str = choice("both", "/batch/v1", "/v1", says="path prefix: P3 to P5 write /batch/v1, P1 and P6 /v1")
    reports: str = choice("object", "array", says="body of `/reports`: its path is plural, its shape is open (12.12)")
    services: str = choice("array", "wrapped", says="body of `/batch-services`: bare, or inside an object (12.1)")
    service_id: str = choice("id", "batchServiceId", "uuid", says="name of the id in `/batch-services` (12.1)")
    service_name: str = choice(
        "display", "code", says="whether the list's `name` is the display name or the code (12.2)"
    )
    duplicate_references: bool = flag(says="a second batch with the same reference is made instead of 409 (12.8)")
    counters_early: str = choice("null", "absent", "zero", says="counters of a batch that is not finished (6.1)")
    list_batches: bool = flag(default=True, says="`GET /batches` exists; nothing documents it (6.7, 12.19)")
    url_lifetime: int = choice(900, 60, 3600, 604_800, says="`X-Goog-Expires` of signed URLs: P3's example")
    max_rows: int | None = bound(None, says="rows above which a file fails; no limit is documented (12.26)")
    max_bytes: int | None = bound(None, says="bytes above which an upload is refused; no limit is documented (12.26)")
    short_chassis: bool = flag(says="VINs of 6 to 16 characters (pre-1989 vehicles) are taken (section 9)")
    liar: bool = flag(says="counters claim that every row succeeded; results and errors tell the truth")
    pre_processing: float = amount(60, says="seconds spent in PRE_PROCESSING; nothing documents it")
    validating: float = amount(120, says="seconds spent in VALIDATING")
    scheduled: float = amount(120, says="seconds spent in SCHEDULED when no date was asked for")
    processing: float = amount(300, says="seconds spent in PROCESSING")
