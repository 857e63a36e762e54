"""Renderings: frozen values in; text, JSON, NDJSON or Markdown out. It prints nothing and asks nothing of the world."""
