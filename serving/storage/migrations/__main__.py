"""Write a new schema version from the difference between `tables.py` and the versions so far."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from alembic import command
from alembic.script import ScriptDirectory

from serving.storage.database import Database
from serving.storage.migrations import config


def main(message: str) -> None:
    """Make `versions/NNNN_message.py`; read it before you keep it."""
    with tempfile.TemporaryDirectory() as folder:
        db = Database(f"sqlite:///{Path(folder) / 'empty.db'}")
        db.migrate()
        with db.write() as session:
            settings = config(session.connection())
            so_far = list(ScriptDirectory.from_config(settings).walk_revisions())
            number = f"{len(so_far) + 1:04d}"
            command.revision(settings, message, autogenerate=True, rev_id=number)
        db.close()


if __name__ == "__main__":
    main(sys.argv[1])
