"""One reader per format: bytes of a file -> documents. None of them fetches or runs anything."""
