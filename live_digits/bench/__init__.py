"""`live-digits bench`: what each step costs on this machine, side by side, from one run.

Variants take turns (A B C A B C …) so that whatever else the machine does meets all of them alike.
Runs of the whole program happen in processes of their own. `bench.report.run` is the way in.
"""
