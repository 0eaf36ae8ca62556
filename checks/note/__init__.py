"""The claims of the note, each checked in every framework on every case."""
