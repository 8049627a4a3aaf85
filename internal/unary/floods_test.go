package unary

import (
	"bytes"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

func TestCheck31Floods(t *testing.T) {
	// Each frame is sent as often as fits into a second or two of a fast peer.
	flood := func(n int, frame []byte) func(p *peer) {
		return func(p *peer) { go p.nc.Write(bytes.Repeat(frame, n)) }
	}
	check(t, []rule{
		{name: "PING", do: flood(1000, appendFrame(nil, http2.FramePing, 0, 0, make([]byte, 8))), want: calmDown},
		{name: "PING answers", do: flood(2000, appendFrame(nil, http2.FramePing, flagAck, 0, make([]byte, 8))), want: calmDown},
		{name: "SETTINGS", do: flood(1000, appendFrame(nil, http2.FrameSettings, 0, 0, nil)), want: calmDown},
		{name: "PRIORITY", do: flood(2000, appendFrame(nil, http2.FramePriority, 0, 1, []byte{0, 0, 0, 9, 1})), want: calmDown},
		{name: "WINDOW_UPDATE", do: flood(2000, appendWord(nil, http2.FrameWindowUpdate, 0, 1)), want: calmDown},
		{name: "GOAWAY", do: func(p *peer) {
			p.open(1) // keeps the connection
			go p.nc.Write(bytes.Repeat(appendGoAway(nil, 0, 0), 2000))
		}, want: calmDown},
		{name: "empty DATA", do: func(p *peer) {
			p.open(1)
			go p.nc.Write(bytes.Repeat(appendFrame(nil, http2.FrameData, 0, 1, nil), 1000))
		}, want: calmDown},
		{name: "RST_STREAM on closed streams", do: func(p *peer) {
			p.alive(1)
			go p.nc.Write(bytes.Repeat(appendWord(nil, http2.FrameRSTStream, 1, 0), 1000))
		}, want: calmDown},
		{name: "some PINGs are fine", do: flood(15, appendFrame(nil, http2.FramePing, 0, 0, make([]byte, 8))), next: 1},
	})
}

// Some clients send a PING with every answer they read. It is theirs to do.
func TestCheck31PingsWithCalls(t *testing.T) {
	t.Parallel()
	p := serve(t).hello(t)
	for id := uint32(1); id < 200; id += 2 {
		p.alive(id)
		p.framer.WritePing(false, [8]byte{})
	}
}

func TestCheck32Settings(t *testing.T) {
	send := func(settings ...http2.Setting) func(p *peer) {
		return func(p *peer) { p.framer.WriteSettings(settings...) }
	}
	many := make([]http2.Setting, 33)
	for i := range many {
		many[i].ID = http2.SettingID(1000 + i)
	}
	check(t, []rule{
		{name: "33 entries", do: send(many...), want: calmDown},
		{name: "32 unknown ones", do: send(many[:32]...), next: 1},
		{name: "twice", do: send(many[0], many[1], many[0]), want: protocolError},
		{name: "ENABLE_PUSH 2", do: send(http2.Setting{ID: http2.SettingEnablePush, Val: 2}), want: protocolError},
		{name: "ENABLE_PUSH 1", do: send(http2.Setting{ID: http2.SettingEnablePush, Val: 1}), next: 1},
		{name: "a window of 2^31", do: send(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 31}), want: "GOAWAY FLOW_CONTROL_ERROR"},
		{name: "a table of 4 GiB", do: send(http2.Setting{ID: http2.SettingHeaderTableSize, Val: 1<<32 - 1}), next: 1},
		{name: "no streams", do: send(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 0}), next: 1},
	})
	t.Run("a smaller table is taken note of", func(t *testing.T) {
		for _, text := range []string{"hello", "slow", "big\x11", "nothing"} {
			p := serve(t).hello(t, http2.Setting{ID: http2.SettingHeaderTableSize, Val: 0})
			for _, want := range []bool{true, false} {
				id := uint32(1)
				if !want {
					id = 3
				}
				p.call(id, text)
				for {
					if f, ok := p.read().(*http2.HeadersFrame); ok && f.StreamID == id {
						if got := f.HeaderBlockFragment()[0] == 0x20; got != want {
							t.Errorf("%s: size update on stream %d: %v", text, id, got)
						}
						break
					}
				}
				p.bytes(id, 0)
			}
		}
	})
	t.Run("each is acknowledged", func(t *testing.T) {
		p := serve(t).hello(t)
		for range 5 {
			p.framer.WriteSettings()
			if f, ok := p.read().(*http2.SettingsFrame); !ok || !f.IsAck() {
				t.Errorf("got %v", f)
			}
		}
	})
}

