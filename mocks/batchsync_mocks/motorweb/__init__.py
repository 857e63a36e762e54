"""Motorweb's Bulk Data Platform, as `motorweb-bdp.md` documents it.

It does not know the Motorweb of today: what its pages leave open is assumed as that document's section 12 says.
"""
