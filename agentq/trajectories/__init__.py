"""The log: schema, append-only writer, reader, transitions."""
