"""Runs the migrations on a connection that is given; Alembic wants it to be a script."""

from alembic import context

# So Alembic calls it. Whoever else imports it wants nothing run.
if __name__ == "env_py":
    given = context.config.attributes
    context.configure(
        connection=given["connection"],
        version_table=given["version_table"],
        transactional_ddl=True,
    )
    with context.begin_transaction():
        context.run_migrations()
