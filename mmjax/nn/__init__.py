"""(table of contents)"""
