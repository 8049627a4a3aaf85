package unary

import (
	"context"
	"encoding/binary"
	"math"

	"golang.org/x/net/http2"
)

// stream is a call under way. Streams are used again, so nothing outside the
// connection's lock may hold one: slow calls know theirs by its id, which is never
// used twice on a connection.
type stream struct {
	id           uint32
	head         *head
	remoteClosed bool // END_STREAM was read
	message      []byte
	got          int64 // bytes of DATA without padding
	frames       int   // of DATA
	empty        bool  // the last one held nothing
	charge       int64 // of conn.buffered
	recvWindow   int64
	by           int64 // deadline of the message, or of an answer that is held

	cancel    context.CancelFunc // of a slow call
	sendDelta int64              // what WINDOW_UPDATEs gave and DATA took, beside conn.peerInitial
	pending   []byte             // rest of an answer that lacks window
	waiting   bool               // in conn.waiting
}

// openStream takes a stream from the free ones. The newest is kept out of the map:
// mostly its message follows, it is answered, and the map never hears of it.
func (c *conn) openStream(id uint32, h *head) *stream {
	if c.fresh != nil {
		c.streams[c.fresh.id] = c.fresh
	}
	var st *stream
	if n := len(c.free); n > 0 {
		st = c.free[n-1]
		c.free = c.free[:n-1]
	} else {
		st = new(stream)
	}
	*st = stream{
		id: id, head: h,
		recvWindow: c.server.config.streamWindow(),
		by:         c.now + int64(c.server.config.Timeouts.Body),
	}
	c.fresh = st
	c.open++
	c.receiving++
	return st
}

func (c *conn) lookup(id uint32) *stream {
	if c.fresh != nil && c.fresh.id == id {
		return c.fresh
	}
	return c.streams[id]
}

// received notes that the peer will send no more.
func (c *conn) received(st *stream) {
	if !st.remoteClosed {
		st.remoteClosed = true
		c.receiving--
	}
}

// close ends a stream, in a time that depends on nothing. A handler that runs for it
// goes on, and counts, until it returns.
func (c *conn) close(st *stream, ours bool) {
	if !st.remoteClosed {
		c.receiving--
	}
	if st.cancel != nil {
		st.cancel()
		c.orphans++
	}
	c.hold(-int64(len(st.pending)))
	if c.fresh == st {
		c.fresh = nil
	} else {
		delete(c.streams, st.id)
	}
	c.closed.add(st.id, ours)
	c.open--
	c.buffer(-st.charge)
	c.returnWindow()
	*st = stream{}
	c.free = append(c.free, st)
}

// reset breaks a stream off. However it came to that, it was the peer's doing, so it
// counts like a reset of the peer's own.
func (c *conn) reset(st *stream, code http2.ErrCode) *fault {
	id := st.id
	c.close(st, true)
	return c.resetID(id, code)
}

func (c *conn) resetID(id uint32, code http2.ErrCode) *fault {
	if st := c.lookup(id); st != nil {
		c.close(st, true)
	}
	if !c.resets.add(c.now, resetRate) {
		return calm("too many streams had to be reset")
	}
	c.out = appendWord(c.out, http2.FrameRSTStream, id, uint32(code))
	return nil
}

