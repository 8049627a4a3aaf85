package unary

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"

	"golang.org/x/net/http2"
)

// DATA that is thrown away gives its window back like any other; else a peer that sends
// much of it would starve.
func TestCheck27WindowComesBack(t *testing.T) {
	t.Parallel()
	for name, do := range map[string]func(p *peer, id uint32){
		"no such method": func(p *peer, id uint32) { p.open(id, ":path", "/x/y") },
		"malformed":      func(p *peer, id uint32) { p.open(id, "x", " y") },
		"reset by peer":  func(p *peer, id uint32) { p.open(id); p.framer.WriteRSTStream(id, http2.ErrCodeCancel) },
		"served":         func(p *peer, id uint32) { p.open(id) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := serve(t).hello(t)
			go io.Copy(io.Discard, p.nc)
			padding := bytes.Repeat([]byte{0}, 255)
			large := message(strings.Repeat("x", 16000))
			n := 0
			for id := uint32(1); n < 3*connWindow; id += 2 {
				do(p, id)
				for range 20 {
					if name == "served" {
						p.framer.WriteData(id, true, large)
						n += len(large)
						break
					}
					p.framer.WriteDataPadded(id, false, make([]byte, 16000), padding)
					n += 16256
				}
			}
		})
	}
	t.Run("counted", func(t *testing.T) {
		s := serve(t)
		p := s.hello(t)
		sent, back := int64(0), int64(0)
		for id := uint32(1); sent < 2*connWindow; id += 2 {
			p.open(id, "content-type", "text/plain")
			for i := range 20 {
				p.framer.WriteDataPadded(id, i == 19, make([]byte, 16000), make([]byte, 255))
				sent += 16256
			}
			for ended := false; !ended; {
				switch f := p.read().(type) {
				case *http2.WindowUpdateFrame:
					back += int64(f.Increment)
				case *http2.HeadersFrame:
					ended = true
				}
			}
		}
		if sent-back > connWindow/4 {
			t.Errorf("sent %d, got window for %d", sent, back)
		}
	})
}

func TestCheck27OverWindow(t *testing.T) {
	check(t, []rule{
		{name: "stream", do: func(p *peer) {
			p.open(1, "content-type", "text/plain")
			for range 90 { // 1.4 MB; a stream has 1.3
				p.data(1, false, make([]byte, 16000))
			}
		}, stream: 1, want: "RST FLOW_CONTROL_ERROR", next: 3},
		{name: "connection", do: func(p *peer) {
			// Messages that are never finished are not worked off, so window is held back.
			for id := uint32(1); id < 80; id += 2 {
				p.open(id)
				p.data(id, false, append([]byte{0, 0, 0x0f, 0xff, 0xff}, make([]byte, 16000)...))
				for range 50 {
					p.data(id, false, make([]byte, 16000))
				}
			}
		}, want: "GOAWAY FLOW_CONTROL_ERROR|closed"},
	})
}

func TestCheck28WindowUpdates(t *testing.T) {
	initial := func(n uint32) []http2.Setting {
		return []http2.Setting{{ID: http2.SettingInitialWindowSize, Val: n}}
	}
	check(t, []rule{
		{name: "nothing, connection", do: func(p *peer) { p.framer.WriteWindowUpdate(0, 0) }, want: protocolError},
		{name: "nothing, stream", do: func(p *peer) { p.open(1); p.framer.WriteWindowUpdate(1, 0) }, stream: 1, want: malformed, next: 3},
		{name: "too much, connection", do: func(p *peer) { p.framer.WriteWindowUpdate(0, 1<<31-1) }, want: "GOAWAY FLOW_CONTROL_ERROR"},
		{name: "too much, stream", do: func(p *peer) { p.open(1); p.framer.WriteWindowUpdate(1, 1<<31-1) },
			stream: 1, want: "RST FLOW_CONTROL_ERROR", next: 3},
		{name: "as much as may be", do: func(p *peer) { p.framer.WriteWindowUpdate(0, 1<<31-1-65535) }, next: 1},
		{name: "SETTINGS overflow a stream", settings: initial(0), do: func(p *peer) {
			p.open(1)
			p.framer.WriteWindowUpdate(1, 1<<31-1)
			p.framer.WriteSettings(initial(1)...)
		}, want: "GOAWAY FLOW_CONTROL_ERROR"},
		{name: "an answer waits for SETTINGS", settings: initial(0), do: func(p *peer) {
			p.call(1, "hello")
			p.framer.WriteSettings(initial(100)...)
		}, stream: 1, want: served, next: 3},
		{name: "an answer waits for WINDOW_UPDATE", settings: initial(0), do: func(p *peer) {
			p.call(1, "hello")
			p.framer.WriteWindowUpdate(1, 7)
			p.framer.WriteWindowUpdate(1, 8)
		}, stream: 1, want: served},
		{name: "slow answers wait as well", settings: initial(0), do: func(p *peer) {
			p.call(1, "slow")
			p.framer.WriteWindowUpdate(1, 100)
		}, stream: 1, want: "200 0 echo:slow"},
	})
}

