"""Pydantic model of an object storage, or server of files, in the `connections:` block of jobs.yaml."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field

from batchsync.spec import field_types as types
from batchsync.spec.models_source import Strict


class StorageModel(Strict):
    """Object storage or a server of files, which sources read; results may be written to object storage."""

    model_config = ConfigDict(title="Storage")

    storage: Literal["s3", "gcs", "azure", "http"] = Field(
        title="Storage", description="Kind of the storage.", examples=["s3"]
    )
    bucket: types.Text | None = Field(
        None, title="Bucket", description="Bucket, or container of Azure.", examples=["exports"]
    )
    prefix: types.Text | None = Field(
        None, title="Prefix", description="Folder of the bucket that all paths are below.", examples=["crm/daily"]
    )
    region: types.Text | None = Field(
        None,
        title="Region",
        description="Region of a bucket of S3; by default AWS_REGION or AWS_DEFAULT_REGION, else us-east-1.",
        examples=["eu-west-1"],
    )
    endpoint: types.Text | None = Field(
        None,
        title="Endpoint",
        description="URL of a service that speaks the protocol of the storage: https, or http on this machine.",
        examples=["https://minio.example.com"],
    )
    account: types.Text | None = Field(
        None, title="Account", description="Storage account of Azure.", examples=["acmeexports"]
    )
    base_url: types.Text | None = Field(
        None,
        title="Base URL",
        description="URL that paths are below, only for storage: http. https, or http on this machine.",
        examples=["https://example.com/exports/"],
    )
    anonymous: bool | None = Field(
        None, title="Anonymous", description="Whether a public bucket is read without credentials.", examples=[True]
    )
    credentials: dict[str, str] | None = Field(
        None,
        title="Credentials",
        description="Credentials, each a reference: ${NAME} or ${file:/run/secrets/name}. s3: access_key_id, "
        "secret_access_key, session_token; gcs: service_account_key; azure: account_key, sas_token, or client_id, "
        "client_secret, tenant_id; http: token, or user and password. By default those that the service's own tools "
        "use: variables of the environment, profile, role of the machine.",
        examples=[{"access_key_id": "${LAKE_KEY_ID}", "secret_access_key": "${LAKE_SECRET}"}],
    )
    proxy: types.Text | None = Field(
        None,
        title="Proxy",
        description="HTTP proxy of all requests of the connection, as for a vendor.",
        examples=["http://proxy.example.com:3128"],
    )
    ca_bundle: types.Text | None = Field(
        None,
        title="CA bundle",
        description="PEM file of certificates to trust: besides the public ones, for http instead of them.",
        examples=["certs/minio.pem"],
    )
