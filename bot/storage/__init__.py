"""The bot's own rows: SQLAlchemy Core tables and Alembic migrations."""
