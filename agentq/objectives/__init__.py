"""Pure tensor functions, one file per paper or idea; import the file, nothing is loaded from here.

K is the number of heads, B of rows, N of candidates of one state, T of steps or tokens.
"""
