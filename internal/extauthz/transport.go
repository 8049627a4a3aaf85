package extauthz

import (
	"context"
	"errors"
	"net"
	"time"

	"authz/internal/authz"
	"authz/internal/unary"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
)

// transport carries checks. Both kinds serve the same service in the same way; what
// differs is what that costs.
type transport interface {
	// Serve accepts connections until the transport is stopped (nil) or can't.
	Serve(net.Listener) error
	// GracefulStop lets calls under way finish and loses none that is on its way.
	GracefulStop()
	// Stop cuts everything.
	Stop()
}

// The transports.
const (
	TransportGRPC = "grpc-go" // the reference
	TransportLean = "lean"    // internal/unary
)

// Transports are the values of Config.Transport, the default first.
var Transports = []string{TransportGRPC, TransportLean}

func (s *Server) newTransport() (transport, error) {
	if s.config.Transport == TransportLean {
		return s.newLean()
	}
	return s.newGRPC(), nil
}

// stock is grpc-go, which says with an error that it was stopped before it served.
type stock struct{ *grpc.Server }

func (s stock) Serve(l net.Listener) error {
	if err := s.Server.Serve(l); !errors.Is(err, grpc.ErrServerStopped) {
		return err
	}
	return nil
}

func (s *Server) newGRPC() transport {
	server := grpc.NewServer(s.config.grpcOptions()...)
	server.RegisterService(&service, s)
	s.health.register(server)
	return stock{server}
}

// lean is internal/unary.
type lean struct{ *unary.Server }

func (l lean) Serve(listener net.Listener) error {
	if err := l.Server.Serve(listener); !errors.Is(err, unary.ErrStopped) {
		return err
	}
	return nil
}

// callAddress is what a call says of the client.
func callAddress(ctx context.Context) address {
	values := metadata.ValueFromIncomingContext(ctx, clientAddress)
	if len(values) == 0 {
		return address{}
	}
	return address{values[0], len(values)}
}

// slack is what the lean transport leaves to a check beyond its own deadline, so that
// the refusal of a check that was too slow is still on its way.
const slack = time.Second

func (s *Server) newLean() (transport, error) {
	server, err := unary.New(unary.Config{
		MaxMessage: s.config.MaxMessageBytes,
		MaxStreams: maxStreams,
		// A worker for every check that may be under way: those that wait for keys or a
		// busy policy must not hold up the others.
		// One more answers those that are too many.
		Workers:     s.config.MaxInFlight + 1,
		Queue:       s.config.MaxInFlight,
		CallTimeout: s.config.CheckTimeout + slack,
		Timeouts:    unary.Timeouts{Preface: handshakeTimeout, Quiet: pingAfter, Pong: pingTimeout},
		Overloaded:  func([]byte) []byte { return s.overloaded().bytes() },
		TooLarge:    func() []byte { return s.tooLarge("an unread size;").bytes() },
		Panicked: func() []byte {
			s.panics.Add(1)
			return s.failed
		},
		Health: func(service string) (serving, served bool) { return true, known(service) },
		Log:    s.log,
	})
	if err != nil {
		return nil, err
	}
	var inline unary.Inline
	if s.config.Quick != nil {
		inline = func(message []byte, md unary.Metadata, out []byte) ([]byte, bool) {
			value, _ := md.Lookup(clientAddress)
			return s.inline(message, address{value, md.Count(clientAddress)}, out)
		}
	}
	server.Register("/"+serviceName+"/Check", inline, func(ctx context.Context, message []byte, md unary.Metadata) []byte {
		defer s.inFlight.Add(-1)
		if s.inFlight.Add(1) > int64(s.config.MaxInFlight) {
			return s.overloaded().bytes()
		}
		value, _ := md.Lookup(clientAddress)
		return s.answer(ctx, message, address{value, md.Count(clientAddress)}).bytes()
	})
	return lean{server}, nil
}

// overloaded is the answer to a check that is refused unread: reading is what an
// overloaded process can't afford.
func (s *Server) overloaded() *frame {
	s.overloads.Add(1)
	return s.refuse(nil, authz.Unavailable, "overload", "too many checks under way")
}
