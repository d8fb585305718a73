"""Networks, their weights and what runs them; it knows pictures, but no films."""
