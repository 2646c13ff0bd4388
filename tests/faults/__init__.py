"""What can go wrong around the tools: kills at any moment, hostile pictures, damaged files, full and read-only drives.

The tests here run a small share of each; ``python -m tests.faults`` runs as much as it is asked for.
"""
