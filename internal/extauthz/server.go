// Package extauthz is the front door: it answers Envoy's external authorization
// checks. It is the only room that knows protobuf and gRPC.
//
// A check comes in as bytes, is read into a check.Request, decided by whoever was
// given to NewServer, and the decision goes out as a CheckResponse. The door decides
// nothing by itself, with four exceptions, all of them refusals: a message that is
// too large or cannot be decoded, more checks than it may have under way, an answer
// that could not be put on the wire, and a panic. Each of them is recorded as well.
//
// It answers every check with an explicit OK or denied response. A gRPC error is
// never a refusal: Envoy turns it into an allow where failure_mode_allow is set.
// What is left to gRPC are calls that are no checks at all (another method, a stream
// that breaks off).
package extauthz

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"runtime/debug"
	"sync"
	"sync/atomic"

	"authz/internal/authz"
	"authz/internal/check"

	"google.golang.org/grpc/mem"
)

// Decide says what becomes of a request. It must return when ctx ends.
type Decide func(ctx context.Context, r *check.Request) authz.Decision

// Fail records that a check could not be handled at the door and returns the
// refusal; r is nil where there is no request. Detail is for the record only.
type Fail func(r *check.Request, outcome authz.Outcome, reason, detail string) authz.Decision

// Server is the front door. The configuration and the parts are set once, by
// NewServer; listeners by Listen, before Serve.
type Server struct {
	config Config
	decide Decide
	log    *slog.Logger
	reader reader
	writer writer
	carry  transport
	health *health
	failed []byte // the answer of constant

	socket      *socket // nil without a Unix socket
	doors       []net.Listener
	connections connections

	halted   chan struct{} // closed by Stop
	haltOnce sync.Once

	inFlight  atomic.Int64
	panics    atomic.Uint64
	overloads atomic.Uint64
}

// NewServer checks the configuration and puts the parts together. It opens and
// starts nothing.
func NewServer(config Config, decide Decide, log *slog.Logger) (*Server, error) {
	config = config.withDefaults()
	if err := config.validate(); err != nil {
		return nil, err
	}
	if decide == nil {
		return nil, fmt.Errorf("extauthz: nobody decides")
	}
	s := &Server{
		config: config,
		decide: decide,
		log:    log,
		reader: newReader(&config),
		writer: writer{newOwned(config.IdentityHeaders), config.LegacyQuotaHeaders},
		health: newHealth(),
		halted: make(chan struct{}),
	}
	failed, err := s.encode(&authz.Decision{}, nil)
	if err != nil {
		return nil, fmt.Errorf("extauthz: encoding a refusal: %w", err)
	}
	s.failed = failed.bytes()
	if s.carry, err = s.newTransport(); err != nil {
		return nil, fmt.Errorf("extauthz: %w", err)
	}
	return s, nil
}

// Panics is how many checks ended in a panic.
func (s *Server) Panics() uint64 { return s.panics.Load() }

// Overloads is how many checks were refused because too many were under way.
func (s *Server) Overloads() uint64 { return s.overloads.Load() }

// InFlight is how many checks are under way.
func (s *Server) InFlight() int64 { return s.inFlight.Load() }

// Connections is how many connections are open.
func (s *Server) Connections() int { return s.connections.count() }

// check answers one call. Its error is for calls that never became a check; nobody
// waits for an answer to them.
func (s *Server) check(ctx context.Context, receive func(*frame) error) (out *frame, err error) {
	defer s.inFlight.Add(-1)
	defer func() {
		// A panic while a panic is answered: there is nothing left to rely on.
		if p := recover(); p != nil {
			s.panics.Add(1)
			out, err = s.constant(), nil
		}
	}()
	if s.inFlight.Add(1) > int64(s.config.MaxInFlight) {
		return s.overloaded(), nil
	}
	var in frame
	if err := receive(&in); err != nil {
		return nil, err
	}
	defer in.free()
	if n := len(in.bytes()); n > s.config.MaxMessageBytes {
		return s.tooLarge(fmt.Sprintf("%d bytes;", n)), nil
	}
	from := callAddress(ctx)
	if s.config.Quick != nil {
		if out := s.atOnce(in.bytes(), from); out != nil {
			return out, nil
		}
	}
	// A copy: the request refers to it, and the buffer is gRPC's.
	return s.answer(ctx, bytes.Clone(in.bytes()), from), nil
}

