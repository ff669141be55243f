"""Documents from elsewhere: read, cut into chunks with stable ids, and kept with their origin."""
