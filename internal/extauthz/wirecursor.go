package extauthz

import (
	"math"
	"unicode/utf8"
	"unsafe"

	"google.golang.org/protobuf/encoding/protowire"
)

// cursor goes through the fields of a message, one after the other.
type cursor struct {
	rest []byte
	// odd: what follows is no field, or one of a kind that is not expected here.
	odd bool

	// The field: its number, and its value, which is bytes (text or a message) or a
	// number.
	number          protowire.Number
	bytes           []byte
	value           uint64
	message, varint bool
}

// next goes to the next field and says whether there is one.
func (c *cursor) next() bool {
	b := c.rest
	if len(b) == 0 {
		return false
	}
	// Nearly all fields are bytes with a small number.
	if len(b) > 2 && b[0]&0x87 == byte(protowire.BytesType) {
		at, n := shortLength(b, 1)
		if number := b[0] >> 3; number > 0 && n <= len(b)-at {
			c.number, c.message, c.varint = protowire.Number(number), true, false
			c.bytes, c.value, c.rest = b[at:at+n:at+n], 0, b[at+n:]
			return true
		}
	}
	return c.any()
}

// shortLength reads a length of one or two bytes, which must be there, and says where it ends. A longer one is larger
// than any message.
func shortLength(b []byte, at int) (end, n int) {
	if n = int(b[at]); n < 0x80 {
		return at + 1, n
	}
	if high := int(b[at+1]); high < 0x80 {
		return at + 2, n&0x7f | high<<7
	}
	return at, math.MaxInt
}

// any is next for a field of any form.
func (c *cursor) any() bool {
	number, kind, n := protowire.ConsumeTag(c.rest)
	if n < 0 {
		c.odd = true
		return false
	}
	b := c.rest[n:]
	c.number, c.bytes, c.value = number, nil, 0
	c.message, c.varint = kind == protowire.BytesType, kind == protowire.VarintType
	switch kind {
	case protowire.BytesType:
		c.bytes, n = protowire.ConsumeBytes(b)
	case protowire.VarintType:
		c.value, n = protowire.ConsumeVarint(b)
	default:
		n = -1
	}
	if n < 0 {
		c.odd = true
		return false
	}
	c.rest = b[n:]
	return true
}

// text is the value as the text of a string field.
func (c *cursor) text(s *string) bool {
	if !c.message || !utf8.Valid(c.bytes) {
		return false
	}
	*s = textOf(c.bytes)
	return true
}

// textOf is b without a copy.
func textOf(b []byte) string {
	return unsafe.String(unsafe.SliceData(b), len(b)) //nolint:gosec // readMessage: the message does not change
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
