"""Uploads to Sitecore's mock by the fetch of Node.js, from memory and from a stream of known length."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batchsync_mocks import Clock, serve
from kit.upload_clients import SITECORE, allocated, output_of

if TYPE_CHECKING:
    from pathlib import Path

FETCH = """
const { readFileSync, openAsBlob } = require("node:fs");
const given = JSON.parse(readFileSync(0, "utf8"));
(async () => {
  for (const body of [readFileSync(given.file), await openAsBlob(given.file)]) {
    const headers = { Accept: "application/json", ...given.headers };
    const answer = await fetch(given.href, { method: "PUT", body, headers });
    console.log(answer.status, (await answer.text()).length);
  }
  const refused = await fetch(given.href, { method: "PUT", body: readFileSync(given.file) });
  console.log(refused.status, (await refused.text()).includes("<Code>SignatureDoesNotMatch</Code>"));
})();
"""


def test_fetch_of_node_uploads(tmp_path: Path) -> None:
    with serve([SITECORE], clock=Clock("2026-03-01T12:00:00Z", frozen=True), https=True) as mocks:
        slot = allocated(mocks, tmp_path)
        given = {"file": str(slot.file), "href": slot.href, "headers": slot.headers}
        printed = output_of(["node", "-e", FETCH], given, NODE_EXTRA_CA_CERTS=str(mocks.ca))
        assert printed.splitlines() == ["200 0", "200 0", "403 true"]
        assert slot.status() == "success"
