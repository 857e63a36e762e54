"""Problems of an invalid jobs.yaml never contain a secret, wherever it is in the file."""

from __future__ import annotations

import string
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batchsync.errors import SpecError
from batchsync.spec import fill_in_lines

if TYPE_CHECKING:
    from tests.spec.conftest import Workshop

CREDENTIALS = 'credentials: {client_key: "${CRM_KEY}", api_token: "${file:/run/secrets/crm}"}'
#: Mistakes in place of the credentials; HERE is the secret.
MISTAKES = {
    "one level too high": f"{CREDENTIALS}\n    api_token: HERE",
    "a password": f"{CREDENTIALS}\n    password: HERE",
    "a mistyped credentials": "credential: {client_key: HERE, client_secret: HERE}",
    "in capitals": "CREDENTIALS: {client_key: HERE, api_token: HERE}",
    "a key in capitals": f"{CREDENTIALS}\n    API_TOKEN: HERE",
    "a quoted key": f'{CREDENTIALS}\n    "api_token": HERE',
    "a quoted value": f"{CREDENTIALS}\n    api_token: 'HERE'",
    "an escaped key": f'{CREDENTIALS}\n    "api\\x5ftoken": "HERE"',
    "an unknown key": f"{CREDENTIALS}\n    unknown: HERE",
    "a comment behind a brace": "credentials: {}#client_key: HERE\n    unknown: x",
    "a key with a space": f"{CREDENTIALS}\n    api token: HERE",
    "a block scalar": f"{CREDENTIALS}\n    api_token: |\n      HERE\n      HERE",
    "a folded scalar": f"{CREDENTIALS}\n    passphrase: >-\n      HERE\n      HERE",
    "several lines": f"{CREDENTIALS}\n    token: first\n      HERE\n      HERE",
    "quotes over several lines": f'{CREDENTIALS}\n    token: "first\n      HERE\n      HERE"',
    "a list": "credentials: [HERE, {client_key: HERE}, [HERE]]",
    "a list of entries": "credentials:\n      - client_key: HERE\n      - api_token: HERE",
    "an anchor": f"{CREDENTIALS}\n    token: &t HERE",
    "a secret as anchor": f"{CREDENTIALS}\n    token: &HERE",
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
    "a duplicate key": "credentials: {client_key: HERE, client_key: HERE}",
    "a mapping as a key": "credentials: {{client_key: HERE}: 1}",
    "a reference in a key": "credentials: {'${A}HERE': 1}",
    "a base url": "base_url: https://user:HERE@api-engage-eu.sitecorecloud.io\n    " + CREDENTIALS,
    "a base url with a query": "base_url: https://api-engage-eu.sitecorecloud.io?token=HERE\n    " + CREDENTIALS,
    "a base url with an incomplete reference": "base_url: https://user:HERE${@host\n    " + CREDENTIALS,
    "a proxy": f"{CREDENTIALS}\n    proxy: http://user:HERE@proxy:3128",
    "a proxy with a user only": f"{CREDENTIALS}\n    proxy: http://HERE@proxy:3128",
    "a proxy with a user that is a reference": f'{CREDENTIALS}\n    proxy: "http://${{U}}:HERE@proxy:3128"',
    "a proxy with a default": f'{CREDENTIALS}\n    proxy: "${{P:-http://user:HERE@proxy:3128}}"',
    "a proxy with a default password": f'{CREDENTIALS}\n    proxy: "http://${{U}}:${{P:-HERE}}@proxy:3128"',
    "a proxy as a mapping": f"{CREDENTIALS}\n    proxy: {{url: http://proxy:3128, password: HERE}}",
    "a proxy in a list": f"{CREDENTIALS}\n    proxy: [http://user:HERE@proxy:3128]",
    "a proxy among storage hosts": f"{CREDENTIALS}\n    storage_hosts: [http://user:HERE@proxy:3128]",
    "a url of another key": f"{CREDENTIALS}\n    ca_bundle: https://user:HERE@host/ca.pem\n    vendr: x",
    "a url with a typo": f"{CREDENTIALS}\n    ca_bundle: https:>//user:HERE@host/ca.pem",
    "a url without a scheme": f"{CREDENTIALS}\n    ca_bundle: user:HERE@host/ca.pem",
    "an incomplete reference": 'credentials: {client_key: "${HERE", api_token: "${T}"}',
    "an incomplete reference outside of credentials": f'{CREDENTIALS}\n    token: "${{HERE-"',
    "a default": 'credentials: {client_key: "${K:-HERE}", api_token: "${T}"}',
    "a default outside of credentials": f'{CREDENTIALS}\n    token: "${{K:-HERE}}"',
    "a number": f"{CREDENTIALS}\n    token: 0HERE",
    "no space": "credentials: {client_key:HERE, api_token:HERE}",
    "no space in a block": "credentials:\n      client_secret:HERE\n      api_token: HERE",
    "no space, one level too high": f"client_secret:HERE\n    {CREDENTIALS}",
    "a comment": f"{CREDENTIALS}  # was HERE\n    vendr: x  # HERE",
    "an open quote": 'credentials: {client_key: "HERE, api_token: "${T}"}',
    "an open quote outside of credentials": f'token: "HERE\n    {CREDENTIALS}',
    "an open brace": "credentials: {client_key: HERE, api_token: HERE",
    "a tab": "credentials:\n\t  client_key: HERE",
    "a tab after a key": "credentials:\n      client_key:\tHERE\n      client_key:\tHERE",
    "a bad escape": 'credentials: {client_key: "HERE\\q", api_token: "HERE"}',
    "a percent sign": f"{CREDENTIALS}\n    token: %HERE",
    "an at sign": "credentials: {client_key: @HERE, api_token: x}",
    "a comma in it": f"credentials: {{client_key: x,HERE, api_token: HERE: HERE}}\n    {CREDENTIALS}",
    "a key over two lines": "credentials: {client_key:HERE, a\npi_token:HERE}",
    "a key over several lines": f"{CREDENTIALS}\n    ? a\n\n      pi_token:HERE",
    "wrong indentation": f"{CREDENTIALS}\n     token: HERE\n   password: HERE",
    "an item among keys": f"{CREDENTIALS}\n    - HERE",
    "a line alone": f"{CREDENTIALS}\n    HERE\n    vendr: x",
    "a control character": f"{CREDENTIALS}\n    token: HERE\x01",
    "a second document": f"{CREDENTIALS}\n    token: HERE\n--- HERE\n",
    "the connections in capitals": f"{CREDENTIALS}\nConnections: {{crm: {{key: HERE}}}}",
    "a block of defaults": f"{CREDENTIALS}\nx-defaults: &x {{key: HERE, HERE: 1}}",
    "a connection that is a string": f"{CREDENTIALS}\n  other: HERE",
}
SECRETS = ("s3cr3t-abcdef99", "007123456789", "hunter2hunter2")


