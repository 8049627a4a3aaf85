package unary

import (
	"golang.org/x/net/http2"
)

var (
	settingsTimeout = &fault{http2.ErrCodeSettingsTimeout, "SETTINGS were not acknowledged"}

	drainPing = "goodbye!"
	quietPing = appendFrame(nil, http2.FramePing, 0, 0, []byte("present?"))
)

// startDrain tells the peer to open no more streams here. It names no stream yet:
// calls that are on their way are still served. The PING's answer shows that it was
// read; nothing comes after that (RFC 9113 6.8).
func (c *conn) startDrain() {
	if c.drainStep != 0 {
		return
	}
	c.drainStep = drainAnnounced
	c.drainBy = c.now + int64(c.server.config.Timeouts.Drain)
	c.out = appendGoAway(c.out, 1<<31-1, http2.ErrCodeNo)
	c.out = appendFrame(c.out, http2.FramePing, 0, 0, []byte(drainPing))
}

// finishDrain names the last stream that is served. Later ones are refused, which
// tells the peer that they can be sent elsewhere.
func (c *conn) finishDrain() {
	c.drainStep = drainFinal
	c.out = appendGoAway(c.out, c.lastID, http2.ErrCodeNo)
}

// onTime looks at the deadlines of a connection and at whether it shall go.
func (c *conn) onTime() *fault {
	t := &c.server.config.Timeouts
	late := func(by int64) bool { return by != 0 && c.now > by }
	switch {
	case c.phase == awaitPreface && late(c.startBy):
		return hangUp
	case c.phase == awaitSettings && late(c.startBy):
		return protocol("no SETTINGS in time")
	case c.unacked > 0 && late(c.ackBy):
		return settingsTimeout
	case c.block.id != 0 && late(c.block.by):
		return calm("a header block took too long")
	case late(c.partialBy):
		return calm("a frame took too long")
	}
	if fault := c.streamsOnTime(); fault != nil {
		return fault
	}
	if c.drain.Load() || (c.phase == ready && c.open == 0 && c.now-c.lastCall > int64(t.Idle)) {
		if c.phase == ready {
			c.startDrain()
		} else if c.drainBy == 0 {
			c.drainBy = c.now + int64(t.Drain)
		} else if late(c.drainBy) {
			return hangUp
		}
	}
	if c.drainStep == drainAnnounced && late(c.drainBy) {
		c.finishDrain()
	}
	quiet := c.now - c.lastRead
	switch {
	case c.pinged != 0 && c.now-c.pinged > int64(t.Pong):
		return hangUp
	case c.pinged == 0 && c.phase == ready && quiet > int64(t.Quiet):
		c.pinged = c.now
		c.out = append(c.out, quietPing...)
	}
	return nil
}

// streamsOnTime resets what waits too long: for the rest of a message, or for window.
func (c *conn) streamsOnTime() *fault {
	if c.receiving == 0 && c.held == 0 {
		return nil
	}
	var late []*stream
	note := func(st *stream) {
		if st.cancel == nil && c.now > st.by {
			late = append(late, st)
		}
	}
	for _, st := range c.streams {
		note(st)
	}
	if c.fresh != nil {
		note(c.fresh)
	}
	for _, st := range late {
		if fault := c.reset(st, http2.ErrCodeCancel); fault != nil {
			return fault
		}
	}
	return nil
}
