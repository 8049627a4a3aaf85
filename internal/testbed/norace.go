//go:build !race

package testbed

const raceFlag = ""
