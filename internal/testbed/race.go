//go:build race

package testbed

// raceFlag builds the sidecar with the race detector when the test has it.
const raceFlag = "-race"
