"""The HTTP interface to the job store."""
