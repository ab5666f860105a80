//go:build !race

package peers

const slack = 1
