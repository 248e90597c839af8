"""ALG, an application-layer gateway. Only the version lives here."""

__version__ = "0.1.0"
