"""The bot's own rows: SQLAlchemy Core tables and Alembic migrations, on SQLite and PostgreSQL.

    db = await Database.open(url)     one engine
    await upgrade(db)                 tables as this version needs them
    SqlSessionStore(db), SqlAlertStore(db), SqlGuildStore(db)

Import from the modules: this package imports nothing by itself, because SQLAlchemy takes its time to load.
"""