// atOnce is the answer that is at hand, in a buffer that gRPC gives back; nil if none is.
func (s *Server) atOnce(message []byte, from address) *frame {
	pool := mem.DefaultBufferPool()
	buffer := pool.Get(4 * usualReply)
	reply, ok := s.inline(message, from, (*buffer)[:0])
	if !ok {
		pool.Put(buffer)
		return nil
	}
	*buffer = reply
	return &frame{mem.NewBuffer(buffer, pool)}
}

// tooLarge is the answer to a check that is not read for its size.
func (s *Server) tooLarge(size string) *frame {
	detail := fmt.Sprintf("a check of %s at most %d are read", size, s.config.MaxMessageBytes)
	return s.refuse(nil, authz.Malformed, codeTooLarge, detail)
}

// answer is what a message gets, come what may.
func (s *Server) answer(ctx context.Context, message []byte, a address) (out *frame) {
	var r *check.Request
	defer func() {
		if p := recover(); p != nil {
			s.panics.Add(1)
			s.log.Error("panic while answering a check", "request_id", requestID(r), "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			out = s.refuse(r, authz.Failed, "panic", fmt.Sprint(p))
		}
	}()
	read, err := s.reader.read(message)
	if err != nil {
		return s.refuse(nil, authz.Malformed, "undecodable", err.Error())
	}
	r = read
	a.resolve(r)
	ctx, cancel := context.WithTimeout(ctx, s.config.CheckTimeout)
	defer cancel()
	d := s.decide(ctx, r)
	out, err = s.encode(&d, r)
	if err != nil {
		return s.unsendable(&d, r, err)
	}
	return out
}

// unsendable is the answer in place of a decision's that can't be put on the wire.
func (s *Server) unsendable(d *authz.Decision, r *check.Request, err error) *frame {
	s.log.Error("a decision cannot be answered", "request_id", d.RequestID, "decision_id", d.ID, "error", err)
	return s.refuse(r, authz.Failed, "reply_invalid", err.Error())
}

func (s *Server) encode(d *authz.Decision, r *check.Request) (*frame, error) {
	raw, err := s.writer.append(make([]byte, 0, usualReply), d, r)
	if err != nil {
		return nil, err
	}
	return &frame{mem.SliceBuffer(raw)}, nil
}

// usualReply is room for most answers.
const usualReply = 1024

// constant is the refusal that needs nothing to be made: a 500 that names nothing.
func (s *Server) constant() *frame { return &frame{mem.SliceBuffer(s.failed)} }

// refuse answers without a decision of the rooms below, and has that recorded.
func (s *Server) refuse(r *check.Request, outcome authz.Outcome, reason, detail string) *frame {
	d := s.recorded(r, outcome, reason, detail)
	out, err := s.encode(&d, nil)
	if err != nil {
		s.log.Error("a refusal cannot be answered", "request_id", requestID(r), "reason", reason, "error", err)
		return s.constant()
	}
	return out
}

// recorded asks for the record and survives a recorder that panics.
func (s *Server) recorded(r *check.Request, outcome authz.Outcome, reason, detail string) (d authz.Decision) {
	refusal := authz.Decision{Outcome: outcome, RequestID: requestID(r), Reasons: []string{reason}, Spent: -1}
	defer func() {
		if p := recover(); p != nil {
			s.panics.Add(1)
			s.log.Error("panic while recording a refusal", "request_id", requestID(r), "reason", reason, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			d = refusal
		}
	}()
	// Of the recorder's decision only its names are taken: it can't allow.
	named := s.config.Fail(r, outcome, reason, detail)
	refusal.ID, refusal.RequestID = named.ID, named.RequestID
	return refusal
}

func requestID(r *check.Request) string {
	if r == nil {
		return ""
	}
	return r.ID
}
