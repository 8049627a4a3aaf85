package check

import (
	"errors"
	"reflect"
	"strings"
	"testing"
)

func headers(pairs ...string) Headers {
	var out Headers
	for i := 0; i < len(pairs); i += 2 {
		out = append(out, Header{pairs[i], pairs[i+1]})
	}
	return out
}

func ofType(contentType string) Headers { return headers("content-type", contentType) }

const formType = "application/x-www-form-urlencoded"

// both runs a case in strict and in lax mode.
func both(t *testing.T, about string, in BodyInput, strict, lax Body, strictFault, laxFault string) {
	t.Helper()
	for _, mode := range []struct {
		strict bool
		want   Body
		fault  string
	}{{true, strict, strictFault}, {false, lax, laxFault}} {
		in.Strict = mode.strict
		got, fault := ParseBody(in)
		if !reflect.DeepEqual(got, mode.want) || code(fault) != mode.fault {
			t.Errorf("%s, strict %v: %#v, %v; want %#v, %q", about, mode.strict, got, fault, mode.want, mode.fault)
		}
	}
}

func TestParseBody(t *testing.T) {
	value := func(v any) Body { return Body{Value: v, Parsed: true} }
	a1 := value(object{"a": number("1")})
	form := value(object{"a": list{"1", "3"}, "b": list{"x y"}})
	unread, cut := Body{}, Body{Truncated: true}
	for _, row := range []struct {
		about string
		in    BodyInput
		want  Body // in both modes
		fault string
	}{
		{"JSON", BodyInput{Headers: ofType("application/json"), Body: `{"a":1}`}, a1, ""},
		{"raw_body", BodyInput{Headers: ofType("application/json"), RawBody: []byte(`{"a":1}`)}, a1, ""},
		{"a JSON null is a body", BodyInput{Headers: ofType("application/json"), Body: `null`}, value(nil), ""},
		{"case of a media type", BodyInput{Headers: ofType("Application/JSON"), Body: `{"a":1}`}, a1, ""},
		{"charset", BodyInput{Headers: ofType(`application/json ; Charset="UTF-8";`), Body: `{"a":1}`}, a1, ""},
		{"identity", BodyInput{Headers: headers("content-type", "application/json", "content-encoding", "Identity"), Body: `{"a":1}`}, a1, ""},
		{"form", BodyInput{Headers: ofType(formType), Body: `a=1&b=x+y&a=3`}, form, ""},
		{"whole by content-length", BodyInput{Headers: headers("content-type", formType, "content-length", "13", "x-envoy-auth-partial-body", "false"), Body: `a=1&b=x+y&a=3`}, form, ""},

		{"no body", BodyInput{Headers: ofType("application/json")}, unread, ""},
		{"a withheld body", BodyInput{Headers: headers("content-type", "application/json", "content-length", "7")}, unread, ""},
		{"no type", BodyInput{Body: `{"a":1}`}, unread, ""},
		{"empty type", BodyInput{Headers: ofType(""), Body: `{"a":1}`}, unread, ""},
		{"type dodge: a JSON dialect", BodyInput{Headers: ofType("application/vnd.api+json"), Body: `{"a":1}`}, unread, ""},
		{"type dodge: text", BodyInput{Headers: ofType("text/json"), Body: `{"a":1}`}, unread, ""},
		{"type dodge: a longer name", BodyInput{Headers: ofType("application/json-seq"), Body: `{"a":1}`}, unread, ""},
		{"type dodge: a name within", BodyInput{Headers: ofType(`text/plain; x="application/json"`), Body: `{"a":1}`}, unread, ""},
		{"compressed, but not of a kind that is read", BodyInput{Headers: headers("content-type", "application/octet-stream", "content-encoding", "gzip"), Body: "\x1f\x8b"}, unread, ""},
		{"gRPC without a descriptor", BodyInput{Headers: ofType("application/grpc"), Body: "\x00\x00\x00\x00\x00"}, unread, ""},

		{"padding past the buffer, flagged", BodyInput{Headers: headers("content-type", "application/json", "x-envoy-auth-partial-body", "true"), Body: `{"a":1}`}, cut, ""},
		{"a flag that Envoy never sets", BodyInput{Headers: headers("content-type", "application/json", "x-envoy-auth-partial-body", "false,true"), Body: `{"a":1}`}, cut, ""},
		{"padding past the buffer, by length", BodyInput{Headers: headers("content-type", "application/json", "content-length", "8"), Body: `{"a":1}`}, cut, ""},
		{"cut, of any type", BodyInput{Headers: headers("content-type", "image/png", "content-length", "9999999999"), RawBody: []byte{0xff}}, cut, ""},

		{"malformed JSON", BodyInput{Headers: ofType("application/json"), Body: `{"a":1}x`}, unread, "json_syntax"},
		{"space is not JSON", BodyInput{Headers: ofType("application/json"), Body: ` `}, unread, "json_syntax"},
		{"body twice", BodyInput{Headers: ofType("application/json"), Body: `1`, RawBody: []byte(`1`)}, unread, "body_twice"},
		{"two lengths", BodyInput{Headers: headers("content-type", "application/json", "content-length", "1,1"), Body: `1`}, unread, "body_length"},
		{"signed length", BodyInput{Headers: headers("content-type", "application/json", "content-length", "+1"), Body: `1`}, unread, "body_length"},
		{"huge length", BodyInput{Headers: headers("content-type", "application/json", "content-length", "99999999999999999999"), Body: `1`}, unread, "body_length"},
		{"form: ';'", BodyInput{Headers: ofType(formType), Body: `a=1;b=2`}, unread, "form_semicolon"},
		{"form: bad escape", BodyInput{Headers: ofType(formType), Body: `a=%`}, unread, "form_escape"},
		{"form: not UTF-8", BodyInput{Headers: ofType(formType), Body: `a=%ff`}, unread, "form_utf8"},
		{"form: too many fields", BodyInput{Headers: ofType(formType), Body: strings.Repeat("a&", MaxParameters+1)}, unread, "form_parameters"},
	} {
		both(t, row.about, row.in, row.want, row.want, row.fault, row.fault)
	}

	for _, row := range []struct {
		about, strict string
		in            BodyInput
		lax           Body
	}{
		{"duplicate keys", "json_duplicate", BodyInput{Headers: ofType("application/json"), Body: `{"a":0,"a":1}`}, a1},
		{"two types", "body_content_type", BodyInput{Headers: ofType("application/json,text/plain"), Body: `{"a":1}`}, unread},
		{"two types, one with a parameter", "body_content_type", BodyInput{Headers: ofType("text/plain;q=1,application/json"), Body: `{"a":1}`}, unread},
		{"the same parameter twice", "body_content_type", BodyInput{Headers: ofType("application/json;charset=utf-8;charset=utf-16"), Body: `{"a":1}`}, unread},
		{"a parameter without a value", "body_content_type", BodyInput{Headers: ofType("application/json;charset"), Body: `{"a":1}`}, unread},
		{"text after a parameter", "body_content_type", BodyInput{Headers: ofType(`application/json;a="b"c`), Body: `{"a":1}`}, unread},
		{"not a type", "body_content_type", BodyInput{Headers: ofType("application /json"), Body: `{"a":1}`}, unread},
		{"UTF-16", "body_charset", BodyInput{Headers: ofType("application/json; charset=utf-16"), Body: `{"a":1}`}, unread},
		{"UTF-7 form", "body_charset", BodyInput{Headers: ofType(formType + "; charset=utf-7"), Body: `a=1`}, unread},
		{"compressed", "body_encoding", BodyInput{Headers: headers("content-type", "application/json", "content-encoding", "gzip"), Body: `{"a":1}`}, unread},
		{"two encodings", "body_encoding", BodyInput{Headers: headers("content-type", "application/json", "content-encoding", "identity,gzip"), Body: `{"a":1}`}, unread},
		{"longer than announced", "body_length", BodyInput{Headers: headers("content-type", "application/json", "content-length", "6"), Body: `{"a":1}`}, a1},
		{"form: NUL", "form_nul", BodyInput{Headers: ofType(formType), Body: `a=x%00`}, value(object{"a": list{"x\x00"}})},
	} {
		both(t, row.about, row.in, unread, row.lax, row.strict, "")
	}
}

