package unary

import (
	"encoding/binary"
	"math"
	"time"

	"golang.org/x/net/http2"
)

// process handles every complete frame in the read buffer.
func (c *conn) process() *fault {
	if c.phase == awaitPreface {
		have := c.in[c.r:c.w]
		n := min(len(have), len(preface))
		if string(have[:n]) != preface[:n] {
			return hangUp
		}
		if n < len(preface) {
			return nil
		}
		c.r += n
		c.phase = awaitSettings
		c.out = append(c.out, c.server.hello...)
		c.unacked++
		c.ackBy = c.now + int64(c.server.config.Timeouts.SettingsAck)
	}
	for c.fail == nil {
		b := c.in[c.r:c.w]
		if len(b) < frameHeader {
			if len(b) > 0 {
				c.partial(c.server.config.Timeouts.Body)
			}
			return nil
		}
		// The length is judged before the payload is waited for.
		length := int(b[0])<<16 | int(b[1])<<8 | int(b[2])
		if length > maxFrame {
			return &fault{http2.ErrCodeFrameSize, "a frame is too long"}
		}
		f := frame{
			kind:   http2.FrameType(b[3]),
			flags:  b[4],
			stream: binary.BigEndian.Uint32(b[5:]) & math.MaxInt32,
		}
		if c.phase == awaitSettings && (f.kind != http2.FrameSettings || f.flags&flagAck != 0) {
			return protocol("the first frame is not SETTINGS")
		}
		if c.block.id != 0 && (f.kind != http2.FrameContinuation || f.stream != c.block.id) {
			return protocol("another frame inside a header block")
		}
		if len(b) < frameHeader+length {
			within := c.server.config.Timeouts.Body
			if f.kind == http2.FrameHeaders || f.kind == http2.FrameContinuation {
				within = c.server.config.Timeouts.Headers
			}
			c.partial(within)
			return nil
		}
		f.payload = b[frameHeader : frameHeader+length]
		c.r += frameHeader + length
		c.partialBy = 0
		if err := c.handle(&f); err != nil {
			return err
		}
		if len(c.out) >= flushAt {
			c.flush()
		}
	}
	return nil
}

// partial notes that a frame has begun that is not complete. More of it doesn't put
// its deadline off.
func (c *conn) partial(within time.Duration) {
	if by := c.now + int64(within); c.partialBy == 0 || by < c.partialBy {
		c.partialBy = by
	}
}

// frame is a frame in the read buffer.
type frame struct {
	kind    http2.FrameType
	flags   byte
	stream  uint32
	payload []byte
}

func (f *frame) has(flag byte) bool { return f.flags&flag != 0 }

// unpad takes the padding off.
func (f *frame) unpad() *fault {
	if !f.has(flagPadded) {
		return nil
	}
	if len(f.payload) == 0 {
		return &fault{http2.ErrCodeFrameSize, "no room for the length of the padding"}
	}
	pad := int(f.payload[0])
	if pad >= len(f.payload) {
		return protocol("more padding than payload")
	}
	f.payload = f.payload[1 : len(f.payload)-pad]
	return nil
}

func (c *conn) handle(f *frame) *fault {
	switch f.kind {
	case http2.FrameHeaders:
		return c.onHeaders(f)
	case http2.FrameData:
		return c.onData(f)
	case http2.FrameContinuation:
		return c.onContinuation(f)
	case http2.FrameWindowUpdate:
		return c.onWindowUpdate(f)
	case http2.FrameSettings:
		return c.onSettings(f)
	case http2.FramePing:
		return c.onPing(f)
	case http2.FrameRSTStream:
		return c.onReset(f)
	case http2.FrameGoAway:
		if f.stream != 0 {
			return protocol("GOAWAY on a stream")
		}
		if len(f.payload) < 8 {
			return &fault{http2.ErrCodeFrameSize, "GOAWAY is too short"}
		}
		c.peerLeft = true
		return c.glitch()
	case http2.FramePriority:
		return c.onPriority(f)
	case http2.FramePushPromise:
		return protocol("PUSH_PROMISE from a client")
	}
	return c.glitch() // unknown, ALTSVC, PRIORITY_UPDATE: RFC 9113 5.5
}

// glitch counts a frame that is legal and of no use.
func (c *conn) glitch() *fault {
	if !c.glitches.add(c.now, glitchRate) {
		return calm("too many frames of no use")
	}
	return nil
}

