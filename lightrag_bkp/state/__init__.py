"""What cannot be read from repositories: replication targets, in one small database.

SQLite beside the repositories by default; PostgreSQL where several hosts share it. The only package that imports
SQLAlchemy and Alembic, and it is imported when it is needed: they come with `pip install lightrag-bkp[replication]`.
"""

from .database import State, StoredTarget

__all__ = ["State", "StoredTarget"]
