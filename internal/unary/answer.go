package unary

import (
	"encoding/binary"
	"slices"

	"golang.org/x/net/http2"
)

// call answers a message, or hands it on. Whole says that the message's memory is the
// stream's own and not the read buffer's.
func (c *conn) call(st *stream, message []byte, own bool) {
	m := st.head.method
	if m.health {
		c.health(st, message)
		return
	}
	if m.inline != nil && c.inline(st, m, message) {
		return
	}
	c.submit(st, message, own)
}

// inline tries to answer on the spot, straight into the write buffer, where the
// handler appends to what comes before its message.
func (c *conn) inline(st *stream, m *method, message []byte) (answered bool) {
	before := plainAnswer
	if c.shrink {
		before = shrunkAnswer
	}
	start := len(c.out)
	out := append(slices.Grow(c.out, len(before)+answerRoom), before...)
	at := len(out)
	reply, ok := c.try(m, message, Metadata{st.head}, out[at:])
	if !ok {
		return false
	}
	n := len(reply)
	if n == 0 || !c.fits(st, prefix+n) {
		c.answer(st, append([]byte(nil), reply...))
		return true
	}
	if at+n <= cap(out) && &reply[0] == &out[:at+1][at] {
		out = out[:at+n]
	} else {
		out = append(out, reply...)
	}
	c.shrink = false
	c.out = out
	fill(out[start:], len(before), st.id, n)
	c.sendWindow -= int64(prefix + n)
	c.trailers(st)
	return true
}

// fill writes stream and lengths into an answer that began as a template.
func fill(b []byte, before int, id uint32, n int) {
	data := before - prefix - frameHeader
	binary.BigEndian.PutUint32(b[5:], id)
	length := prefix + n
	b[data], b[data+1], b[data+2] = byte(length>>16), byte(length>>8), byte(length)
	binary.BigEndian.PutUint32(b[data+5:], id)
	binary.BigEndian.PutUint32(b[before-4:], uint32(n))
}

// try runs a method inline. What a handler does that panicked, it has done to the
// message and the buffer behind out, and nothing of both is used.
func (c *conn) try(m *method, message []byte, md Metadata, out []byte) (reply []byte, ok bool) {
	defer func() {
		if p := recover(); p != nil {
			reply, ok = nil, true
			c.server.panicked(m, p)
		}
	}()
	return m.inline(message, md, out)
}

// fits says whether n bytes may be sent now, in one frame.
func (c *conn) fits(st *stream, n int) bool {
	return n <= maxFrame && int64(n) <= c.sendWindow && int64(n) <= c.peerInitial+st.sendDelta
}

// answer sends a reply, now or as window allows. The reply's memory is ours. None at
// all means that the handler failed.
func (c *conn) answer(st *stream, reply []byte) {
	if len(reply) == 0 {
		if reply = c.server.constant(c.server.config.Panicked); len(reply) == 0 {
			c.reply(st, statusInternal)
			return
		}
	}
	c.send(st, reply)
}

// send sends a message and OK.
func (c *conn) send(st *stream, reply []byte) {
	before := plainAnswer
	if c.shrink {
		before = shrunkAnswer
		c.shrink = false
	}
	if n := len(reply); c.fits(st, prefix+n) {
		start := len(c.out)
		c.out = append(append(c.out, before...), reply...)
		fill(c.out[start:], len(before), st.id, n)
		c.sendWindow -= int64(prefix + n)
		c.trailers(st)
		return
	}
	size := int64(prefix + len(reply))
	if c.held+size > maxHeldConn || c.server.held.Load()+size > maxHeldAll {
		// The peer has us hold answers and takes none.
		if fault := c.reset(st, http2.ErrCodeEnhanceYourCalm); fault != nil && c.fail == nil {
			c.fail = fault
		}
		return
	}
	start := len(c.out)
	c.out = append(c.out, before[:len(before)-prefix-frameHeader]...)
	binary.BigEndian.PutUint32(c.out[start+5:], st.id)
	st.pending = append(append(make([]byte, 0, size), before[len(before)-prefix:]...), reply...)
	binary.BigEndian.PutUint32(st.pending[1:], uint32(len(reply)))
	st.by = c.now + int64(c.server.config.Timeouts.Write)
	c.hold(size)
	c.pump(st)
}

