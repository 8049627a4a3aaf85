// Package audit records decisions: one JSON line each, through a bounded ring to
// one writer.
//
// Record never blocks and never fails: when the ring is full the record is dropped
// and counted, and the log itself says how many are missing. A slow disk is then a
// gap in the log, not a slow API.
//
// Tokens, cookies, bodies and query values never get here. What a peer chose (path,
// host, subject) is bounded, escaped by the JSON encoder, and masked where it looks
// like a token.
package audit

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"sync/atomic"
)

// Log is the decision log. Its methods may be called from any goroutine, Run from one.
type Log struct {
	ring chan Record
	sink *sink // owned by Run

	written, dropped, errors atomic.Uint64
}

// New makes a log that writes to w and lets size records wait. It starts nothing.
func New(w io.Writer, size int) *Log {
	l := &Log{ring: make(chan Record, size)}
	l.sink = &sink{w: w, errors: &l.errors}
	l.sink.buffer = bufio.NewWriterSize(l.sink, 64<<10)
	return l
}

// Record takes a record, or drops and counts it. It never waits.
func (l *Log) Record(r Record) {
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
	handler := slog.NewJSONHandler(l.sink.buffer, nil)
	var reported uint64
	write := func(r Record) {
		_ = handler.Handle(context.Background(), r.line()) // the sink counts errors
		l.written.Add(1)
		if dropped := l.dropped.Load(); dropped > reported {
			_ = handler.Handle(context.Background(), gap(r.Time, dropped-reported))
			reported = dropped
		}
	}
	for {
		select {
		case r := <-l.ring:
			write(r)
		default:
			l.sink.buffer.Flush()
			select {
			case r := <-l.ring:
				write(r)
			case <-ctx.Done():
				for {
					select {
					case r := <-l.ring:
						write(r)
					default:
						l.sink.buffer.Flush()
						return nil
					}
				}
			}
		}
	}
}

// sink counts failed writes and hides them from bufio, which would never write
// again after the first: a full disk must not silence the log for good.
type sink struct {
	w      io.Writer
	buffer *bufio.Writer
	errors *atomic.Uint64
}

func (s *sink) Write(p []byte) (int, error) {
	if _, err := s.w.Write(p); err != nil {
		s.errors.Add(1)
	}
	return len(p), nil
}
