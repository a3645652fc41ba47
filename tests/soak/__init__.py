"""An evening of calls at the pace of the CPU: the real application, with people who exist in media time alone."""
