"""Imperative shell of the core: plans and prepares runs, performs the steps that `batchsync.core` decides, journals.

`JobContext`s and `Services` enter; `JobOutcome`s leave. Everything outside is reached through `batchsync.ports`: this
package must not import an adapter and must not decide what happens to a batch.
"""
