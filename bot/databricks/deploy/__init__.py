"""Serving the embedded toxicity scorer from Databricks: start at `deployment`. MLflow and the SDK are imported when first used."""
