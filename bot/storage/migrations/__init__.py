"""The history of the tables, run by `bot.storage.migrate`."""
