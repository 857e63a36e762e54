"""Whatever is wrong with a jobs.yaml, no secret in it comes out of lading, wherever somebody put it."""

from __future__ import annotations

import string
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lading.errors import SpecError
from lading.spec import fill_in_lines

if TYPE_CHECKING:
    from tests.spec.conftest import Workshop

CREDENTIALS = 'credentials: {client_key: "${CRM_KEY}", api_token: "${file:/run/secrets/crm}"}'
#: What a person may write in place of the credentials, HERE being the secret.
ASTRAY = {
    "one level too high": f"{CREDENTIALS}\n    api_token: HERE",
    "a password": f"{CREDENTIALS}\n    password: HERE",
    "a mistyped credentials": "credential: {client_key: HERE, client_secret: HERE}",
    "in capitals": "CREDENTIALS: {client_key: HERE, api_token: HERE}",
    "a key in capitals": f"{CREDENTIALS}\n    API_TOKEN: HERE",
    "a quoted key": f'{CREDENTIALS}\n    "api_token": HERE',
    "a quoted value": f"{CREDENTIALS}\n    api_token: 'HERE'",
    "an escaped key": f'{CREDENTIALS}\n    "api\\x5ftoken": "HERE"',
    "a key nobody knows": f"{CREDENTIALS}\n    whatever: HERE",
    "a key with a space": f"{CREDENTIALS}\n    api token: HERE",
    "a block scalar": f"{CREDENTIALS}\n    api_token: |\n      HERE\n      HERE",
    "a folded scalar": f"{CREDENTIALS}\n    passphrase: >-\n      HERE\n      HERE",
    "several lines": f"{CREDENTIALS}\n    token: first\n      HERE\n      HERE",
    "quotes over several lines": f'{CREDENTIALS}\n    token: "first\n      HERE\n      HERE"',
    "a list": "credentials: [HERE, {client_key: HERE}, [HERE]]",
    "a list of entries": "credentials:\n      - client_key: HERE\n      - api_token: HERE",
    "an anchor": f"{CREDENTIALS}\n    token: &t HERE",
    "an anchor that is one": f"{CREDENTIALS}\n    token: &HERE",
    "an anchor before a block": "credentials: &HERE {client_key: HERE, api_token: *HERE}",
    "an alias": f"{CREDENTIALS}\n    token: *HERE",
    "a tag": f"{CREDENTIALS}\n    token: !HERE HERE",
    "a tag and an anchor": f"{CREDENTIALS}\n    token: !x &HERE HERE",
    "a merge key": f"{CREDENTIALS}\n    <<: {{api_token: HERE}}",
    "a merged alias": f"{CREDENTIALS}\n    <<: *HERE",
    "a key": "credentials: {HERE: client_key, api_token: HERE}",
    "a key without a value": "credentials: {HERE, api_token: HERE}",
    "a key of a connection": f"{CREDENTIALS}\n    HERE: true",
    "a key without a colon": f"{CREDENTIALS}\n    ? HERE",
    "a key twice": "credentials: {client_key: HERE, client_key: HERE}",
    "a mapping as a key": "credentials: {{client_key: HERE}: 1}",
    "a reference in a key": "credentials: {'${A}HERE': 1}",
    "a base url": "base_url: https://user:HERE@api-engage-eu.sitecorecloud.io\n    " + CREDENTIALS,
    "a base url with a query": "base_url: https://api-engage-eu.sitecorecloud.io?token=HERE\n    " + CREDENTIALS,
    "a base url that is half a reference": "base_url: https://user:HERE${@host\n    " + CREDENTIALS,
    "another url": f"{CREDENTIALS}\n    ca_bundle: https://user:HERE@host/ca.pem\n    vendr: x",
    "a url with a slip": f"{CREDENTIALS}\n    ca_bundle: https:>//user:HERE@host/ca.pem",
    "a url without a scheme": f"{CREDENTIALS}\n    ca_bundle: user:HERE@host/ca.pem",
    "a comment right behind a brace": "credentials: {}#client_key: HERE\n    vendr: x",
    "half a reference": 'credentials: {client_key: "${HERE", api_token: "${T}"}',
    "half a reference astray": f'{CREDENTIALS}\n    token: "${{HERE-"',
    "a default": 'credentials: {client_key: "${K:-HERE}", api_token: "${T}"}',
    "a default astray": f'{CREDENTIALS}\n    token: "${{K:-HERE}}"',
    "a number": f"{CREDENTIALS}\n    token: 0HERE",
    "no space": "credentials: {client_key:HERE, api_token:HERE}",
    "no space in a block": "credentials:\n      client_secret:HERE\n      api_token: HERE",
    "no space one level up": f"client_secret:HERE\n    {CREDENTIALS}",
    "a comment": f"{CREDENTIALS}  # was HERE\n    vendr: x  # HERE",
    "an open quote": 'credentials: {client_key: "HERE, api_token: "${T}"}',
    "an open quote astray": f'token: "HERE\n    {CREDENTIALS}',
    "an open brace": "credentials: {client_key: HERE, api_token: HERE",
    "a tab": "credentials:\n\t  client_key: HERE",
    "a tab after a key": "credentials:\n      client_key:\tHERE\n      client_key:\tHERE",
    "a bad escape": 'credentials: {client_key: "HERE\\q", api_token: "HERE"}',
    "a percent sign": f"{CREDENTIALS}\n    token: %HERE",
    "an at sign": "credentials: {client_key: @HERE, api_token: x}",
    "a comma in it": f"credentials: {{client_key: x,HERE, api_token: HERE: HERE}}\n    {CREDENTIALS}",
    "a key over two lines": "credentials: {client_key:HERE, a\npi_token:HERE}",
    "a key over several lines": f"{CREDENTIALS}\n    ? a\n\n      pi_token:HERE",
    "the wrong indentation": f"{CREDENTIALS}\n     token: HERE\n   password: HERE",
    "an item among keys": f"{CREDENTIALS}\n    - HERE",
    "a line alone": f"{CREDENTIALS}\n    HERE\n    vendr: x",
    "a control character": f"{CREDENTIALS}\n    token: HERE\x01",
    "a second document": f"{CREDENTIALS}\n    token: HERE\n--- HERE\n",
    "the connections in capitals": f"{CREDENTIALS}\nConnections: {{crm: {{key: HERE}}}}",
    "a block of defaults": f"{CREDENTIALS}\nx-defaults: &x {{key: HERE, HERE: 1}}",
    "a connection that is a text": f"{CREDENTIALS}\n  other: HERE",
}
SECRETS = ("s3cr3t-abcdef99", "007123456789", "hunter2hunter2")


