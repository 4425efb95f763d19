"""The verbs by what they are about; `toolkit.api` is their table.

They join the rooms and hold no logic of their own.
"""
