package unary

import (
	"context"
	"errors"
	"testing"

	"golang.org/x/net/http2"
)

func TestCheck21StreamIDs(t *testing.T) {
	done := func(p *peer) { // stream 5 is done with
		p.call(5, "hello")
		p.want(5, served)
	}
	check(t, []rule{
		{name: "an even id", do: func(p *peer) { p.call(2, "hello") }, want: protocolError},
		{name: "a lower id", do: func(p *peer) { done(p); p.call(3, "hello") }, want: protocolError},
		{name: "HEADERS on a closed stream", do: func(p *peer) { done(p); p.call(5, "hello") }, want: "GOAWAY STREAM_CLOSED"},
		{name: "DATA on a closed stream", do: func(p *peer) { done(p); p.data(5, true, message("x")) }, stream: 5, want: "RST STREAM_CLOSED", next: 7},
		{name: "DATA on an idle stream", do: func(p *peer) { p.data(1, true, message("x")) }, want: protocolError},
		{name: "WINDOW_UPDATE on an idle stream", do: func(p *peer) { p.framer.WriteWindowUpdate(1, 1) }, want: protocolError},
		{name: "RST_STREAM on an idle stream", do: func(p *peer) { p.framer.WriteRSTStream(1, 0) }, want: protocolError},
		{name: "WINDOW_UPDATE and RST_STREAM on a closed stream", do: func(p *peer) {
			done(p)
			p.framer.WriteWindowUpdate(5, 1)
			p.framer.WriteRSTStream(5, 0)
		}, next: 7},
		{name: "ids may be left out", do: func(p *peer) { p.call(1, "x"); p.call(101, "hello") }, stream: 101, want: served, next: 103},
		{name: "the highest id", do: func(p *peer) { p.call(1<<31-1, "hello") }, stream: 1<<31 - 1, want: served},
		{name: "what was on its way as we reset the stream", do: func(p *peer) {
			p.open(1, "x", " malformed")
			p.want(1, malformed)
			p.data(1, false, message("x"))
			p.headers(1, true, "trailer", "x")
		}, next: 3},
	})
}

// A peer that opens streams and resets them gets no more handlers than MaxStreams, all
// of which learn of it at once.
func TestCheck22RapidReset(t *testing.T) {
	t.Parallel()
	t.Run("handlers count until they return", func(t *testing.T) {
		t.Parallel()
		s := serve(t, func(c *Config) { c.MaxStreams = 4 })
		p := s.hello(t)
		id := uint32(1)
		for range 4 {
			p.call(id, "slow-hold")
			<-s.started
			p.framer.WriteRSTStream(id, http2.ErrCodeCancel)
			id += 2
		}
		for range 20 {
			p.call(id, "slow-hold")
			p.want(id, "RST REFUSED_STREAM")
			id += 2
		}
		if n := len(s.started); n != 0 {
			t.Errorf("%d more handlers were started", n)
		}
		close(s.let)
		await(t, "the handlers' places", func() bool {
			p.call(id, "hello")
			id += 2
			return p.outcome(id-2) == served
		})
	})
	t.Run("contexts end at once", func(t *testing.T) {
		t.Parallel()
		s := serve(t)
		p := s.hello(t)
		p.call(1, "slow-wait")
		<-s.started
		p.framer.WriteRSTStream(1, http2.ErrCodeCancel)
		if err := <-s.over; !errors.Is(err, context.Canceled) {
			t.Errorf("the handler saw %v", err)
		}
		p.alive(3)
	})
	t.Run("the rate is bounded", func(t *testing.T) {
		t.Parallel()
		p := serve(t).hello(t)
		for id := uint32(1); id < 600; id += 2 {
			p.open(id)
			p.framer.WriteRSTStream(id, http2.ErrCodeCancel)
		}
		p.want(0, calmDown)
	})
}

