"""The command line: flags, requests, messages, exit codes."""
