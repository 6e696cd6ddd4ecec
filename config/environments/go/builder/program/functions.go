package main

// exported is everything that an entrypoint can mean, by name. The builder writes this file anew for each function.
var exported = map[string]interface{}{}
