package extauthz

import (
	"time"
	"unicode/utf8"
	"unsafe"

	"authz/internal/check"

	"google.golang.org/protobuf/encoding/protowire"
)

// A check is read in place: the generated code builds an object for each message, each
// map and each string of it, which costs many times what reading them does. Only the
// shape that Envoy sends is read so. Whatever else comes along (a field of another
// type or twice, a pipe for an address, filter metadata, text that is no UTF-8, a
// field that is not known here) is left to the generated code, which is the judge of
// what it means. So there is one rule below: not as expected is not read.

// readMessage reads a message into d; false means that the generated code has to.
// The request's text is message's: it must not change as long as the request, or
// anything made of it, is in use.
func (rd *reader) readMessage(d *described, message []byte) bool {
	once := false
	return fields(message, func(number protowire.Number, v value) bool {
		if number != 1 || !v.message || once {
			return false
		}
		once = true
		return rd.readAttributes(d, v.bytes)
	})
}

func (rd *reader) readAttributes(d *described, b []byte) bool {
	r := &d.request
	var seen numbers
	return fields(b, func(number protowire.Number, v value) bool {
		if !v.message || number != 10 && !seen.first(number) {
			return false
		}
		switch number {
		case 1:
			return readPeer(&r.Source, v.bytes)
		case 2:
			return readPeer(&r.Destination, v.bytes)
		case 4:
			return rd.readRequest(d, v.bytes)
		case 10:
			name, text, ok := readEntry(v.bytes)
			if _, twice := r.ContextExtensions[name]; !ok || twice {
				return false
			}
			if r.ContextExtensions == nil {
				r.ContextExtensions = map[string]string{}
			}
			r.ContextExtensions[name] = text
			return true
		case 11, 13: // filter metadata and route metadata
			return len(v.bytes) == 0
		case 12:
			r.TLS = &check.TLSSession{}
			return fields(v.bytes, func(number protowire.Number, v value) bool {
				return number == 1 && r.TLS.SNI == "" && v.text(&r.TLS.SNI)
			})
		}
		return false
	})
}

func readPeer(p *check.Peer, b []byte) bool {
	var seen numbers
	return fields(b, func(number protowire.Number, v value) bool {
		if !seen.first(number) {
			return false
		}
		switch number {
		case 1:
			once := false
			return v.message && fields(v.bytes, func(number protowire.Number, v value) bool {
				if number != 1 || !v.message || once {
					return false
				}
				once = true
				return readSocketAddress(p, v.bytes)
			})
		case 2:
			return v.text(&p.Service)
		case 4:
			return v.text(&p.Principal)
		case 5:
			return v.text(&p.Certificate)
		}
		return false
	})
}

func readSocketAddress(p *check.Peer, b []byte) bool {
	var seen numbers
	return fields(b, func(number protowire.Number, v value) bool {
		if !seen.first(number) {
			return false
		}
		switch number {
		case 1: // TCP or UDP
			return v.number
		case 2:
			return v.text(&p.Address)
		case 3:
			p.Port = uint32(v.varint)
			return v.number
		}
		return false
	})
}

func (rd *reader) readRequest(d *described, b []byte) bool {
	var seen numbers
	return fields(b, func(number protowire.Number, v value) bool {
		if !v.message || !seen.first(number) {
			return false
		}
		switch number {
		case 1:
			return readTime(&d.request.Time, v.bytes)
		case 2:
			d.isHTTP = true
			return rd.readHTTP(d, v.bytes)
		}
		return false
	})
}

// readTime reads a google.protobuf.Timestamp; outside of its range it is no time.
func readTime(t *time.Time, b []byte) bool {
	var seconds, nanos int64
	var seen numbers
	ok := fields(b, func(number protowire.Number, v value) bool {
		if !v.number || !seen.first(number) {
			return false
		}
		switch number {
		case 1:
			seconds = int64(v.varint)
		case 2:
			nanos = int64(int32(v.varint))
		default:
			return false
		}
		return true
	})
	const first, last = -62135596800, 253402300799 // years 1 to 9999
	if seconds >= first && seconds <= last && nanos >= 0 && nanos < 1e9 {
		*t = time.Unix(seconds, nanos).UTC()
	}
	return ok
}

