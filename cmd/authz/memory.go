package main

import (
	"log/slog"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

// limitMemory has the garbage collector work harder before the container's memory is
// used up, instead of being killed for it: at nine tenths of its limit, unless GOMEMLIMIT
// says otherwise. Processors need nothing of the kind; the runtime reads their limit.
func limitMemory(container memlimit.Provider, log *slog.Logger) {
	limit, err := memlimit.Set(memlimit.WithProvider(container), memlimit.WithRatio(0.9))
	if err != nil {
		log.Debug("the container's memory limit is not known", "error", err)
		return
	}
	log.Debug("memory limit", "bytes", limit)
}
