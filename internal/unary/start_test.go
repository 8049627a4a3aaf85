package unary

import (
	"errors"
	"net"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

func TestCheck01Preface(t *testing.T) {
	t.Parallel()
	s := serve(t, quick)
	for name, bytes := range map[string]string{
		"HTTP/1.1":   "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
		"TLS":        "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
		"last byte":  "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\r",
		"silence":    "",
		"a part":     preface[:10],
		"no more":    preface,
		"slow frame": preface + "\x00\x00",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := s.dial(t)
			p.write([]byte(bytes))
			p.want(0, "closed|"+protocolError+"|"+calmDown)
		})
	}
}

func TestCheck02FirstFrame(t *testing.T) {
	t.Parallel()
	s := serve(t, func(c *Config) { c.MaxConnections = 3 })
	for name, frame := range map[string][]byte{
		"PING": appendFrame(nil, http2.FramePing, 0, 0, make([]byte, 8)),
		"ack":  appendFrame(nil, http2.FrameSettings, flagAck, 0, nil),
	} {
		p := s.dial(t)
		p.write(append([]byte(preface), frame...))
		if got := p.outcome(0); got != protocolError {
			t.Errorf("%s: %s", name, got)
		}
		p.nc.Close()
	}
	await(t, "the connections to end", func() bool { return s.Connections() == 0 })
	for range 3 {
		s.hello(t)
	}
	s.dial(t).want(0, "closed")
	if s.Refused() != 1 {
		t.Errorf("%d connections refused", s.Refused())
	}
}

// Out of descriptors, the server waits and goes on.
func TestCheck02Accept(t *testing.T) {
	t.Parallel()
	s, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	l := &failing{errs: []error{passing{}, passing{}, errors.New("for good")}}
	if err := s.Serve(l); err == nil || l.asked != 3 {
		t.Errorf("asked %d times: %v", l.asked, err)
	}
	s.Stop()
}

type failing struct {
	nopListener
	errs  []error
	asked int
}

func (f *failing) Accept() (net.Conn, error) {
	f.asked++
	return nil, f.errs[f.asked-1]
}

type passing struct{}

func (passing) Error() string   { return "too many open files" }
func (passing) Temporary() bool { return true }

func TestCheck03OurSettings(t *testing.T) {
	t.Parallel()
	s := serve(t, func(c *Config) { c.MaxStreams = 1 })
	p := s.dial(t)
	p.write([]byte(preface))
	p.framer.WriteSettings()
	f, ok := p.read().(*http2.SettingsFrame)
	if !ok || f.IsAck() {
		t.Fatalf("the first frame is %v", f)
	}
	for id, want := range map[http2.SettingID]uint32{http2.SettingMaxConcurrentStreams: 1, http2.SettingMaxFrameSize: 16384,
		http2.SettingMaxHeaderListSize: 16384, http2.SettingHeaderTableSize: 4096} {
		if got, _ := f.Value(id); got != want {
			t.Errorf("%v is %d, want %d", id, got, want)
		}
	}
	// Before they are acknowledged the peer may not know; afterwards it does.
	p.call(1, "slow-hold")
	p.call(3, "x")
	p.want(3, "RST REFUSED_STREAM")
	p.framer.WriteSettingsAck()
	p.call(5, "x")
	p.want(5, "RST PROTOCOL_ERROR")
	close(s.let)
	p.want(1, "200 0 echo:slow-hold")
	p.alive(7)
}

func TestCheck04SettingsAck(t *testing.T) {
	check(t, []rule{
		{name: "of nothing", do: func(p *peer) { p.framer.WriteSettingsAck() }, want: protocolError},
	})
	p := serve(t, quick, func(c *Config) { c.Timeouts.SettingsAck = 150 * time.Millisecond }).dial(t)
	p.write([]byte(preface))
	p.framer.WriteSettings()
	p.want(0, "GOAWAY SETTINGS_TIMEOUT")
}

func TestCheck05Lengths(t *testing.T) {
	frame := func(kind http2.FrameType, flags byte, id uint32, n int) func(p *peer) {
		return func(p *peer) { p.frame(kind, flags, id, make([]byte, n)) }
	}
	check(t, []rule{
		{name: "over MAX_FRAME_SIZE, before the payload", do: func(p *peer) {
			p.write(appendFrameHeader(nil, http2.FrameData, 0, 1, 16385))
		}, want: sizeError},
		{name: "16 MiB of SETTINGS", do: func(p *peer) {
			p.write(appendFrameHeader(nil, http2.FrameSettings, 0, 0, 1<<24-1))
		}, want: sizeError},
		{name: "PRIORITY", do: frame(http2.FramePriority, 0, 1, 4), stream: 1, want: "RST FRAME_SIZE_ERROR", next: 3},
		{name: "RST_STREAM", do: frame(http2.FrameRSTStream, 0, 1, 3), want: sizeError},
		{name: "PING", do: frame(http2.FramePing, 0, 0, 7), want: sizeError},
		{name: "WINDOW_UPDATE", do: frame(http2.FrameWindowUpdate, 0, 0, 5), want: sizeError},
		{name: "SETTINGS", do: frame(http2.FrameSettings, 0, 0, 5), want: sizeError},
		{name: "SETTINGS ack", do: frame(http2.FrameSettings, flagAck, 0, 6), want: sizeError},
		{name: "GOAWAY", do: frame(http2.FrameGoAway, 0, 0, 7), want: sizeError},
		{name: "padded DATA", do: func(p *peer) {
			p.open(1)
			p.frame(http2.FrameData, flagPadded, 1, nil)
		}, want: sizeError},
		{name: "HEADERS with priority", do: frame(http2.FrameHeaders, flagPriority|flagEndHeaders, 1, 4), want: sizeError},
	})
}

