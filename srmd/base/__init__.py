"""What everything stands on: errors, files, signals, work in the background."""