func TestParseBodyGRPC(t *testing.T) {
	type call struct{ path, message string }
	var calls []call
	decode := func(path string, message []byte) (any, error) {
		calls = append(calls, call{path, string(message)})
		switch path {
		case "/svc/Unknown":
			return nil, ErrUnknownMethod
		case "/svc/Broken":
			return nil, errors.New("proto: secret cannot be parsed")
		}
		return object{"id": string(message)}, nil
	}
	good := Body{Value: object{"id": "xyz"}, Parsed: true}
	const frame = "\x00\x00\x00\x00\x03xyz"
	for _, row := range []struct {
		about, contentType, path, body string
		want                           Body
		fault                          string
		calls                          []call
	}{
		{"one message", "application/grpc", "/svc/Read", frame, good, "", []call{{"/svc/Read", "xyz"}}},
		{"subtype", "application/grpc+proto", "/svc/Read?x", frame, good, "", []call{{"/svc/Read", "xyz"}}},
		{"empty message", "application/grpc", "/svc/Read", "\x00\x00\x00\x00\x00", Body{Value: object{"id": ""}, Parsed: true}, "", []call{{"/svc/Read", ""}}},
		{"another codec", "application/grpc+json", "/svc/Read", frame, Body{}, "", nil},
		{"gRPC-Web", "application/grpc-web", "/svc/Read", frame, Body{}, "", nil},
		{"unknown method", "application/grpc", "/svc/Unknown", frame, Body{}, "", []call{{"/svc/Unknown", "xyz"}}},
		{"not of the type", "application/grpc", "/svc/Broken", frame, Body{}, "grpc_message", []call{{"/svc/Broken", "xyz"}}},
		{"cut in the prefix", "application/grpc", "/svc/Read", frame[:4], Body{Truncated: true}, "", nil},
		{"cut in the message", "application/grpc", "/svc/Read", frame[:7], Body{Truncated: true}, "", nil},
		{"length of 4 GiB", "application/grpc", "/svc/Read", "\x00\xff\xff\xff\xffx", Body{Truncated: true}, "", nil},
		{"a second message", "application/grpc", "/svc/Read", frame + frame, Body{}, "grpc_frame", nil},
		{"unknown flag", "application/grpc", "/svc/Read", "\x02" + frame[1:], Body{}, "grpc_frame", nil},
		{"compressed", "application/grpc", "/svc/Read", "\x01" + frame[1:], Body{}, "body_encoding", nil},
	} {
		calls = nil
		got, fault := ParseBody(BodyInput{Headers: ofType(row.contentType), Path: row.path, RawBody: []byte(row.body), GRPC: decode, Strict: true})
		if !reflect.DeepEqual(got, row.want) || code(fault) != row.fault || !reflect.DeepEqual(calls, row.calls) {
			t.Errorf("%s: %#v, %v, calls %v; want %#v, %q, calls %v", row.about, got, fault, calls, row.want, row.fault, row.calls)
		}
		if fault != nil && strings.Contains(fault.Error(), "secret") {
			t.Errorf("%s: the fault quotes the message: %v", row.about, fault)
		}
	}
	got, fault := ParseBody(BodyInput{Headers: ofType("application/grpc"), Body: "\x01" + frame[1:], GRPC: decode})
	if !reflect.DeepEqual(got, Body{}) || fault != nil {
		t.Errorf("compressed, lax: %#v, %v", got, fault)
	}
}

// What the edge sent may live in a buffer that it reuses.
func TestParseBodyCopiesRawBody(t *testing.T) {
	raw := []byte(`{"a":"secret"}`)
	got, fault := ParseBody(BodyInput{Headers: ofType("application/json"), RawBody: raw})
	clear(raw)
	if want := (Body{Value: object{"a": "secret"}, Parsed: true}); fault != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%#v, %v; want %#v", got, fault, want)
	}
}
