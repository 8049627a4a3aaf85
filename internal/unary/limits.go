package unary

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// What a peer may drive, and how far. Those that depend on the deployment are in
// Config; these don't.
const (
	maxFrame         = 16384   // payload of a frame, both ways
	maxHeaderList    = 16384   // decoded header fields: name + value + 32 each (RFC 9113 6.5.2)
	maxHeaderFields  = 64      // fields of a request
	maxHeaderBlock   = 32768   // encoded, with all CONTINUATIONs
	maxContinuations = 4       // of one header block, empty ones included
	maxSettings      = 32      // entries of a SETTINGS frame
	headerTable      = 4096    // HPACK dynamic table, for decoding
	knownHeads       = 4       // header blocks that are remembered, each up to knownHeadBytes
	knownHeadBytes   = 1024    //
	connWindow       = 8 << 20 // what a peer may send before we return window
	maxBuffered      = 8 << 20 // bytes of unfinished messages beyond which we don't
	maxBufferedAll   = 64 << 20
	maxHeldConn      = 4 << 20 // bytes of answers that lack window, of a connection
	maxHeldAll       = 64 << 20
	lastStreamDrain  = math.MaxInt32 / 4 * 3 // stream id at which a connection is renewed

	readBuffer = 32 << 10 // at least maxFrame + frameHeader
	flushAt    = 32 << 10 // answers that wait before they are written ahead of time
	answerRoom = 4096     // what an inline answer finds, to be built in place
	keepWrite  = 64 << 10 // a larger write buffer is given back
)

// Rates: a bucket of this size that leaks so many a second.
var (
	resetRate  = rate{200, 100}  // RST_STREAM, by the peer or provoked by it
	glitchRate = rate{1000, 100} // frames that are legal and pointless
	pingRate   = rate{20, 2}     // emptied by every answer: some clients ping as they read
	setRate    = rate{20, 2}     // SETTINGS
)

type rate struct{ size, second int64 }

// bucket counts what comes faster than its rate.
type bucket struct{ level, at int64 }

// add puts one in and says whether the bucket holds it.
func (b *bucket) add(now int64, r rate) bool {
	if leaked := (now - b.at) * r.second / int64(time.Second); leaked > 0 {
		b.level = max(0, b.level-leaked)
		b.at = now
	}
	b.level++
	return b.level <= r.size
}

func (c Config) withDefaults() Config {
	number := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	wait := func(v *time.Duration, d time.Duration) {
		if *v == 0 {
			*v = d
		}
	}
	number(&c.MaxMessage, 1<<20)
	number(&c.MaxStreams, 256)
	number(&c.MaxConnections, 1024)
	number(&c.Workers, 64)
	number(&c.Queue, 256)
	wait(&c.CallTimeout, 10*time.Second)
	t := &c.Timeouts
	wait(&t.Preface, 5*time.Second)
	wait(&t.SettingsAck, 10*time.Second)
	wait(&t.Headers, 2*time.Second)
	wait(&t.Body, 5*time.Second)
	wait(&t.Write, 10*time.Second)
	wait(&t.Quiet, time.Minute)
	wait(&t.Pong, 20*time.Second)
	wait(&t.Idle, 10*time.Minute)
	wait(&t.Drain, time.Second)
	return c
}

func (c *Config) validate() error {
	var faults []error
	for _, f := range []struct {
		name  string
		value int
	}{
		{"MaxMessage", c.MaxMessage}, {"MaxStreams", c.MaxStreams}, {"MaxConnections", c.MaxConnections},
		{"Workers", c.Workers}, {"Queue", c.Queue},
	} {
		if f.value < 1 || f.value > math.MaxInt32/4 {
			faults = append(faults, fmt.Errorf("unary: %s is %d: must be from 1 to %d", f.name, f.value, math.MaxInt32/4))
		}
	}
	t := c.Timeouts
	if c.CallTimeout < 0 || min(t.Preface, t.SettingsAck, t.Headers, t.Body, t.Write, t.Quiet, t.Pong, t.Idle, t.Drain) < 0 {
		faults = append(faults, errors.New("unary: a time-out is negative"))
	}
	return errors.Join(faults...)
}

// tick is how often time-outs are looked at.
func (t Timeouts) tick() time.Duration {
	shortest := min(t.Preface, t.SettingsAck, t.Headers, t.Body, t.Write, t.Quiet, t.Pong, t.Idle, t.Drain)
	return max(5*time.Millisecond, min(200*time.Millisecond, shortest/4))
}

// streamWindow is what we let a peer send on one stream: the largest message with
// padding, so that no stream needs window from us.
func (c *Config) streamWindow() int64 {
	return max(65535, int64(c.MaxMessage)+int64(c.MaxMessage)/4+maxFrame)
}
