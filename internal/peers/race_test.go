//go:build race

package peers

// slack is by how much a cost may be more: the race detector drops what is put into a pool now and then.
const slack = 3
