"""What readers say of the knowledge base, and the wordings that they propose for its cards."""
