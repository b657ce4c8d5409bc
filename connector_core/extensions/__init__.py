"""Extensions that ship with the core: an entry point, and a name in connectors.toml, as anybody's."""
