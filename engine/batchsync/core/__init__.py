"""Every decision of lading, as pure functions over frozen values. It knows no clock, disk, network or log."""
