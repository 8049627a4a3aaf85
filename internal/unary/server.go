// Package unary serves unary gRPC calls: one message in, one message out, over
// HTTP/2. It knows nothing of what the messages say.
//
// It exists because a stock gRPC server spends ten times more on carrying a small
// call than answering it costs. What makes it cheap:
//
//   - One goroutine reads a connection and answers, on the spot, the calls that can
//     be answered at once (Inline). Answers of everything that came in with one read
//     leave with one write.
//   - A call that has to wait (Slow) moves to a bounded pool and is answered when it
//     is ready, so that it never holds up the others.
//   - A block of header fields that was seen before, byte for byte, is not decoded
//     again. What is sent back is prebuilt.
//
// What makes it safe is in limits.go: every length, count, rate and wait that a peer
// can drive has a bound, and each bound has a test that carries its number.
//
// Frames are read in place and not by http2.Framer, which allocates for each HEADERS
// frame and goes on reading for as long as empty CONTINUATIONs arrive. HPACK is
// x/net's.
//
// Locks: a connection's mutex owns all of its state. It is held while a batch of
// frames is handled and while the answers are written, and never while reading. No
// other lock is taken inside it but the short ones around a queue.
package unary

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Inline answers a call on the spot. It runs on the connection's own goroutine, so it
// must not block. It appends the answer to out and returns the extended slice; ok is
// false when the call can't be answered at once, and Slow gets it. The message is a
// part of the read buffer: nothing of it may be kept.
type Inline func(message []byte, md Metadata, out []byte) (reply []byte, ok bool)

// Slow answers a call that takes its time. The message is its own to keep. The context
// ends with the caller's deadline, Config.CallTimeout, a reset of the stream or the
// end of the connection, whichever comes first, and Slow must return then.
//
// From both, an empty answer counts as none and becomes the answer of Panicked: to a
// reader an empty message means zero values, which may look like consent.
type Slow func(ctx context.Context, message []byte, md Metadata) []byte

// Config is what a Server is made of. Zero values mean the defaults.
type Config struct {
	// MaxMessage is the largest message that is read, in bytes; default 1 MiB. It is
	// held against the length a message announces, before memory is taken for it.
	MaxMessage int
	// MaxStreams is how many calls a connection may have under way; default 256. A call
	// whose stream was reset counts until its handler has returned.
	MaxStreams int
	// MaxConnections is how many connections may be open; default 1024. More are closed
	// as soon as they are accepted.
	MaxConnections int
	// Workers is how many Slow calls run at the same time, Queue how many wait for
	// a worker; defaults 64 and 256. Beyond that, Overloaded answers.
	Workers, Queue int
	// CallTimeout is the longest a Slow call may take; default 10 s. The caller's
	// grpc-timeout can only shorten it.
	CallTimeout time.Duration
	// Timeouts bound every wait for a peer.
	Timeouts Timeouts

	// Overloaded answers a call for which there is no worker (or, without its message, no
	// room), Panicked one whose handler
	// panicked, TooLarge one whose message is larger than MaxMessage. Without them, or
	// when they return nothing, the calls end with UNAVAILABLE, INTERNAL and
	// RESOURCE_EXHAUSTED. They must not block.
	Overloaded func(message []byte) []byte
	Panicked   func() []byte
	TooLarge   func() []byte

	// Health says how a service fares, for grpc.health.v1.Health/Check; without it the
	// method is not there. Health/Watch answers UNIMPLEMENTED, which clients read as
	// "healthy, and don't ask again".
	Health func(service string) (serving, known bool)

	// Log gets a line when a peer breaks the rules, at most one a second and without
	// a word the peer has chosen; nil for none.
	Log *slog.Logger
}

