"""Compile the model of a `vendor.yaml`, validated by `vendor_spec`, into `batchsync.core.vendor_rules`."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING

from batchsync.core.account_limits import AccountLimits
from batchsync.core.policy import Policy
from batchsync.core.vendor_auth import Assertion, RequestSignature
from batchsync.core.vendor_calls import (
    AnswerForm,
    AuthRules,
    Call,
    CallName,
    Choice,
    DescribeRules,
    Dialect,
    Download,
    ErrorsRules,
    Limits,
    ListItem,
    Pages,
    Part,
    ResponseRule,
)
from batchsync.core.vendor_rules import ErrorLayout, FileRules, RowLogRules, TableForm, VendorRules
from batchsync.spec.vendor_call_models import BatchCallModel
from batchsync.spec.vendor_settings import compile_settings_of
from batchsync.util.durations import parse_duration

if TYPE_CHECKING:
    from collections.abc import Mapping

    from batchsync.core.record_schema import RecordSchema
    from batchsync.spec.vendor_auth_models import AssertionModel, AuthModel
    from batchsync.spec.vendor_call_models import CallModel, DownloadModel
    from batchsync.spec.vendor_model import DescribeModel, ErrorsModel, LimitsModel, VendorModel

#: Meanings of a vendor status that are not verdicts.
PENDING_MEANINGS = frozenset({"running", "empty"})


def compile_vendor(
    model: VendorModel,
    schemas: Mapping[str, RecordSchema],
    loosest: Mapping[str, RecordSchema],
    chosen: Mapping[str, str],
) -> VendorRules:
    """Return the rules of a vendor.

    Args:
        model: The vendor spec, with the changes of the chosen values of its settings.
        schemas: Record schemas by name, with the same changes.
        loosest: Record schemas by name that take what those of any values take.
        chosen: Chosen values by setting.
    """
    statuses = {status: meaning for status, meaning in model.statuses.items() if status != "source"}
    layout = model.row_log.errors.model_dump()
    for name in ("ignored_codes", "retry_codes", "already_absent_codes"):
        layout[name] = tuple(layout[name])
    layout["only"] = {member: tuple(values) for member, values in layout["only"].items()}
    return VendorRules(
        name=model.name,
        title=model.title,
        default_base_url=model.connection.base_url,
        api_hosts=tuple(model.connection.api_hosts),
        storage_hosts=tuple(model.connection.storage_hosts),
        credentials=tuple(model.connection.credentials),
        account_credential=model.connection.account,
        target_keys={key: need == "required" for key, need in model.target.keys.items()},
        modes=dict(model.modes.sends),
        keeps_absent=frozenset(model.modes.keeps_absent),
        erases=frozenset(model.modes.erases),
        one_mode_per_batch=model.modes.one_per_batch,
        file=FileRules(**model.file.model_dump(exclude={"source"})),
        policy=_policy(model),
        row_log=RowLogRules(
            **model.row_log.model_dump(exclude={"source", "errors", "tables"}),
            errors=ErrorLayout(**layout),
            tables=TableForm(**model.row_log.tables.model_dump()),
        ),
        schemas=schemas,
        dialect=_dialect(model, statuses),
        default_schema=model.target.default_schema,
        non_identity_keys=tuple(model.target.non_identity_keys),
        in_init=model.in_init,
        settings=compile_settings_of(model),
        chosen=dict(chosen),
        loosest_schemas=loosest,
    )


def _policy(model: VendorModel) -> Policy:
    policy, calls = model.policy, {call.call: call for call in model.calls}
    return Policy(
        account=_account(model.connection.limits),
        on_unknown_allocation=policy.on_unknown_allocation,
        on_unknown_upload=policy.on_unknown_upload,
        on_unknown_commit=policy.on_unknown_commit,
        allocate_repeatable=policy.allocate_repeatable,
        # A Python package has no calls here, and allocates.
        allocates=not calls or CallName.ALLOCATE in calls,
        recognizes_batches=not calls or _names_batches(calls),
        commits=CallName.COMMIT in calls,
        commit_repeatable=policy.commit_repeatable,
        ask_after=parse_duration(policy.ask_after),
        empty_max=parse_duration(policy.empty_max),
        poll_first=parse_duration(policy.poll_first),
        poll_max=parse_duration(policy.poll_max),
        poll_growth=policy.poll_growth,
        deadline=parse_duration(policy.deadline),
        grace=parse_duration(policy.poll_max) * policy.grace_polls,
        retry_for=parse_duration(policy.retry_for) if policy.retry_for is not None else None,
        backoff_max=parse_duration(policy.backoff_max),
        foreign_answers_max=policy.foreign_answers_max,
        processing_time=parse_duration(policy.processing_time) if policy.processing_time is not None else None,
        in_flight_max=policy.in_flight_max,
    )


def _names_batches(calls: Mapping[CallName, BatchCallModel]) -> bool:
    """Return whether the first request about a batch carries our idempotency key."""
    first = next((calls[name] for name in (CallName.ALLOCATE, CallName.UPLOAD) if name in calls), None)
    sent = json.dumps([first.url, first.headers, first.json_body, first.form]) if first is not None else ""
    return "{idempotency_key}" in sent or (CallName.ALLOCATE not in calls and "{allocation.id}" in sent)


def _dialect(model: VendorModel, statuses: Mapping[str, str]) -> Dialect | None:
    """Return the HTTP dialect of the vendor; None if a Python package implements the client instead."""
    results, auth, limits = model.results, model.connection.auth, model.connection.limits
    if not (model.describe and model.calls and auth and limits):
        return None
    repeatable = {
        CallName.ALLOCATE: model.policy.allocate_repeatable,
        CallName.UPLOAD: False,
        CallName.COMMIT: model.policy.commit_repeatable,
    }
    return Dialect(
        auth=_auth(auth),
        describe=_describe(model.describe),
        calls={call.call: _call(call, intent=not repeatable.get(call.call, True)) for call in model.calls},
        vendor_statuses={status.casefold(): meaning for status, meaning in statuses.items()},
        counts=_call(model.counts) if model.counts else None,
        results=_download(results) if results else None,
        errors=_errors(model.errors) if model.errors else None,
        unprocessed=_download(model.unprocessed) if model.unprocessed else None,
        results_retry_after=parse_duration(results.again) if results else timedelta(minutes=1),
        results_counter=results.counter if results else None,
        limits=_limits(limits),
    )


def _answer_of(model: CallModel) -> AnswerForm:
    """Return the form of a successful response to a call."""
    if model.answer is not None:
        return model.answer
    if model.read or model.item is not None:
        return AnswerForm.JSON
    return AnswerForm.DOCUMENT if isinstance(model, BatchCallModel) else AnswerForm.ANY


def _call(model: CallModel, *, intent: bool = False) -> Call:
    return Call(
        method=model.method,
        url=model.url,
        endpoint=model.endpoint,
        headers=dict(model.headers),
        json=dict(model.json_body) if model.json_body is not None else None,
        form=dict(model.form) if model.form is not None else None,
        sends_file=model.sends_file,
        intent=intent,
        responses=tuple(
            ResponseRule(status=rule.status, means=rule.means, body_contains=rule.body_contains)
            for rule in model.responses
        ),
        read={name: tuple(pointers) for name, pointers in model.read.items()},
        item=ListItem(**model.item.model_dump()) if model.item else None,
        answer=_answer_of(model),
        parts=tuple(
            Part(
                name=part.name or "",
                json=part.json_body,
                text=part.text,
                filename=part.filename,
                type=part.type,
                fields=part.fields,
            )
            for part in model.parts
        ),
    )


def _auth(model: AuthModel) -> AuthRules:
    return AuthRules(
        kind=model.kind,
        base_url=model.base_url,
        headers=dict(model.headers),
        user=model.user,
        password=model.password,
        token=_call(model.token) if model.token else None,
        assertion=_assertion(model.assertion) if model.assertion else None,
        signature=RequestSignature(**model.signature.model_dump(exclude={"source"})) if model.signature else None,
        renew_before=parse_duration(model.renew_before),
        lifetime=parse_duration(model.lifetime),
    )


def _assertion(model: AssertionModel) -> Assertion:
    return Assertion(
        **model.model_dump(exclude={"source", "lifetime"}),
        lifetime=parse_duration(model.lifetime),
    )


def _describe(model: DescribeModel) -> DescribeRules:
    choice = model.choice
    return DescribeRules(
        check=_call(model.check) if model.check else None,
        choice=Choice(
            call=_call(choice.call),
            target=choice.target,
            param=choice.param,
            ids=tuple(choice.ids),
            names=tuple(choice.names),
            descriptions=tuple(choice.descriptions),
        )
        if choice
        else None,
        template=_call(model.template) if model.template else None,
        params=dict(model.params),
    )


def _download(model: DownloadModel) -> Download:
    return Download(
        save_as=model.save_as,
        call=_call(model.call),
        locate=tuple(_call(item) for item in model.locate),
        pages=Pages(**model.pages.model_dump()) if model.pages else None,
    )


def _errors(model: ErrorsModel) -> ErrorsRules:
    return ErrorsRules(
        downloads=tuple(_download(item) for item in model.downloads),
        verdicts=frozenset(model.verdicts),
        counters=tuple(model.counters),
    )


def _limits(model: LimitsModel) -> Limits:
    return Limits(
        connect=parse_duration(model.connect),
        read=parse_duration(model.read),
        answer=parse_duration(model.answer),
        whole=parse_duration(model.whole),
        answer_max=model.answer_max,
        file_max=model.file_max,
        expanded_max=model.expanded_max,
    )


def _account(model: LimitsModel | None) -> AccountLimits:
    if model is None:
        return AccountLimits()
    return AccountLimits(
        calls_per_minute=model.calls_per_minute,
        calls_per_day=model.calls_per_day,
        rows_per_day=model.rows_per_day,
        bytes_per_day=model.bytes_per_day,
    )
