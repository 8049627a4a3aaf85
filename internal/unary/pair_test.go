package unary

import (
	"context"
	"errors"
	"net"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"
)

// dialPair is a client of two servers, of which it uses the first that answers.
func dialPair(t testing.TB, addresses ...string) *grpc.ClientConn {
	t.Helper()
	builder := manual.NewBuilderWithScheme("pair")
	var state resolver.State
	for _, a := range addresses {
		state.Addresses = append(state.Addresses, resolver.Address{Addr: a})
	}
	builder.InitialState(state)
	cc, err := grpc.NewClient("pair:///x", grpc.WithResolvers(builder),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(dialUnix))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cc.Close() })
	return cc
}

func dialUnix(ctx context.Context, address string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "unix", address)
}

// nopListener is never asked.
type nopListener struct{}

func (nopListener) Accept() (net.Conn, error) { return nil, errors.New("asked") }
func (nopListener) Close() error              { return nil }
func (nopListener) Addr() net.Addr            { return nil }
