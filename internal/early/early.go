// Package early is about the first moments of the process and what they leave behind.
//
// A start allocates a good deal, once: tables of packages, the policy library as it is
// parsed and compiled. Collecting that garbage time and again costs a third of the
// start. So the first collection waits until the heap has 32 MiB, or until Settle; after
// either, everything is as the runtime has it. Whoever sets GOGC is obeyed from the
// beginning.
package early

import (
	"runtime"
	"runtime/debug"
	"sync"
)

// usual is GOGC where nobody sets it. The runtime's smallest heap is 4 MiB at 100.
const usual, first = 100, 800

// restore puts the collector back to what is usual, once.
var restore = func() {}

func init() {
	runtime.MemProfileRate = 0 // nobody can ask for the profile, and its table has 1.5 MiB
	old := debug.SetGCPercent(first)
	if old != usual {
		debug.SetGCPercent(old)
		return
	}
	restore = sync.OnceFunc(func() { debug.SetGCPercent(usual) })
	// The first collection finds that nobody holds this.
	type sentinel struct{ _ *byte } // of pointers: tiny objects without share their block
	runtime.AddCleanup(new(sentinel), func(f func()) { f() }, restore)
}

// Settle gives back what only the start needed: garbage, free memory, and the pages of
// the program itself. It takes milliseconds of a core.
func Settle() {
	restore()
	debug.FreeOSMemory()
	forgetPages()
}
