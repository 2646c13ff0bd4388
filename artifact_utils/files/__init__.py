"""Everything that touches a user's files: nothing is lost, nothing is overwritten, nothing leads outside.

``writing`` writes whole files or none; ``tables`` are CSV files that spreadsheets may open; ``moves`` moves files,
never over another one; ``copies`` places verified copies and links; ``locks`` lets one process at a time write an
output; ``databases`` are SQLite files that are whole after a kill; ``picture_limits`` says what one picture may cost,
before it is decoded, ``lossless_webp`` reads what that takes most of; ``budgets`` holds decoding to memory and time;
``model_files`` says where models are; ``private_folders`` are temporary.
"""
