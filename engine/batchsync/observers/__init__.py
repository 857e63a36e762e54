"""Observers of a run: what comes in are the events of `ports.observer`, what goes out is text, NDJSON or a display.

`dispatch.Dispatcher` passes each event on to a list of observers; packages add theirs with the entry point group
`batchsync.observers`. An observer decides nothing about a run and cannot stop one.
"""
