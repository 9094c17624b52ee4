"""The parser's process on a system that lacks what macOS lacks: the kernel's limits, and the set of usable cores."""

import os
import resource
import runpy

if __name__ == "__main__":
    del resource.RLIMIT_AS, resource.RLIMIT_CPU, os.sched_getaffinity
    runpy.run_module("ragkit.documents.child", run_name="__main__")