// hold counts answers that lack window.
func (c *conn) hold(n int64) {
	if n != 0 {
		c.held += n
		c.server.held.Add(n)
	}
}

// pump sends as much of a held answer as the windows allow.
func (c *conn) pump(st *stream) {
	for len(st.pending) > 0 {
		n := min(int64(len(st.pending)), maxFrame, c.sendWindow, c.peerInitial+st.sendDelta)
		if n <= 0 {
			if c.sendWindow <= 0 && !st.waiting {
				c.await(st)
			}
			return
		}
		c.out = appendFrame(c.out, http2.FrameData, 0, st.id, st.pending[:n])
		st.pending = st.pending[n:]
		c.hold(-n)
		c.sendWindow -= n
		st.sendDelta -= n
		c.dataSent++
		if len(c.out) >= flushAt {
			c.flush()
		}
	}
	c.trailers(st)
}

// await puts a stream that lacks connection window in line. Those that were reset
// meanwhile leave when there are as many of them as streams can be open.
func (c *conn) await(st *stream) {
	if len(c.waiting) >= 2*c.server.config.MaxStreams {
		c.waiting = slices.DeleteFunc(c.waiting, func(id uint32) bool {
			other := c.lookup(id)
			return other == nil || !other.waiting
		})
	}
	st.waiting = true
	c.waiting = append(c.waiting, st.id)
}

// pumpWaiting goes on with the streams that lacked connection window, in their order
// and no further than it reaches: a byte of window wakes one of them.
func (c *conn) pumpWaiting() {
	for len(c.waiting) > 0 && c.sendWindow > 0 {
		if st := c.lookup(c.waiting[0]); st != nil && st.pending != nil {
			if c.pump(st); st.pending != nil && c.sendWindow <= 0 {
				return
			}
			st.waiting = false // done, or it lacks window of its own
		}
		c.waiting = c.waiting[1:]
	}
	if len(c.waiting) == 0 {
		c.waiting = nil
	}
}

// initialWindowChanged moves every stream's window, whatever it was. That takes no
// more than looking at those with an answer held, once for a whole frame.
func (c *conn) initialWindowChanged() *fault {
	ids := make([]uint32, 0, c.open)
	for id := range c.streams {
		ids = append(ids, id)
	}
	if c.fresh != nil {
		ids = append(ids, c.fresh.id)
	}
	for _, id := range ids {
		st := c.lookup(id)
		if c.peerInitial+st.sendDelta > 1<<31-1 {
			return &fault{http2.ErrCodeFlowControl, "SETTINGS make a stream's window too large"}
		}
		if st.pending != nil {
			c.pump(st)
		}
	}
	return nil
}

// trailers ends an answer with OK.
func (c *conn) trailers(st *stream) {
	start := len(c.out)
	c.out = append(c.out, okEnd...)
	binary.BigEndian.PutUint32(c.out[start+5:], st.id)
	c.dataSent++
	c.pings.level = 0
	c.settle(st)
}

// reply ends a call with a status and no message.
func (c *conn) reply(st *stream, code status) {
	block := statusBlocks[code]
	n := len(block)
	if c.shrink {
		n++
	}
	c.out = appendFrameHeader(c.out, http2.FrameHeaders, flagEndHeaders|flagEndStream, st.id, n)
	if c.shrink {
		c.out = append(c.out, 0x20)
		c.shrink = false
	}
	c.out = append(c.out, block...)
	c.settle(st)
}

// reject ends a call whose message is not read.
func (c *conn) reject(st *stream, code status) {
	if code == statusExhausted {
		if reply := c.server.constant(c.server.config.TooLarge); len(reply) > 0 {
			c.send(st, reply)
			return
		}
	}
	c.reply(st, code)
}

// settle closes a stream that is answered. A peer that is still sending is told to
// stop (RFC 9113 8.1).
func (c *conn) settle(st *stream) {
	if !st.remoteClosed {
		c.out = appendWord(c.out, http2.FrameRSTStream, st.id, uint32(http2.ErrCodeNo))
	}
	c.close(st, !st.remoteClosed)
}