func (c *conn) onSettings(f *frame) *fault {
	if f.stream != 0 {
		return protocol("SETTINGS on a stream")
	}
	if f.has(flagAck) {
		if len(f.payload) != 0 {
			return &fault{http2.ErrCodeFrameSize, "an acknowledgement of SETTINGS with a payload"}
		}
		if c.unacked == 0 {
			return protocol("an acknowledgement of no SETTINGS")
		}
		c.unacked--
		return nil
	}
	if len(f.payload)%6 != 0 {
		return &fault{http2.ErrCodeFrameSize, "SETTINGS is not a list of settings"}
	}
	if len(f.payload) > 6*maxSettings {
		return calm("too many settings")
	}
	if !c.settings.add(c.now, setRate) {
		return calm("too many SETTINGS")
	}
	before := c.peerInitial
	for b := f.payload; len(b) > 0; b = b[6:] {
		s := http2.Setting{ID: http2.SettingID(binary.BigEndian.Uint16(b)), Val: binary.BigEndian.Uint32(b[2:])}
		for rest := b[6:]; len(rest) > 0; rest = rest[6:] {
			if http2.SettingID(binary.BigEndian.Uint16(rest)) == s.ID {
				return protocol("a setting twice")
			}
		}
		if err := s.Valid(); err != nil {
			if s.ID == http2.SettingInitialWindowSize {
				return &fault{http2.ErrCodeFlowControl, "the initial window is too large"}
			}
			return protocol("a setting has no legal value")
		}
		switch s.ID {
		case http2.SettingInitialWindowSize:
			c.peerInitial = int64(s.Val)
		case http2.SettingHeaderTableSize:
			// Nothing we send uses the table. A smaller one must still be acknowledged in
			// the next header block (RFC 9113 4.3.1).
			if s.Val < c.peerTable {
				c.shrink = true
			}
			c.peerTable = min(s.Val, headerTable)
		}
		// MAX_FRAME_SIZE is at least what we send at most, MAX_CONCURRENT_STREAMS and
		// ENABLE_PUSH are about pushes, MAX_HEADER_LIST_SIZE is larger than our few fields.
	}
	c.out = appendFrame(c.out, http2.FrameSettings, flagAck, 0, nil)
	if c.phase == awaitSettings {
		c.phase = ready
		if c.drain.Load() {
			c.startDrain()
		}
	}
	if c.peerInitial != before {
		return c.initialWindowChanged()
	}
	return nil
}

func (c *conn) onPing(f *frame) *fault {
	if f.stream != 0 {
		return protocol("PING on a stream")
	}
	if len(f.payload) != 8 {
		return &fault{http2.ErrCodeFrameSize, "PING is not 8 bytes"}
	}
	if f.has(flagAck) {
		if c.drainStep == drainAnnounced && string(f.payload) == drainPing {
			c.finishDrain()
			return nil
		}
		return c.glitch()
	}
	if !c.pings.add(c.now, pingRate) {
		return calm("too many PINGs")
	}
	c.out = appendFrame(c.out, http2.FramePing, flagAck, 0, f.payload)
	return nil
}

func (c *conn) onPriority(f *frame) *fault {
	if f.stream == 0 {
		return protocol("PRIORITY without a stream")
	}
	if len(f.payload) != 5 {
		return c.resetID(f.stream, http2.ErrCodeFrameSize)
	}
	if binary.BigEndian.Uint32(f.payload)&math.MaxInt32 == f.stream {
		return c.resetID(f.stream, http2.ErrCodeProtocol)
	}
	return c.glitch()
}

func (c *conn) onReset(f *frame) *fault {
	if f.stream == 0 {
		return protocol("RST_STREAM without a stream")
	}
	if len(f.payload) != 4 {
		return &fault{http2.ErrCodeFrameSize, "RST_STREAM is not 4 bytes"}
	}
	if c.idle(f.stream) {
		return protocol("RST_STREAM on an idle stream")
	}
	if !c.resets.add(c.now, resetRate) {
		return calm("too many resets")
	}
	if st := c.lookup(f.stream); st != nil {
		c.close(st, false)
	}
	return nil
}

func (c *conn) onWindowUpdate(f *frame) *fault {
	if len(f.payload) != 4 {
		return &fault{http2.ErrCodeFrameSize, "WINDOW_UPDATE is not 4 bytes"}
	}
	more := int64(binary.BigEndian.Uint32(f.payload) & math.MaxInt32)
	// What a peer may need: two for each stream, and some for each DATA frame it got.
	if c.windowIn++; c.windowIn > 5+2*(c.opened+10*c.dataSent) {
		if fault := c.glitch(); fault != nil {
			return fault
		}
	}
	if f.stream == 0 {
		if more == 0 {
			return protocol("WINDOW_UPDATE of nothing")
		}
		if c.sendWindow += more; c.sendWindow > math.MaxInt32 {
			return &fault{http2.ErrCodeFlowControl, "the connection's window is too large"}
		}
		c.pumpWaiting()
		return nil
	}
	if c.idle(f.stream) {
		return protocol("WINDOW_UPDATE on an idle stream")
	}
	st := c.lookup(f.stream)
	if st == nil {
		return nil
	}
	if more == 0 {
		return c.reset(st, http2.ErrCodeProtocol)
	}
	if st.sendDelta += more; c.peerInitial+st.sendDelta > math.MaxInt32 {
		return c.reset(st, http2.ErrCodeFlowControl)
	}
	if st.pending != nil {
		c.pump(st)
	}
	return nil
}

// idle says whether no stream of this id was ever open.
func (c *conn) idle(id uint32) bool { return id > c.lastID || id%2 == 0 }
