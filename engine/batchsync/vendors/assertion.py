"""JSON Web Tokens of a vendor spec, signed with a private key. Imported only where a connection signs one.

Errors of the packages may describe a key, so that failures are raised outside of `except` blocks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jwt
from cryptography.exceptions import UnsupportedAlgorithm

from batchsync.errors import UnavailableError
from batchsync.vendors.signing import Values, moment
from batchsync.vendors.template import fill_all

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from batchsync.core.vendor_auth import Assertion


class AssertionSigner:
    """Signer of the assertions of a connection."""

    def __init__(self, rules: Assertion, credentials: Mapping[str, str], token_url: str) -> None:
        """Read the private key.

        Args:
            rules: The assertion of the vendor spec.
            credentials: Values of credentials, by name.
            token_url: Absolute URL of the token call.

        Raises:
            UnavailableError: If the credential is no private key of the algorithm. The message contains nothing of it.
        """
        self._rules = rules
        self._known: Values = {f"credentials.{name}": item for name, item in credentials.items()}
        self._known["token_url"] = token_url
        # A variable of the environment often has the line ends of a key as backslash and n.
        text = credentials[rules.key].replace("\\n", "\n")
        self._key: Any = None
        try:
            key = jwt.get_algorithm_by_name(rules.algorithm.value).prepare_key(text)
            jwt.encode({}, key, algorithm=rules.algorithm.value)
        except (jwt.PyJWTError, UnsupportedAlgorithm, ValueError, TypeError, AttributeError):
            pass
        else:
            self._key = key
        if self._key is None:
            raise UnavailableError(
                f"the credential {rules.key} is no private key in PEM, without a passphrase, for {rules.algorithm}",
                hint="give the whole text, from the BEGIN line to the END line: `${file:/run/secrets/key.pem}`",
                name="environment.secret",
            )

    def sign(self, now: datetime) -> str:
        """Return an assertion that begins to be valid now.

        Args:
            now: The time (UTC), by the vendor's clock.
        """
        known = {**self._known, **moment(now)}
        known["time.end"] = int((now + self._rules.lifetime).timestamp())
        claims, headers = fill_all(self._rules.claims, known), fill_all(self._rules.headers, known)
        return str(jwt.encode(claims, self._key, algorithm=self._rules.algorithm.value, headers=headers))
