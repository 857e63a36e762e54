"""Presigned URLs as botocore makes them, from the description of AWS alone.

https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Signer:
    """Credentials, region and time of a signature; the time like 20130524T000000Z."""

    key_id: str
    secret: str
    region: str
    at: str
    token: str = ""

    def url(self, verb: str, url: str, headers: Mapping[str, str], lifetime: int) -> str:
        """Return a URL that is signed for a method and headers, with host, in lower case."""
        target, scope = urlsplit(url), f"{self.at[:8]}/{self.region}/s3/aws4_request"
        signed = dict(sorted({**headers, "host": target.netloc}.items()))
        query = {
            "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
            "X-Amz-Credential": f"{self.key_id}/{scope}",
            "X-Amz-Date": self.at,
            "X-Amz-Expires": str(lifetime),
            "X-Amz-SignedHeaders": ";".join(signed),
            **({"X-Amz-Security-Token": self.token} if self.token else {}),
        }
        pairs = {name: quote(value, safe="-_.~") for name, value in query.items()}
        canonical = [
            verb,
            target.path,
            "&".join(f"{name}={pairs[name]}" for name in sorted(pairs)),
            *(f"{name}:{value}" for name, value in signed.items()),
            "",
            ";".join(signed),
            "UNSIGNED-PAYLOAD",
        ]
        digest = hashlib.sha256("\n".join(canonical).encode()).hexdigest()
        key = f"AWS4{self.secret}".encode()
        for part in scope.split("/"):
            key = hmac.digest(key, part.encode(), "sha256")
        signature = hmac.digest(key, f"AWS4-HMAC-SHA256\n{self.at}\n{scope}\n{digest}".encode(), "sha256").hex()
        return f"{url}?" + "&".join(f"{n}={v}" for n, v in {**pairs, "X-Amz-Signature": signature}.items())
