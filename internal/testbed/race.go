//go:build race

package testbed

// raceFlag builds the sidecar with the race detector when the test has it.
const raceFlag = "-race"

// RaceEnabled: the race detector is on.
const RaceEnabled = true
