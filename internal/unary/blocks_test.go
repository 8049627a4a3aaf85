package unary

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

// split sends a header block in HEADERS and n CONTINUATIONs, the last of which ends it.
func (p *peer) split(id uint32, block []byte, n int) {
	p.frame(http2.FrameHeaders, 0, id, block)
	for i := range n {
		flags := byte(0)
		if i == n-1 {
			flags = flagEndHeaders
		}
		p.frame(http2.FrameContinuation, flags, id, nil)
	}
}

func TestCheck09Continuation(t *testing.T) {
	check(t, []rule{
		{name: "as many as may be", do: func(p *peer) {
			p.split(1, p.encode(call(echoPath)...), maxContinuations)
			p.data(1, true, message("hello"))
		}, stream: 1, want: served, next: 3},
		{name: "empty ones count", do: func(p *peer) { p.split(1, p.encode(call(echoPath)...), maxContinuations+1) }, want: calmDown},
		{name: "too many bytes", do: func(p *peer) {
			p.frame(http2.FrameHeaders, 0, 1, make([]byte, maxFrame))
			p.frame(http2.FrameContinuation, 0, 1, make([]byte, maxFrame))
			p.frame(http2.FrameContinuation, 0, 1, make([]byte, 1))
		}, want: calmDown},
		{name: "of another stream", do: func(p *peer) {
			p.frame(http2.FrameHeaders, 0, 1, nil)
			p.frame(http2.FrameContinuation, flagEndHeaders, 3, nil)
		}, want: protocolError},
		{name: "of nothing", do: func(p *peer) { p.frame(http2.FrameContinuation, flagEndHeaders, 1, nil) }, want: protocolError},
		{name: "interrupted", do: func(p *peer) {
			p.frame(http2.FrameHeaders, 0, 1, nil)
			p.framer.WritePing(false, [8]byte{})
		}, want: protocolError},
		{name: "never ends", do: func(p *peer) { p.frame(http2.FrameHeaders, 0, 1, nil) }, want: calmDown},
		{name: "dribbles", do: func(p *peer) {
			p.write(appendFrameHeader(nil, http2.FrameHeaders, flagEndHeaders, 1, 1000))
			for range 20 {
				p.nc.Write([]byte{0x82})
				time.Sleep(10 * time.Millisecond) // the peer's pace, not a wait
			}
		}, want: calmDown},
	}, quick, func(c *Config) { c.Timeouts.Body = time.Minute })
}

// A refused call's header block still counts for the table: the next call refers to it.
func TestCheck10RefusedBlocksAreDecoded(t *testing.T) {
	t.Parallel()
	s := serve(t, func(c *Config) { c.MaxStreams = 1 })
	p := s.hello(t)
	p.call(1, "slow-hold")
	p.open(3, "x-first", "seen in a call that was refused")
	p.want(3, "RST PROTOCOL_ERROR|RST REFUSED_STREAM")
	close(s.let)
	p.want(1, "200 0 echo:slow-hold")
	p.open(5, "x-first", "seen in a call that was refused")
	p.data(5, true, message("hello"))
	p.want(5, served)
}

func TestCheck11Bomb(t *testing.T) {
	bomb := func(p *peer) {
		block := p.encode(with(call(echoPath), "x-big", strings.Repeat("a", 3000))...)
		block = append(block, bytes.Repeat([]byte{0x80 | 62}, 8000)...) // each is 3 kB
		p.frame(http2.FrameHeaders, flagEndHeaders, 1, block)
	}
	many := func(n int) func(p *peer) {
		return func(p *peer) {
			fields := call(echoPath)
			for i := range n - len(fields)/2 {
				fields = append(fields, fmt.Sprint("x-", i), "y")
			}
			p.headers(1, false, fields...)
			p.data(1, true, message("hello"))
		}
	}
	check(t, []rule{
		{name: "small block, large list", do: bomb, stream: 1, want: "RST ENHANCE_YOUR_CALM", next: 3},
		{name: "64 fields", do: many(64), stream: 1, want: served, next: 3},
		{name: "65 fields", do: many(65), stream: 1, want: "RST ENHANCE_YOUR_CALM", next: 3},
		{name: "one long value", do: func(p *peer) {
			p.frame(http2.FrameHeaders, 0, 1, []byte{0x00, 0x01, 'x', 0x7f, 0x81, 0xff, 0x01}) // 32 kB announced
			p.frame(http2.FrameContinuation, flagEndHeaders, 1, make([]byte, 100))
		}, want: calmDown},
	})
}

func TestCheck12Compression(t *testing.T) {
	raw := func(block string) func(p *peer) {
		return func(p *peer) {
			p.open(1) // so that the table is not empty
			p.frame(http2.FrameHeaders, flagEndHeaders|flagEndStream, 3, []byte(block))
		}
	}
	const broken = "GOAWAY COMPRESSION_ERROR"
	check(t, []rule{
		{name: "index 0", do: raw("\x80"), want: broken},
		{name: "past the table", do: raw("\xff\x70"), want: broken},
		{name: "number overflows", do: raw("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f"), want: broken},
		{name: "number is cut off", do: raw("\xff"), want: broken},
		{name: "text is cut off", do: raw("\x00\x01x\x05abc"), want: broken},
		{name: "Huffman EOS", do: raw("\x00\x01x\x84\xff\xff\xff\xff"), want: broken},
		{name: "Huffman padding of 8 bits", do: raw("\x00\x01x\x82\x1f\xff"), want: broken},
		{name: "Huffman padding not ones", do: raw("\x00\x01x\x81\x18"), want: broken},
		{name: "size update in the middle", do: raw("\x82\x20"), want: broken},
		{name: "size update above our limit", do: raw("\x3f\xe2\x1f"), want: broken},
		{name: "size update at the start", do: func(p *peer) {
			block := append([]byte{0x20, 0x3f, 0xe1, 0x1f}, p.encode(call(echoPath)...)...)
			p.frame(http2.FrameHeaders, flagEndHeaders, 1, block)
			p.data(1, true, message("hello"))
		}, stream: 1, want: served},
	})
	t.Run("size update in the middle, table empty", func(t *testing.T) {
		p := serve(t).hello(t)
		p.frame(http2.FrameHeaders, flagEndHeaders|flagEndStream, 1, []byte("\x82\x20"))
		p.want(0, broken)
	})
}

