package extauthz

import (
	"google.golang.org/protobuf/encoding/protowire"
)

// An answer is appended to a buffer field by field. The numbers are those of
// envoy/service/auth/v3/external_auth.proto, envoy/config/core/v3/base.proto and
// google/protobuf/struct.proto; a test holds them to the generated code.

// appendText appends a field of text, which protobuf leaves out when it is empty.
func appendText(b []byte, number protowire.Number, s string) []byte {
	if s == "" {
		return b
	}
	return appendItem(b, number, s)
}

// appendItem appends one text of a list, empty or not.
func appendItem(b []byte, number protowire.Number, s string) []byte {
	return protowire.AppendString(protowire.AppendTag(b, number, protowire.BytesType), s)
}

// appendNumber appends a field of a number, which protobuf leaves out when it is 0.
func appendNumber(b []byte, number protowire.Number, v uint64) []byte {
	if v == 0 {
		return b
	}
	return protowire.AppendVarint(protowire.AppendTag(b, number, protowire.VarintType), v)
}

// appendMessage appends a message of which only the size is known yet; its fields
// must follow.
func appendMessage(b []byte, number protowire.Number, size int) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, number, protowire.BytesType), uint64(size))
}

// textSize is how long appendText makes a field with a number below 16.
func textSize(s string) int {
	if s == "" {
		return 0
	}
	return 1 + protowire.SizeBytes(len(s))
}

// appendPair appends a message of two texts: a HeaderValue, a QueryParameter.
func appendPair(b []byte, number protowire.Number, name, value string) []byte {
	b = appendMessage(b, number, textSize(name)+textSize(value))
	return appendText(appendText(b, 1, name), 2, value)
}

// action is a HeaderValueOption.HeaderAppendAction.
type action uint64

const (
	add       action = 0 // APPEND_IF_EXISTS_OR_ADD
	overwrite action = 2 // OVERWRITE_IF_EXISTS_OR_ADD
)

// appendOption appends a HeaderValueOption.
func appendOption(b []byte, number protowire.Number, name, value string, a action) []byte {
	pair := textSize(name) + textSize(value)
	size := 1 + protowire.SizeBytes(pair)
	if a != add {
		size += 2
	}
	b = appendMessage(b, number, size)
	return appendNumber(appendPair(b, 1, name, value), 3, uint64(a))
}

// decisionID is the name under which the metadata hold a decision's id.
const decisionID = "decision_id"

// appendDecisionID appends a google.protobuf.Struct: the fields given, and decision_id.
func appendDecisionID(b []byte, number protowire.Number, fields []byte, id string) []byte {
	value := 1 + protowire.SizeBytes(len(id)) // Value.string_value, of a oneof: there even when empty
	entry := 1 + protowire.SizeBytes(len(decisionID)) + 1 + protowire.SizeBytes(value)
	b = appendMessage(b, number, len(fields)+1+protowire.SizeBytes(entry))
	b = append(b, fields...)
	b = appendMessage(b, 1, entry)
	b = appendItem(b, 1, decisionID)
	b = appendMessage(b, 2, value)
	return appendItem(b, 3, id)
}