def everything_said(workshop: Workshop, text: str) -> str:
    """Return all that is said of a broken file, in whichever form, and of the places once more without their lines."""
    with pytest.raises(SpecError) as caught:
        workshop.load(text)
    problems = caught.value.problems
    again = fill_in_lines(tuple(replace(one, source_line="") for one in problems))
    every_line = tuple(replace(problems[0], line=number, source_line="") for number in range(1, text.count("\n") + 2))
    return repr((problems, again, fill_in_lines(every_line)))


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("name", ASTRAY)
def test_no_line_of_the_file_shows_a_secret_in_its_connections(workshop: Workshop, name: str, secret: str) -> None:
    text = workshop.changed((CREDENTIALS, ASTRAY[name].replace("HERE", secret)), ("mode: upsert", "mode: upsrt"))
    assert secret not in everything_said(workshop, text)


@pytest.mark.parametrize(
    "written",
    [
        "record:\n      password: HERE",
        "record:\n      guestType: customer\n      api_token: HERE\n      api_token: HERE",
        'record:\n      "Api-Key": HERE',
        "source: {path: 'https://user:HERE@host/guests.csv', kye: id}\n    record:",
        "credentials: {anything: HERE}\n    record:",
        "client_secret:HERE\n    record:",
        'record:\n      token: "HERE\n      mode: x',
    ],
)
def test_no_line_shows_a_value_whose_name_says_secret_anywhere_else(workshop: Workshop, written: str) -> None:
    text = workshop.changed(("record:\n      guestType", written.replace("HERE", SECRETS[0]) + "\n      guestTyp"))
    assert SECRETS[0] not in everything_said(workshop, text)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from(sorted(ASTRAY)),
    noise=st.text(alphabet="{}[]:,&*!|>'\"%@#- \n\t" + string.ascii_lowercase, max_size=6),
    at=st.integers(min_value=0, max_value=400),
)
def test_no_slip_of_the_keyboard_brings_a_secret_out(workshop: Workshop, name: str, noise: str, at: int) -> None:
    text = workshop.changed((CREDENTIALS, ASTRAY[name].replace("HERE", SECRETS[0])), ("mode: upsert", "mode: upsrt"))
    text = text[:at] + noise + text[at:]
    if SECRETS[0] in text and "jobs:" not in text[: text.index(SECRETS[0])]:
        assert SECRETS[0] not in everything_said(workshop, text)


def test_a_secret_beside_the_credentials_is_told_to_be_one(workshop: Workshop) -> None:
    text = workshop.changed((CREDENTIALS, f"{CREDENTIALS}\n    api_token: s3cr3tTOKEN99"))
    assert workshop.problems(text) == [
        (
            'jobs.yaml:7:5: unknown key "api_token"\n'
            "  7 |     api_token: *************\n"
            "    |     ^\n"
            "  expected one of vendor, base_url, credentials, ca_bundle, poll_every, deadline, in_flight"
        ),
        (
            'jobs.yaml:7:16: "api_token": a literal secret, and outside of "credentials"\n'
            "  7 |     api_token: *************\n"
            "    |                ^\n"
            "  expected a reference: ${NAME} or ${file:/run/secrets/name}\n"
            "  write api_token: ${CRM_API_TOKEN}"
        ),
    ]


def test_what_is_no_secret_is_shown(workshop: Workshop) -> None:
    text = workshop.changed(
        ("https://api-engage-eu.sitecorecloud.io", "https://api.example.com"),
        ('"${CARS_ID}"', '"${CARS_ID}", client_kye: "${CARS_KEY}"'),
        ("guestType: customer", "guestType: =tokenn"),
        ("email: =lower(email)", "password: =secret_word"),
    )
    shown = "\n".join(workshop.problems(text))
    for piece in ("base_url: https://api.example.com", 'client_kye: "${CARS_KEY}"', "password: =secret_word"):
        assert piece in shown
