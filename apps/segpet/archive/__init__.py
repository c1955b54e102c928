"""A PACS with DICOMweb as the place where studies come from and labels go to."""
