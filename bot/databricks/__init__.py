"""Databricks: who asks, the SQL warehouse, and the products kept there. The SQL connector is imported when first used."""
