"""DICOMweb (DICOM PS3.18): instances in, searches and retrieval of what is held."""
