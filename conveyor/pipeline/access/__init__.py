"""Who may come in: secrets, passwords, tokens and users."""
