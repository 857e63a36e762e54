"""Sitecore CDP's Batch API, as `sitecore-cdp.md` documents it.

It does not know the Sitecore of today: what its pages leave open is assumed as that document's section 10 says.
"""
