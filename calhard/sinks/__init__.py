"""Where a published night is sent to."""
