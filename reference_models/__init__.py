"""What is estimated: models that say log q(y|x), L(x, y) and their parameter groups."""
