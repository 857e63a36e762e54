"""Client of object storage by `obstore`: list, look at, read and replace objects, each pinned by its ETag or version.

Time-outs and retries are bounded. Answers of a service never get into a message: they may quote keys and requests.
"""

from __future__ import annotations

import configparser
import os
import re
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from batchsync.errors import SourceError, UnavailableError, install_hint

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from batchsync.core.object_storage import Storage

#: Seconds to connect, until the next bytes of an answer, and for a whole request.
CONNECT_SECONDS, READ_SECONDS, WHOLE_SECONDS = 10, 30, 300
#: How often a request is repeated, and the seconds after which it is not.
RETRIES, RETRY_SECONDS = 4, 120
#: Bytes of an object that one request reads, and that are handed over at once.
REQUEST_BYTES, CHUNK_BYTES = 64 << 20, 1 << 20
_CODE = re.compile(r"<Code>([A-Za-z]{1,60})</Code>")
_STATUS = re.compile(r"status code: ([0-9]{3})\b")
_NO_BUCKET = {"NoSuchBucket", "ContainerNotFound", "InvalidBucketName"}
_WRONG_REGION = {"PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException"}
_DENIED = {"401", "403"}
#: Requests for the credentials of the machine's role, which fail where it has none.
_OF_METADATA = re.compile(r"://(?:169\.254\.169\.254|metadata\.google\.internal|metadata)[/:]")
_MISSING, _MOVED = "404", "301"
#: What the library says about a redirect without an address, by which S3 answers requests in a wrong region.
_BARE_REDIRECT = "redirect without LOCATION"
_PROXY_VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
_ENVIRONMENT = threading.Lock()
_NOTHING_SENT = "nothing was sent"


class ObjectChangedError(SourceError):
    """An object was replaced or deleted since it was first looked at."""


class OddNameError(SourceError):
    """A listed object has a name that cannot be requested."""


