"""The page's charts: inline SVG in the colours of the page, drawn once for wide and once for narrow screens."""
