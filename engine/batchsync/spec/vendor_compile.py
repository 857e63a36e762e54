"""Compiles the model of a `vendor.yaml` into the plain values of `lading.core.vendor_rules`, member by member.

It does not know files, nor whether what it compiles makes sense: `vendor_spec` has asked that before.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from lading.core.batch import Verdict
from lading.core.policy import Policy
from lading.core.vendor_rules import (
    AuthRules,
    Call,
    Case,
    Choice,
    DescribeRules,
    Dialect,
    Download,
    ErrorLayout,
    ErrorsRules,
    FileRules,
    Limits,
    RowLogRules,
    VendorRules,
)
from lading.spec.vendor_model import seconds

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lading.core.record_schema import RecordSchema
    from lading.spec.vendor_model import (
        AuthModel,
        CallModel,
        DescribeModel,
        DownloadModel,
        ErrorsModel,
        LimitsModel,
        PolicyModel,
        VendorModel,
    )

#: What a status word may mean beside a verdict.
GOING_ON = frozenset({"running", "empty"})


def compiled(model: VendorModel, schemas: Mapping[str, RecordSchema]) -> VendorRules:
    """Return the rules of a vendor."""
    words = {word: meaning for word, meaning in model.words.items() if word != "source"}
    layout = model.row_log.errors.model_dump()
    for name in ("ignored_codes", "retry_codes", "gone_codes"):
        layout[name] = tuple(layout[name])
    return VendorRules(
        name=model.name,
        title=model.title,
        default_base_url=model.connection.base_url,
        api_hosts=tuple(model.connection.api_hosts),
        storage_hosts=tuple(model.connection.storage_hosts),
        credentials=tuple(model.connection.credentials),
        account_credential=model.connection.account,
        target_keys={key: need == "required" for key, need in model.target.keys.items()},
        lookup=model.modes.lookup,
        modes=tuple(model.modes.send),
        removal_modes=tuple(model.modes.removal),
        file=FileRules(**model.file.model_dump(exclude={"source"})),
        policy=_policy(model.policy),
        row_log=RowLogRules(
            **model.row_log.model_dump(exclude={"source", "errors"}),
            errors=ErrorLayout(**layout),
        ),
        words={word: Verdict(meaning) for word, meaning in words.items() if meaning not in GOING_ON},
        schemas=schemas,
        dialect=_dialect(model, words),
        default_schema=model.target.default_schema,
        target_beside=tuple(model.target.beside),
    )


def _policy(model: PolicyModel) -> Policy:
    return Policy(
        allocation_in_doubt=model.allocation_in_doubt,
        allocate_repeatable=model.allocate_repeatable,
        ask_after=seconds(model.ask_after),
        poll_first=seconds(model.poll_first),
        poll_most=seconds(model.poll_most),
        poll_growth=model.poll_growth,
        deadline=seconds(model.deadline),
        in_flight_max=model.in_flight_max,
    )


def _dialect(model: VendorModel, words: Mapping[str, str]) -> Dialect | None:
    """Return how to speak HTTP to the vendor; None when the spec does not say, and a Python class does it."""
    results, auth, limits = model.results, model.connection.auth, model.connection.limits
    if not (model.describe and model.allocate and model.upload and model.poll and auth and limits):
        return None
    return Dialect(
        auth=_auth(auth),
        describe=_describe(model.describe),
        allocate=_call(model.allocate, intent=not model.policy.allocate_repeatable),
        upload=_call(model.upload, intent=True),
        poll=_call(model.poll),
        find=_call(model.find) if model.find else None,
        cancel=_call(model.cancel) if model.cancel else None,
        words={word.casefold(): meaning for word, meaning in words.items()},
        results=_download(results) if results else None,
        errors=_errors(model.errors) if model.errors else None,
        lost_after=model.lost_after,
        results_again=seconds(results.again) if results else timedelta(minutes=1),
        results_counter=results.counter if results else None,
        limits=_limits(limits),
    )


def _call(model: CallModel, *, intent: bool = False) -> Call:
    return Call(
        method=model.method,
        url=model.url,
        door=model.door,
        headers=dict(model.headers),
        json=dict(model.json_body) if model.json_body is not None else None,
        form=dict(model.form) if model.form is not None else None,
        sends_file=model.sends_file,
        intent=intent,
        cases=tuple(Case(status=one.status, means=one.means, says=one.says) for one in model.cases),
        read={name: tuple(pointers) for name, pointers in model.read.items()},
    )


def _auth(model: AuthModel) -> AuthRules:
    return AuthRules(
        kind=model.kind,
        headers=dict(model.headers),
        user=model.user,
        password=model.password,
        token=_call(model.token) if model.token else None,
        renew_before=seconds(model.renew_before),
        lifetime=seconds(model.lifetime),
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
        locate=_call(model.locate) if model.locate else None,
    )


def _errors(model: ErrorsModel) -> ErrorsRules:
    return ErrorsRules(
        ways=tuple(_download(one) for one in model.ways),
        verdicts=frozenset(model.verdicts),
        counters=tuple(model.counters),
    )


def _limits(model: LimitsModel) -> Limits:
    return Limits(
        connect=seconds(model.connect),
        read=seconds(model.read),
        whole=seconds(model.whole),
        answer_max=model.answer_max,
        file_max=model.file_max,
        expanded_max=model.expanded_max,
    )
