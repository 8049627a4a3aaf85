// Package audit records decisions: one JSON line each, through a bounded ring to
// one writer.
//
// Record never blocks and never fails: when the ring is full the record is dropped
// and counted, and the log itself says how many are missing. A slow disk is then a
// gap in the log, not a slow API.
//
// Tokens, cookies, bodies and query values never get here. What a peer chose (path,
// host, subject) is bounded before it waits in the ring, and escaped and masked, where
// it looks like a token, before it is written: one decision is one line.
package audit

import (
	"context"
	"io"
	"log/slog"
	"sync/atomic"
	"time"
)

// Log is the decision log. Its methods may be called from any goroutine, Run from one.
type Log struct {
	ring chan Record
	// Owned by Run.
	out      output
	handler  slog.Handler
	reported uint64    // dropped records that the log has told of
	latest   time.Time // of the records written

	written, dropped, errors atomic.Uint64
}

// New makes a log that writes to w and lets size records wait. It starts nothing.
// Without a writer it takes no records.
func New(w io.Writer, size int) *Log {
	if w == nil {
		return &Log{}
	}
	l := &Log{ring: make(chan Record, max(size, 1))}
	l.out = output{w: w, failed: func() { l.errors.Add(1) }}
	l.handler = slog.NewJSONHandler(&l.out, nil)
	return l
}

// On says whether records are taken. Where they are not, none need be made.
func (l *Log) On() bool { return l.ring != nil }

// Record takes a record, or drops and counts it. It never waits.
func (l *Log) Record(r Record) {
	if !l.On() {
		return
	}
	r.bound()
	select {
	case l.ring <- r:
	default:
		l.dropped.Add(1)
	}
}

// Written is how many records were handed to the writer.
func (l *Log) Written() uint64 { return l.written.Load() }

// Dropped is how many records found the ring full.
func (l *Log) Dropped() uint64 { return l.dropped.Load() }

// Errors is how many writes failed; their lines are lost.
func (l *Log) Errors() uint64 { return l.errors.Load() }

// Run writes until ctx ends, and then what still waits. It flushes whenever it has
// caught up, so that a quiet log is a current one.
func (l *Log) Run(ctx context.Context) error {
	if !l.On() {
		<-ctx.Done()
		return nil
	}
	for ended := false; ; {
		select {
		case r := <-l.ring:
			l.write(&r)
			continue
		default:
		}
		l.flush()
		if ended {
			return nil
		}
		select {
		case r := <-l.ring:
			l.write(&r)
		case <-ctx.Done():
			ended = true
		}
	}
}

func (l *Log) write(r *Record) {
	l.latest = r.Time
	_ = l.handler.Handle(context.Background(), r.line()) // the output counts errors
	l.written.Add(1)
	if l.out.full() {
		l.flush()
	}
}

// flush tells what is missing, once for all since the last time, and writes.
func (l *Log) flush() {
	if dropped := l.dropped.Load(); dropped > l.reported {
		_ = l.handler.Handle(context.Background(), gap(l.latest, dropped-l.reported))
		l.reported = dropped
	}
	l.out.flush()
}
