"""Mock of Sitecore CDP's Batch API, as documented in `sitecore-cdp.md`; section 10 there lists the assumptions."""
