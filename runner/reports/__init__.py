"""The report: a folder of static pages over the results of one output folder or several, which needs no server."""
