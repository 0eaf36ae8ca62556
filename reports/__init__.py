"""Show evidence as tables, figures and one page; nothing is computed here."""
