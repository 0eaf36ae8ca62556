"""What a proof is, and the rules by which a program applies each step."""
