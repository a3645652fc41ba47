"""Toxicity scores: Databricks Model Serving, and what it needs to be asked often, safely and in time."""
