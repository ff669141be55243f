"""Human review: which decisions a physician must see, who holds them, and what was signed."""
