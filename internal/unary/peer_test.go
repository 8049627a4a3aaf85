package unary

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// The test server has two methods. Echo answers "echo:" and the message, at once;
// messages that begin with "slow" it leaves to the workers, where "slow-wait" waits for
// its context. Faulty panics.
const (
	echoPath   = "/test.Test/Echo"
	faultyPath = "/test.Test/Faulty"
)

type options func(*Config)

type server struct {
	*Server
	address string
	ended   chan error           // what Serve returned
	started chan string          // slow calls that began
	let     chan struct{}        // lets slow-hold calls go
	over    chan error           // why slow-wait calls ended
	kept    chan context.Context // of slow-keep calls
}

func serve(t testing.TB, change ...options) *server {
	t.Helper()
	config := Config{
		Panicked:   func() []byte { return []byte("panicked") },
		Overloaded: func([]byte) []byte { return []byte("overloaded") },
		TooLarge:   func() []byte { return []byte("too large") },
		Health:     func(service string) (serving, known bool) { return service != "sick", service != "unknown" },
	}
	for _, f := range change {
		f(&config)
	}
	inner, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	s := &server{
		Server: inner, address: filepath.Join(t.TempDir(), "s"), ended: make(chan error, 1),
		started: make(chan string, 1000), let: make(chan struct{}), over: make(chan error, 1000),
		kept: make(chan context.Context, 1000),
	}
	echo := func(message []byte, _ Metadata, out []byte) ([]byte, bool) {
		if bytes.HasPrefix(message, []byte("slow")) {
			return nil, false
		}
		if bytes.Equal(message, []byte("nothing")) {
			return nil, true
		}
		if n, ok := bytes.CutPrefix(message, []byte("big")); ok { // "big" and a number of KiB
			return append(out, bytes.Repeat([]byte("x"), int(n[0])<<10)...), true
		}
		return append(append(out, "echo:"...), message...), true
	}
	slow := func(ctx context.Context, message []byte, _ Metadata) []byte {
		s.started <- string(message)
		switch {
		case bytes.HasPrefix(message, []byte("slow-wait")):
			<-ctx.Done()
			s.over <- ctx.Err()
		case bytes.HasPrefix(message, []byte("slow-hold")):
			<-s.let
		case bytes.HasPrefix(message, []byte("slow-panic")):
			panic("slow")
		case bytes.HasPrefix(message, []byte("slow-keep")):
			s.kept <- ctx
		}
		return append([]byte("echo:"), message...)
	}
	s.Register(echoPath, echo, slow)
	s.Register(faultyPath, func([]byte, Metadata, []byte) ([]byte, bool) { panic("inline") }, slow)
	listener, err := net.Listen("unix", s.address)
	if err != nil {
		t.Fatal(err)
	}
	go func() { s.ended <- s.Serve(listener) }()
	t.Cleanup(func() {
		s.Stop()
		<-s.ended
	})
	return s
}

// peer plays the client, frame by frame.
type peer struct {
	t       testing.TB
	nc      net.Conn
	framer  *http2.Framer
	encoder *hpack.Encoder
	block   bytes.Buffer
	decoder *hpack.Decoder
}

// dial connects without a word.
func (s *server) dial(t testing.TB) *peer {
	t.Helper()
	nc, err := net.Dial("unix", s.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(10 * time.Second))
	p := &peer{t: t, nc: nc, framer: http2.NewFramer(nc, nc), decoder: hpack.NewDecoder(4096, nil)}
	p.framer.AllowIllegalWrites = true
	p.framer.AllowIllegalReads = true
	p.encoder = hpack.NewEncoder(&p.block)
	return p
}

// hello connects and gets through the settings.
func (s *server) hello(t testing.TB, settings ...http2.Setting) *peer {
	t.Helper()
	p := s.dial(t)
	p.write([]byte(preface))
	p.framer.WriteSettings(settings...)
	for acked, got := false, false; !acked || !got; {
		switch f := p.read().(type) {
		case *http2.SettingsFrame:
			if acked = acked || f.IsAck(); !f.IsAck() {
				got = true
				p.framer.WriteSettingsAck()
			}
		case *http2.WindowUpdateFrame:
		default:
			t.Fatalf("while shaking hands: %v", f)
		}
	}
	return p
}

