"""The receiving side of replication between instances: docs/replication.md.

Only `app` needs more than the standard library. Imported when somebody receives, or sends and wants the protocol.
"""
