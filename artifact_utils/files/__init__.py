"""Everything that touches a user's files: nothing is lost, nothing is overwritten, nothing leads outside.

``writing`` writes whole files or none and reads tables; ``moves`` moves files, never over another one; ``locks`` lets
one process at a time write an output; ``databases`` are SQLite files that are whole after a kill; ``picture_limits``
says what one picture may cost, before it is decoded; ``budgets`` holds decoding to memory and time.
"""