// Timeouts are how long a peer is waited for. They are checked five times a second.
type Timeouts struct {
	Preface     time.Duration // from accept to the first SETTINGS; default 5 s
	SettingsAck time.Duration // until our SETTINGS are acknowledged; default 10 s
	Headers     time.Duration // from the first byte of a header block to its last; default 2 s
	Body        time.Duration // from a call's headers to the end of its message; default 5 s
	Write       time.Duration // until a write, or an answer that lacks window, is taken; default 10 s
	Quiet       time.Duration // without a byte from the peer until it is pinged; default 60 s
	Pong        time.Duration // from that ping to any byte; default 20 s
	Idle        time.Duration // without a call until the connection is drained; default 10 min
	Drain       time.Duration // from the first GOAWAY to the second, and for the last close; default 1 s
}

// ErrStopped is what Serve returns on a server that was stopped before.
var ErrStopped = errors.New("unary: the server was stopped")

// Server serves registered methods. Methods are registered before Serve.
type Server struct {
	config  Config
	tick    time.Duration
	methods map[string]*method
	hello   []byte // our first frames
	jobs    chan *job

	start time.Time
	clock atomic.Int64 // nanoseconds since start, as of the last tick

	mu          sync.Mutex
	listeners   map[net.Listener]struct{}
	connections map[*conn]struct{}
	started     bool
	draining    bool
	workers     int
	stopped     chan struct{} // closed when nothing goes on any more
	quit        chan struct{} // closed when no connection is accepted any more
	quitOnce    sync.Once
	stopOnce    sync.Once
	serving     sync.WaitGroup // connections

	idle     atomic.Int64 // workers without a call, less calls without a worker
	held     atomic.Int64 // bytes of answers that lack window, of all connections
	buffered atomic.Int64 // bytes of messages that are kept, of all connections
	count    atomic.Int64 // connections
	panics   atomic.Uint64
	overload atomic.Uint64
	faults   atomic.Uint64
	refused  atomic.Uint64
	lastLog  atomic.Int64
}

type method struct {
	path   string
	inline Inline
	slow   Slow
	health bool
}

// New checks the configuration. It starts nothing.
func New(config Config) (*Server, error) {
	config = config.withDefaults()
	if err := config.validate(); err != nil {
		return nil, err
	}
	s := &Server{
		config:      config,
		tick:        config.Timeouts.tick(),
		methods:     make(map[string]*method),
		jobs:        make(chan *job, config.Queue),
		start:       time.Now(),
		listeners:   make(map[net.Listener]struct{}),
		connections: make(map[*conn]struct{}),
		stopped:     make(chan struct{}),
		quit:        make(chan struct{}),
	}
	s.hello = appendHello(nil, &s.config)
	if config.Health != nil {
		s.methods[healthCheckPath] = &method{path: healthCheckPath, health: true}
	}
	return s, nil
}

// Register makes path ("/package.Service/Method") a method. A nil inline means that
// every call is slow. It panics on what can only be a mistake in the program.
func (s *Server) Register(path string, inline Inline, slow Slow) {
	if slow == nil || !strings.HasPrefix(path, "/") || strings.Count(path, "/") != 2 {
		panic(fmt.Sprintf("unary: %q can't be a method", path))
	}
	if _, taken := s.methods[path]; taken {
		panic(fmt.Sprintf("unary: method %q registered twice", path))
	}
	s.methods[path] = &method{path: path, inline: inline, slow: slow}
}

// Connections is how many connections are open.
func (s *Server) Connections() int { return int(s.count.Load()) }

// Panics is how many calls ended in a panic.
func (s *Server) Panics() uint64 { return s.panics.Load() }

// Overloads is how many calls found no worker, or no room for their message.
func (s *Server) Overloads() uint64 { return s.overload.Load() }

// Faults is how many connections were ended because the peer broke a rule.
func (s *Server) Faults() uint64 { return s.faults.Load() }

// Refused is how many connections were closed because too many were open.
func (s *Server) Refused() uint64 { return s.refused.Load() }

