"""HotPotQA data: official question files, Wikipedia pages in JSON lines, our own world of pages and questions."""
