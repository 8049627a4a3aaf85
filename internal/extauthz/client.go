package extauthz

import "authz/internal/check"

// clientAddress is the call's metadata by which Envoy says who the client is, as its
// own trusted-hop settings resolved it (initial_metadata in envoy/envoy.yaml). The
// check itself names the peer of the connection, which behind a proxy is the proxy.
// It stands beside the check, where no header of a client's can get.
const clientAddress = "x-authz-client-address"

// address is what a call says of the client: the first value, and how many there are.
type address struct {
	value string
	count int
}

// resolve puts the resolved address in the place of the peer's. An Envoy that says
// nothing leaves the peer; one that says something unreadable is not guessed at.
func (a address) resolve(r *check.Request) {
	if a.count == 0 {
		return
	}
	client, fault := check.ParseClient(a.value, r.HTTP.Scheme)
	if fault == nil && (a.count > 1 || client.IP == "") {
		fault = &check.Fault{Code: "client_address", Detail: clientAddress + " is not one IP address"}
	}
	if fault == nil {
		r.Client = client
	} else if r.Fault == nil {
		r.Fault = fault
	}
}