// Serve accepts connections until the listener fails or the server is stopped, and
// then, if it was stopped, waits until that is done and returns nil. A tls listener
// must have negotiated "h2".
func (s *Server) Serve(listener net.Listener) error {
	s.mu.Lock()
	if s.draining {
		s.mu.Unlock()
		_ = listener.Close()
		return ErrStopped
	}
	s.listeners[listener] = struct{}{}
	if !s.started {
		s.started = true
		go s.watch()
	}
	s.mu.Unlock()

	var pause time.Duration
	for {
		nc, err := listener.Accept()
		if err == nil {
			pause = 0
			s.open(nc)
			continue
		}
		select {
		case <-s.quit:
			<-s.stopped
			return nil
		default:
		}
		// Out of descriptors and the like: the listener is sound, the moment is not.
		var passing interface{ Temporary() bool }
		if !errors.As(err, &passing) || !passing.Temporary() {
			s.mu.Lock()
			delete(s.listeners, listener)
			s.mu.Unlock()
			return fmt.Errorf("unary: accepting a connection: %w", err)
		}
		pause = min(max(2*pause, 5*time.Millisecond), time.Second)
		select {
		case <-time.After(pause):
		case <-s.quit:
		}
	}
}

// open takes a connection in, unless there are too many.
func (s *Server) open(nc net.Conn) {
	s.mu.Lock()
	full := len(s.connections) >= s.config.MaxConnections
	if full || s.draining {
		s.mu.Unlock()
		if full {
			s.refused.Add(1)
		}
		_ = nc.Close()
		return
	}
	c := newConn(s, nc)
	s.connections[c] = struct{}{}
	s.serving.Add(1)
	s.count.Add(1)
	s.mu.Unlock()
	go func() {
		defer s.serving.Done()
		c.serve()
		s.mu.Lock()
		delete(s.connections, c)
		s.mu.Unlock()
		s.count.Add(-1)
	}()
}

// GracefulStop stops accepting, tells every peer to go (GOAWAY, in two steps, so that
// no call on its way is lost), and returns when all calls are answered and all
// connections closed. Stop cuts it short.
func (s *Server) GracefulStop() {
	s.leave(func(c *conn) {
		c.drain.Store(true)
		c.prod()
	})
	s.serving.Wait()
	s.finish()
}

// Stop closes everything, ends the contexts of all calls, and returns when the
// connections are closed. It doesn't wait for handlers.
func (s *Server) Stop() {
	s.leave(func(c *conn) { c.abort() })
	s.serving.Wait()
	s.finish()
}

// leave closes the listeners and tells the connections.
func (s *Server) leave(tell func(*conn)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.draining = true
	s.quitOnce.Do(func() { close(s.quit) })
	for l := range s.listeners {
		_ = l.Close()
	}
	clear(s.listeners)
	for c := range s.connections {
		tell(c)
	}
}

func (s *Server) finish() { s.stopOnce.Do(func() { close(s.stopped) }) }

// watch keeps the clock and looks after the connections. It takes no connection's
// mutex: a connection that is stuck in a write has one.
func (s *Server) watch() {
	ticker := time.NewTicker(s.tick)
	defer ticker.Stop()
	for turn := 0; ; turn++ {
		select {
		case <-ticker.C:
		case <-s.stopped:
			return
		}
		now := int64(time.Since(s.start))
		s.clock.Store(now)
		s.mu.Lock()
		for c := range s.connections {
			switch by := c.writeBy.Load(); {
			case by != 0 && now > by:
				c.abort()
			case c.waits.Load() || turn%16 == 0:
				c.prod()
			}
		}
		s.mu.Unlock()
	}
}

// report notes that a peer broke a rule. Why is one of our own words.
func (s *Server) report(f *fault) {
	s.faults.Add(1)
	if s.config.Log == nil {
		return
	}
	now := int64(time.Since(s.start))
	if last := s.lastLog.Load(); (last != 0 && now-last < int64(time.Second)) || !s.lastLog.CompareAndSwap(last, now) {
		return
	}
	s.config.Log.Warn("connection ended", "reason", f.why, "code", f.code.String(), "so_far", s.faults.Load())
}

// negotiated completes a TLS handshake and holds the peer to HTTP/2.
func negotiated(nc net.Conn, within time.Duration) bool {
	secure, ok := nc.(*tls.Conn)
	if !ok {
		return true
	}
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	return secure.HandshakeContext(ctx) == nil && secure.ConnectionState().NegotiatedProtocol == "h2"
}