def all_output(workshop: Workshop, text: str) -> str:
    """Return the problems of an invalid file, and the masked form of every line of it."""
    with pytest.raises(SpecError) as caught:
        workshop.load(text)
    problems = caught.value.problems
    refilled = fill_in_lines(tuple(replace(problem, source_line="") for problem in problems))
    every_line = tuple(replace(problems[0], line=number, source_line="") for number in range(1, text.count("\n") + 2))
    return repr((problems, refilled, fill_in_lines(every_line)))


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("name", MISTAKES)
def test_secret_in_connections_is_never_shown(workshop: Workshop, name: str, secret: str) -> None:
    text = workshop.changed((CREDENTIALS, MISTAKES[name].replace("HERE", secret)), ("mode: upsert", "mode: upsrt"))
    assert secret not in all_output(workshop, text)


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
def test_value_of_secret_name_outside_connections_is_never_shown(workshop: Workshop, written: str) -> None:
    text = workshop.changed(("record:\n      guestType", written.replace("HERE", SECRETS[0]) + "\n      guestTyp"))
    assert SECRETS[0] not in all_output(workshop, text)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from(sorted(MISTAKES)),
    noise=st.text(alphabet="{}[]:,&*!|>'\"%@#- \n\t" + string.ascii_lowercase, max_size=6),
    at=st.integers(min_value=0, max_value=400),
)
def test_secret_is_hidden_despite_random_edit(workshop: Workshop, name: str, noise: str, at: int) -> None:
    text = workshop.changed((CREDENTIALS, MISTAKES[name].replace("HERE", SECRETS[0])), ("mode: upsert", "mode: upsrt"))
    text = text[:at] + noise + text[at:]
    if SECRETS[0] in text and "jobs:" not in text[: text.index(SECRETS[0])]:
        assert SECRETS[0] not in all_output(workshop, text)


def test_secret_next_to_credentials_is_reported(workshop: Workshop) -> None:
    text = workshop.changed((CREDENTIALS, f"{CREDENTIALS}\n    api_token: s3cr3tTOKEN99"))
    assert workshop.problems(text) == [
        (
            'jobs.yaml:7:5: unknown key "api_token"\n'
            "  7 |     api_token: *************\n"
            "    |     ^\n"
            "  expected one of vendor, base_url, credentials, ca_bundle, proxy, storage_hosts, poll_every, deadline, "
            "retry_for, in_flight, limits, renamed_from, data_model, identity_rules, attributes"
        ),
        (
            'jobs.yaml:7:16: "api_token": a literal secret outside of "credentials"\n'
            "  7 |     api_token: *************\n"
            "    |                ^\n"
            "  expected a reference: ${NAME} or ${file:/run/secrets/name}\n"
            "  write api_token: ${CRM_API_TOKEN}"
        ),
    ]


def test_values_that_are_no_secrets_are_shown(workshop: Workshop) -> None:
    text = workshop.changed(
        ("https://api-engage-eu.sitecorecloud.io", "https://api.example.com"),
        ('"${CARS_ID}"', '"${CARS_ID}", client_kye: "${CARS_KEY}"'),
        ("guestType: customer", "guestType: =tokenn"),
        ("email: =lower(email)", "password: =secret_word"),
    )
    shown = "\n".join(workshop.problems(text))
    for text in ("base_url: https://api.example.com", 'client_kye: "${CARS_KEY}"', "password: =secret_word"):
        assert text in shown
