"""How vendors speak, as data: `vendor.yaml`, record schemas and recorded exchanges. There is no code here."""
