package extauthz

import (
	"context"
	"testing"

	"authz/internal/check"

	"google.golang.org/grpc/metadata"
)

// The address beside the check wins over the peer's; what can't be read is refused.
func TestResolve(t *testing.T) {
	peer := check.Client{IP: "10.0.0.1", IPBlock: "10.0.0.1", Scheme: "https"}
	for name, c := range map[string]struct {
		values []string
		want   check.Client
		fault  string
	}{
		"nothing said":    {nil, peer, ""},
		"IPv4":            {[]string{"203.0.113.7"}, check.Client{IP: "203.0.113.7", IPBlock: "203.0.113.7", Scheme: "https"}, ""},
		"IPv6":            {[]string{"2001:db8::7"}, check.Client{IP: "2001:db8::7", IPBlock: "2001:db8::/64", Scheme: "https"}, ""},
		"two addresses":   {[]string{"203.0.113.7", "203.0.113.8"}, peer, "client_address"},
		"a list in one":   {[]string{"203.0.113.7,203.0.113.8"}, peer, "client_address"},
		"no address":      {[]string{"-"}, peer, "client_address"},
		"an address:port": {[]string{"203.0.113.7:80"}, peer, "client_address"},
	} {
		t.Run(name, func(t *testing.T) {
			ctx := metadata.NewIncomingContext(context.Background(), metadata.MD{clientAddress: c.values})
			r := &check.Request{Client: peer, HTTP: check.HTTP{Scheme: "https"}}
			callAddress(ctx).resolve(r)
			fault := ""
			if r.Fault != nil {
				fault = r.Fault.Code
			}
			if r.Client != c.want || fault != c.fault {
				t.Errorf("got %+v, fault %q, want %+v, %q", r.Client, fault, c.want, c.fault)
			}
		})
	}
}
