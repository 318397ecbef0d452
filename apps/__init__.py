"""The clinician's application. Nothing here yet: it calls the engine and `reports`, never `audit.cli`."""