func (rd *reader) readHTTP(d *described, b []byte) bool {
	h := &d.request.HTTP
	var seen numbers
	return fields(b, func(number protowire.Number, v value) bool {
		if number != 3 && !seen.first(number) {
			return false
		}
		switch number {
		case 1:
			return v.text(&h.ID)
		case 2:
			return v.text(&h.Method)
		case 3:
			name, text, ok := "", "", v.message
			if ok {
				name, text, ok = readEntry(v.bytes)
			}
			if d.plain == nil {
				d.plain = make(check.Headers, 0, usualHeaders)
			}
			d.plain = append(d.plain, check.Header{Name: lower(name), Value: text})
			return ok && len(d.plain) <= rd.maxHeaders
		case 4:
			return v.text(&h.Path)
		case 5:
			return v.text(&h.Host)
		case 6:
			return v.text(&h.Scheme)
		case 7:
			return v.text(&h.Query)
		case 8:
			return v.text(&h.Fragment)
		case 9:
			h.Size = int64(v.varint)
			return v.number
		case 10:
			return v.text(&h.Protocol)
		case 11:
			return v.text(&h.Body)
		case 12:
			h.RawBody = v.bytes
			return v.message
		case 13:
			return v.message && rd.readHeaderMap(h, v.bytes)
		}
		return false
	})
}

// usualHeaders is room for the headers of most requests.
const usualHeaders = 32

func (rd *reader) readHeaderMap(h *check.HTTP, b []byte) bool {
	if h.HeaderMap == nil {
		h.HeaderMap = make([]check.RawHeader, 0, usualHeaders)
	}
	ok := fields(b, func(number protowire.Number, v value) bool {
		if number != 1 || !v.message || len(h.HeaderMap) >= rd.maxHeaders {
			return false
		}
		var raw check.RawHeader
		var seen numbers
		ok := fields(v.bytes, func(number protowire.Number, v value) bool {
			if !seen.first(number) {
				return false
			}
			switch number {
			case 1:
				return v.text(&raw.Key)
			case 2:
				return v.text(&raw.Value)
			case 3:
				raw.RawValue = v.bytes
				return v.message
			}
			return false
		})
		h.HeaderMap = append(h.HeaderMap, raw)
		return ok
	})
	if len(h.HeaderMap) == 0 {
		h.HeaderMap = nil
	}
	return ok
}

// readEntry reads an entry of a map of strings.
func readEntry(b []byte) (name, text string, ok bool) {
	var seen numbers
	ok = fields(b, func(number protowire.Number, v value) bool {
		if !seen.first(number) {
			return false
		}
		switch number {
		case 1:
			return v.text(&name)
		case 2:
			return v.text(&text)
		}
		return false
	})
	return name, text, ok
}

// value is a field's value: a number, or bytes, which may be text or a message.
type value struct {
	bytes           []byte
	varint          uint64
	message, number bool
}

// text is the value as the text of a string field.
func (v *value) text(s *string) bool {
	if !v.message || !utf8.Valid(v.bytes) {
		return false
	}
	*s = textOf(v.bytes)
	return true
}

// textOf is b without a copy.
func textOf(b []byte) string {
	return unsafe.String(unsafe.SliceData(b), len(b)) //nolint:gosec // readMessage: the message does not change
}

// fields calls f for each field of a message, until it says no.
func fields(b []byte, f func(protowire.Number, value) bool) bool {
	for len(b) > 0 {
		number, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return false
		}
		b = b[n:]
		var v value
		switch kind {
		case protowire.BytesType:
			v.bytes, n = protowire.ConsumeBytes(b)
			v.message = true
		case protowire.VarintType:
			v.varint, n = protowire.ConsumeVarint(b)
			v.number = true
		default:
			return false
		}
		if n < 0 || !f(number, v) {
			return false
		}
		b = b[n:]
	}
	return true
}

// numbers are small ones that were seen.
type numbers uint32

// first says that a number is new, and not too large to be remembered.
func (s *numbers) first(number protowire.Number) bool {
	if number > 31 || *s&(1<<number) != 0 {
		return false
	}
	*s |= 1 << number
	return true
}
