"""What who may only read is not told."""

import pytest

from lightrag_bkp.api.places import without_places


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("no graph 'x' below '/var/backups/my graphs': graphs there are none",
         "no graph 'x' below [path]: graphs there are none"),
        ("/srv/rag storage/a/kv.json: cannot be opened", "[path]: cannot be opened"),
        ("'/srv/it\\'s here/a' is gone", "[path] is gone"),
        ("the replication database sqlite:////var/lib/state.db cannot be used: locked",
         "the replication database [path] cannot be used: locked"),
        ("x: the replication database postgresql+psycopg://me:***@db.example:5432/state cannot be used: connection to"
         ' server at "db.example" (10.0.0.7), port 5432 failed: no password for user "me"',
         "x: the replication database [database] cannot be used: whoever may operate this server is told why"),
        ("the replication database postgresql://me@/a?host=/run/pg was written by a newer version of this program",
         "the replication database [database] was written by a newer version of this program"),
        ("postgresql+psycopg://me:***@db.example/state", "[database]"),
        ('File "/usr/lib/x.py", line 3', "File [path], line 3"),
        ("(/a/b), /c; [/d/e]", "([path]), [path]; [[path]]"),
        ("see /api/v1/backup-replication/operations/12", "see /api/v1/backup-replication/operations/12"),
        ("https://a.example:1/b/c is no application/json", "https://a.example:1/b/c is no application/json"),
        ("3 / 4 of it, and/or more", "3 / 4 of it, and/or more"),
        ("log/00000000000000000001 is missing", "log/00000000000000000001 is missing"),
    ],
)  # fmt: skip
def test_places_are_taken_out_of_sentences(said: str, shown: str) -> None:
    assert without_places(said) == shown


def test_of_documents_all_texts_are_looked_at() -> None:
    told = {"detail": "'/a/b'", "graphs": [{"source_dir": "/a/b", "files": 3, "none": None}], "pair": ("x", "/a")}
    assert without_places(told) == {
        "detail": "[path]",
        "graphs": [{"source_dir": "[path]", "files": 3, "none": None}],
        "pair": ["x", "[path]"],
    }