func (c *conn) onData(f *frame) *fault {
	if f.stream == 0 {
		return protocol("DATA without a stream")
	}
	if c.idle(f.stream) {
		return protocol("DATA on an idle stream")
	}
	// All of the frame counts, whatever becomes of it.
	length := int64(len(f.payload))
	if c.recvWindow -= length; c.recvWindow < 0 {
		return &fault{http2.ErrCodeFlowControl, "more DATA than the connection's window"}
	}
	c.owed += length
	c.returnWindow()
	if fault := f.unpad(); fault != nil {
		return fault
	}
	st := c.lookup(f.stream)
	if st == nil {
		if _, ours := c.closed.find(f.stream); ours { // on its way as we reset it
			return c.glitch()
		}
		return c.resetID(f.stream, http2.ErrCodeStreamClosed)
	}
	if st.remoteClosed {
		return c.reset(st, http2.ErrCodeStreamClosed)
	}
	if st.recvWindow -= length; st.recvWindow < 0 {
		return c.reset(st, http2.ErrCodeFlowControl)
	}
	data, end := f.payload, f.has(flagEndStream)
	st.got += int64(len(data))
	st.frames++
	if crumbs, fault := st.crumbs(len(data), end); fault != nil {
		return fault
	} else if crumbs {
		return c.reset(st, http2.ErrCodeEnhanceYourCalm)
	}
	if st.head.length >= 0 && st.got > st.head.length {
		return c.reset(st, http2.ErrCodeProtocol)
	}
	if end {
		c.received(st)
	}
	if st.head.refuse != 0 || st.pending != nil { // what it sends makes no difference
		if end {
			return c.complete(st)
		}
		return nil
	}
	if end && st.message == nil && whole(data, c.server.config.MaxMessage) {
		if st.head.length >= 0 && st.got != st.head.length {
			return c.reset(st, http2.ErrCodeProtocol)
		}
		c.call(st, data[prefix:], false)
		return nil
	}
	if c.server.buffered.Load()+int64(len(data)) > maxBufferedAll {
		c.overload(st, nil)
		return nil
	}
	if code := c.collect(st, data); code != 0 {
		c.reject(st, code)
		return nil
	}
	if end {
		return c.complete(st)
	}
	return nil
}

// crumbs says whether a message comes in more frames than it is worth. One empty frame
// is fine, as some clients end a stream with it; one after the other is a flood.
func (st *stream) crumbs(n int, end bool) (bool, *fault) {
	again := st.empty
	st.empty = n == 0 && !end
	if st.empty && again {
		return false, calm("empty DATA frames")
	}
	return st.frames > 4+int(st.got)/1024, nil
}

// whole says whether data is a message that is not compressed, no more and no less.
func whole(data []byte, limit int) bool {
	return len(data) >= prefix && data[0] == 0 && len(data)-prefix <= limit &&
		int64(binary.BigEndian.Uint32(data[1:])) == int64(len(data)-prefix)
}

// collect adds to a message that comes in parts. Its announced length is judged as
// soon as it is known; memory grows only with what arrives.
func (c *conn) collect(st *stream, data []byte) status {
	st.message = append(st.message, data...)
	st.charge += int64(len(data))
	c.buffer(int64(len(data)))
	if len(st.message) < prefix {
		return 0
	}
	announced := int64(binary.BigEndian.Uint32(st.message[1:]))
	switch {
	case st.message[0] == 1 && st.head.coded:
		return statusCompressed
	case st.message[0] != 0:
		return statusInternal
	case announced > int64(c.server.config.MaxMessage):
		return statusExhausted
	case int64(len(st.message)-prefix) > announced:
		return statusInternal // more than one message
	}
	return 0
}

// complete handles a request that has ended.
func (c *conn) complete(st *stream) *fault {
	if st.head.length >= 0 && st.got != st.head.length {
		return c.reset(st, http2.ErrCodeProtocol)
	}
	switch {
	case st.pending != nil: // answered already
	case st.head.refuse != 0:
		c.reply(st, st.head.refuse)
	case !whole(st.message, math.MaxInt32):
		c.reply(st, statusInternal) // no message, or a part of one
	default:
		c.call(st, st.message[prefix:], true)
	}
	return nil
}

// buffer counts what is kept of messages.
func (c *conn) buffer(n int64) {
	if n != 0 {
		c.buffered += n
		c.server.buffered.Add(n)
	}
}

// returnWindow gives the peer back what it used of the connection's window, unless it
// has us hold too much: then when that is worked off.
func (c *conn) returnWindow() {
	if c.owed < connWindow/4 || c.buffered > maxBuffered {
		return
	}
	c.out = appendWord(c.out, http2.FrameWindowUpdate, 0, uint32(c.owed))
	c.recvWindow += c.owed
	c.owed = 0
}