func TestCheck06StreamZeroAndPadding(t *testing.T) {
	var rules []rule
	for kind, n := range map[http2.FrameType]int{http2.FrameData: 1, http2.FrameHeaders: 1, http2.FramePriority: 5,
		http2.FrameRSTStream: 4, http2.FrameContinuation: 1} {
		rules = append(rules, rule{name: kind.String() + " without a stream",
			do: func(p *peer) { p.frame(kind, 0, 0, make([]byte, n)) }, want: protocolError})
	}
	for kind, n := range map[http2.FrameType]int{http2.FrameSettings: 0, http2.FramePing: 8, http2.FrameGoAway: 8} {
		rules = append(rules, rule{name: kind.String() + " on a stream",
			do: func(p *peer) { p.frame(kind, 0, 1, make([]byte, n)) }, want: protocolError})
	}
	check(t, append(rules,
		rule{name: "the reserved bit is ignored", do: func(p *peer) {
			p.frame(http2.FrameHeaders, flagEndHeaders, 1|1<<31, p.encode(call(echoPath)...))
			p.frame(http2.FrameData, flagEndStream, 1|1<<31, message("hello"))
		}, stream: 1, want: served, next: 3},
		rule{name: "padding is taken off", do: func(p *peer) {
			p.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, EndHeaders: true, PadLength: 20,
				BlockFragment: p.encode(call(echoPath)...), Priority: http2.PriorityParam{StreamDep: 7, Weight: 3}})
			p.framer.WriteDataPadded(1, true, message("hello"), make([]byte, 200))
		}, stream: 1, want: served, next: 3},
		rule{name: "DATA of padding only", do: func(p *peer) {
			p.open(1)
			p.frame(http2.FrameData, flagPadded, 1, []byte{2, 0, 0})
			p.data(1, true, message("hello"))
		}, stream: 1, want: served, next: 3},
		rule{name: "too much padding in DATA", do: func(p *peer) {
			p.open(1)
			p.frame(http2.FrameData, flagPadded, 1, []byte{3, 0, 0})
		}, want: protocolError},
		rule{name: "too much padding in HEADERS", do: func(p *peer) {
			p.frame(http2.FrameHeaders, flagPadded|flagEndHeaders, 1, []byte{3, 0x82, 0})
		}, want: protocolError},
	))
}

func TestCheck07UnknownTypes(t *testing.T) {
	check(t, []rule{
		{name: "all of them", do: func(p *peer) {
			for kind := 10; kind < 256; kind++ {
				p.frame(http2.FrameType(kind), 0xff, uint32(kind%3), []byte("whatever"))
			}
		}, next: 1},
		{name: "inside a header block", do: func(p *peer) {
			p.frame(http2.FrameHeaders, 0, 1, p.encode(call(echoPath)...))
			p.frame(0x20, 0, 1, nil)
		}, want: protocolError},
		{name: "PUSH_PROMISE", do: func(p *peer) { p.frame(http2.FramePushPromise, flagEndHeaders, 1, make([]byte, 8)) }, want: protocolError},
		{name: "too many", do: func(p *peer) {
			for range 1100 {
				p.frame(0x20, 0, 1, nil)
			}
		}, want: calmDown},
	})
}

func TestCheck08TornReads(t *testing.T) {
	t.Parallel()
	s := serve(t)
	session := func(p *peer) []byte {
		b := append([]byte(preface), appendFrame(nil, http2.FrameSettings, 0, 0, nil)...)
		b = appendFrame(b, http2.FrameSettings, flagAck, 0, nil)
		block := p.encode(call(echoPath)...)
		b = appendFrame(b, http2.FrameHeaders, 0, 1, block[:5])
		b = appendFrame(b, http2.FrameContinuation, flagEndHeaders, 1, block[5:])
		b = appendFrame(b, http2.FrameData, 0, 1, message("hello")[:7])
		return appendFrame(b, http2.FrameData, flagEndStream, 1, message("hello")[7:])
	}
	t.Run("byte by byte", func(t *testing.T) {
		p := s.dial(t)
		for _, b := range session(p) {
			p.write([]byte{b})
		}
		p.want(1, served)
		p.alive(3)
	})
	t.Run("cut", func(t *testing.T) {
		whole := session(s.dial(t))
		for n := range whole {
			p := s.dial(t)
			p.write(whole[:n])
			p.nc.Close()
		}
	})
	s.Stop()
	if n := s.Connections(); n != 0 {
		t.Errorf("%d connections are left", n)
	}
	if n := s.held.Load(); n != 0 {
		t.Errorf("%d bytes are still held", n)
	}
}

// await waits for something that happens by itself.
func await(t testing.TB, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited for %s", what)
		}
	}
}
