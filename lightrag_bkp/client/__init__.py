"""The same work through a server: what `lightrag_bkp.api` offers, with the methods and values of the local classes.

`RemoteManager`, `RemoteGraph`, `RemoteRecovery` and `RemoteReplication` stand in for `BackupManager`, `GraphBackup`,
`DisasterRecoveryManager` and `ReplicationManager` wherever the program uses these (cli/parts.py says where). Methods
that are coroutines there are coroutines here; the others must not be called on an event loop.
"""
