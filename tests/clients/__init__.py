"""The clients that people really use, against a gateway as it is really run."""
