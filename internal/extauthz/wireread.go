package extauthz

import (
	"time"

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
	c := cursor{rest: message}
	for c.next() {
		if c.number != 1 || !c.message || once || !rd.readAttributes(d, c.bytes) {
			return false
		}
		once = true
	}
	return !c.odd
}

func (rd *reader) readAttributes(d *described, b []byte) bool {
	r := &d.request
	var seen numbers
	c := cursor{rest: b}
	for c.next() {
		if !c.message || c.number != 10 && !seen.first(c.number) {
			return false
		}
		ok := false
		switch c.number {
		case 1:
			ok = readPeer(&r.Source, c.bytes)
		case 2:
			ok = readPeer(&r.Destination, c.bytes)
		case 4:
			ok = rd.readRequest(d, c.bytes)
		case 10:
			ok = readExtension(r, c.bytes)
		case 11, 13: // filter metadata and route metadata
			ok = len(c.bytes) == 0
		case 12:
			r.TLS = &check.TLSSession{}
			ok = readSession(r.TLS, c.bytes)
		}
		if !ok {
			return false
		}
	}
	return !c.odd
}

func readExtension(r *check.Request, b []byte) bool {
	name, text, ok := readEntry(b)
	if _, twice := r.ContextExtensions[name]; !ok || twice {
		return false
	}
	if r.ContextExtensions == nil {
		r.ContextExtensions = map[string]string{}
	}
	r.ContextExtensions[name] = text
	return true
}

func readSession(s *check.TLSSession, b []byte) bool {
	c := cursor{rest: b}
	for c.next() {
		if c.number != 1 || s.SNI != "" || !c.text(&s.SNI) {
			return false
		}
	}
	return !c.odd
}

func readPeer(p *check.Peer, b []byte) bool {
	var seen numbers
	c := cursor{rest: b}
	for c.next() {
		ok := false
		switch c.number {
		case 1:
			ok = c.message && readAddress(p, c.bytes)
		case 2:
			ok = c.text(&p.Service)
		case 4:
			ok = c.text(&p.Principal)
		case 5:
			ok = c.text(&p.Certificate)
		}
		if !ok || !seen.first(c.number) {
			return false
		}
	}
	return !c.odd
}

func readAddress(p *check.Peer, b []byte) bool {
	once := false
	c := cursor{rest: b}
	for c.next() {
		if c.number != 1 || !c.message || once || !readSocketAddress(p, c.bytes) {
			return false
		}
		once = true
	}
	return !c.odd
}

func readSocketAddress(p *check.Peer, b []byte) bool {
	var seen numbers
	c := cursor{rest: b}
	for c.next() {
		ok := false
		switch c.number {
		case 1: // TCP or UDP
			ok = c.varint
		case 2:
			ok = c.text(&p.Address)
		case 3:
			p.Port = uint32(c.value)
			ok = c.varint
		}
		if !ok || !seen.first(c.number) {
			return false
		}
	}
	return !c.odd
}

func (rd *reader) readRequest(d *described, b []byte) bool {
	var seen numbers
	c := cursor{rest: b}
	for c.next() {
		if !c.message || !seen.first(c.number) {
			return false
		}
		ok := false
		switch c.number {
		case 1:
			ok = readTime(&d.request.Time, c.bytes)
		case 2:
			d.isHTTP = true
			ok = rd.readHTTP(d, c.bytes)
		}
		if !ok {
			return false
		}
	}
	return !c.odd
}

// readTime reads a google.protobuf.Timestamp; outside of its range it is no time.
func readTime(t *time.Time, b []byte) bool {
	var seconds, nanos int64
	var seen numbers
	c := cursor{rest: b}
	for c.next() {
		if !c.varint || !seen.first(c.number) {
			return false
		}
		switch c.number {
		case 1:
			seconds = int64(c.value)
		case 2:
			nanos = int64(int32(c.value))
		default:
			return false
		}
	}
	const first, last = -62135596800, 253402300799 // years 1 to 9999
	if seconds >= first && seconds <= last && nanos >= 0 && nanos < 1e9 {
		*t = time.Unix(seconds, nanos).UTC()
	}
	return !c.odd
}

