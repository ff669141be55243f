"""The cards as documents to print, to send and to take into another library."""
