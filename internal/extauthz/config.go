package extauthz

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"slices"
	"time"

	"authz/internal/check"

	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"
)

// Config is how the front door behaves. The zero value of a field is its default.
type Config struct {
	// Fail records what the door itself refuses. Required.
	Fail Fail

	// Quick answers what is at hand. nil: everything is asked
	// of Decide.
	Quick Quick

	// Lenient lets ambiguous requests through to the policy. A request that can't
	// be read at all is refused even so. Default: strict.
	Lenient bool
	// SkipBody leaves bodies unparsed: parsed_body and truncated_body are then
	// absent from the input.
	SkipBody bool
	// Descriptors let policies read gRPC bodies. nil: gRPC bodies are not parsed.
	Descriptors *Descriptors
	// MaxHeaders and MaxHeaderBytes bound the request's headers, names and values
	// together. Defaults: check.MaxHeaders (200) and 128 KiB; Envoy's own are 100 and 60 KiB.
	MaxHeaders, MaxHeaderBytes int

	// IdentityHeaders are the headers by which the app knows its caller. A client's
	// own, and their twins in '_', never reach it.
	IdentityHeaders []string

	// LegacyQuotaHeaders adds the older X-RateLimit headers to what the client is told
	// of its quotas. Default: the standard ones alone.
	LegacyQuotaHeaders bool

	// Transport is one of Transports. Default: the first.
	Transport string
	// CheckTimeout is the longest a check may take. Keep it below the timeout of
	// Envoy's ext_authz filter, whose error may allow. Default: 800 ms.
	CheckTimeout time.Duration
	// MaxInFlight is how many checks may be under way; more get a 503.
	// Default: 1024.
	MaxInFlight int
	// MaxMessageBytes is the largest check that is read, the request's body
	// included; larger ones get a 413. Default: 4 MiB.
	MaxMessageBytes int

	// Socket is the path of a Unix socket, SocketMode its mode (default 0660).
	Socket     string
	SocketMode fs.FileMode
	// Address is the host:port of a TCP listener. Without TLS it must be loopback,
	// unless AllowPlaintext is set.
	Address        string
	TLS            TLS
	AllowPlaintext bool

	// Linger is how long an ending server goes on serving as long as somebody is
	// connected, and Grace how long checks under way may then take to finish.
	// Defaults: 20 s and 5 s. Negative: none.
	Linger, Grace time.Duration
}

// TLS is a server identity and whom it trusts. Files are read again when they change.
type TLS struct {
	// CertFile and KeyFile are the PEM chain and key; both or neither.
	CertFile, KeyFile string
	// ClientCAFile is a PEM bundle; when set, clients must show a certificate
	// signed by it.
	ClientCAFile string
}

func (t *TLS) on() bool { return t.CertFile != "" || t.KeyFile != "" || t.ClientCAFile != "" }

func (c Config) withDefaults() Config {
	c.Transport = or(c.Transport, Transports[0])
	c.MaxHeaders = or(c.MaxHeaders, check.MaxHeaders)
	c.MaxHeaderBytes = or(c.MaxHeaderBytes, 128<<10)
	c.CheckTimeout = or(c.CheckTimeout, 800*time.Millisecond)
	c.MaxInFlight = or(c.MaxInFlight, 1024)
	c.MaxMessageBytes = or(c.MaxMessageBytes, 4<<20)
	c.SocketMode = or(c.SocketMode, 0o660)
	c.Linger = or(c.Linger, 20*time.Second)
	c.Grace = or(c.Grace, 5*time.Second)
	return c
}

func or[T comparable](value, otherwise T) T {
	var zero T
	if value == zero {
		return otherwise
	}
	return value
}

// validate names every fault at once.
func (c *Config) validate() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf("extauthz: "+format, args...)) }
	if c.Fail == nil {
		fault("nobody records what the door refuses")
	}
	for _, bound := range []struct {
		name  string
		value int64
	}{
		{"MaxHeaders", int64(c.MaxHeaders)},
		{"MaxHeaderBytes", int64(c.MaxHeaderBytes)},
		{"CheckTimeout", int64(c.CheckTimeout)},
		{"MaxInFlight", int64(c.MaxInFlight)},
		{"MaxMessageBytes", int64(c.MaxMessageBytes)},
	} {
		if bound.value < 0 {
			fault("%s is negative", bound.name)
		}
	}
	if c.MaxMessageBytes > math.MaxInt32/4 {
		fault("MaxMessageBytes is above %d", math.MaxInt32/4)
	}
	if !slices.Contains(Transports, c.Transport) {
		fault("Transport %q is none of %v", c.Transport, Transports)
	}
	for _, name := range c.IdentityHeaders {
		if err := headerName(lower(name)); err != nil {
			fault("IdentityHeaders: %w", err)
		}
	}
	if c.TLS.on() && (c.TLS.CertFile == "" || c.TLS.KeyFile == "") {
		fault("TLS needs a certificate and its key")
	}
	return errors.Join(faults...)
}

// What a peer may do to the HTTP/2 layer. The peer is an Envoy of ours, yet not one
// to be trusted with the memory of this process.
const (
	// Envoy's default is 1024 as well (RFC 9113, 5.1.2).
	maxStreams = 1024
	// A check carries the request's headers in its message; these are the call's own.
	maxCallHeaderBytes = 16 << 10
	// A whole check usually fits the window, so that it is never waited for.
	streamWindow, connectionWindow = 1 << 20, 4 << 20

	handshakeTimeout = 5 * time.Second
	// A dead peer is noticed after these two.
	pingAfter, pingTimeout = 60 * time.Second, 20 * time.Second
	// gRPC's default of 5 minutes would cut off an Envoy whose connection_keepalive
	// is set to usual values, and with it every check under way.
	minPingInterval = time.Second

	streamWorkers = 64
)

func (c *Config) grpcOptions() []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.ForceServerCodecV2(newFrameCodec()),
		// gRPC answers a message above its limit with an error, so ours comes first
		// and its limit only stops what no Envoy would send.
		grpc.MaxRecvMsgSize(max(4*c.MaxMessageBytes, 64<<20)),
		grpc.MaxConcurrentStreams(maxStreams),
		grpc.MaxHeaderListSize(maxCallHeaderBytes),
		grpc.InitialWindowSize(streamWindow),
		grpc.InitialConnWindowSize(connectionWindow),
		grpc.ConnectionTimeout(handshakeTimeout),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: pingAfter, Timeout: pingTimeout}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: minPingInterval, PermitWithoutStream: true}),
		// Goroutines that are kept have the stack that a check needs; new ones grow it.
		grpc.NumStreamWorkers(streamWorkers),
	}
}
