"""The local page: a small server on this machine alone, and the page that it gives out."""
