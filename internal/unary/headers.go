package unary

import (
	"bytes"
	"encoding/base64"
	"errors"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// Metadata is a view of a call's header fields.
type Metadata struct{ head *head }

// Lookup returns the value of the first header field of that name, in lower case.
func (m Metadata) Lookup(name string) (value string, ok bool) {
	if m.head == nil {
		return "", false
	}
	for i := range m.head.fields {
		if m.head.fields[i].Name == name {
			return m.head.fields[i].Value, true
		}
	}
	return "", false
}

// Path is the method that was called.
func (m Metadata) Path() string {
	if m.head == nil || m.head.method == nil {
		return ""
	}
	return m.head.method.path
}

// head is what the header fields of a call come to. It is never changed.
type head struct {
	method    *method
	fields    []hpack.HeaderField
	malformed bool   // the stream is reset
	tooLarge  bool   // so it is, with another code
	refuse    status // answered without asking a handler, 0 for none
	patient   bool   // refused only when the request is complete
	coded     bool   // there was a grpc-encoding
	timeout   time.Duration
	length    int64 // content-length, -1 for none
}

// knownHead is a header block that was decoded before. As long as no block changes the
// dynamic table, the same bytes mean the same fields.
type knownHead struct {
	block []byte
	head  *head
}

// decoding collects what one header block holds.
type decoding struct {
	fields []hpack.HeaderField
	size   int
	over   bool
}

func (d *decoding) emit(f hpack.HeaderField) {
	d.size += len(f.Name) + len(f.Value) + 32
	if d.size > maxHeaderList || len(d.fields) >= maxHeaderFields {
		d.over = true // decoded to keep the table right, not kept
		return
	}
	d.fields = append(d.fields, f)
}

// decode decodes a header block into c.decoding. Constant says that it has left the
// dynamic table as it was; if not, nothing is known any more.
func (c *conn) decode(b []byte) (constant bool, fail *fault) {
	d := &c.decoding
	clear(d.fields)
	d.fields, d.size, d.over = d.fields[:0], 0, false
	_, err := c.decoder.Write(b)
	if err == nil {
		err = c.decoder.Close()
	}
	if errors.Is(err, hpack.ErrStringLength) {
		return false, calm("a header field is too long")
	}
	constant, misplaced := scan(b)
	if err != nil || misplaced {
		return false, &fault{http2.ErrCodeCompression, "a header block can't be decoded"}
	}
	if !constant {
		for i := range c.heads {
			c.heads[i].head = nil
		}
	}
	return constant, nil
}

// request returns the head of a request.
func (c *conn) request(b []byte) (*head, *fault) {
	for i := range c.heads {
		if bytes.Equal(c.heads[i].block, b) && c.heads[i].head != nil {
			return c.heads[i].head, nil
		}
	}
	constant, f := c.decode(b)
	if f != nil {
		return nil, f
	}
	h := c.server.judge(&c.decoding)
	if constant && len(b) <= knownHeadBytes {
		c.heads[c.nextHead] = knownHead{append(c.heads[c.nextHead].block[:0], b...), h}
		c.nextHead = (c.nextHead + 1) % knownHeads
	}
	return h, nil
}

// scan looks at how the fields of a block are represented. Constant says that
// decoding it leaves the dynamic table as it is: indexed fields and literals that are
// not indexed. Misplaced says that the table's size changes behind a field, which
// hpack.Decoder lets pass while the table is empty (RFC 7541 4.2).
func scan(b []byte) (constant, misplaced bool) {
	number := func(bits byte) (n int) {
		mask := byte(1)<<bits - 1
		n = int(b[0] & mask)
		more := n == int(mask)
		b = b[1:]
		for shift := 0; more && len(b) > 0 && shift < 28; shift += 7 {
			n += int(b[0]&0x7f) << shift
			more = b[0] >= 0x80
			b = b[1:]
		}
		return n
	}
	text := func() {
		if len(b) > 0 {
			n := number(7)
			b = b[min(n, len(b)):]
		}
	}
	constant = true
	for first := true; len(b) > 0; {
		switch kind := b[0]; {
		case kind >= 0x80:
			number(7)
		case kind&0xe0 == 0x20:
			constant = false
			misplaced = misplaced || !first
			number(5)
			continue
		default:
			bits := byte(4)
			if kind&0xc0 == 0x40 {
				constant, bits = false, 6
			}
			if number(bits) == 0 {
				text()
			}
			text()
		}
		first = false
	}
	return constant, misplaced
}

// known are the fields that may be there once.
type known uint16

const (
	isMethod known = 1 << iota
	isScheme
	isPath
	isAuthority
	isHost
	isLength
	isContent
	isTimeout
	isCoding
)

// judge holds the fields of a request against RFC 9113 8.2 and 8.3 and the gRPC
// protocol, in this order: what is malformed, what is no call of ours, what is wrong
// with the call.
func (s *Server) judge(d *decoding) *head {
	h := &head{length: -1, malformed: true}
	if d.over {
		h.tooLarge = true
		return h
	}
	var method, scheme, path, authority, host, content, timeout, coding string
	te := false
	pseudo, seen := true, known(0)
	once := func(what known, f hpack.HeaderField, to *string) bool {
		ok := seen&what == 0
		seen |= what
		*to = f.Value
		return ok
	}
	badBinary, badTimeout := false, false
	for _, f := range d.fields {
		if strings.HasPrefix(f.Name, ":") {
			ok := false
			switch f.Name {
			case ":method":
				ok = once(isMethod, f, &method)
			case ":scheme":
				ok = once(isScheme, f, &scheme)
			case ":path":
				ok = once(isPath, f, &path)
			case ":authority":
				ok = once(isAuthority, f, &authority)
			}
			if !ok || !pseudo || !sound(f.Value) {
				return h
			}
			continue
		}
		pseudo = false
		if !legal(f) {
			return h
		}
		switch f.Name {
		case "host":
			if !once(isHost, f, &host) {
				return h
			}
		case "content-length":
			var digits string
			n, err := strconv.ParseUint(f.Value, 10, 62)
			if err != nil || !once(isLength, f, &digits) {
				return h
			}
			h.length = int64(n)
		case "te":
			te = true
		case "content-type":
			if !once(isContent, f, &content) {
				return h
			}
		case "grpc-timeout":
			badTimeout = badTimeout || !once(isTimeout, f, &timeout)
		case "grpc-encoding":
			if !once(isCoding, f, &coding) {
				return h
			}
		default:
			badBinary = badBinary || (strings.HasSuffix(f.Name, "-bin") && !binary64(f.Value))
		}
	}
	if method == "" || scheme == "" || path == "" || (seen&isHost != 0 && seen&isAuthority != 0 && host != authority) {
		return h
	}
	h.malformed = false
	grpc := content == "application/grpc" || content == "application/grpc+proto" ||
		strings.HasPrefix(content, "application/grpc;") || strings.HasPrefix(content, "application/grpc+proto;")
	h.method = s.methods[path]
	h.patient = !grpc
	h.coded = seen&isCoding != 0
	if !grpc || !te || method != "POST" || h.method == nil {
		h.method = nil
		h.refuse = statusUnimplemented
		return h
	}
	if h.coded && coding != "identity" {
		h.refuse = statusCompressed
		return h
	}
	if seen&isTimeout != 0 {
		var ok bool
		h.timeout, ok = parseTimeout(timeout)
		badTimeout = badTimeout || !ok
	}
	switch {
	case badTimeout, badBinary:
		h.refuse = statusInternal
	case seen&isTimeout != 0 && h.timeout == 0:
		h.refuse = statusDeadline
	}
	h.fields = append([]hpack.HeaderField(nil), d.fields...)
	return h
}

// trailers says whether what a request ends with is well formed.
func (d *decoding) trailers() bool {
	for _, f := range d.fields {
		if strings.HasPrefix(f.Name, ":") || !legal(f) {
			return false
		}
	}
	return !d.over
}

// legal says whether a header field may be in a request (RFC 9113 8.2).
func legal(f hpack.HeaderField) bool {
	if f.Name == "" || !sound(f.Value) {
		return false
	}
	for i := 0; i < len(f.Name); i++ {
		if !nameBytes[f.Name[i]] {
			return false
		}
	}
	switch f.Name {
	case "connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade":
		return false
	case "te":
		return f.Value == "trailers"
	}
	return true
}

// sound says whether a value is one: no control characters but tabs inside, no white
// space around it. Bytes from 0x80 on are allowed, as RFC 9110 5.5 has it.
func sound(v string) bool {
	if v == "" {
		return true
	}
	if blank(v[0]) || blank(v[len(v)-1]) {
		return false
	}
	for i := 0; i < len(v); i++ {
		if (v[i] < ' ' && v[i] != '\t') || v[i] == 0x7f {
			return false
		}
	}
	return true
}

func blank(b byte) bool { return b == ' ' || b == '\t' }

// nameBytes are the characters of a token, without capitals.
var nameBytes = func() (t [256]bool) {
	for _, b := range []byte("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz") {
		t[b] = true
	}
	return t
}()

// binary64 says whether each value of a list is base64, padded or not.
func binary64(list string) bool {
	for _, v := range strings.Split(list, ",") {
		encoding := base64.RawStdEncoding
		if strings.HasSuffix(v, "=") {
			encoding = base64.StdEncoding
		}
		if _, err := encoding.Strict().DecodeString(v); err != nil || strings.ContainsAny(v, "\r\n") {
			return false
		}
	}
	return true
}

// parseTimeout reads a grpc-timeout: up to eight digits and a unit.
func parseTimeout(v string) (time.Duration, bool) {
	if len(v) < 2 || len(v) > 9 {
		return 0, false
	}
	unit, ok := map[byte]time.Duration{'H': time.Hour, 'M': time.Minute, 'S': time.Second,
		'm': time.Millisecond, 'u': time.Microsecond, 'n': time.Nanosecond}[v[len(v)-1]]
	n, err := strconv.ParseUint(v[:len(v)-1], 10, 31)
	if !ok || err != nil {
		return 0, false
	}
	// 99,999,999 hours are more than a Duration holds; a day is as good.
	if longest := 24 * time.Hour; time.Duration(n) > longest/unit {
		return longest, true
	}
	return time.Duration(n) * unit, true
}
