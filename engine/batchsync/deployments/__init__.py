"""Follow where the files of jobs come from: a branch of a Git repository, or a folder that others replace.

The newest revision enters, a complete copy of it leaves: a folder of its own below the state folder, which never
changes. Modules here do not load jobs.yaml; the caller notes which revisions can be used.
"""

#: Name of the folder of checkouts in a state folder, and of the record of the last good one in it.
CHECKOUTS = "checkouts"
RECORD = "deployment.json"
