"""What can be turned at the mock of Sitecore CDP: each place where sitecore-cdp.md, section 9 or 10, leaves a choice.

It does not know how the mock does what a switch says.
"""

from __future__ import annotations

from dataclasses import dataclass

from lading_mocks.switches import amount, choice, flag


@dataclass(frozen=True, slots=True, kw_only=True)
class SitecoreSwitches:
    """Each field is a switch; its default is the reading of the reference."""

    allocate_status: int = choice(200, 201, says="status of a good allocate; no page states it (10.1)")
    repeat_allocate: str = choice(
        "same", "refuse", says="a second PUT with the same body: 200 and a fresh URL, or 409 (10.2)"
    )
    largest: int = choice(52_428_800, 50_000_000, says="bytes of `50 MB`, by either reading (10.4)")
    late_size_check: bool = flag(says="a file above `largest` is allocated and ends as error (10.3)")
    plain_while_queued: str = choice(
        "uploading", "processing", "file_uploaded", says="what the plain endpoint shows for file_uploaded (10.8)"
    )
    error_body: str = choice(
        "platform", "more_info_url", "html", "empty", says="shape of the API's error bodies (10.7; mcp's moreInfoUrl)"
    )
    strict_content_type: bool = flag(says="the upload must say `Content-Type: application/gzip` (10.17)")
    strict_encryption: bool = flag(default=True, says="the upload must say `x-amz-server-side-encryption` (10.18)")
    strict_md5: bool = flag(says="the upload must carry `Content-Md5` (10.19)")
    size_as_string: bool = flag(says="`size` may be a string of digits, as seen in practice (section 9)")
    upper_checksum: str = choice("corrupted", "accepted", says="an upper-case hex checksum (10.20)")
    strict_attributes: bool = flag(says="unknown attributes of a record are a `Validation error` (10.26)")
    closed_lists: bool = flag(says="title, paymentType, cardType and fareClass take only the printed values (10.28)")
    strict_items: bool = flag(says="order items are checked on upsert as on insert (6.3)")
    guest_type_required: bool = flag(says="`guestType` is required, as its description says (section 9)")
    other_modes: bool = flag(says="`merge` and `create` are modes of guests and orders (4.3, errlog)")
    tracking: bool = flag(default=True, says="tracking events are taken, as older pages say (section 9)")
    delete_takes_orders: bool = flag(says="a plain guest delete removes orders too, as older text says (5.4)")
    empty_file: str = choice("success", "error", says="a file with no records (10.22)")
    blank_lines: str = choice("skip", "error", says="a blank line (10.23)")
    log_successes: bool = flag(says="the log lists processed records too, with 2xx codes (3.5)")
    log_code: str = choice("string", "integer", says="type of `code` in the log (section 9)")
    log_gzip: bool = flag(default=True, says="the log is gzip (10.16)")
    log_name: str = choice("log", "errorLog", says="name of the log's URL in list items; the page lost it (10.10)")
    stats: bool = flag(says="a status carries a statistics object; its names are lost, so they are invented (10.9)")
    page: int = choice(100, 10, 1000, says="default and greatest `limit` of the list (10.12)")
    list_order: str = choice("newest", "oldest", says="which batch the list shows first (10.13)")
    forgets: bool = flag(says="a batch older than 30 days is gone by id too (10.14)")
    url_lifetime: int = choice(3600, 60, 86_400, says="seconds an upload URL lives; one hour is documented")
    log_lifetime: int = choice(3600, 60, 86_400, says="seconds a log URL lives (10.15)")
    liar: bool = flag(says="a batch with failed records says success; its log is there all the same")
    bulk: bool = flag(says="for load tests: records are counted, values not judged, and the store stays empty")
    queue: float = amount(5, says="seconds spent as file_uploaded; nothing documents it (10.30)")
    processing: float = amount(10, says="seconds spent as processing")