// A peer that sends and doesn't read is closed after a while. Meanwhile others are
// served, and it costs no more than what was read of it.
func TestCheck33PeerDoesNotRead(t *testing.T) {
	t.Parallel()
	s := serve(t, quick, func(c *Config) { c.Timeouts.Write = time.Second })
	stuck, good := s.hello(t, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 30}), s.hello(t)
	stuck.framer.WriteWindowUpdate(0, 1<<30)
	go func() {
		for id := uint32(1); id < 4000; id += 2 {
			stuck.call(id, "big\x3f")
		}
	}()
	var c *conn
	await(t, "a write to be stuck", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		for c = range s.connections {
			if by := c.writeBy.Load(); by != 0 && c.server.clock.Load() > by-int64(800*time.Millisecond) {
				return true
			}
		}
		return false
	})
	good.alive(1)
	if n := s.Connections(); n != 2 {
		t.Errorf("%d connections", n)
	}
	await(t, "the stuck connection to be closed", func() bool { return s.Connections() == 1 })
	good.alive(3)
}

// Connections that never stop do not keep others from being served, nor each other, nor
// their own slow calls.
func TestCheck34Fairness(t *testing.T) {
	t.Parallel()
	s := serve(t)
	stop := make(chan struct{})
	var group sync.WaitGroup
	var answered [4]atomic.Int64 // bytes
	slow := make(chan struct{}, len(answered))
	for i := range answered {
		greedy := s.hello(t, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 30})
		greedy.nc.SetDeadline(time.Now().Add(time.Minute))
		greedy.framer.WriteWindowUpdate(0, 1<<30)
		greedy.call(1, "slow-fair")
		block := greedy.encode(call(echoPath)...)
		group.Go(func() {
			seen := false
			for {
				f, err := greedy.framer.ReadFrame()
				if err != nil {
					return
				}
				answered[i].Add(int64(f.Header().Length))
				if !seen && f.Header().StreamID == 1 {
					seen = true
					slow <- struct{}{}
				}
			}
		})
		group.Go(func() {
			defer greedy.nc.Close()
			var batch []byte
			for id := uint32(3); ; {
				select {
				case <-stop:
					return
				default:
				}
				for batch = batch[:0]; len(batch) < 32<<10; id += 2 {
					batch = appendFrame(batch, http2.FrameHeaders, flagEndHeaders, id, block)
					batch = appendFrame(batch, http2.FrameData, flagEndStream, id, message("x"))
				}
				if _, err := greedy.nc.Write(batch); err != nil {
					return
				}
			}
		})
	}
	good := s.hello(t)
	for id := uint32(1); id < 100; id += 2 {
		good.alive(id)
	}
	for range answered {
		select {
		case <-slow:
		case <-time.After(20 * time.Second):
			t.Fatal("a slow call is not answered, as its connection always has something else to do")
		}
	}
	for i := range answered {
		before := answered[i].Load()
		await(t, "each of the greedy to be served as well", func() bool { return answered[i].Load() > before })
	}
	close(stop)
	group.Wait()
}

// One connection cannot take all the workers: what it may have under way is bounded, and
// others find a place.
func TestCheck34Workers(t *testing.T) {
	t.Parallel()
	s := serve(t, func(c *Config) { c.Workers, c.Queue, c.MaxStreams = 8, 8, 4 })
	greedy, good := s.hello(t), s.hello(t)
	for id := uint32(1); id < 100; id += 2 {
		greedy.call(id, "slow-hold")
	}
	greedy.want(99, "RST PROTOCOL_ERROR")
	good.call(1, "slow")
	good.want(1, "200 0 echo:slow")
	if s.Overloads() != 0 {
		t.Errorf("%d overloads", s.Overloads())
	}
	close(s.let)
}
