"""An order with contradictory rows is invalid and not sent; the other orders are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kit.deployment import CDP

if TYPE_CHECKING:
    from kit.deployment import Deployment

JOBS = """\
version: 1
connections:
  sitecore:
    vendor: sitecore-cdp
    base_url: https://api-engage-eu.sitecorecloud.io
    credentials: {client_key: "${A}", api_token: "${B}"}
jobs:
  orders:
    source: {path: rows.csv, key: id}
    target: {connection: sitecore, schema: order}
    mode: insert
    record:
      referenceId: =id
      channel: WEB
      pointOfSale: shop.example.com
      status: PURCHASED
      orderedAt: '2026-01-02T03:04:05.000Z'
      currencyCode: EUR
      price: =total
      paymentType: Cash
      contact: {email: =mail}
      orderItems:
        - each: {type: BOOK, productId: =sku, name: =sku, description: =sku, vendor: Press, quantity: 1, price: =price,
                 currencyCode: EUR, referenceId: "=id || '-' || sku"}
"""


def test_order_with_contradictory_rows_is_invalid_and_not_sent(deployment: Deployment) -> None:
    (deployment.folder / "jobs.yaml").write_text(JOBS, encoding="utf-8")
    rows = ["id,total,mail,sku,price", "O1,30,old@example.com,s1,10", "O1,31,new@example.com,s2,20", "O2,5,b@c.de,s3,5"]
    (deployment.folder / "rows.csv").write_text("\n".join([*rows, ""]), encoding="utf-8")

    assert "accepted 1 + invalid 1" in deployment.run("sync", expect=4)

    assert [item["value"]["referenceId"] for item in deployment.mocks.ledger(CDP, values=True)] == ["O2"]
    [reject] = deployment.json("rejects", "orders")["rejects"]
    assert (reject["key"], reject["field"], reject["code"]) == ("O1", "price", "rows_differ")
    assert "price must be the same in all rows of a key, but differs between rows 1 and 2" in reject["reason"]
    assert "contact.email must be the same" in reject["reason"]
    assert "old@" not in reject["reason"]
