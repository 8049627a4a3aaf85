package early

import (
	"runtime"
	"runtime/debug"
	"testing"
	"time"
)

// The first collection ends what is special about the start, whoever asks for it.
func TestTheCollectorIsRestored(t *testing.T) {
	runtime.GC()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		percent := debug.SetGCPercent(usual)
		if percent == usual {
			return
		}
		debug.SetGCPercent(percent)
		if time.Now().After(end) {
			t.Fatalf("GOGC is still %d", percent)
		}
	}
}
