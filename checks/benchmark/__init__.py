"""Known bugs, and what each way of checking sees of them."""
