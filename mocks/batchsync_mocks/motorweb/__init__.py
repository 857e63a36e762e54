"""Mock of Motorweb's Bulk Data Platform, as documented in `motorweb-bdp.md`; section 12 there lists the assumptions."""