// Resets that a peer makes us send count like its own.
func TestCheck23MadeYouReset(t *testing.T) {
	each := func(provoke func(p *peer, id uint32)) func(p *peer) {
		return func(p *peer) {
			go func() { // a peer that reads, so that it hears how it ends
				for id := uint32(1); id < 1200; id += 2 {
					p.open(id)
					provoke(p, id)
				}
			}()
		}
	}
	check(t, []rule{
		{name: "WINDOW_UPDATE of nothing", do: each(func(p *peer, id uint32) { p.framer.WriteWindowUpdate(id, 0) }), want: calmDown},
		{name: "window overflow", do: each(func(p *peer, id uint32) { p.framer.WriteWindowUpdate(id, 1<<31-1) }), want: calmDown},
		{name: "length of PRIORITY", do: each(func(p *peer, id uint32) { p.frame(http2.FramePriority, 0, id, nil) }), want: calmDown},
		{name: "depends on itself", do: each(func(p *peer, id uint32) {
			p.frame(http2.FramePriority, 0, id, []byte{0, 0, byte(id >> 8), byte(id), 0})
		}), want: calmDown},
		{name: "HEADERS in the middle", do: each(func(p *peer, id uint32) { p.headers(id, false, "a", "b") }), want: calmDown},
		{name: "DATA after the end", do: each(func(p *peer, id uint32) {
			p.data(id, true, message("x"))
			p.data(id, true, message("x"))
		}), want: calmDown},
		{name: "malformed calls", do: each(func(p *peer, id uint32) { p.headers(id+10000, true, "a", "b") }), want: "GOAWAY ENHANCE_YOUR_CALM|" + protocolError},
	})
}

func TestCheck24Trailers(t *testing.T) {
	body := func(p *peer) {
		p.open(1)
		p.data(1, false, message("hello"))
	}
	check(t, []rule{
		{name: "end a call", do: func(p *peer) { body(p); p.headers(1, true, "x-trailer", "y") }, stream: 1, want: served, next: 3},
		{name: "of a call without a message", do: func(p *peer) { p.open(1); p.headers(1, true, "x", "y") }, stream: 1, want: "200 13", next: 3},
		{name: "that don't end it", do: func(p *peer) { body(p); p.headers(1, false, "x", "y") }, stream: 1, want: malformed, next: 3},
		{name: "with a pseudo-header", do: func(p *peer) { body(p); p.headers(1, true, ":path", "/") }, stream: 1, want: malformed, next: 3},
		{name: "with a bad name", do: func(p *peer) { body(p); p.headers(1, true, "X", "y") }, stream: 1, want: malformed, next: 3},
		{name: "after the end", do: func(p *peer) {
			p.call(1, "slow-wait")
			p.headers(1, true, "x", "y")
		}, stream: 1, want: "RST STREAM_CLOSED", next: 3},
	})
}

// A late answer of a stream that was reset goes nowhere, above all not to the stream
// that has taken its place.
func TestCheck25LateAnswer(t *testing.T) {
	t.Parallel()
	s := serve(t)
	p := s.hello(t)
	for id := uint32(1); id < 100; id += 4 {
		p.call(id, "slow-hold, reset")
		<-s.started
		p.framer.WriteRSTStream(id, http2.ErrCodeCancel)
		p.call(id+2, "slow-hold, stays") // uses the same stream object again
		<-s.started
		s.let <- struct{}{}
		s.let <- struct{}{}
		for {
			f, ok := p.read().(*http2.HeadersFrame)
			if !ok {
				continue
			}
			if f.StreamID != id+2 {
				t.Fatalf("an answer on stream %d, which was reset", f.StreamID)
			}
			if f.StreamEnded() {
				break
			}
			p.want(id+2, " 0 echo:slow-hold, stays")
			break
		}
	}
}

