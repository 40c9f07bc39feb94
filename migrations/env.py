"""Runs the migrations, in one transaction, on the connection of captiv.store.migrate."""

from alembic import context

from captiv.errors import StoreError

connection = context.config.attributes["connection"]
context.configure(connection=connection, transactional_ddl=True)
with context.begin_transaction():
    context.run_migrations()
    broken = connection.exec_driver_sql("PRAGMA foreign_key_check").fetchone()
    if broken is not None:
        raise StoreError(
            f"The upgrade of the job table left a row of {broken[0]} without its {broken[2]}.",
            hint="Nothing was changed. Please report this.",
        )
