"""The sections of the page that aspects add: one module each, named as the section in the report.

Each has `lines(report, width, color) -> list[Text]`: no line is wider than `width`, and names from data pass `safe`.
"""
