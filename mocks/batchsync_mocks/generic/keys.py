"""Keys of the generic mock: the private key that a client signs with, as a credential, and checks of signatures.

The keys are constants, as all credentials of the mocks are. They protect nothing.
"""

from __future__ import annotations

import base64
import functools
import json
from typing import TYPE_CHECKING, Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.hashes import HashAlgorithm

#: Primes of the RSA key of 2,048 bits.
_P = int(
    "fbbb6c53fc7da4f7033e0bbf06eba01970356e6962053645900fa9fb81fcacb17bd0944d431d5d5966f1b189f2ebc1c8154f73c90ef62811"
    "c37de4581868b17fa15e5a2ebcee528904f877a85e1ef87043d8045ccacb56a8263a98c68f7324902eedccc42477ef3f6cb82a41f9b188cb"
    "d4f0cb66bb6e2b865a5d9a6110eae2a1",
    16,
)
_Q = int(
    "ddd4cb33034042378f1ac1e83dd6b400c130dcb055d3a278faa8e0b1b9b6e7b191ee86f951b9acd58a6b06570467e2ca3d81cea19aa2c882"
    "6d60352dcfe3635a66658de8b196e0392526e77c0952562533ee6c4cbc5492d2df6d615076d780702209d09eb6e235417e8b220fb4dd65dd"
    "6d93be77df8a938591986cb52ee21d8d",
    16,
)
_EXPONENT = 65_537
_SCALAR = 0x6E6F742D612D7265616C2D6B6579
_CURVES: dict[str, ec.EllipticCurve] = {"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1()}


class BadTokenError(Exception):
    """Error for a JSON Web Token that is malformed, or signed otherwise; the text gives the reason."""


@functools.cache
def private_key(algorithm: str) -> str:
    """Return the private key that signs with an algorithm, in PEM.

    Args:
        algorithm: Name of the algorithm in JSON Web Tokens, such as RS256.
    """
    text = _key(algorithm).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return text.decode("ascii")


def claims_of(token: str, algorithm: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return header and claims of a JSON Web Token, whose signature is valid.

    Args:
        token: The token.
        algorithm: The algorithm that signs it.

    Raises:
        BadTokenError: If it is malformed, or its signature is not one by the key of the mock.
    """
    signed, dot, signature = token.rpartition(".")
    first, _, second = signed.partition(".")
    try:
        header, claims = (json.loads(_decoded(part)) for part in (first, second))
        given = _decoded(signature)
    except ValueError:
        header, claims, given = None, None, b""
    if not dot or not isinstance(header, dict) or not isinstance(claims, dict):
        msg = "the assertion is no JSON Web Token"
        raise BadTokenError(msg)
    if header.get("alg") != algorithm:
        msg = f"the assertion is not signed with {algorithm}"
        raise BadTokenError(msg)
    if not _is_valid(algorithm, signed.encode(), given):
        msg = "the signature of the assertion is not one by the key of the mock"
        raise BadTokenError(msg)
    return header, claims


def _is_valid(algorithm: str, signed: bytes, signature: bytes) -> bool:
    """Return whether a signature is one by the key of the mock."""
    key, digest = _key(algorithm), _digest(algorithm)
    try:
        if isinstance(key, ec.EllipticCurvePrivateKey):
            half = len(signature) // 2
            numbers = (int.from_bytes(signature[:half], "big"), int.from_bytes(signature[half:], "big"))
            key.public_key().verify(utils.encode_dss_signature(*numbers), signed, ec.ECDSA(digest))
        elif algorithm.startswith("PS"):
            pss = padding.PSS(padding.MGF1(digest), digest.digest_size)
            key.public_key().verify(signature, signed, pss, digest)
        else:
            key.public_key().verify(signature, signed, padding.PKCS1v15(), digest)
    except InvalidSignature:
        return False
    return True


@functools.cache
def _key(algorithm: str) -> rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey:
    """Return the key of an algorithm."""
    if algorithm in _CURVES:
        return ec.derive_private_key(_SCALAR, _CURVES[algorithm])
    exponent = pow(_EXPONENT, -1, (_P - 1) * (_Q - 1))
    numbers = rsa.RSAPrivateNumbers(
        p=_P,
        q=_Q,
        d=exponent,
        dmp1=rsa.rsa_crt_dmp1(exponent, _P),
        dmq1=rsa.rsa_crt_dmq1(exponent, _Q),
        iqmp=rsa.rsa_crt_iqmp(_P, _Q),
        public_numbers=rsa.RSAPublicNumbers(_EXPONENT, _P * _Q),
    )
    return numbers.private_key()


def _digest(algorithm: str) -> HashAlgorithm:
    """Return the hash function of an algorithm."""
    return {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}[algorithm[2:]]


def _decoded(text: str) -> bytes:
    """Return the bytes of a text in base64url; raise ValueError if it is none."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
