"""Models of other libraries, made into graphs of ours; the importers are their doors."""
