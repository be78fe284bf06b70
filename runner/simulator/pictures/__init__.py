"""Pictures: drawn from a prompt, as files."""
