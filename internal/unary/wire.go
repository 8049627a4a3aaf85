package unary

import (
	"encoding/binary"
	"strconv"

	"golang.org/x/net/http2"
)

const (
	frameHeader = 9
	prefix      = 5 // of a gRPC message: a flag and four bytes of length

	flagEndStream  = 0x1 // DATA, HEADERS
	flagAck        = 0x1 // SETTINGS, PING
	flagEndHeaders = 0x4
	flagPadded     = 0x8
	flagPriority   = 0x20

	preface = http2.ClientPreface
)

// fault ends a connection.
type fault struct {
	code http2.ErrCode
	why  string
}

// hangUp ends a connection without a word: the peer is gone or never spoke HTTP/2.
var hangUp = &fault{code: http2.ErrCodeNo}

func protocol(why string) *fault { return &fault{http2.ErrCodeProtocol, why} }
func calm(why string) *fault     { return &fault{http2.ErrCodeEnhanceYourCalm, why} }

// status is a gRPC status code.
type status int

const (
	statusInvalid       status = 3
	statusDeadline      status = 4
	statusNotFound      status = 5
	statusExhausted     status = 8
	statusUnimplemented status = 12
	statusInternal      status = 13
	statusUnavailable   status = 14
	// compressed is UNIMPLEMENTED with the news that only identity is understood.
	statusCompressed status = -1
)

// Header blocks we send. They use static table entries and literals that are not
// indexed, so they are the same bytes on every connection and at any time, and tell
// nothing by their compressed length.
var (
	okHeaders  = appendField([]byte{0x88}, 31, "application/grpc") // :status 200
	okTrailers = appendNamed(nil, "grpc-status", "0")

	plainAnswer  = answerTemplate(okHeaders)
	shrunkAnswer = answerTemplate(append([]byte{0x20}, okHeaders...))
	okEnd        = appendFrame(nil, http2.FrameHeaders, flagEndHeaders|flagEndStream, 0, okTrailers)

	statusBlocks = func() map[status][]byte {
		blocks := make(map[status][]byte)
		for _, code := range []status{statusInvalid, statusDeadline, statusNotFound, statusExhausted, statusUnimplemented,
			statusInternal, statusUnavailable} {
			blocks[code] = appendNamed(append([]byte(nil), okHeaders...), "grpc-status", strconv.Itoa(int(code)))
		}
		blocks[statusCompressed] = appendNamed(append([]byte(nil), blocks[statusUnimplemented]...),
			"grpc-accept-encoding", "identity")
		return blocks
	}()
)

// answerTemplate is all of an answer that comes before its message: HEADERS, the head
// of DATA, the message's prefix. Stream and lengths are filled in later.
func answerTemplate(block []byte) []byte {
	t := appendFrame(nil, http2.FrameHeaders, flagEndHeaders, 0, block)
	t = appendFrame(t, http2.FrameData, 0, 0, nil)
	return append(t, 0, 0, 0, 0, 0)
}

// appendField appends a literal that is not indexed, its name from the static table.
func appendField(b []byte, name byte, value string) []byte {
	b = append(b, 0x0f, name-15, byte(len(value)))
	return append(b, value...)
}

// appendNamed appends a literal that is not indexed.
func appendNamed(b []byte, name, value string) []byte {
	b = append(b, 0, byte(len(name)))
	b = append(b, name...)
	b = append(b, byte(len(value)))
	return append(b, value...)
}

func appendFrame(b []byte, t http2.FrameType, flags byte, id uint32, payload []byte) []byte {
	b = appendFrameHeader(b, t, flags, id, len(payload))
	return append(b, payload...)
}

func appendFrameHeader(b []byte, t http2.FrameType, flags byte, id uint32, length int) []byte {
	return append(b, byte(length>>16), byte(length>>8), byte(length), byte(t), flags,
		byte(id>>24), byte(id>>16), byte(id>>8), byte(id))
}

// appendWord appends a frame whose payload is one number.
func appendWord(b []byte, t http2.FrameType, id, word uint32) []byte {
	return binary.BigEndian.AppendUint32(appendFrameHeader(b, t, 0, id, 4), word)
}

func appendGoAway(b []byte, last uint32, code http2.ErrCode) []byte {
	b = appendFrameHeader(b, http2.FrameGoAway, 0, 0, 8)
	b = binary.BigEndian.AppendUint32(b, last)
	return binary.BigEndian.AppendUint32(b, uint32(code))
}

// appendHello appends our SETTINGS and the connection's window.
func appendHello(b []byte, c *Config) []byte {
	settings := []http2.Setting{
		{ID: http2.SettingHeaderTableSize, Val: headerTable},
		{ID: http2.SettingMaxConcurrentStreams, Val: uint32(c.MaxStreams)},
		{ID: http2.SettingInitialWindowSize, Val: uint32(c.streamWindow())},
		{ID: http2.SettingMaxFrameSize, Val: maxFrame},
		{ID: http2.SettingMaxHeaderListSize, Val: maxHeaderList},
	}
	b = appendFrameHeader(b, http2.FrameSettings, 0, 0, 6*len(settings))
	for _, s := range settings {
		b = binary.BigEndian.AppendUint16(b, uint16(s.ID))
		b = binary.BigEndian.AppendUint32(b, s.Val)
	}
	return appendWord(b, http2.FrameWindowUpdate, 0, connWindow-65535)
}
