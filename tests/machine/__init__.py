"""What a machine does to a gateway: full disks, folders that can't be written, clocks that jump, no descriptors, death.

Each fault is a function that does it to a real ``zero gateway``, asserts what must be so, and returns a line of the
table that ``make torture`` prints.
"""
