package main

import (
	"errors"
	"log/slog"
	"math"
	"os"
	"runtime/debug"
	"testing"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

// The collector is told of the container's limit, and obeys who sets GOMEMLIMIT.
func TestLimitMemory(t *testing.T) {
	before := debug.SetMemoryLimit(-1)
	t.Cleanup(func() { debug.SetMemoryLimit(before) })
	unknown := func() (uint64, error) { return 0, errors.New("no cgroup") }
	for _, c := range []struct {
		name      string
		container memlimit.Provider
		gomem     string
		want      int64
	}{
		{"a limit", memlimit.Limit(1 << 30), "", 966367641},
		{"none is known", unknown, "", 1 << 40},
		{"GOMEMLIMIT", memlimit.Limit(1 << 30), "2GiB", 1 << 40},
		{"no limit", memlimit.Limit(math.MaxUint64), "", math.MaxInt64},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv("GOMEMLIMIT", c.gomem) // for its end
			if c.gomem == "" {
				if err := os.Unsetenv("GOMEMLIMIT"); err != nil {
					t.Fatal(err)
				}
			}
			debug.SetMemoryLimit(1 << 40) // what the runtime was started with
			limitMemory(c.container, slog.New(slog.DiscardHandler))
			if got := debug.SetMemoryLimit(-1); got != c.want {
				t.Errorf("%d, want %d", got, c.want)
			}
		})
	}
}
