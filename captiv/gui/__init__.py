"""The web page: the same store, services and sidecars as the command line, in a browser.

docs/page.md says how it is put together. Nothing here decides what the command line decides too.
"""
