"""Product search with the ranking of the WebShop reference (Lucene BM25), without Java.

Import from the modules: `analyzer.analyze`, `index.SearchIndex`, `index.document_text`.
"""
