"""The clinician's application: thin handlers over the engine and `reports`, never `audit.cli`."""
