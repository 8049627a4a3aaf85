package unary

import (
	"context"
	"errors"
	"net"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

type phase uint8

const (
	awaitPreface phase = iota
	awaitSettings
	ready
)

// Steps of a drain: GOAWAY that names no stream, with a PING to learn when it was
// read; GOAWAY that names the last stream we serve.
const (
	drainAnnounced = iota + 1
	drainFinal
)

// conn is one connection. Everything below mu belongs to it.
type conn struct {
	server *Server
	nc     net.Conn
	ctx    context.Context
	cancel context.CancelFunc
	wake   chan struct{} // slow answers are ready
	gone   chan struct{} // closed when nothing is written any more

	drain     atomic.Bool  // asked to drain
	lingering atomic.Bool  // closing: leave the read deadline alone
	waits     atomic.Bool  // something has a deadline soon
	writeBy   atomic.Int64 // when the write under way must be done, 0 for none

	doneMu sync.Mutex
	done   []*job // slow calls that are answered

	mu    sync.Mutex
	now   int64 // the server's clock as this batch began
	phase phase
	in    []byte // read buffer; frames are in[r:w]
	r, w  int
	out   []byte // frames to be written
	spare []*job // the other half of done
	fail  *fault // the connection is ending, nothing more is handled

	decoder  *hpack.Decoder
	decoding decoding
	block    block // header block under way
	heads    [knownHeads]knownHead
	nextHead int

	streams map[uint32]*stream
	fresh   *stream // the newest stream, not yet in streams
	free    []*stream
	open    int    // streams, fresh included
	orphans int    // handlers whose stream is gone
	lastID  uint32 // highest stream the peer opened
	closed  ring

	receiving  int   // streams whose message is not complete
	buffered   int64 // bytes of their messages, and of slow calls
	recvWindow int64
	owed       int64 // window we took and have not returned

	sendWindow  int64
	peerInitial int64
	peerTable   uint32
	shrink      bool     // the next header block we send must set the table's size
	waiting     []uint32 // streams that lack connection window, in order
	held        int64    // bytes of answers that lack window
	dataSent    int64    // DATA frames
	opened      int64    // streams
	windowIn    int64    // WINDOW_UPDATE frames

	resets, glitches, pings, settings bucket

	unacked   int // our SETTINGS that are not acknowledged
	startBy   int64
	ackBy     int64
	partialBy int64 // when the frame that has begun must be complete, 0 for none
	lastRead  int64
	lastCall  int64
	pinged    int64 // when a quiet peer was pinged, 0 for never
	drainStep int
	drainBy   int64
	peerLeft  bool // it sent GOAWAY
}

func newConn(s *Server, nc net.Conn) *conn {
	now := int64(time.Since(s.start))
	c := &conn{
		server:      s,
		nc:          nc,
		wake:        make(chan struct{}, 1),
		gone:        make(chan struct{}),
		in:          make([]byte, readBuffer),
		out:         make([]byte, 0, 4096),
		streams:     make(map[uint32]*stream),
		recvWindow:  connWindow,
		sendWindow:  65535,
		peerInitial: 65535,
		peerTable:   headerTable,
		now:         now,
		lastRead:    now,
		lastCall:    now,
		startBy:     now + int64(s.config.Timeouts.Preface),
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.decoder = hpack.NewDecoder(headerTable, c.decoding.emit)
	c.decoder.SetMaxStringLength(maxHeaderList)
	c.decoder.SetAllowedMaxDynamicTableSize(headerTable)
	c.waits.Store(true)
	return c
}

// abort ends the connection from outside; a read or write under way fails.
func (c *conn) abort() {
	c.cancel()
	_ = c.nc.Close()
}

// prod makes the reading goroutine look at the clock and the flags.
func (c *conn) prod() {
	if !c.lingering.Load() {
		_ = c.nc.SetReadDeadline(time.Unix(1, 0))
	}
}

// serve runs the connection to its end.
func (c *conn) serve() {
	defer c.abort()
	defer c.survive()
	defer close(c.gone)
	defer c.release()
	if !negotiated(c.nc, c.server.config.Timeouts.Preface) {
		return
	}
	go c.answers()
	for {
		n, err := c.nc.Read(c.in[c.w:])
		timedOut := false
		if err != nil && errors.Is(err, os.ErrDeadlineExceeded) {
			timedOut, err = true, nil
			// Before the state is looked at, so that no prod is lost.
			_ = c.nc.SetReadDeadline(time.Time{})
		}
		if c.turn(n, timedOut, err) {
			break
		}
	}
	c.linger()
}

// turn handles what was read and says whether the connection is at its end.
func (c *conn) turn(n int, timedOut bool, err error) (ended bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.server.clock.Load()
	if n > 0 {
		c.w += n
		c.lastRead, c.pinged = c.now, 0
		c.step(c.process)
		c.compact()
	}
	if timedOut {
		c.step(c.onTime)
	}
	if c.fail == nil && err != nil {
		c.fail = hangUp
	}
	if c.fail == nil && c.finished() {
		c.fail = &fault{code: http2.ErrCodeNo}
	} else if c.fail != nil && c.fail != hangUp {
		c.server.report(c.fail)
		if c.phase != awaitPreface {
			c.out = appendGoAway(c.out, c.lastID, c.fail.code)
		}
	}
	if c.fail != hangUp {
		c.flush()
	}
	c.publish()
	return c.fail != nil
}

// step does a part of the work, unless the connection is ending. A write in the middle
// of it may have failed already.
func (c *conn) step(do func() *fault) {
	if c.fail != nil {
		return
	}
	if f := do(); c.fail == nil {
		c.fail = f
	}
}

// finished says whether nothing keeps the connection.
func (c *conn) finished() bool {
	return c.open == 0 && (c.drainStep == drainFinal || c.peerLeft)
}

// publish tells the watch whether a deadline is near.
func (c *conn) publish() {
	waits := c.phase != ready || c.unacked > 0 || c.block.id != 0 || c.w > c.r || c.receiving > 0 ||
		c.held > 0 || c.drainStep == drainAnnounced || c.pinged != 0
	if waits != c.waits.Load() {
		c.waits.Store(waits)
	}
}

// compact makes room for a whole frame.
func (c *conn) compact() {
	if c.r == c.w {
		c.r, c.w, c.partialBy = 0, 0, 0
		return
	}
	if len(c.in)-c.w < maxFrame+frameHeader {
		c.w = copy(c.in, c.in[c.r:c.w])
		c.r = 0
	}
}

// flush writes what there is to write. It may block, for as long as the watch lets it.
func (c *conn) flush() {
	if len(c.out) == 0 || c.fail == hangUp {
		return
	}
	// The clock may be one tick behind; a late end is no harm.
	c.writeBy.Store(c.server.clock.Load() + int64(c.server.config.Timeouts.Write))
	_, err := c.nc.Write(c.out)
	c.writeBy.Store(0)
	if err != nil {
		c.fail = hangUp
	}
	if cap(c.out) > keepWrite {
		c.out = nil
	}
	c.out = c.out[:0]
}

// answers writes the answers of slow calls as they become ready.
func (c *conn) answers() {
	for {
		select {
		case <-c.wake:
		case <-c.gone:
			return
		}
		if c.writeDone() {
			c.prod()
		}
	}
}

// writeDone writes what is ready and says whether the connection is at its end.
func (c *conn) writeDone() (ended bool) {
	defer c.survive()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.server.clock.Load()
	if c.fail == nil {
		c.takeDone()
		c.flush()
		c.publish()
	}
	return c.fail != nil || c.finished()
}

// survive ends the connection whose code panicked. What it has wrecked is its own;
// what connections share is touched by code that has no such net.
func (c *conn) survive() {
	p := recover()
	if p == nil {
		return
	}
	c.server.panics.Add(1)
	c.abort()
	if log := c.server.config.Log; log != nil {
		log.Error("a connection panicked", "panic", p, "stack", string(debug.Stack()))
	}
}

// release ends what still runs for the connection.
func (c *conn) release() {
	c.cancel()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fail == nil {
		c.fail = hangUp
	}
	c.hold(-c.held)
	c.buffer(-c.buffered)
}

// linger closes without losing what the peer has not read yet: closing at once, with
// bytes of the peer still unread, would reset the connection.
func (c *conn) linger() {
	c.lingering.Store(true)
	half, ok := c.nc.(interface{ CloseWrite() error })
	if !ok || c.fail == hangUp || half.CloseWrite() != nil {
		return
	}
	end := time.Now().Add(c.server.config.Timeouts.Drain)
	for spent := 0; spent < 256<<10 && time.Now().Before(end); {
		_ = c.nc.SetReadDeadline(end)
		n, err := c.nc.Read(c.in)
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) { // that may be a late prod
			return
		}
		spent += n
	}
}
