"""Does an image speak the contracts of runtimes and builders? Each check runs it, without any cluster, and says why.

container  an image unpacked and run by runc as a pod would run it: user, capabilities, mounts, a network of its own
client     HTTP to it, from this pod's loopback or from outside
checks     what is promised, one check each
report     the table, and JSON
"""
