"""Sends notices: mails, webhooks, commands; and the templates of mails."""
