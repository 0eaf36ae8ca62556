"""Known bugs, and what each method of checking sees of them."""