func (rd *reader) readHTTP(d *described, b []byte) bool {
	h := &d.request.HTTP
	var seen numbers
	c := cursor{rest: b}
	for c.next() {
		if c.number == 3 {
			if !c.message || !rd.readHeader(d, c.bytes) {
				return false
			}
			continue
		}
		ok := false
		switch c.number {
		case 1:
			ok = c.text(&h.ID)
		case 2:
			ok = c.text(&h.Method)
		case 4:
			ok = c.text(&h.Path)
		case 5:
			ok = c.text(&h.Host)
		case 6:
			ok = c.text(&h.Scheme)
		case 7:
			ok = c.text(&h.Query)
		case 8:
			ok = c.text(&h.Fragment)
		case 9:
			h.Size = int64(c.value)
			ok = c.varint
		case 10:
			ok = c.text(&h.Protocol)
		case 11:
			ok = c.text(&h.Body)
		case 12:
			h.RawBody = c.bytes
			ok = c.message
		case 13:
			ok = c.message && rd.readHeaderMap(h, c.bytes)
		}
		if !ok || !seen.first(c.number) {
			return false
		}
	}
	return !c.odd
}

// usualHeaders is room for the headers of most requests.
const usualHeaders = 32

func (rd *reader) readHeader(d *described, b []byte) bool {
	if len(d.plain) >= rd.maxHeaders {
		return false
	}
	if d.plain == nil {
		d.plain = make(check.Headers, 0, usualHeaders)
	}
	if name, text, ok := usualEntry(b); ok && check.Vetted(name, text) {
		d.vetted++
		d.plain = append(d.plain, check.Header{Name: name, Value: text})
		return true
	}
	name, text, ok := readEntry(b)
	d.plain = append(d.plain, check.Header{Name: lower(name), Value: text})
	return ok
}

// usualEntry is readEntry for one that is as it is always sent, name before value, whose text may not be UTF-8 yet.
func usualEntry(b []byte) (name, text string, ok bool) {
	const nameTag, textTag = 1<<3 | byte(protowire.BytesType), 2<<3 | byte(protowire.BytesType)
	if len(b) < 5 || b[0] != nameTag || b[1] >= 0x80 {
		return "", "", false
	}
	end := 2 + int(b[1])
	if len(b) < end+3 || b[end] != textTag {
		return "", "", false
	}
	at, n := shortLength(b, end+1)
	if n != len(b)-at {
		return "", "", false
	}
	return textOf(b[2:end]), textOf(b[at:]), true
}

func (rd *reader) readHeaderMap(h *check.HTTP, b []byte) bool {
	if h.HeaderMap == nil {
		h.HeaderMap = make([]check.RawHeader, 0, usualHeaders)
	}
	c := cursor{rest: b}
	for c.next() {
		if c.number != 1 || !c.message || len(h.HeaderMap) >= rd.maxHeaders {
			return false
		}
		h.HeaderMap = append(h.HeaderMap, check.RawHeader{})
		if !readRawHeader(&h.HeaderMap[len(h.HeaderMap)-1], c.bytes) {
			return false
		}
	}
	if len(h.HeaderMap) == 0 {
		h.HeaderMap = nil
	}
	return !c.odd
}

func readRawHeader(raw *check.RawHeader, b []byte) bool {
	var seen numbers
	c := cursor{rest: b}
	for c.next() {
		ok := false
		switch c.number {
		case 1:
			ok = c.text(&raw.Key)
		case 2:
			ok = c.text(&raw.Value)
		case 3:
			raw.RawValue = c.bytes
			ok = c.message
		}
		if !ok || !seen.first(c.number) {
			return false
		}
	}
	return !c.odd
}

// readEntry reads an entry of a map of strings.
func readEntry(b []byte) (name, text string, ok bool) {
	var seen numbers
	c := cursor{rest: b}
	for c.next() {
		ok := false
		switch c.number {
		case 1:
			ok = c.text(&name)
		case 2:
			ok = c.text(&text)
		}
		if !ok || !seen.first(c.number) {
			return "", "", false
		}
	}
	return name, text, !c.odd
}
