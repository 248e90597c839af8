"""The cases, a file for each subject; what a gateway cannot do stands beside them, with the reason."""
