"""What specialist matching goes by: weights, words of a roster, reasons. Data with its readers."""
