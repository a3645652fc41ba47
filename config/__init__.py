"""Settings, logging and shipped data: paper, no behaviour of ours."""
