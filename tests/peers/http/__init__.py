"""The peer lab of the http plugin: protocols whose HTTP, JSON or XML answers carry network addresses."""
