package check

import "net/netip"

// ParseClient describes the caller by what the trusted edge says: the address it
// resolved and the scheme it saw. It reads no header.
//
// The address becomes canonical text: IPv4 inside IPv6 is IPv4, a zone is dropped.
// A peer without an IP address (a Unix socket, an internal listener) is no fault;
// its Client has no IP, and a quota keyed on one is for the policy to refuse.
func ParseClient(addr, scheme string) (Client, *Fault) {
	out := Client{Scheme: lower(scheme)}
	switch out.Scheme {
	case "", "http", "https":
	default:
		return Client{}, &Fault{"scheme", "neither http nor https"}
	}
	ip, err := netip.ParseAddr(addr)
	if err != nil {
		return out, nil
	}
	ip = ip.Unmap().WithZone("")
	// Mostly it is canonical already; the text is then taken as it is.
	var space [64]byte
	if canonical := ip.AppendTo(space[:0]); string(canonical) == addr {
		out.IP = addr
	} else {
		out.IP = string(canonical)
	}
	out.IPBlock = out.IP
	if ip.Is6() {
		// The smallest block one site gets (RFC 6177): a key any finer is reset
		// by changing address.
		out.IPBlock = netip.PrefixFrom(ip, 64).Masked().String()
	}
	return out, nil
}

const maxRequestID = 128

// RequestID is the id under which a request is logged and answered: x-request-id
// as Envoy left it, else Envoy's own id for the request, else nothing. It goes into
// log lines and bodies, so it must be short and a token (RFC 9110, 5.6.2).
func RequestID(h Headers, httpID string) string {
	if id, ok := h.Lookup("x-request-id"); ok && len(id) <= maxRequestID && isToken(id) {
		return id
	}
	if len(httpID) <= maxRequestID && isToken(httpID) {
		return httpID
	}
	return ""
}
