"""HTTP for LightRAG's server, or any other FastAPI application:

    app.include_router(create_backup_routes(backup, replication, recovery, rag=rag))

The only package that imports FastAPI, which comes with `pip install lightrag-bkp[api]`.
"""

from .routes import create_backup_routes

__all__ = ["create_backup_routes"]
