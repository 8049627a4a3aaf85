package unary

import (
	"encoding/binary"
	"math"

	"golang.org/x/net/http2"
)

// block is a header block that has begun. Its CONTINUATIONs are counted here, empty
// ones too, and it has one deadline from its first frame on.
type block struct {
	id        uint32 // 0 for none
	endStream bool
	self      bool // the stream's priority depends on itself
	bytes     []byte
	frames    int
	by        int64
}

func (c *conn) onHeaders(f *frame) *fault {
	if f.stream%2 == 0 {
		return protocol("HEADERS on a stream that no client opens")
	}
	if fault := f.unpad(); fault != nil {
		return fault
	}
	self := false
	if f.has(flagPriority) {
		if len(f.payload) < 5 {
			return &fault{http2.ErrCodeFrameSize, "HEADERS is too short"}
		}
		self = binary.BigEndian.Uint32(f.payload)&math.MaxInt32 == f.stream
		f.payload = f.payload[5:]
	}
	if f.has(flagEndHeaders) {
		return c.onBlock(f.stream, f.payload, f.has(flagEndStream), self)
	}
	c.block = block{
		id: f.stream, endStream: f.has(flagEndStream), self: self,
		bytes: append(c.block.bytes[:0], f.payload...),
		by:    c.now + int64(c.server.config.Timeouts.Headers),
	}
	return nil
}

func (c *conn) onContinuation(f *frame) *fault {
	b := &c.block
	if b.id == 0 {
		return protocol("CONTINUATION of nothing")
	}
	if b.frames++; b.frames > maxContinuations {
		return calm("too many CONTINUATIONs")
	}
	if len(b.bytes)+len(f.payload) > maxHeaderBlock {
		return calm("a header block is too long")
	}
	b.bytes = append(b.bytes, f.payload...)
	if !f.has(flagEndHeaders) {
		return nil
	}
	id := b.id
	b.id = 0
	fault := c.onBlock(id, b.bytes, b.endStream, b.self)
	if cap(b.bytes) > maxFrame {
		b.bytes = nil
	}
	return fault
}

// onBlock handles a complete header block. It is decoded in any case, even if nobody
// wants it: the next one depends on it.
func (c *conn) onBlock(id uint32, b []byte, endStream, self bool) *fault {
	if id <= c.lastID {
		return c.onTrailers(id, b, endStream)
	}
	h, fault := c.request(b)
	if fault != nil {
		return fault
	}
	c.lastID = id
	if c.drainStep == drainFinal {
		// It is above the stream our GOAWAY named, so the peer knows to try elsewhere.
		return c.refuse(id, http2.ErrCodeRefusedStream)
	}
	if c.open+c.orphans >= c.server.config.MaxStreams {
		code := http2.ErrCodeProtocol
		if c.unacked > 0 || c.orphans > 0 {
			code = http2.ErrCodeRefusedStream
		}
		return c.refuse(id, code)
	}
	if id > lastStreamDrain {
		c.startDrain()
	}
	c.opened++
	c.lastCall = c.now
	st := c.openStream(id, h)
	switch {
	case h.tooLarge:
		return c.reset(st, http2.ErrCodeEnhanceYourCalm)
	case h.malformed, self:
		return c.reset(st, http2.ErrCodeProtocol)
	case endStream:
		c.received(st)
		return c.complete(st)
	case h.refuse != 0 && !h.patient:
		c.reply(st, h.refuse)
	}
	return nil
}

// onTrailers handles a header block on a stream that was opened before.
func (c *conn) onTrailers(id uint32, b []byte, endStream bool) *fault {
	if _, fault := c.decode(b); fault != nil {
		return fault
	}
	st := c.lookup(id)
	if st == nil {
		switch used, ours := c.closed.find(id); {
		case ours: // on its way as we reset it
			return c.glitch()
		case used:
			return &fault{http2.ErrCodeStreamClosed, "HEADERS on a closed stream"}
		}
		return protocol("HEADERS on an older stream")
	}
	switch {
	case st.remoteClosed:
		return c.reset(st, http2.ErrCodeStreamClosed)
	case !endStream || !c.decoding.trailers():
		return c.reset(st, http2.ErrCodeProtocol)
	}
	c.received(st)
	return c.complete(st)
}

// refuse resets a stream that was never opened.
func (c *conn) refuse(id uint32, code http2.ErrCode) *fault {
	c.closed.add(id, true)
	return c.resetID(id, code)
}

// ring remembers the streams that were closed last. Of older ones it is only known
// that they are no longer open.
type ring struct {
	ids  [64]uint32
	ours uint64 // a bit for each: it was us who reset it
	next uint
}

func (r *ring) add(id uint32, ours bool) {
	r.ids[r.next] = id
	r.ours &^= 1 << r.next
	if ours {
		r.ours |= 1 << r.next
	}
	r.next = (r.next + 1) % uint(len(r.ids))
}

func (r *ring) find(id uint32) (used, ours bool) {
	for i := range r.ids {
		if r.ids[i] == id {
			return true, r.ours&(1<<i) != 0
		}
	}
	return false, false
}
