"""The HTTP contract at run time: generated structs, the document, and what binds them to handlers."""
