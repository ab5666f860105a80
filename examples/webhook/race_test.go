//go:build race

package main

// underRace tells that the race detector is in the program, which then takes about three times the memory.
const underRace = true
