package unary

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

// goaway reads to the next GOAWAY.
func (p *peer) goaway() (last uint32, code http2.ErrCode) {
	p.t.Helper()
	for {
		if f, ok := p.read().(*http2.GoAwayFrame); ok {
			return f.LastStreamID, f.ErrCode
		}
	}
}

func TestCheck35GoAway(t *testing.T) {
	t.Parallel()
	t.Run("names the last stream", func(t *testing.T) {
		p := serve(t).hello(t)
		p.alive(1)
		p.alive(7)
		p.call(2, "x")
		if last, code := p.goaway(); last != 7 || code != http2.ErrCodeProtocol {
			t.Errorf("last stream %d, %v", last, code)
		}
		p.want(0, "closed")
	})
	t.Run("of the peer: finish, then close", func(t *testing.T) {
		s := serve(t)
		p := s.hello(t)
		p.call(1, "slow-hold")
		<-s.started
		p.framer.WriteGoAway(0, http2.ErrCodeNo, nil)
		close(s.let)
		p.want(1, "200 0 echo:slow-hold")
		p.want(0, "closed")
	})
	t.Run("an error after a graceful one still closes", func(t *testing.T) {
		s := serve(t)
		p := s.hello(t)
		p.call(1, "slow-wait")
		<-s.started
		go s.GracefulStop()
		if last, code := p.goaway(); last != 1<<31-1 || code != http2.ErrCodeNo {
			t.Errorf("last stream %d, %v", last, code)
		}
		p.framer.WritePing(false, [8]byte{})
		p.call(2, "x")
		p.want(0, protocolError)
		p.want(0, "closed")
		<-s.over
	})
	t.Run("when stream ids run out", func(t *testing.T) {
		p := serve(t).hello(t)
		p.alive(lastStreamDrain + 2)
		p = serve(t).hello(t)
		p.call(lastStreamDrain+2, "x")
		if last, code := p.goaway(); last != 1<<31-1 || code != http2.ErrCodeNo {
			t.Errorf("last stream %d, %v", last, code)
		}
	})
}

func TestCheck36Drain(t *testing.T) {
	t.Parallel()
	s := serve(t)
	p := s.hello(t)
	p.call(1, "slow-hold")
	<-s.started
	stopped := make(chan struct{})
	go func() {
		s.GracefulStop()
		close(stopped)
	}()
	if last, _ := p.goaway(); last != 1<<31-1 {
		t.Fatalf("the first GOAWAY names stream %d", last)
	}
	ping, ok := p.read().(*http2.PingFrame)
	if !ok {
		t.Fatal("no PING behind the first GOAWAY")
	}
	p.alive(3) // on its way as the peer read the GOAWAY
	p.framer.WritePing(true, ping.Data)
	if last, _ := p.goaway(); last != 3 {
		t.Fatalf("the second GOAWAY names stream %d", last)
	}
	p.call(5, "x")
	p.want(5, "RST REFUSED_STREAM")
	select {
	case <-stopped:
		t.Fatal("stopped with a call under way")
	default:
	}
	if _, err := net.Dial("unix", s.address); err == nil {
		t.Error("connections are still accepted")
	}
	close(s.let)
	p.want(1, "200 0 echo:slow-hold")
	p.want(0, "closed")
	<-stopped
}

func TestCheck36DrainWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	for name, do := range map[string]func(s *server) *peer{
		"no PING answered": func(s *server) *peer { return s.hello(t) },
		"no preface": func(s *server) *peer {
			p := s.dial(t)
			await(t, "the connection", func() bool { return s.Connections() == 1 })
			return p
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, quick, func(c *Config) { c.Timeouts.Preface = time.Minute })
			p := do(s)
			s.GracefulStop()
			p.want(0, "closed")
		})
	}
}

// A drain that begins while a connection is new waits for its first words.
func TestCheck36DrainOfANewConnection(t *testing.T) {
	t.Parallel()
	s := serve(t)
	p := s.dial(t)
	await(t, "the connection", func() bool { return s.Connections() == 1 })
	go s.GracefulStop()
	await(t, "the drain", func() bool { s.mu.Lock(); defer s.mu.Unlock(); return s.draining })
	p.write([]byte(preface))
	p.framer.WriteSettings()
	p.framer.WriteSettingsAck()
	p.call(1, "hello")
	p.want(1, served)
}