// write ignores errors: what became of it shows in what is read.
func (p *peer) write(b []byte) { p.nc.Write(b) }

// read returns the next frame; the test fails if none comes.
func (p *peer) read() http2.Frame {
	p.t.Helper()
	f, err := p.framer.ReadFrame()
	if err != nil {
		p.t.Fatalf("reading a frame: %v", err)
	}
	return f
}

func call(path string) []string {
	return []string{":method", "POST", ":scheme", "http", ":path", path, ":authority", "test",
		"te", "trailers", "content-type", "application/grpc"}
}

func (p *peer) encode(fields ...string) []byte {
	p.block.Reset()
	for i := 0; i < len(fields); i += 2 {
		p.encoder.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	return append([]byte(nil), p.block.Bytes()...)
}

func (p *peer) headers(id uint32, end bool, fields ...string) {
	p.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: p.encode(fields...), EndHeaders: true, EndStream: end})
}

func message(text string) []byte {
	b := append([]byte{0}, binary.BigEndian.AppendUint32(nil, uint32(len(text)))...)
	return append(b, text...)
}

func (p *peer) data(id uint32, end bool, b []byte) { p.framer.WriteData(id, end, b) }

// call sends a whole call.
func (p *peer) call(id uint32, text string) {
	p.headers(id, false, call(echoPath)...)
	p.data(id, true, message(text))
}

// outcome is how a stream or a connection ended, in one line:
// "200 0 echo:x" (HTTP status, gRPC status, message), "RST CODE", "GOAWAY CODE", "closed".
func (p *peer) outcome(id uint32) string {
	p.t.Helper()
	var status, code string
	var body []byte
	for {
		f, err := p.framer.ReadFrame()
		if err != nil {
			if errors.Is(err, io.EOF) || strings.Contains(err.Error(), "reset by peer") || strings.Contains(err.Error(), "broken pipe") {
				return "closed"
			}
			p.t.Fatalf("reading a frame: %v", err)
		}
		switch f := f.(type) {
		case *http2.GoAwayFrame:
			if f.ErrCode != http2.ErrCodeNo {
				return "GOAWAY " + f.ErrCode.String()
			}
		case *http2.RSTStreamFrame:
			if f.StreamID == id {
				return "RST " + f.ErrCode.String()
			}
		case *http2.DataFrame:
			if f.StreamID == id {
				body = append(body, f.Data()...)
			}
		case *http2.HeadersFrame:
			fields, err := p.decoder.DecodeFull(f.HeaderBlockFragment())
			if err != nil {
				p.t.Fatalf("decoding what the server sent: %v", err)
			}
			if f.StreamID != id {
				continue
			}
			for _, h := range fields {
				switch h.Name {
				case ":status":
					status = h.Value
				case "grpc-status":
					code = h.Value
				}
			}
			if f.StreamEnded() {
				text := ""
				if len(body) >= prefix {
					if int(binary.BigEndian.Uint32(body[1:])) != len(body)-prefix {
						p.t.Fatalf("the prefix of the answer is wrong: %x", body[:prefix])
					}
					text = " " + string(body[prefix:])
				}
				return status + " " + code + text
			}
		}
	}
}

// want holds the next outcome of a stream against what is expected; several are
// separated by "|".
func (p *peer) want(id uint32, outcomes string) {
	p.t.Helper()
	got := p.outcome(id)
	for _, o := range strings.Split(outcomes, "|") {
		if got == o {
			return
		}
	}
	p.t.Errorf("stream %d: got %q, want %q", id, got, outcomes)
}

// alive makes sure that the connection still serves.
func (p *peer) alive(id uint32) {
	p.t.Helper()
	p.call(id, "alive")
	p.want(id, "200 0 echo:alive")
}
