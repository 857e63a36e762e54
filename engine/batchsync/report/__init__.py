"""Reports: results of commands, rendered as text, JSON, NDJSON and Markdown."""
