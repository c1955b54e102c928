"""DICOMweb on the server's own origin: read only, over the studies folder, or a proxy to a PACS."""
