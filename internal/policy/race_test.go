//go:build race

package policy

// raceEnabled: under the race detector pools drop what they are given.
const raceEnabled = true