class ObjectMissingError(SourceError):
    """There is no object of a path."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredObject:
    """An object as first seen. `path` is below the prefix of its storage."""

    path: str
    size: int
    etag: str
    version: str

    @property
    def pinned(self) -> dict[str, str]:
        """Options of a request that fails if the object is another one by now."""
        return {"if_match": self.etag} if self.etag else {"version": self.version}


class ObjectClient:
    """Client of one bucket."""

    def __init__(self, storage: Storage, credentials: Mapping[str, str], proxy: str = "") -> None:
        """Prepare the client. No request is sent.

        Args:
            storage: The bucket.
            credentials: Secret values by name; empty for the usual chain of the service.
            proxy: URL of the HTTP proxy, with its credentials; empty connects directly.

        Raises:
            UnavailableError: If the package that reads storage is not installed, or a credential is no such.
        """
        self._storage = storage
        try:
            import obstore  # noqa: PLC0415 - an extra, imported when it is used
        except ImportError:
            message = f"{storage.label}: the package that reads object storage is not installed"
            raise UnavailableError(message, hint=install_hint("storage")) from None
        self._obstore = obstore
        self._failures = (obstore.exceptions.BaseError, OSError, ValueError)
        try:
            with _without_proxies():
                self._store = _opened(storage, credentials, _client_options(storage, proxy))
        except self._failures:
            # The message of the library may quote a credential.
            hint = f"check region, endpoint, ca_bundle and credentials in {storage.place}"
            raise UnavailableError(f"{storage.label} cannot be opened", hint=hint) from None

    def objects(self, folder: str) -> Iterator[StoredObject]:
        """Yield all objects below a folder of the bucket; an empty one means the whole bucket, or its prefix.

        Raises:
            OddNameError: If the bucket has objects whose names cannot be requested.
            UnavailableError: If it cannot be listed.
        """
        with self._translated(folder or "the list of objects"):
            for chunk in self._obstore.list(self._store, prefix=folder or None, chunk_size=1000):
                yield from map(self._object, chunk)

    def look_at(self, path: str) -> StoredObject:
        """Return an object.

        Raises:
            ObjectMissingError: If there is none of that path.
            UnavailableError: If the storage cannot be asked.
        """
        with self._translated(path):
            return self._object(self._obstore.head(self._store, path))

    def check(self) -> bool:
        """Return whether the bucket, or its prefix, has objects.

        Raises:
            UnavailableError: If it cannot be listed.
        """
        try:
            return next(self.objects(""), None) is not None
        except OddNameError:
            return True

    def read(self, item: StoredObject, start: int, end: int) -> Iterator[memoryview]:
        """Yield bytes of an object, exactly those from `start` to before `end`, as they arrive.

        They come from one request. If it breaks off after some bytes, and the library has given it up, another one
        continues with the next byte.

        Yields:
            About `CHUNK_BYTES` at a time, the last ones perhaps fewer.

        Raises:
            ObjectChangedError: If the object is not the one that was first seen.
            UnavailableError: If they cannot be read.
        """
        at = start
        while at < end:
            begin = at
            try:
                for data in self._stream(item, begin, end):
                    at += len(data)
                    if at > end:
                        break
                    yield data
            except UnavailableError:
                if at == begin:
                    raise
                continue
            if at != end:
                message = f"{self._at(item.path)}: {at - begin:,} of {end - begin:,} bytes arrived"
                raise UnavailableError(message, hint=f"Run the same command again; {_NOTHING_SENT}.")

    def _stream(self, item: StoredObject, start: int, end: int) -> Iterator[memoryview]:
        """Yield the bytes that one request answers."""
        with self._translated(item.path, seen=True):
            options: Any = {**item.pinned, "range": (start, end)}
            result = self._obstore.get(self._store, item.path, options=options)
            size, etag = result.meta["size"], result.meta["e_tag"] or ""
        if size != item.size or (etag and item.etag and _bare(etag) != _bare(item.etag)):
            raise self._changed(item.path)
        with self._translated(item.path, seen=True):
            for data in result.stream(min_chunk_size=CHUNK_BYTES):
                yield memoryview(data)

    def put(self, path: str, data: bytes, replaces: StoredObject | None) -> None:
        """Write an object if no one else did since.

        Args:
            path: Path of the object.
            data: Its content.
            replaces: The object that is there; None if there is none.

        Raises:
            ObjectChangedError: If another object, or one at all, is there by now.
            UnavailableError: If it cannot be written.
        """
        mode: Any = "create"
        if replaces is not None:
            known = {"e_tag": replaces.etag, "version": replaces.version}
            mode = {name: value for name, value in known.items() if value}
        with self._translated(path, seen=True):
            self._obstore.put(self._store, path, data, mode=mode, use_multipart=False)

    def _object(self, meta: Mapping[str, Any]) -> StoredObject:
        etag, version = meta["e_tag"] or "", meta["version"] or ""
        if etag and not etag.endswith('"'):
            # Lists of Azure have no quotation marks, which the header If-Match needs.
            etag = f'"{etag}"'
        if not etag and not version:
            message = f"{self._at(meta['path'])}: the service names neither an ETag nor a version of the object"
            raise SourceError(message, hint="Without either, a change during the read stays unnoticed.")
        return StoredObject(path=meta["path"], size=meta["size"], etag=etag, version=version)

    @contextmanager
    def _translated(self, path: str, *, seen: bool = False) -> Iterator[None]:
        """Raise errors of the library as those of batchsync; `seen` if the object was there before."""
        try:
            yield
        except self._failures as error:
            failure = self._failure(error, path, seen=seen)
        else:
            return
        # Outside of the handler: the chain of causes would contain answers of the service.
        raise failure

    def _failure(self, error: Exception, path: str, *, seen: bool) -> SourceError | UnavailableError:
        """Return the error for one of the library, whose text is only searched for codes."""
        text, failures = str(error), self._obstore.exceptions
        code, status = _CODE.search(text), _STATUS.search(text)
        found, number = code[1] if code else "", status[1] if status else ""
        if _BARE_REDIRECT in text:
            number = _MOVED
        if _OF_METADATA.search(text):
            message = f"{self._storage.label}: no credentials were found, in jobs.yaml or elsewhere"
            hint = f"set credentials in {self._storage.place}, or those that the tools of the service use"
            return UnavailableError(message, hint=hint)
        failure = self._refusal(found, number, path)
        if isinstance(error, failures.PreconditionError | failures.AlreadyExistsError) or (seen and number == _MISSING):
            failure = failure if found in _NO_BUCKET else self._changed(path, deleted=number == _MISSING)
        elif failure is None and (isinstance(error, FileNotFoundError) or number == _MISSING):
            message = f"{self._storage.label}: there is no object {self._full(path)}"
            failure = ObjectMissingError(message, hint="Check path and prefix; names are case-sensitive.")
        elif failure is None and not number and isinstance(error, failures.InvalidPathError | ValueError):
            message = f"{self._at(path)}: an object has a name with empty or dotted folders, such as a//b"
            message = f"{message}, or with control characters"
            failure = OddNameError(message, hint="Name a folder without such objects, or rename them.")
        if failure is not None:
            return failure
        reason = "cannot be reached, or broke the connection"
        if number:
            reason = f"answered HTTP {number}{f' ({found})' if found else ''}"
        hint = f"check the network and the endpoint of {self._storage.place}; {_NOTHING_SENT}"
        return UnavailableError(f"{self._at(path)}: the service {reason}", hint=hint)

    def _refusal(self, code: str, status: str, path: str) -> SourceError | UnavailableError | None:
        """Return the error for a request that the service refuses for its bucket, region or credentials."""
        label, place = self._storage.label, self._storage.place
        if code in _NO_BUCKET:
            hint = f"check bucket, account and endpoint in {place}"
            return UnavailableError(f"{label}: there is no such bucket", hint=hint)
        if code in _WRONG_REGION or status == _MOVED:
            message = f"{label}: the bucket is in another region"
            return UnavailableError(message, hint=f"set region in {place}")
        if status in _DENIED:
            reason = f"access denied{f' ({code})' if code else ''}"
            hint = f"check the credentials of {place}, and that they may list and read the bucket"
            return UnavailableError(f"{self._at(path)}: {reason}", hint=hint)
        return None

    def _changed(self, path: str, *, deleted: bool = False) -> ObjectChangedError:
        what = "was deleted" if deleted else "was replaced"
        message = f"{self._at(path)}: the object {what} since the run looked at it"
        return ObjectChangedError(message, hint=f"Run the same command again; {_NOTHING_SENT}.")

    def _at(self, path: str) -> str:
        return f"{self._storage.name}: {self._full(path)}"

    def _full(self, path: str) -> str:
        return f"{self._storage.prefix}/{path}" if self._storage.prefix else path


def _bare(etag: str) -> str:
    return etag.removeprefix("W/").strip('"')


def _client_options(storage: Storage, proxy: str) -> dict[str, Any]:
    """Return the options of the HTTP client."""
    options: dict[str, Any] = {
        "connect_timeout": timedelta(seconds=CONNECT_SECONDS),
        "read_timeout": timedelta(seconds=READ_SECONDS),
        "timeout": timedelta(seconds=WHOLE_SECONDS),
        "allow_http": urlsplit(storage.endpoint).scheme == "http",
    }
    if proxy:
        options["proxy_url"] = proxy
    if storage.ca_bundle:
        options["root_certificate"] = Path(storage.ca_bundle).read_bytes()
    return options


def _opened(storage: Storage, credentials: Mapping[str, str], options: dict[str, Any]) -> Any:
    """Return the store of a bucket. What the environment says about the endpoint does not count."""
    from obstore import store  # noqa: PLC0415 - an extra, imported when it is used

    retries: Any = {
        "max_retries": RETRIES,
        "retry_timeout": timedelta(seconds=RETRY_SECONDS),
        "backoff": {"init_backoff": timedelta(milliseconds=100), "max_backoff": timedelta(seconds=5), "base": 2},
    }
    common: dict[str, Any] = {
        "prefix": storage.prefix or None,
        "client_options": options,
        "retry_config": retries,
        "skip_signature": storage.anonymous,
    }
    if storage.kind == "s3":
        region = storage.region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
        domain = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
        endpoint = storage.endpoint or f"https://s3.{region}.{domain}"
        provider = None if storage.anonymous else _s3_credentials(credentials or _profile())
        return store.S3Store(
            storage.bucket,
            region=region,
            endpoint=endpoint,
            virtual_hosted_style_request=False,
            credential_provider=provider,
            **common,
        )
    if storage.kind == "gcs":
        base = storage.endpoint or "https://storage.googleapis.com"
        return store.GCSStore(storage.bucket, base_url=base, **common, **dict[str, Any](credentials))
    endpoint = storage.endpoint or f"https://{storage.account}.blob.core.windows.net"
    named: dict[str, Any] = {"sas_key" if name == "sas_token" else name: value for name, value in credentials.items()}
    return store.AzureStore(
        container_name=storage.bucket,
        account_name=storage.account,
        endpoint=endpoint,
        use_emulator=False,
        **named,
        **common,
    )


def _s3_credentials(credentials: Mapping[str, str]) -> Any:
    """Return what gives the library these credentials and no others; None for its own chain."""
    if not credentials:
        return None
    found = {
        "access_key_id": credentials["access_key_id"],
        "secret_access_key": credentials["secret_access_key"],
        "token": credentials.get("session_token") or None,
        "expires_at": None,
    }
    return lambda: found


def _profile() -> dict[str, str]:
    """Return the keys of the profile of AWS's tools, which the library does not read; empty if variables name others.

    The profile is that of AWS_PROFILE, else `default`. Profiles without keys (roles, single sign-on) are ignored.
    """
    environ = os.environ
    others = ("AWS_ACCESS_KEY_ID", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")
    if any(environ.get(name) for name in others):
        return {}
    file = environ.get("AWS_SHARED_CREDENTIALS_FILE") or str(Path("~/.aws/credentials").expanduser())
    parser = configparser.RawConfigParser()
    try:
        parser.read(file, encoding="utf-8")
    except (OSError, ValueError, configparser.Error):
        return {}
    name = environ.get("AWS_PROFILE") or "default"
    values = dict(parser[name]) if parser.has_section(name) else {}
    known = ("access_key_id", "secret_access_key", "session_token")
    found = {key: values[f"aws_{key}"] for key in known if values.get(f"aws_{key}")}
    return found if {"access_key_id", "secret_access_key"} <= set(found) else {}


def proxy_url(host: str, port: int, user: str, password: str) -> str:
    """Return the URL of a proxy with its credentials."""
    login = f"{quote(user, safe='')}:{quote(password, safe='')}@" if user or password else ""
    return f"http://{login}{host}:{port}"


@contextmanager
def _without_proxies() -> Iterator[None]:
    """Hide the proxy variables while a client is made: proxies come from jobs.yaml alone."""
    with _ENVIRONMENT:
        hidden = {name: os.environ.pop(name) for name in list(os.environ) if name.lower() in _PROXY_VARIABLES}
        try:
            yield
        finally:
            os.environ.update(hidden)
