package extauthz

import (
	"errors"
	"fmt"
	"net"
	"sync"
)

// Listen opens the listeners that the configuration names, all or none. From here
// on connections wait to be served; a predecessor on the same socket path starts to
// leave. Call it when everything else is ready.
func (s *Server) Listen() error {
	if s.config.Socket == "" && s.config.Address == "" {
		return errors.New("extauthz: neither a socket nor an address to listen on")
	}
	var doors []net.Listener
	if s.config.Address != "" {
		l, err := s.listenTCP()
		if err != nil {
			return err
		}
		doors = append(doors, l)
	}
	if s.config.Socket != "" {
		socket, err := listenSocket(s.config.Socket, s.config.SocketMode)
		if err != nil {
			for _, l := range doors {
				err = errors.Join(err, l.Close())
			}
			return err
		}
		s.socket = socket
		doors = append(doors, counted{socket, &s.connections})
	}
	s.doors = doors
	return nil
}

// Addresses are where the server listens.
func (s *Server) Addresses() []net.Addr {
	out := make([]net.Addr, len(s.doors))
	for i, l := range s.doors {
		out[i] = l.Addr()
	}
	return out
}

func (s *Server) listenTCP() (net.Listener, error) {
	address, err := net.ResolveTCPAddr("tcp", s.config.Address)
	if err != nil {
		return nil, fmt.Errorf("listening on %s: %w", s.config.Address, err)
	}
	var certificates *certificates
	if s.config.TLS.on() {
		if certificates, err = loadCertificates(s.config.TLS, s.log); err != nil {
			return nil, err
		}
	} else if !address.IP.IsLoopback() && !s.config.AllowPlaintext {
		return nil, fmt.Errorf("listening on %s: not a loopback address; checks and answers would cross the network in clear: set up TLS, or allow plaintext", s.config.Address)
	}
	l, err := net.ListenTCP("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listening on %s: %w", s.config.Address, err)
	}
	// Counted below TLS, so that who serves a connection sees that it is one.
	counting := counted{l, &s.connections}
	if certificates != nil {
		return certificates.listener(counting), nil
	}
	return counting, nil
}

// connections counts the open ones of every listener. It is kept at the listeners
// and not by a stats.Handler, which gRPC would feed with every call.
type connections struct {
	mu   sync.Mutex
	n    int
	none chan struct{} // closed while n is 0; nil until somebody asks
}

func (c *connections) add(delta int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	was := c.n
	c.n += delta
	switch {
	case c.none == nil:
	case was == 0 && c.n > 0:
		c.none = make(chan struct{})
	case was > 0 && c.n == 0:
		close(c.none)
	}
}

func (c *connections) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n
}

// gone is closed once no connection is open. A connection that comes later does
// not open it again.
func (c *connections) gone() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.none == nil {
		c.none = make(chan struct{})
		if c.n == 0 {
			close(c.none)
		}
	}
	return c.none
}

// counted is a listener whose connections are counted.
type counted struct {
	net.Listener
	connections *connections
}

func (l counted) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.connections.add(1)
	return &countedConn{Conn: c, connections: l.connections}, nil
}

type countedConn struct {
	net.Conn
	connections *connections
	once        sync.Once
}

func (c *countedConn) Close() error {
	c.once.Do(func() { c.connections.add(-1) })
	return c.Conn.Close()
}

// CloseWrite ends what we say and leaves what the peer still sends to be read: a transport that has a last word (GOAWAY)
// would lose it to a reset if it could only close.
func (c *countedConn) CloseWrite() error {
	half, ok := c.Conn.(interface{ CloseWrite() error })
	if !ok {
		return errors.ErrUnsupported
	}
	return half.CloseWrite()
}
