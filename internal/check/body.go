package check

import (
	"errors"
	"math"
	"strings"
)

// BodyInput is what a door knows of a body. A door that does not parse bodies
// (skip-request-body-parse) says so with Body.Skipped and does not ask.
type BodyInput struct {
	// Headers are joined, as in HTTP.Headers.
	Headers Headers
	// Path is the target as sent; for gRPC it names the method.
	Path string
	// Body or RawBody holds what the edge sent, whichever it sent.
	Body    string
	RawBody []byte
	// Strict refuses what two readers could read differently.
	Strict bool
	// GRPC decodes one message of the method at path into values as Body.Value
	// has them. It returns ErrUnknownMethod where the descriptor has none such.
	// Nil: no descriptor is configured, and gRPC bodies are not parsed.
	GRPC func(path string, message []byte) (any, error)
}

// ErrUnknownMethod is returned by BodyInput.GRPC: the body is then not parsed.
var ErrUnknownMethod = errors.New("no such method in the descriptor")

// ParseBody reads a body as the contract's parsed_body. There are three answers:
//
//   - Parsed: the value is what the app will see.
//   - Not parsed, no fault: there is no body, it was cut (Truncated), or it is of a
//     kind that is not read. A rule that reads the body then sees null and denies,
//     so a content type that dodges the parser gains nothing.
//   - A fault: a body of a kind that is read, but malformed, or (strict) one that
//     the app may read otherwise.
//
// Read are exactly application/json, application/x-www-form-urlencoded,
// multipart/form-data and, with a descriptor, application/grpc and
// application/grpc+proto; media types ignore case (RFC 9110, 8.3.1).
//
// Codes: body_twice, body_length, body_content_type, body_encoding, body_charset,
// json_* (json.go), form_parameters, form_semicolon, form_escape, form_utf8,
// form_nul, multipart_* (multipart.go), grpc_frame, grpc_message.
func ParseBody(in BodyInput) (Body, *Fault) {
	text := in.Body
	if len(in.RawBody) > 0 {
		if text != "" {
			return Body{}, &Fault{"body_twice", "the edge sent both body and raw_body"}
		}
		text = string(in.RawBody)
	}
	cut, fault := truncated(in.Headers, len(text), in.Strict)
	if fault != nil || cut {
		return Body{Truncated: cut}, fault
	}
	contentType, _ := in.Headers.Lookup("content-type")
	if text == "" || contentType == "" {
		return Body{}, nil
	}
	media, ok := parseField(contentType)
	if !ok {
		return in.otherwise("body_content_type", "not one media type")
	}
	read := in.reader(media.name)
	if read == nil {
		return Body{}, nil
	}
	if coding, _ := in.Headers.Lookup("content-encoding"); coding != "" && lower(coding) != "identity" {
		return in.otherwise("body_encoding", "the body is compressed or otherwise encoded")
	}
	if !media.isUTF8() {
		return in.otherwise("body_charset", "a charset that is not UTF-8")
	}
	held := in // the readers may keep it on the heap; a request without a body need not
	return read(&held, media, text)
}

// truncated says whether the edge sent only a part. Envoy always sets the partial
// flag itself (a client's is overwritten), so anything but its "false" counts as
// a cut. An empty body is not cut but withheld: the edge sends no bodies.
func truncated(h Headers, received int, strict bool) (bool, *Fault) {
	if partial, given := h.Lookup("x-envoy-auth-partial-body"); given && partial != "false" {
		return true, nil
	}
	length, given := h.Lookup("content-length")
	if !given || received == 0 {
		return false, nil
	}
	n, ok := decimal(length, math.MaxInt)
	switch {
	case !ok:
		return false, &Fault{"body_length", "content-length is not one number"}
	case n < received && strict:
		return false, &Fault{"body_length", "the body is longer than content-length"}
	}
	return n > received, nil
}

// otherwise refuses in strict mode and else leaves the body unread.
func (in *BodyInput) otherwise(code, detail string) (Body, *Fault) {
	if in.Strict {
		return Body{}, &Fault{code, detail}
	}
	return Body{}, nil
}

func (in *BodyInput) reader(media string) func(*BodyInput, field, string) (Body, *Fault) {
	switch media {
	case "application/json":
		return (*BodyInput).json
	case "application/x-www-form-urlencoded":
		return (*BodyInput).form
	case "multipart/form-data":
		return (*BodyInput).multipart
	case "application/grpc", "application/grpc+proto":
		if in.GRPC != nil {
			return (*BodyInput).grpc
		}
	}
	return nil
}

func parsed(value any, fault *Fault) (Body, *Fault) {
	if fault != nil {
		return Body{}, fault
	}
	return Body{Value: value, Parsed: true}, nil
}

func (in *BodyInput) json(_ field, text string) (Body, *Fault) {
	return parsed(ParseJSON(text, in.Strict))
}

func (in *BodyInput) form(_ field, text string) (Body, *Fault) {
	out := map[string]any{}
	fault := eachParameter(text, "form", func(name, value string) *Fault {
		if in.Strict && (strings.IndexByte(name, 0) >= 0 || strings.IndexByte(value, 0) >= 0) {
			return &Fault{"form_nul", "NUL in a field"}
		}
		appendValue(out, name, value)
		return nil
	})
	return parsed(out, fault)
}

// appendValue keeps the values of one name in the order they came in.
func appendValue(form map[string]any, name string, value any) {
	list, _ := form[name].([]any)
	form[name] = append(list, value)
}

// grpc reads the one message of a unary call: a flag, the length in four bytes,
// the message (the Length-Prefixed-Message of gRPC over HTTP/2).
func (in *BodyInput) grpc(_ field, text string) (Body, *Fault) {
	const prefix = 5
	if len(text) < prefix {
		return Body{Truncated: true}, nil
	}
	switch text[0] {
	case 0:
	case 1:
		return in.otherwise("body_encoding", "the gRPC message is compressed")
	default:
		return Body{}, &Fault{"grpc_frame", "unknown flag in the message prefix"}
	}
	length := uint64(text[1])<<24 | uint64(text[2])<<16 | uint64(text[3])<<8 | uint64(text[4])
	switch received := uint64(len(text) - prefix); {
	case length > received:
		return Body{Truncated: true}, nil
	case length < received:
		return Body{}, &Fault{"grpc_frame", "bytes after the first message"}
	}
	path, _, _ := strings.Cut(in.Path, "?")
	value, err := in.GRPC(path, []byte(text[prefix:]))
	switch {
	case errors.Is(err, ErrUnknownMethod):
		return Body{}, nil
	case err != nil:
		// The decoder's words may quote the message, and the log is not for that.
		return Body{}, &Fault{"grpc_message", "the message is not one of its method's type"}
	}
	return Body{Value: value, Parsed: true}, nil
}
