// Noop is the yardstick of the benchmark: the least that an external-authorization
// server on stock grpc-go does. It decodes each check and allows it with the same three
// request headers and eight response headers.
//
//	noop SOCKET [HOST:PORT]
package main

import (
	"context"
	"fmt"
	"net"
	"os"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
)

type server struct{}

func header(name, value string) *corev3.HeaderValueOption {
	return &corev3.HeaderValueOption{Header: &corev3.HeaderValue{Key: name, Value: value}}
}

// Check allows. The answer is built once; encoding it is part of what is measured.
func (server) Check(context.Context, *authv3.CheckRequest) (*authv3.CheckResponse, error) {
	return allowed, nil
}

var allowed = &authv3.CheckResponse{
	Status: &status.Status{},
	HttpResponse: &authv3.CheckResponse_OkResponse{OkResponse: &authv3.OkHttpResponse{
		Headers: []*corev3.HeaderValueOption{
			header("x-user-id", "user-00000001"), header("x-user-roles", "viewer"), header("x-user-scopes", "orders:read"),
		},
		ResponseHeadersToAdd: []*corev3.HeaderValueOption{
			header("x-content-type-options", "nosniff"), header("x-frame-options", "DENY"),
			header("referrer-policy", "no-referrer"), header("x-dns-prefetch-control", "off"),
			header("cross-origin-opener-policy", "same-origin"), header("cross-origin-resource-policy", "same-origin"),
			header("origin-agent-cluster", "?1"), header("strict-transport-security", "max-age=31536000; includeSubDomains"),
		},
	}},
}

func main() {
	if err := serve(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "noop:", err)
		os.Exit(1)
	}
}

func serve(args []string) error {
	if len(args) == 0 {
		return fmt.Errorf("usage: noop SOCKET [HOST:PORT]")
	}
	s := grpc.NewServer()
	authv3.RegisterAuthorizationServer(s, server{})
	failed := make(chan error, len(args))
	for i, address := range args {
		network := "unix"
		if i > 0 {
			network = "tcp"
		}
		l, err := (&net.ListenConfig{}).Listen(context.Background(), network, address)
		if err != nil {
			return fmt.Errorf("listening: %w", err)
		}
		fmt.Fprintln(os.Stderr, "listening", l.Addr())
		go func() { failed <- s.Serve(l) }()
	}
	return <-failed
}
