"""The estimators of the note, their exact moments, and the estimand that they are about."""
