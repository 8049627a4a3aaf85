package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/protobuf/encoding/protowire"
)

// message is one check, ready to be sent, and the status that its answer must have:
// 200 for an allow, else what the client is refused with.
type message struct {
	data []byte // as a gRPC message: length and protobuf
	want int
}

// shape is how many checks are under way at once.
type shape struct{ conns, inFlight int }

func (s shape) String() string { return fmt.Sprintf("%d×%d", s.conns, s.inFlight) }

// client is one HTTP/2 connection. It keeps inFlight calls under way and sends the
// next as soon as one is answered. It obeys the server's flow control.
type client struct {
	nc     net.Conn
	in     *bufio.Reader
	framer *http2.Framer
	out    bytes.Buffer // frames on their way
	block  []byte       // header block of every call but the first: indices only
	next   uint32
	window int // octets that the server takes on the connection
	owed   uint32
	calls  map[uint32]*call
	spare  []*call
	latest []time.Duration
}

type call struct {
	sent time.Time
	want int
	body []byte
}

func dial(ctx context.Context, address string) (*client, error) {
	network := "tcp"
	if strings.Contains(address, "/") {
		network = "unix"
	}
	nc, err := (&net.Dialer{}).DialContext(ctx, network, address)
	if err != nil {
		return nil, fmt.Errorf("dialling: %w", err)
	}
	c := &client{nc: nc, in: bufio.NewReaderSize(nc, 64<<10), next: 1, window: 65535, calls: map[uint32]*call{}}
	c.framer = http2.NewFramer(&c.out, c.in)
	c.framer.SetReuseFrames()
	c.out.WriteString(http2.ClientPreface)
	err = errors.Join(c.framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 20}),
		c.framer.WriteWindowUpdate(0, 1<<28))
	if err != nil {
		return nil, err
	}
	return c, nil
}

// headers are those that Envoy sends with a check.
var headers = []hpack.HeaderField{
	{Name: ":method", Value: "POST"}, {Name: ":scheme", Value: "http"},
	{Name: ":path", Value: "/envoy.service.auth.v3.Authorization/Check"}, {Name: ":authority", Value: "authz"},
	{Name: "te", Value: "trailers"}, {Name: "grpc-timeout", Value: "10000m"},
	{Name: "content-type", Value: "application/grpc"}, {Name: "x-authz-client-address", Value: "203.0.113.7"},
}

func (c *client) send(m message) error {
	block := c.block
	if block == nil {
		// The first call fills the server's table; from then on fields are indices.
		var buffer bytes.Buffer
		encoder := hpack.NewEncoder(&buffer)
		for range 2 {
			for _, f := range headers {
				if err := encoder.WriteField(f); err != nil {
					return err
				}
			}
			if block == nil {
				block = bytes.Clone(buffer.Bytes())
				buffer.Reset()
			}
		}
		c.block = buffer.Bytes()
	}
	call := &call{}
	if n := len(c.spare); n > 0 {
		call, c.spare = c.spare[n-1], c.spare[:n-1]
	}
	call.sent, call.want, call.body = time.Now(), m.want, call.body[:0]
	c.calls[c.next] = call
	c.window -= len(m.data)
	err := errors.Join(
		c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: c.next, BlockFragment: block, EndHeaders: true}),
		c.framer.WriteData(c.next, true, m.data))
	c.next += 2
	return err
}

// run keeps inFlight calls under way until next has no more, and returns how many
// were answered. Every answer is checked.
func (c *client) run(inFlight int, next func() (message, bool)) (int, error) {
	var done int
	m, more := next()
	for {
		for more && len(c.calls) < inFlight && c.window >= len(m.data) {
			if err := c.send(m); err != nil {
				return done, err
			}
			m, more = next()
		}
		// As Envoy does: all that has come is handled before anything is sent.
		if c.out.Len() > 0 && c.in.Buffered() == 0 {
			if _, err := c.out.WriteTo(c.nc); err != nil {
				return done, fmt.Errorf("writing: %w", err)
			}
		}
		if len(c.calls) == 0 && !more {
			return done, nil
		}
		if err := c.nc.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
			return done, err
		}
		f, err := c.framer.ReadFrame()
		if err != nil {
			return done, fmt.Errorf("reading: %w", err)
		}
		ended, err := c.take(f)
		if err != nil {
			return done, err
		}
		done += ended
	}
}