// A window that SETTINGS made negative must be filled before anything is sent.
func TestCheck28NegativeWindow(t *testing.T) {
	t.Parallel()
	p := serve(t).hello(t, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 30000})
	p.call(1, "big\x28") // 40 KiB and a prefix
	got := p.bytes(1, 30000)
	p.framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 10000}) // now -20000
	p.framer.WriteWindowUpdate(1, 20000)                                                  // now 0
	p.framer.WritePing(false, [8]byte{1})
	if more := p.bytes(1, 0); more != 0 {
		t.Errorf("%d bytes without a window", more)
	}
	p.framer.WriteWindowUpdate(1, 1)
	if more := p.bytes(1, 1); more != 1 {
		t.Errorf("%d bytes for a window of 1", more)
	}
	p.framer.WriteWindowUpdate(1, 20000)
	if rest := p.bytes(1, 40<<10+prefix-got-1); rest != 40<<10+prefix-got-1 {
		t.Errorf("%d bytes are the rest", rest)
	}
	p.want(1, " 0")
}

// bytes reads until n bytes of DATA came, or a PING's answer, and returns how many.
func (p *peer) bytes(id uint32, n int) (got int) {
	p.t.Helper()
	for n == 0 || got < n {
		switch f := p.read().(type) {
		case *http2.DataFrame:
			if f.StreamID == id {
				got += len(f.Data())
			}
			if len(f.Data()) > maxFrame {
				p.t.Errorf("a frame of %d bytes", len(f.Data()))
			}
		case *http2.PingFrame:
			return got
		case *http2.HeadersFrame:
			if f.StreamEnded() {
				return got
			}
		}
	}
	return got
}

func TestCheck29SlowReaders(t *testing.T) {
	none := []http2.Setting{{ID: http2.SettingInitialWindowSize, Val: 0}}
	check(t, []rule{
		{name: "what is held is bounded", settings: none, do: func(p *peer) {
			for id := uint32(1); id < 64; id += 2 { // 255 KiB each
				p.call(id, "big\xff")
			}
		}, stream: 33, want: "RST ENHANCE_YOUR_CALM"},
		{name: "and for how long", settings: none, do: func(p *peer) { p.call(1, "hello") }, stream: 1, want: "RST CANCEL"},
	}, quick)
	t.Run("a byte of window wakes one stream", func(t *testing.T) {
		s := serve(t)
		p := s.hello(t, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 20})
		p.call(1, "big\x40") // takes all of the connection's window, and a bit more
		if n := p.bytes(1, 65535); n != 65535 {
			t.Fatalf("%d bytes", n)
		}
		for id := uint32(3); id < 100; id += 2 {
			p.call(id, "hello")
		}
		p.framer.WriteWindowUpdate(0, 1)
		p.framer.WritePing(false, [8]byte{1})
		data := ""
		for done := false; !done; {
			switch f := p.read().(type) {
			case *http2.DataFrame:
				data += fmt.Sprint(f.StreamID, ":", len(f.Data()), " ")
			case *http2.PingFrame:
				done = true
			}
		}
		if data != "1:1 " {
			t.Errorf("sent %s", data)
		}
		p.framer.WriteWindowUpdate(0, 1<<20)
		p.want(3, " 0 echo:hello")
		p.alive(101)
		if n := s.held.Load(); n != 0 {
			t.Errorf("%d bytes are still held", n)
		}
	})
}

func TestCheck30FrameSize(t *testing.T) {
	size := func(n uint32) []http2.Setting { return []http2.Setting{{ID: http2.SettingMaxFrameSize, Val: n}} }
	send := func(n uint32) func(p *peer) {
		return func(p *peer) { p.framer.WriteSettings(size(n)...) }
	}
	check(t, []rule{
		{name: "0", do: send(0), want: protocolError},
		{name: "16383", do: send(16383), want: protocolError},
		{name: "16384", do: send(16384), next: 1},
		{name: "2^24-1", do: send(1<<24 - 1), next: 1},
		{name: "2^24", do: send(1 << 24), want: protocolError},
		{name: "answers keep to 16384", settings: size(1 << 20), do: func(p *peer) {
			p.call(1, "big\x30")
			if n := p.bytes(1, 0); n != 48<<10+prefix {
				p.t.Errorf("%d bytes", n)
			}
		}, next: 3},
	})
}
