//go:build !race

package testbed

const raceFlag = ""

// RaceEnabled: the race detector is on.
const RaceEnabled = false
