package check

import (
	"net/netip"
	"strconv"
	"strings"
)

// NormalizeHost gives the one spelling under which a host is compared: lower
// case, no default port, no trailing dot (CVE-2021-39155: `EXAMPLE.com:443` is
// `example.com`). What is not a host stays what it is, in lower case: it then
// equals no host of the configuration. Normalizing twice changes nothing.
func NormalizeHost(host, scheme string) string {
	host = lower(host)
	name, port, ok := splitHost(host)
	if !ok {
		return host
	}
	if inner, bracketed := strings.CutPrefix(name, "["); bracketed {
		ip, err := netip.ParseAddr(strings.TrimSuffix(inner, "]"))
		if err != nil || !ip.Is6() {
			return host
		}
		if canonical := ip.String(); canonical != inner[:len(inner)-1] {
			name = "[" + canonical + "]"
		}
	} else if name = strings.TrimRight(name, "."); name == "" {
		return host
	}
	if port < 0 || port == defaultPort(scheme) {
		return name
	}
	return name + ":" + strconv.Itoa(port)
}

func defaultPort(scheme string) int {
	switch lower(scheme) {
	case "http", "ws":
		return 80
	case "https", "wss":
		return 443
	}
	return -1
}

// strictHost takes a name or an IP address, and a port. User info, paths, lists
// and IPv6 zones have no place in it (RFC 9110, 7.2; RFC 9113, 8.3.1).
func strictHost(host string) *Fault {
	malformed := func() *Fault { return &Fault{"host_malformed", "not a host and a port"} }
	if host == "" {
		return &Fault{"host_missing", "the request has no host"}
	}
	name, _, ok := splitHost(host)
	if !ok || host[len(host)-1] == ':' {
		return malformed()
	}
	if name[0] == '[' {
		ip, err := netip.ParseAddr(name[1 : len(name)-1])
		if err != nil || !ip.Is6() || ip.Zone() != "" {
			return malformed()
		}
		return nil
	}
	for i := range len(name) {
		c := name[i]
		switch letter := c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9'; {
		case letter, c == '-', c == '_':
		case c == '.' && i > 0 && name[i-1] != '.':
		default:
			return malformed()
		}
	}
	return nil
}

// splitHost separates the port, which is -1 where none is given. Only the shape
// is looked at: one name or one bracketed address, then at most one port.
func splitHost(host string) (name string, port int, ok bool) {
	name, rest := host, ""
	if strings.HasPrefix(host, "[") {
		end := strings.IndexByte(host, ']')
		if end < 0 {
			return "", 0, false
		}
		name, rest = host[:end+1], host[end+1:]
		if rest != "" && rest[0] != ':' {
			return "", 0, false
		}
	} else if i := strings.IndexByte(host, ':'); i >= 0 {
		name, rest = host[:i], host[i:]
	}
	if name == "" || strings.IndexByte(name[1:], '[') >= 0 {
		return "", 0, false
	}
	if rest == "" || rest == ":" {
		return name, -1, true
	}
	port, ok = decimal(rest[1:], 65535)
	return name, port, ok
}

// decimal reads digits only: no sign, no space, nothing above limit.
func decimal(s string, limit int) (int, bool) {
	n := 0
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		d := int(s[i] - '0')
		if n > (limit-d)/10 {
			return 0, false
		}
		n = n*10 + d
	}
	return n, s != ""
}

// lower is for names that are ASCII; other letters are left alone, for
// strings.ToLower turns U+212A KELVIN SIGN into a plain 'k'.
func lower(s string) string {
	for i := range len(s) {
		if s[i] < 'A' || s[i] > 'Z' {
			continue
		}
		out := []byte(s)
		for ; i < len(out); i++ {
			if c := out[i]; c >= 'A' && c <= 'Z' {
				out[i] = c | 0x20
			}
		}
		return string(out)
	}
	return s
}
