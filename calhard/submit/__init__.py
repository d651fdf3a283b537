"""An audit as a Ray job: what is sent to a cluster, the guard against doubles, how it is followed.

Nothing here imports Ray before a job is submitted.
"""