// However many streams are reset, in whatever order and whatever they were at, nothing
// of them stays.
func TestCheck26ResetLeavesNothing(t *testing.T) {
	t.Parallel()
	const n = 90
	half := message("half of it")[:9]
	for name, c := range map[string]struct {
		window uint32 // of each stream
		begin  func(p *peer, id uint32)
	}{
		"half a message":            {65535, func(p *peer, id uint32) { p.open(id); p.data(id, false, half) }},
		"headers only":              {65535, func(p *peer, id uint32) { p.open(id) }},
		"under way":                 {65535, func(p *peer, id uint32) { p.call(id, "slow-wait") }},
		"lacks window":              {0, func(p *peer, id uint32) { p.call(id, "hello") }},
		"lacks connection's window": {1 << 20, func(p *peer, id uint32) { p.call(id, "big\x08") }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t)
			p := s.hello(t, http2.Setting{ID: http2.SettingInitialWindowSize, Val: c.window})
			for i := range uint32(n) {
				c.begin(p, 2*i+1)
			}
			for i := range uint32(n) {
				p.framer.WriteRSTStream((2*((i*37)%n) + 1), http2.ErrCodeCancel)
			}
			// Needs no window, and comes when all of that was read.
			p.headers(2*n+1, true, with(call(echoPath), ":path", "/no/such")...)
			p.want(2*n+1, "200 12")
			inner := s.only(t)
			await(t, "the handlers", func() bool { inner.mu.Lock(); defer inner.mu.Unlock(); return inner.orphans == 0 })
			balance(t, inner)
			inner.mu.Lock()
			defer inner.mu.Unlock()
			if inner.open != 0 || len(inner.streams) != 0 || inner.receiving != 0 || inner.buffered != 0 || inner.held != 0 {
				t.Errorf("open %d, known %d, receiving %d, buffered %d, held %d", inner.open, len(inner.streams), inner.receiving, inner.buffered, inner.held)
			}
			if held, buffered := s.held.Load(), s.buffered.Load(); held != 0 || buffered != 0 {
				t.Errorf("of all connections: held %d, buffered %d", held, buffered)
			}
		})
	}
}

// A peer that takes no answer, and resets what waits for window, does not make the line
// of those that wait longer and longer.
func TestCheck26ResetLeavesTheLine(t *testing.T) {
	t.Parallel()
	s := serve(t, func(c *Config) { c.MaxStreams = 4 })
	p := s.hello(t, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 20})
	p.call(1, "big\x40") // takes all of the connection's window
	for id := uint32(3); id < 300; id += 2 {
		p.call(id, "hello")
		p.framer.WriteRSTStream(id, http2.ErrCodeCancel)
	}
	p.headers(301, true, with(call(echoPath), ":path", "/no/such")...)
	p.want(301, "200 12")
	inner := s.only(t)
	inner.mu.Lock()
	if n := len(inner.waiting); n > 8 {
		t.Errorf("%d are in the line", n)
	}
	inner.mu.Unlock()
	p.call(303, "hello")
	p.framer.WriteWindowUpdate(0, 1<<20)
	p.want(303, served)
}

// only is the one connection of a server.
func (s *server) only(t *testing.T) *conn {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.connections) != 1 {
		t.Fatalf("%d connections", len(s.connections))
	}
	for c := range s.connections {
		return c
	}
	return nil
}

// The context of a slow call ends with its answer: what it holds is given back.
func TestSlowCallEndsItsContext(t *testing.T) {
	t.Parallel()
	s := serve(t)
	p := s.hello(t)
	p.call(1, "slow-keep")
	p.want(1, "200 0 echo:slow-keep")
	if err := (<-s.kept).Err(); !errors.Is(err, context.Canceled) {
		t.Errorf("after the answer: %v", err)
	}
}

// Messages that never end take no more memory than there is for those of all peers, and
// give it back with their connections.
func TestCheck29UnfinishedMessages(t *testing.T) {
	t.Parallel()
	s := serve(t)
	s.buffered.Store(maxBufferedAll - 40000) // other peers'
	p, good := s.hello(t), s.hello(t)
	big := message(string(make([]byte, 60000)))
	p.open(1)
	p.data(1, false, big[:16000])
	p.data(1, false, big[16000:32000])
	p.open(3)
	p.data(3, false, big[:16000])
	p.want(3, "200 0 overloaded")
	good.alive(1) // needs no memory
	p.nc.Close()
	await(t, "what it held", func() bool { return s.buffered.Load() == maxBufferedAll-40000 })
	if s.Overloads() != 1 {
		t.Errorf("%d overloads", s.Overloads())
	}
}
