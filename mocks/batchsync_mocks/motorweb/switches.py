"""Switches of the Motorweb mock: each selects a behaviour that motorweb-bdp.md, section 10 or 12, leaves open."""

from __future__ import annotations

from dataclasses import dataclass

from batchsync_mocks.switches import choice, flag, non_negative, positive_or_null


@dataclass(frozen=True, slots=True, kw_only=True)
class MotorwebSwitches:
    """Switches of `motorweb-bdp`; the defaults follow the reference."""

    done_status: str = choice(
        "COMPLETED", "COMPLETE", description="status of a finished batch: P6's table, or P4's example"
    )
    create_status: int = choice(201, 200, description="status of a successful create: P3, or P1's diagram")
    printed_expiry: bool = flag(description="`expiry` of the create call as P3 prints it, `123-2022-08-09T06:22:21`")
    delete_scheduled: bool = flag(
        default=True, description="DELETE accepts SCHEDULED batches too, not only PENDING ones (12.5)"
    )
    delete_refusal: int = choice(409, 400, description="status of a refused DELETE (12.7)")
    deleted_status: int = choice(
        200, 204, description="status of a successful DELETE: P1, or what clients should also take (12.6)"
    )
    unknown_error_type: int = choice(
        400, 200, description="an unknown `errorType` is refused, or gives an empty list (12.18)"
    )
    no_errors: int = choice(200, 404, 204, description="the errors calls of a known batch without errors (12.17)")
    error_body: str = choice(
        "service", "fault", "apigee", "html", "empty", description="form of error bodies; no page shows one (8.2, 12.9)"
    )
    visible_after: float = non_negative(
        0, description="seconds until the service notices an uploaded file (section 5, After upload)"
    )
    prefix: str = choice("both", "/batch/v1", "/v1", description="path prefix: P3 to P5 write /batch/v1, P1 and P6 /v1")
    reports: str = choice(
        "object", "array", description="body of `/reports`: its path is plural, its form is open (12.12)"
    )
    services: str = choice(
        "array", "wrapped", description="body of `/batch-services`: bare, or inside an object (12.1)"
    )
    service_id: str = choice("id", "batchServiceId", "uuid", description="name of the id in `/batch-services` (12.1)")
    service_name: str = choice(
        "display", "code", description="whether the list's `name` is the display name or the code (12.2)"
    )
    duplicate_references: bool = flag(
        description="a second batch with the same reference is created instead of 409 (12.8)"
    )
    counters_early: str = choice("null", "absent", "zero", description="counters of a batch that is not finished (6.1)")
    list_batches: bool = flag(default=True, description="`GET /batches` exists; nothing documents it (6.7, 12.19)")
    url_lifetime: int = choice(900, 60, 3600, 604_800, description="`X-Goog-Expires` of signed URLs: P3's example")
    max_rows: int | None = positive_or_null(
        None, description="rows above which a file fails; no limit is documented (12.26)"
    )
    max_bytes: int | None = positive_or_null(
        None, description="bytes above which an upload is refused; no limit is documented (12.26)"
    )
    short_chassis: bool = flag(description="VINs of 6 to 16 characters (pre-1989 vehicles) are accepted (section 9)")
    false_success: bool = flag(description="counters report that every row succeeded; results and errors are correct")
    results_after: float = non_negative(
        0, description="seconds after completion until results and errors are whole; before, half of their rows"
    )
    status_by: str = choice(
        "both",
        "reports",
        "batch",
        description="calls that answer a status: both; `reports` alone (the batch itself is not found); or the batch "
        "alone (no reports until it is done) (section 10)",
    )
    errors_by: str = choice(
        "both", "json", "csv", description="calls that return the errors; the other answers 404 (section 10)"
    )
    csv_columns: str = choice(
        "assumed",
        "one",
        description="columns of the CSV errors besides the inputs: those of the JSON, or `mockReason` alone (12.16)",
    )
    json_errors: str = choice("full", "empty", description="the JSON errors list all rows, or none; the CSV has all")
    echo: str = choice("as_sent", "lower", "padded", description="how inputs are repeated in results and errors")
    tables: str = choice(
        "plain",
        "bom",
        "semicolon",
        "tab",
        "utf-16",
        "latin-1",
        "zip",
        description="form of results and CSV errors; no page shows one (12.15, 12.16)",
    )
    pre_processing: float = non_negative(60, description="seconds spent in PRE_PROCESSING; nothing documents it")
    validating: float = non_negative(120, description="seconds spent in VALIDATING")
    scheduled: float = non_negative(120, description="seconds spent in SCHEDULED when no date was requested")
    processing: float = non_negative(300, description="seconds spent in PROCESSING")
