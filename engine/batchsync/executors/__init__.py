"""Executors: where the tasks of preparation run, other than in threads of this process.

Enters: the choice of jobs.yaml, limits and settings. Leaves: a `concurrent.futures.Executor` that starts with its first
task, tries a task again when a worker dies or hangs, and leaves no process behind. Must not know what a task does.
"""
