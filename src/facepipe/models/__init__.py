"""Networks, their weights and what runs them; knows pictures, but neither films nor files of them."""
