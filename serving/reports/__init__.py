"""A recorded imaging study in the forms that other systems read: DICOM and FHIR.

Pure functions of the record: the same decision gives the same bytes, whoever asks and when. Times
come from the record, UIDs are derived from the decision's id, nothing is read from a clock.
"""