func (c *client) take(f http2.Frame) (ended int, err error) {
	switch f := f.(type) {
	case *http2.SettingsFrame:
		if !f.IsAck() {
			return 0, c.framer.WriteSettingsAck()
		}
	case *http2.PingFrame:
		if !f.IsAck() {
			return 0, c.framer.WritePing(true, f.Data)
		}
	case *http2.WindowUpdateFrame:
		if f.StreamID == 0 {
			c.window += int(f.Increment)
		}
	case *http2.DataFrame:
		call := c.calls[f.StreamID]
		if call == nil {
			return 0, fmt.Errorf("data on stream %d, which was not asked", f.StreamID)
		}
		call.body = append(call.body, f.Data()...)
		if c.owed += f.Length; c.owed > 1<<20 {
			owed := c.owed
			c.owed = 0
			return 0, c.framer.WriteWindowUpdate(0, owed)
		}
	case *http2.HeadersFrame:
		if !f.StreamEnded() {
			return 0, nil
		}
		call := c.calls[f.StreamID]
		if call == nil {
			return 0, fmt.Errorf("an answer on stream %d, which was not asked", f.StreamID)
		}
		got, err := verdict(call.body)
		if err != nil {
			return 0, err
		}
		if got != call.want {
			return 0, fmt.Errorf("a wrong answer: %d, want %d", got, call.want)
		}
		c.latest = append(c.latest, time.Since(call.sent))
		delete(c.calls, f.StreamID)
		c.spare = append(c.spare, call)
		return 1, nil
	case *http2.GoAwayFrame:
		return 0, fmt.Errorf("the server said goodbye: %v %s", f.ErrCode, f.DebugData())
	case *http2.RSTStreamFrame:
		return 0, fmt.Errorf("the server reset a call: %v", f.ErrCode)
	}
	return 0, nil
}

// verdict reads of a CheckResponse what it decides: 200, or the status of a refusal.
func verdict(body []byte) (int, error) {
	if len(body) < 5 || int(binary.BigEndian.Uint32(body[1:5])) != len(body)-5 {
		return 0, fmt.Errorf("no whole gRPC message in an answer of %d octets", len(body))
	}
	status, denied, allowed := 0, -1, false
	err := fields(body[5:], func(n protowire.Number, v []byte) error {
		switch n {
		case 1: // google.rpc.Status
			status = number(v, 1)
		case 2: // DeniedHttpResponse
			denied = 403
			return fields(v, func(n protowire.Number, v []byte) error {
				if n == 1 { // envoy.type.v3.HttpStatus
					denied = number(v, 1)
				}
				return nil
			})
		case 3: // OkHttpResponse
			allowed = true
		}
		return nil
	})
	switch {
	case err != nil:
		return 0, err
	case allowed && denied < 0 && status == 0:
		return 200, nil
	case denied > 0 && !allowed && status != 0:
		return denied, nil
	}
	return 0, fmt.Errorf("an answer that decides nothing: status %d, denied %d, allowed %v", status, denied, allowed)
}

// fields calls f for each length-delimited field of a message.
func fields(b []byte, f func(protowire.Number, []byte) error) error {
	for len(b) > 0 {
		n, kind, size := protowire.ConsumeTag(b)
		if size < 0 {
			return protowire.ParseError(size)
		}
		b = b[size:]
		if size = protowire.ConsumeFieldValue(n, kind, b); size < 0 {
			return protowire.ParseError(size)
		}
		if kind == protowire.BytesType {
			v, _ := protowire.ConsumeBytes(b)
			if err := f(n, v); err != nil {
				return err
			}
		}
		b = b[size:]
	}
	return nil
}

// number is the varint field n of a message, or 0.
func number(b []byte, n protowire.Number) int {
	for len(b) > 0 {
		got, kind, size := protowire.ConsumeTag(b)
		if size < 0 {
			return 0
		}
		b = b[size:]
		if got == n && kind == protowire.VarintType {
			v, _ := protowire.ConsumeVarint(b)
			return int(v & 0xffff)
		}
		if size = protowire.ConsumeFieldValue(got, kind, b); size < 0 {
			return 0
		}
		b = b[size:]
	}
	return 0
}
