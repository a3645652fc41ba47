"""A Databricks workspace on 127.0.0.1, part by part: each part is an object that declares its routes."""
