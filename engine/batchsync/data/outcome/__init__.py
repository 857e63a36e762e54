"""Row outcomes of a batch from the vendor's row log.

Enters: a batch with its verdict, its row manifest, the vendor's row log. Leaves: for each row accepted, rejected or
unknown, adding up to the rows of the file; for lookups the answers. Must not talk to the vendor or move the
baseline; where the log cannot be trusted, the row is unknown.
"""
