"""What several tests share: running the command for real, and reading what it left."""
