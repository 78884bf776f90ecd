"""Notifications: problems of the lake to the log, a webhook and e-mail, once each, and again when they are over."""
