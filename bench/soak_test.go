package main

import (
	"io"
	"strings"
	"testing"
	"time"

	"authz/internal/testbed"
)

func TestSoak(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and runs servers")
	}
	binary, err := testbed.SidecarBinary()
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	o := options{store: t.TempDir(), soak: 1500, many: 20, time: 20 * time.Millisecond, sidecar: binary, transports: []string{"lean", "grpc-go"}, log: io.Discard}
	// Caches are filling still: only that they grow is no fault here.
	if err := soak(t.Context(), o, &out); err != nil && !strings.Contains(err.Error(), "memory grows") {
		t.Fatal(err)
	}
	for _, name := range o.transports {
		if !strings.Contains(out.String(), "authz "+name) {
			t.Errorf("%s did not soak: %s", name, &out)
		}
	}
}

func TestFlat(t *testing.T) {
	const m = 1 << 20
	for name, c := range map[string]struct {
		samples []int64
		want    bool
	}{
		"level":                  {[]int64{40 * m, 90 * m, 100 * m, 101 * m, 99 * m, 100 * m, 101 * m, 100 * m}, true},
		"caches fill at first":   {[]int64{10 * m, 50 * m, 100 * m, 100 * m, 100 * m, 100 * m, 100 * m, 100 * m}, true},
		"a leak":                 {[]int64{40 * m, 60 * m, 80 * m, 100 * m, 120 * m, 140 * m, 160 * m, 180 * m}, false},
		"a leak that comes late": {[]int64{40 * m, 60 * m, 60 * m, 60 * m, 60 * m, 60 * m, 60 * m, 90 * m}, false},
		"too short to say":       {[]int64{10 * m, 100 * m}, true},
	} {
		if got := flat(c.samples); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
