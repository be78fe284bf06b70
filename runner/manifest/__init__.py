"""Reading manifests: CSV, TSV, Parquet, JSONL, text, folders, globs, compressed files, object stores, DataFrames."""
