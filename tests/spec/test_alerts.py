"""`alerts:` of jobs.yaml: what is compiled, and every mistake with its place."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from batchsync.core.alert_channels import AppriseChannel, EmailChannel, WebhookChannel
from batchsync.core.alert_conditions import TRANSITIONS
from batchsync.util.path_fence import PathFence

if TYPE_CHECKING:
    from tests.spec.conftest import Workshop

    from batchsync.core.deployment import Deployment

HOOK = 'webhook: json, url: "${HOOK}"'
MAIL = "email: [ops@example.com], sender: batchsync@example.com, host: smtp.example.com"


def text(workshop: Workshop, alerts: str, job: str = "") -> str:
    """Return the valid file with a block of alerts, and further keys of the job guests."""
    changed = workshop.changed(("  guests:\n", f"  guests:\n    tags: [nightly]\n{job}"))
    return f"{changed}alerts: {alerts}\n"


def channel(workshop: Workshop, keys: str, job: str = "") -> str:
    return text(workshop, f"{{channels: {{ops: {{{keys}}}}}}}", job)


def loaded(workshop: Workshop, keys: str, **options: Any) -> Any:
    (found,) = workshop.load(channel(workshop, keys), **options).alerts.channels
    return found


def test_channels_of_every_kind(workshop: Workshop) -> None:
    hook = loaded(workshop, f'{HOOK}, secret: "${{S}}", proxy: "http://proxy.example.com:3128", ca_bundle: ca.pem')
    assert isinstance(hook, WebhookChannel)
    assert (hook.shape, hook.url, hook.secret, hook.proxy) == (
        "json",
        "${HOOK}",
        "${S}",
        "http://proxy.example.com:3128",
    )
    assert hook.ca_bundle == str(workshop.path.parent / "ca.pem")
    assert (hook.transitions, hook.jobs) == (frozenset(TRANSITIONS), {"guests", "checks"})
    mail = loaded(workshop, f'{MAIL}, user: "${{U}}", password: "${{file:/run/secrets/p}}"')
    assert isinstance(mail, EmailChannel)
    assert (mail.port, mail.tls, mail.user, mail.password) == (587, "starttls", "${U}", "${file:/run/secrets/p}")
    assert loaded(workshop, f"{MAIL}, tls: implicit").port == 465
    assert loaded(workshop, f"{MAIL}, tls: none, port: 2525").port == 2525
    assert loaded(workshop, 'apprise: ["${A}", "${B}"]') == AppriseChannel(
        name="ops", urls=("${A}", "${B}"), jobs=frozenset({"guests", "checks"})
    )


@pytest.mark.parametrize(
    ("jobs", "expected"),
    [
        ("[guests]", {"guests"}),
        ("[tag:nightly]", {"guests"}),
        ("['c*', tag:nightly]", {"guests", "checks"}),
        ("[connection:cars]", {"checks"}),
        ("[vendor:sitecore-cdp]", {"guests"}),
    ],
)
def test_channel_selects_jobs(workshop: Workshop, jobs: str, expected: set[str]) -> None:
    assert loaded(workshop, f"{HOOK}, jobs: {jobs}").jobs == expected


def test_job_names_its_channels(workshop: Workshop) -> None:
    def overrides(job: str) -> Any:
        deployment: Deployment = workshop.load(channel(workshop, HOOK, f"    alerts: {job}\n"))
        return deployment.alerts.overrides

    assert overrides("[ops]") == {"guests": ("ops",)}
    assert overrides("[]") == {"guests": ()}


def test_other_keys_and_their_defaults(workshop: Workshop) -> None:
    plain = workshop.load(workshop.valid).alerts
    assert (plain.channels, plain.ping, plain.late_after) == ((), "", timedelta(minutes=15))
    found = workshop.load(text(workshop, '{ping: "${CHECK}", late_after: 1h, proxy: "${PROXY}"}')).alerts
    assert (found.ping, found.ping_proxy, found.late_after) == ("${CHECK}", "${PROXY}", timedelta(hours=1))


def test_alerts_change_no_hash_of_a_job(workshop: Workshop) -> None:
    before = workshop.load(channel(workshop, HOOK)).jobs
    after = workshop.load(channel(workshop, MAIL, "    alerts: []\n")).jobs
    assert [job.spec_hash for job in before] == [job.spec_hash for job in after]


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ("on: [late]", 'channel "ops" has no kind'),
        (f"{HOOK}, email: [a@example.com]", 'channel "ops" has webhook and email'),
        ("webhook: slak, url: '${U}'", '"webhook" cannot be "slak"'),
        ("webhook: slack", '"ops" has no "url"'),
        (f"{HOOK}, on: []", '"on" is out of bounds'),
        (f"{HOOK}, on: [later]", '"on" cannot be "later"'),
        (f"{HOOK}, jobs: [guest]", '"jobs": unknown job "guest"'),
        (f"{HOOK}, jobs: [tag:weekly]", '"jobs": "tag:weekly" matches no job'),
        (f"{HOOK}, jobs: [result:failed]", '"result:failed" selects by runs, which change'),
        (f"{HOOK}, host: x", 'unknown key "host"'),
        ("webhook: slack, url: 'https://hooks.example.com/hunter2'", '"url": a literal secret'),
        ("webhook: slack, url: '${U:-https://hooks.example.com/hunter2}'", '"url": the default would store a secret'),
        (f"{HOOK}, secret: hunter2", '"secret": a literal secret'),
        (f"{HOOK}, proxy: 'http://user:hunter2@proxy:1'", '"proxy": its user and password are no references'),
        ("apprise: ['json://hunter2@host']", '"apprise": a literal secret'),
        (MAIL.replace("ops@", "ops\u00a0@"), "invalid e-mail address"),
        (MAIL.replace("batchsync@example.com", "'Ops <ops@example.com>'"), "invalid e-mail address"),
        (MAIL.replace("smtp.example.com", "'smtp://example.com'"), '"host" is not the name of a server'),
        (f'{MAIL}, user: "${{U}}"', 'a login without "password"'),
        (f'{MAIL}, password: "${{U}}"', 'a login without "user"'),
        (f'{MAIL}, user: "${{U}}", password: "${{P}}", tls: none', '"tls": none with a login'),
        (f"{MAIL}, port: 0", "port"),
    ],
)
def test_mistakes_of_channels(workshop: Workshop, keys: str, expected: str) -> None:
    (problem,) = workshop.problems(channel(workshop, keys))
    assert expected in problem
    assert "hunter2" not in problem


@pytest.mark.parametrize(
    ("alerts", "expected"),
    [
        ("5", '"alerts" is a number'),
        ("{channels: {ops: slack}}", '"ops" is not a mapping'),
        ("{channels: {Ops: {webhook: json, url: '${U}'}}}", 'invalid channel name "Ops"'),
        ("{channel: {}}", 'unknown key "channel"'),
        ("{ping: 'https://hc-ping.com/hunter2'}", '"ping": a literal secret'),
        ("{late_after: 15}", '"late_after": invalid duration'),
    ],
)
def test_mistakes_of_the_block(workshop: Workshop, alerts: str, expected: str) -> None:
    (problem,) = workshop.problems(text(workshop, alerts))
    assert expected in problem
    assert "hunter2" not in problem


def test_unknown_channel_of_a_job(workshop: Workshop) -> None:
    (problem,) = workshop.problems(channel(workshop, HOOK, "    alerts: [opps]\n"))
    assert 'unknown channel "opps"' in problem
    assert 'did you mean "ops"?' in problem
    (problem,) = workshop.problems(text(workshop, "{}", "    alerts: [ops]\n"))
    assert "a channel of alerts: {channels: ...}, or []" in problem


def test_files_of_channels_stay_within_the_roots(workshop: Workshop) -> None:
    fence = PathFence.below([str(workshop.path.parent)])
    for keys in (f"{HOOK}, ca_bundle: /etc/ca.pem", HOOK.replace("${HOOK}", "${file:/etc/url}")):
        known = workshop.problems(workshop.valid, fence=fence)
        problems = workshop.problems(channel(workshop, keys), fence=fence)
        assert len(problems) == len(known) + 1
        assert "ops" in problems[-1]
