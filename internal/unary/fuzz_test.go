package unary

import (
	"bytes"
	"context"
	"net"
	"runtime"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// FuzzConnection feeds a connection what a stranger might send, in pieces of any size.
// The read buffer is overwritten after every piece, so that whatever was kept of it
// shows. It must not panic; what it writes must be frames and decode; and nothing may
// be left or out of balance at the end.
func FuzzConnection(f *testing.F) {
	var block blockWriter
	encoder := hpack.NewEncoder(&block)
	fields := call(echoPath)
	encode := func() []byte {
		block = block[:0]
		for i := 0; i < len(fields); i += 2 {
			encoder.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
		}
		return append([]byte(nil), block...)
	}
	begin := appendFrame(nil, http2.FrameSettings, 0, 0, nil)
	begin = appendFrame(begin, http2.FrameSettings, flagAck, 0, nil)
	first, second := encode(), encode()
	one := appendFrame(append([]byte(nil), begin...), http2.FrameHeaders, flagEndHeaders, 1, first)
	whole := appendFrame(append([]byte(nil), one...), http2.FrameData, flagEndStream, 1, message("hello"))
	again := appendFrame(append([]byte(nil), whole...), http2.FrameHeaders, flagEndHeaders, 3, second)
	f.Add(whole, byte(7))
	f.Add(appendFrame(append([]byte(nil), again...), http2.FrameData, flagEndStream, 3, message("slow")), byte(0))
	f.Add(appendWord(append([]byte(nil), one...), http2.FrameRSTStream, 1, 8), byte(1))
	f.Add(appendWord(append([]byte(nil), one...), http2.FrameWindowUpdate, 1, 0), byte(200))
	f.Add(appendFrame(append([]byte(nil), one...), http2.FrameData, 0, 1, message("hello")[:7]), byte(3))
	f.Add(appendFrame(append([]byte(nil), whole...), http2.FrameSettings, 0, 0, []byte{0, 4, 0, 0, 0, 0}), byte(9))
	f.Add(appendFrame(appendFrame(append([]byte(nil), begin...), http2.FrameHeaders, 0, 1, first[:9]),
		http2.FrameContinuation, flagEndHeaders, 1, first[9:]), byte(11))
	f.Add(appendGoAway(append([]byte(nil), whole...), 0, 0), byte(5))

	server, err := New(Config{MaxMessage: 1 << 12, MaxStreams: 8, Workers: 2, Queue: 4,
		Health: func(string) (bool, bool) { return true, true }})
	if err != nil {
		f.Fatal(err)
	}
	server.Register(echoPath, func(m []byte, _ Metadata, out []byte) ([]byte, bool) {
		return append(append(out, "echo:"...), m...), !bytes.HasPrefix(m, []byte("slow"))
	}, func(_ context.Context, m []byte, _ Metadata) []byte { return append([]byte("echo:"), m...) })

	f.Fuzz(func(t *testing.T, input []byte, step byte) {
		near, far := net.Pipe()
		defer near.Close()
		defer far.Close()
		out := &recorder{Conn: near}
		c := newConn(server, out)
		input = append([]byte(preface), input...)
		ended := false
		for len(input) > 0 && !ended {
			n := min(len(input), len(c.in)-c.w)
			if step > 0 {
				n = min(n, int(step))
			}
			copy(c.in[c.w:], input[:n])
			input = input[n:]
			ended = c.turn(n, false, nil)
			poison(c)
		}
		if !ended {
			// Time goes by: deadlines and the rest of the clockwork.
			for range 40 {
				server.clock.Add(int64(time.Second))
				if c.turn(0, true, nil) {
					break
				}
				await(t, "the slow calls", func() bool { c.writeDone(); c.mu.Lock(); defer c.mu.Unlock(); return c.orphans == 0 })
			}
		}
		balance(t, c)
		c.release()
		out.verify(t)
		c.cancel()
		runtime.KeepAlive(c)
	})
}

// poison overwrites what of the read buffer is not waiting to be handled.
func poison(c *conn) {
	for i := range c.in {
		if i < c.r || i >= c.w {
			c.in[i] = 0xee
		}
	}
}

// balance holds what a connection counts against what is there.
func balance(t *testing.T, c *conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := make([]*stream, 0, c.open)
	for id, st := range c.streams {
		if st.id != id {
			t.Errorf("stream %d is known as %d", st.id, id)
		}
		all = append(all, st)
	}
	if c.fresh != nil {
		all = append(all, c.fresh)
	}
	receiving, held := 0, int64(0)
	for _, st := range all {
		if !st.remoteClosed {
			receiving++
		}
		held += int64(len(st.pending))
	}
	if len(all) != c.open || receiving != c.receiving || held != c.held || c.orphans < 0 || c.buffered < 0 {
		t.Errorf("open %d of %d, receiving %d of %d, held %d of %d, orphans %d, buffered %d",
			len(all), c.open, receiving, c.receiving, held, c.held, c.orphans, c.buffered)
	}
	if len(all) > c.server.config.MaxStreams || len(c.block.bytes) > maxHeaderBlock {
		t.Errorf("%d streams, %d bytes of a block", len(all), len(c.block.bytes))
	}
}

// recorder keeps what was written.
type recorder struct {
	net.Conn
	b bytes.Buffer
}

func (r *recorder) Write(p []byte) (int, error) { return r.b.Write(p) }

func (r *recorder) verify(t *testing.T) {
	framer := http2.NewFramer(nil, &r.b)
	framer.SetMaxReadFrameSize(maxFrame)
	decoder := hpack.NewDecoder(4096, nil)
	for r.b.Len() > 0 {
		frame, err := framer.ReadFrame()
		if err != nil {
			t.Fatalf("what was written is no frame: %v", err)
		}
		if h, ok := frame.(*http2.HeadersFrame); ok {
			if _, err := decoder.DecodeFull(h.HeaderBlockFragment()); err != nil {
				t.Fatalf("what was written can't be decoded: %v", err)
			}
		}
	}
}
