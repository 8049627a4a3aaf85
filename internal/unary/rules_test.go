package unary

import (
	"testing"
	"time"

	"golang.org/x/net/http2"
)

func quick(c *Config) {
	c.Timeouts = Timeouts{Preface: 150 * time.Millisecond, SettingsAck: 20 * time.Second, Headers: 100 * time.Millisecond,
		Body: 150 * time.Millisecond, Write: 150 * time.Millisecond, Quiet: 20 * time.Second, Pong: 20 * time.Second,
		Idle: time.Minute, Drain: 200 * time.Millisecond}
}

// with replaces or adds fields; a value of "-" removes one.
func with(fields []string, changes ...string) []string {
	fields = append([]string(nil), fields...)
next:
	for i := 0; i < len(changes); i += 2 {
		for j := 0; j < len(fields); j += 2 {
			if fields[j] == changes[i] {
				if changes[i+1] == "-" {
					fields = append(fields[:j], fields[j+2:]...)
				} else {
					fields[j+1] = changes[i+1]
				}
				continue next
			}
		}
		fields = append(fields, changes[i], changes[i+1])
	}
	return fields
}

// A rule is one thing a peer may do, and what it gets for it.
type rule struct {
	name     string
	settings []http2.Setting
	do       func(p *peer)
	stream   uint32 // whose outcome is looked at; 0 for the connection's
	want     string
	next     uint32 // a stream on which a call is served afterwards, 0 for none
}

func check(t *testing.T, rules []rule, change ...options) {
	t.Helper()
	t.Parallel()
	s := serve(t, change...)
	for _, r := range rules {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			p := s.hello(t, r.settings...)
			r.do(p)
			if r.want != "" {
				p.want(r.stream, r.want)
			}
			if r.next != 0 {
				p.alive(r.next)
			}
		})
	}
}

// frame sends a frame that need not be a legal one.
func (p *peer) frame(kind http2.FrameType, flags byte, id uint32, payload []byte) {
	p.write(appendFrame(nil, kind, flags, id, payload))
}

// open starts a call and leaves its message out.
func (p *peer) open(id uint32, changes ...string) {
	p.headers(id, false, with(call(echoPath), changes...)...)
}

const (
	protocolError = "GOAWAY PROTOCOL_ERROR"
	sizeError     = "GOAWAY FRAME_SIZE_ERROR"
	calmDown      = "GOAWAY ENHANCE_YOUR_CALM"
	served        = "200 0 echo:hello"
)
