"""SQL expressions over the columns of one row.

A syntax tree enters, with the types of the columns; a polars expression and the type of its result leave. Nothing here
reads rows, and no text of an expression is passed to polars: what is not in the allow-list is refused.
"""
