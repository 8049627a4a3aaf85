package bootstrap

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// ParseServe reads PORT=IP:PORT, with /h2c behind it for an app that speaks HTTP/2.
func ParseServe(s string) (Serve, error) {
	app, h2c := strings.CutSuffix(s, "/h2c")
	port, app, ok := strings.Cut(app, "=")
	n, err := parsePort(port)
	address, err2 := netip.ParseAddrPort(app)
	if !ok || err != nil || err2 != nil || address.Port() == 0 {
		return Serve{}, fmt.Errorf("%q: write PORT=IP:PORT, such as 8080=127.0.0.1:3000, with /h2c behind it for HTTP/2 without TLS", s)
	}
	return Serve{Port: int(n), App: address, H2C: h2c}, nil
}

// ParseProbe reads /path=PORT/path, /path=PORT, or grpc=PORT.
func ParseProbe(s string) (Probe, error) {
	path, target, ok := strings.Cut(s, "=")
	port, rest, deeper := strings.Cut(target, "/")
	n, err := parsePort(port)
	switch {
	case !ok || err != nil || path == readyPath || path == statsPath:
	case path == "grpc" && !deeper:
		return Probe{Port: n}, nil
	case strings.HasPrefix(path, "/") && deeper:
		return Probe{Path: path, Target: "/" + rest, Port: n}, nil
	case strings.HasPrefix(path, "/"):
		return Probe{Path: path, Port: n}, nil
	}
	return Probe{}, fmt.Errorf("%q: write /path=PORT/path-of-the-app, /path=PORT for whether it accepts connections, or grpc=PORT for gRPC's health check", s)
}

func parsePort(s string) (uint16, error) {
	n, err := strconv.ParseUint(s, 10, 16)
	if err == nil && n == 0 {
		err = strconv.ErrRange
	}
	return uint16(n), err
}