func TestCheck13CookiesAndEmptyNames(t *testing.T) {
	check(t, []rule{
		{name: "crumbs count", do: func(p *peer) {
			fields := call(echoPath)
			for range 64 {
				fields = append(fields, "cookie", "a=b")
			}
			p.headers(1, true, fields...)
		}, stream: 1, want: "RST ENHANCE_YOUR_CALM", next: 3},
		{name: "a field without a name", do: func(p *peer) { p.headers(1, true, with(call(echoPath), "", "x")...) },
			stream: 1, want: "RST PROTOCOL_ERROR", next: 3},
	})
}

// However many names a peer makes up, a connection keeps few.
func TestCheck14NoNamesKept(t *testing.T) {
	t.Parallel()
	s := serve(t)
	p := s.hello(t)
	for i := range 500 {
		id := uint32(2*i + 1)
		if i%2 == 0 {
			p.headers(id, false, with(call(echoPath), fmt.Sprint("y-name-", i), strings.Repeat("v", 200))...) // indexed
		} else {
			block := appendNamed(p.encode(call(echoPath)...), fmt.Sprint("x-name-", i), strings.Repeat("v", 100)) // not
			p.frame(http2.FrameHeaders, flagEndHeaders, id, block)
		}
		p.data(id, true, message("hello"))
		p.want(id, served)
	}
	kept := 0
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.connections {
		c.mu.Lock()
		for _, h := range c.heads {
			kept += cap(h.block)
		}
		if len(c.free) > s.config.MaxStreams || len(c.streams) > 1 {
			t.Errorf("%d streams free, %d open", len(c.free), len(c.streams))
		}
		c.mu.Unlock()
	}
	if kept > 2*knownHeads*knownHeadBytes {
		t.Errorf("%d bytes of header blocks are kept", kept)
	}
}

func TestCheck15NamesAndValues(t *testing.T) {
	var rules []rule
	add := func(name, value, want string) {
		rules = append(rules, rule{name: fmt.Sprintf("%q %q", name, value), do: func(p *peer) {
			p.open(1, name, value)
			p.data(1, true, message("hello"))
		}, stream: 1, want: want, next: 3})
	}
	for _, name := range []string{"X-Upper", "x y", "x:y", "x\x00", "x\x80", "x(", "x\n"} {
		add(name, "v", "RST PROTOCOL_ERROR")
	}
	for _, value := range []string{"a\x00b", "a\rb", "a\nb", " a", "a ", "\ta", "a\t", "a\x7f", "\x01"} {
		add("x", value, "RST PROTOCOL_ERROR")
	}
	for _, value := range []string{"", "a b", "a\tb", "caf\xc3\xa9", "\xff"} {
		add("x", value, served)
	}
	for _, value := range []string{"AAE=", "AAE", "AAEC", "AAE,AAEC", ""} {
		add("x-bin", value, served)
	}
	for _, value := range []string{"A", "AAE==", "AA-_", "AAF", "AAE=,!"} {
		add("x-bin", value, "200 13")
	}
	check(t, rules)
}

// Known blocks are known only as long as they mean the same.
func TestKnownBlocksFollowTheTable(t *testing.T) {
	t.Parallel()
	p := serve(t).hello(t)
	p.call(1, "hello")
	p.want(1, served)
	block := p.encode(call(echoPath)...) // indexed by now
	if constant, _ := scan(block); !constant {
		t.Fatalf("%x is not constant", block)
	}
	send := func(id uint32) {
		p.frame(http2.FrameHeaders, flagEndHeaders, id, block)
		p.data(id, true, message("hello"))
	}
	for id := uint32(3); id < 9; id += 2 {
		send(id)
		p.want(id, served)
	}
	// A new entry moves the others: the same bytes now mean something else.
	p.open(9, "x-new", "entry")
	p.data(9, true, message("hello"))
	p.want(9, served)
	send(11)
	if got := p.outcome(11); got == served {
		t.Errorf("a block that means something else was taken for the one before")
	}
}

func TestScan(t *testing.T) {
	t.Parallel()
	for block, want := range map[string][2]bool{
		"":                         {true, false},
		"\x82\xff\x10":             {true, false},
		"\x0f\x10\x01x\x82":        {true, false},
		"\x10\x01a\x01b\x82":       {true, false},
		"\x40\x01a\x01b":           {false, false},
		"\x41\x01b\x82":            {false, false},
		"\x20\x82":                 {false, false},
		"\x82\x20":                 {false, true},
		"\x00\x01a\x01\x20\x82":    {true, false}, // the 0x20 is a value
		"\x00\x7f":                 {true, false}, // cut off: the decoder says so
		"\x00\x7f\x80\x80\x80\x80": {true, false},
	} {
		if constant, misplaced := scan([]byte(block)); [2]bool{constant, misplaced} != want {
			t.Errorf("%x: constant %v, misplaced %v", block, constant, misplaced)
		}
	}
}
