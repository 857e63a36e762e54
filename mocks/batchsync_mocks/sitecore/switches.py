"""Switches of the Sitecore mock: each selects a behaviour that sitecore-cdp.md, section 9 or 10, leaves open."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from batchsync_mocks.sitecore.tenant import is_attributes, is_member_sets
from batchsync_mocks.switches import choice, flag, non_negative, structure


@dataclass(frozen=True, slots=True, kw_only=True)
class SitecoreSwitches:
    """Switches of `sitecore-cdp`; the defaults follow the reference."""

    allocate_status: int = choice(200, 201, description="status of a successful allocate; no page states it (10.1)")
    repeat_allocate: str = choice(
        "same", "refuse", description="a second PUT with the same body: 200 and a fresh URL, or 409 (10.2)"
    )
    largest: int = choice(52_428_800, 50_000_000, description="bytes of `50 MB`, decimal or binary (10.4)")
    late_size_check: bool = flag(description="a file above `largest` is allocated and ends as error (10.3)")
    plain_while_queued: str = choice(
        "uploading", "processing", "file_uploaded", description="what the plain endpoint shows for file_uploaded (10.8)"
    )
    error_body: str = choice(
        "platform",
        "more_info_url",
        "html",
        "empty",
        description="form of the API's error bodies (10.7; mcp's moreInfoUrl)",
    )
    strict_content_type: bool = flag(description="the upload must send `Content-Type: application/gzip` (10.17)")
    signature: str = choice(
        "v4",
        "v2",
        description="form of signed URLs: AWS Signature V4 as observed, or V2 of an old documentation sample (C2)",
    )
    strict_encryption: bool = flag(
        default=True, description="the upload must send `x-amz-server-side-encryption` (10.18)"
    )
    strict_md5: bool = flag(default=True, description="the upload must send `Content-Md5`, which is signed (10.19, C2)")
    size_as_string: bool = flag(default=True, description="`size` may be a string of digits, as seen in practice (C6)")
    upper_checksum: str = choice("corrupted", "accepted", description="an upper-case hex checksum (10.20)")
    data_model: str = choice(
        "any",
        "2.0",
        "2.1",
        description="data model: 2.0 takes extensions of any name and key, 2.1 identifies by identifiers only (C3)",
    )
    identity_rules: list[list[str]] | None = field(
        default=None,
        metadata=structure(
            is_member_sets,
            form="a list of lists of attributes",
            description="what identifies a guest of a tenant not of 2.1 (C3); null is identifiers or email (5.1)",
        ),
    )
    attributes: dict[str, Any] | None = field(
        default=None,
        metadata=structure(
            is_attributes,
            form="the content of a file of attributes",
            description="attributes of the tenant's extensions; others are undefined (C4); null knows any attribute",
        ),
    )
    undefined_attribute: str = choice(
        "Validation error",
        "Undefined attribute",
        description="message of the log for an undefined attribute: the documented one, or its cause",
    )
    strict_attributes: bool = flag(description="unknown attributes of a record are a `Validation error` (10.26)")
    closed_lists: bool = flag(
        description="title, paymentType, cardType and fareClass accept only the printed values (10.28)"
    )
    strict_items: bool = flag(description="order items are checked on upsert as on insert (6.3)")
    guest_type_required: bool = flag(description="`guestType` is required, as its description says (section 9)")
    other_modes: bool = flag(description="`merge` and `create` are modes of guests and orders (4.3, errlog)")
    tracking: bool = flag(default=True, description="tracking events are accepted, as older pages say (section 9)")
    delete_takes_orders: bool = flag(description="a plain guest delete removes orders too, as older text says (5.4)")
    empty_file: str = choice("success", "error", description="a file with no records (10.22)")
    blank_lines: str = choice("skip", "error", description="a blank line (10.23)")
    log_successes: bool = flag(description="the log lists processed records too, with 2xx codes (3.5)")
    log_code: str = choice("string", "integer", description="type of `code` in the log (section 9)")
    log_gzip: bool = flag(default=True, description="the log is gzip (10.16)")
    log_after: float = non_negative(0, description="seconds after the end until a status carries the log's URL")
    log_form: str = choice(
        "lines", "array", "bom", "padded", description="JSON lines; or an array, a byte-order mark, blanks around `ref`"
    )
    log_name: str = choice(
        "log", "errorLog", description="name of the log's URL in list items; missing on the page (10.10)"
    )
    stats: bool = flag(description="a status carries a statistics object; the names are invented (10.9)")
    page: int = choice(100, 10, 1000, description="default and greatest `limit` of the list (10.12)")
    list_order: str = choice("newest", "oldest", description="order of the list (10.13)")
    forget_old: bool = flag(description="a batch older than 30 days is unknown by id, too (10.14)")
    url_lifetime: int = choice(3600, 60, 86_400, description="seconds an upload URL lives; one hour is documented")
    log_lifetime: int = choice(3600, 60, 86_400, description="seconds a log URL lives (10.15)")
    false_success: bool = flag(description="a batch with failed records reports success; its log still exists")
    bulk: bool = flag(
        description="for load tests: records are counted, values are not validated, and the store stays empty"
    )
    queue: float = non_negative(5, description="seconds spent as file_uploaded; nothing documents it (10.30)")
    processing: float = non_negative(10, description="seconds spent as processing")