func TestCheck37Panics(t *testing.T) {
	check(t, []rule{
		{name: "inline", do: func(p *peer) { p.open(1, ":path", faultyPath); p.data(1, true, message("x")) }, stream: 1, want: "200 0 panicked", next: 3},
		{name: "slow", do: func(p *peer) { p.call(1, "slow-panic") }, stream: 1, want: "200 0 panicked", next: 3},
		{name: "no answer is an answer of none", do: func(p *peer) { p.call(1, "nothing") }, stream: 1, want: "200 0 panicked", next: 3},
	})
	broken := func() []byte { panic("again") }
	for name, change := range map[string]options{
		"without an answer for it": func(c *Config) { c.Panicked = nil },
		"while that is answered":   func(c *Config) { c.Panicked = broken },
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, change)
			p := s.hello(t)
			p.call(1, "slow-panic")
			p.want(1, "200 13")
			p.alive(3)
			if s.Panics() == 0 {
				t.Error("not counted")
			}
		})
	}
	t.Run("in a connection", func(t *testing.T) {
		s := serve(t, func(c *Config) { c.Health = func(string) (bool, bool) { panic("health") } })
		p := s.hello(t)
		p.open(1, ":path", healthCheckPath)
		p.data(1, true, message(""))
		p.want(1, "closed")
		s.hello(t).alive(1)
	})
}

// A flood of broken connections writes one line a second, without a word of the peers'.
func TestCheck38Logs(t *testing.T) {
	t.Parallel()
	var text lockedBuffer
	s := serve(t, func(c *Config) { c.Log = slog.New(slog.NewTextHandler(&text, nil)) })
	begin := time.Now()
	for range 50 {
		p := s.hello(t)
		p.open(1, "x-peer-chosen", "peer-chosen")
		p.call(2, "peer-chosen")
		p.want(0, protocolError)
	}
	limit := 2 + int(time.Since(begin)/time.Second)
	if got := text.String(); strings.Count(got, "\n") > limit || strings.Contains(got, "peer-chosen") || !strings.Contains(got, "PROTOCOL_ERROR") {
		t.Errorf("%d lines: %s", strings.Count(got, "\n"), got)
	}
	if s.Faults() != 50 {
		t.Errorf("%d faults", s.Faults())
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// What we send is never indexed: its length tells nothing about other answers.
func TestCheck39NothingIndexed(t *testing.T) {
	t.Parallel()
	blocks := [][]byte{okHeaders, okTrailers}
	for _, b := range statusBlocks {
		blocks = append(blocks, b)
	}
	for _, b := range blocks {
		if constant, _ := scan(b); !constant {
			t.Errorf("%x changes the peer's table", b)
		}
	}
}

func TestCheck40TLS(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"test"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	certificate := tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	s := serve(t)
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{certificate}, NextProtos: []string{"h2", "x"}})
	if err != nil {
		t.Fatal(err)
	}
	go s.Serve(listener)
	for protocol, want := range map[string]string{"h2": served, "x": "closed", "": "closed"} {
		var protocols []string
		if protocol != "" {
			protocols = []string{protocol}
		}
		nc, err := tls.Dial("tcp", listener.Addr().String(), &tls.Config{InsecureSkipVerify: true, NextProtos: protocols})
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		nc.SetDeadline(time.Now().Add(10 * time.Second))
		p := s.dial(t)
		p.nc, p.framer = nc, http2.NewFramer(nc, nc)
		p.write([]byte(preface))
		p.framer.WriteSettings()
		p.call(1, "hello")
		if got := p.outcome(1); got != want {
			t.Errorf("protocol %q: %s", protocol, got)
		}
	}
}

func TestQuietPeer(t *testing.T) {
	t.Parallel()
	s := serve(t, quick, func(c *Config) { c.Timeouts.Quiet, c.Timeouts.Pong = 50*time.Millisecond, 2*time.Second })
	p := s.hello(t)
	for range 3 { // an answer keeps it
		for {
			if f, ok := p.read().(*http2.PingFrame); ok {
				p.framer.WritePing(true, f.Data)
				break
			}
		}
	}
	p.want(0, "closed") // none does not
}

func TestIdlePeer(t *testing.T) {
	t.Parallel()
	p := serve(t, quick, func(c *Config) { c.Timeouts.Idle = 50 * time.Millisecond }).hello(t)
	if last, code := p.goaway(); last != 1<<31-1 || code != http2.ErrCodeNo {
		t.Errorf("last stream %d, %v", last, code)
	}
	p.want(0, "closed")
}

// Nothing runs on after Stop, whatever went on before.
func TestNothingIsLeft(t *testing.T) {
	// Not parallel: other tests' goroutines are paused or gone.
	before := runtime.NumGoroutine()
	s := serve(t)
	for i := range 20 {
		p := s.hello(t)
		p.call(1, "slow-wait")
		p.call(3, fmt.Sprint("x", i))
		<-s.started
	}
	s.Stop()
	await(t, "goroutines to end", func() bool { return runtime.NumGoroutine() <= before+1 })
}

func TestConfig(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]Config{
		"MaxMessage": {MaxMessage: -1}, "MaxStreams": {MaxStreams: -1}, "MaxConnections": {MaxConnections: -1},
		"Workers": {Workers: -1}, "Queue": {Queue: 1 << 30}, "time-out": {Timeouts: Timeouts{Pong: -1}},
	} {
		if _, err := New(c); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
