#!/bin/sh
if [ "$PATH_INFO" = /env ]; then echo "$PROBE"; else echo "$REQUEST_METHOD $PATH_INFO $(cat)"; fi
