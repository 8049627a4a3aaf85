package extauthz

import (
	"bytes"
	"reflect"
	"testing"

	"authz/internal/check"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/protobuf/encoding/protowire"
)

// agree reads a message both ways and reports whether it was read in place.
func agree(t *testing.T, rd *reader, message []byte) bool {
	t.Helper()
	before := bytes.Clone(message)
	got, err := rd.read(message)
	var in authv3.CheckRequest
	var want *check.Request
	wantErr := decoding.Unmarshal(message, &in)
	if wantErr == nil {
		want = rd.request(&in)
	}
	if (err == nil) != (wantErr == nil) {
		t.Fatalf("error %v, by the generated code %v", err, wantErr)
	}
	if err == nil && !reflect.DeepEqual(plain(got), plain(want)) {
		t.Fatalf("fault %v, by the generated code %v\n got %+v\nwant %+v", got.Fault, want.Fault, *got, *want)
	}
	if !bytes.Equal(before, message) {
		t.Fatal("the message was changed")
	}
	return rd.readMessage(new(described), message)
}

// plain strips the difference between no bytes and none.
func plain(r *check.Request) *check.Request {
	out := *r
	if len(out.HTTP.RawBody) == 0 {
		out.HTTP.RawBody = nil
	}
	for i := range out.HTTP.HeaderMap {
		if len(out.HTTP.HeaderMap[i].RawValue) == 0 {
			out.HTTP.HeaderMap[i].RawValue = nil
		}
	}
	return &out
}

// What Envoy sends is read in place, and as the generated code would read it.
func TestChecksReadInPlace(t *testing.T) {
	const http = `http{id:"9" method:"POST" path:"/a?x=1" host:"app.test" scheme:"https" protocol:"HTTP/2" size:-1 query:"q" fragment:""
		headers{key:"x-request-id" value:"rid"} headers{key:"content-type" value:"application/json"} body:'{"a":1}'}`
	const rawHTTP = `http{method:"GET" path:"/" host:"app.test" scheme:"https" raw_body:"x"
		header_map{headers{key:"accept" raw_value:"a"} headers{key:"accept" raw_value:"b"} headers{key:"x" value:"1"} headers{key:"y"}}}`
	for name, row := range map[string]struct {
		in      string
		inPlace bool
	}{
		"all of it": {`attributes{
			source{address{socket_address{protocol:UDP address:"2001:db8::7" port_value:4711}} principal:"spiffe://a/b" certificate:"PEM" service:"s"}
			destination{address{socket_address{address:"10.0.0.2" port_value:8443}}}
			request{time{seconds:1700000000 nanos:5} ` + http + `}
			context_extensions{key:"tenant" value:"t"} context_extensions{key:"a" value:""}
			metadata_context{} route_metadata_context{} tls_session{sni:"app.test"}}`, true},
		"raw headers":                {`attributes{request{` + rawHTTP + `}}`, true},
		"nothing":                    {``, true},
		"no request":                 {`attributes{source{} destination{}}`, true},
		"an empty request":           {`attributes{request{http{}}}`, true},
		"a time before all times":    {`attributes{request{time{seconds:-62135596801} http{}}}`, true},
		"nanoseconds below zero":     {`attributes{request{time{seconds:1 nanos:-1} http{}}}`, true},
		"two spellings of a header":  {`attributes{request{http{headers{key:"a" value:"1"} headers{key:"A" value:"2"}}}}`, true},
		"raw bytes that are no text": {`attributes{request{http{header_map{headers{key:"x" raw_value:"\377"}}}}}`, true},
		"a pipe":                     {`attributes{source{address{pipe{path:"/s"}}} request{` + http + `}}`, false},
		"a named port":               {`attributes{source{address{socket_address{address:"1.2.3.4" named_port:"x"}}} request{` + http + `}}`, false},
		"labels":                     {`attributes{source{labels{key:"l" value:"1"}} request{` + http + `}}`, false},
		"filter metadata":            {`attributes{metadata_context{filter_metadata{key:"n" value{}}} request{` + http + `}}`, false},
	} {
		t.Run(name, func(t *testing.T) {
			rd := strictReader()
			for _, lenient := range []bool{false, true} {
				rd.lenient = lenient
				if got := agree(t, &rd, encoded(parse(t, row.in))); got != row.inPlace {
					t.Errorf("read in place: %v, want %v", got, row.inPlace)
				}
			}
		})
	}
}

// field is one field of a message on the wire.
func field(number protowire.Number, content ...[]byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(nil, number, protowire.BytesType), bytes.Join(content, nil))
}

func number(number protowire.Number, v uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(nil, number, protowire.VarintType), v)
}

// What no Envoy sends means what the generated code says it does.
func TestOddMessages(t *testing.T) {
	text := func(s string) []byte { return []byte(s) }
	http := func(content ...[]byte) []byte { return field(1, field(4, field(2, content...))) }
	for name, message := range map[string][]byte{
		"a field twice":                 http(field(4, text("/a")), field(4, text("/b"))),
		"a message in two parts":        append(field(1, field(4, field(2, field(2, text("GET"))))), field(1, field(4, field(2, field(4, text("/a")))))...),
		"the request in two parts":      field(1, field(4, field(2, field(2, text("GET")))), field(4, field(2, field(4, text("/a"))))),
		"the address in two parts":      field(1, field(1, field(1, field(1, field(2, text("1.2.3.4")))), field(1, field(1, number(3, 5))))),
		"socket address, then pipe":     field(1, field(1, field(1, field(1, field(2, text("1.2.3.4"))), field(2, field(1, text("/s")))))),
		"an entry twice":                http(field(3, field(1, text("a")), field(2, text("1"))), field(3, field(1, text("a")), field(2, text("2")))),
		"an extension twice":            field(1, field(10, field(1, text("a")), field(2, text("1"))), field(10, field(1, text("a")), field(2, text("2")))),
		"an entry without a key":        http(field(3, field(2, text("1")))),
		"an entry with two keys":        http(field(3, field(1, text("a")), field(1, text("b")))),
		"text for a number":             http(field(9, text("x"))),
		"a number for text":             http(number(4, 5)),
		"a number for a message":        field(1, number(4, 5)),
		"a port beyond ports":           field(1, field(1, field(1, field(1, number(3, 1<<40|7))))),
		"nanoseconds beyond 32 bits":    field(1, field(4, field(1, number(1, 5), number(2, 1<<32|7)), field(2))),
		"an unknown field":              http(field(99, text("x")), field(4, text("/a"))),
		"a group":                       http([]byte{99<<3&0x7f | 3, 99<<3&0x7f | 4}),
		"fixed numbers":                 http(protowire.AppendFixed32(protowire.AppendTag(nil, 50, protowire.Fixed32Type), 1)),
		"text that is none":             http(field(4, text("\xff"))),
		"a header's name that is none":  http(field(13, field(1, field(1, text("\xff"))))),
		"a cut message":                 http(field(4, text("/a")))[:9],
		"a tag of number zero":          http([]byte{0x02, 0x00}),
		"an SNI twice":                  field(1, field(12, field(1, text("a")), field(1, text("b")))),
		"headers in two maps":           http(field(13, field(1, field(1, text("a")))), field(13, field(1, field(1, text("b"))))),
		"a value and a raw value":       http(field(13, field(1, field(1, text("a")), field(2, text("1")), field(3, text("2"))))),
		"a varint longer than it needs": http(append(protowire.AppendTag(nil, 4, protowire.BytesType), 0x82, 0x00, '/', 'a')),
	} {
		t.Run(name, func(t *testing.T) {
			rd := strictReader()
			agree(t, &rd, message)
		})
	}
}

// More headers than are read are refused as before.
func TestTooManyHeadersInPlace(t *testing.T) {
	rd := strictReader()
	rd.maxHeaders = 2
	for _, form := range []string{`headers{key:"a"} headers{key:"b"} headers{key:"c"}`, `header_map{headers{key:"a"} headers{key:"b"} headers{key:"c"}}`} {
		message := encoded(parse(t, `attributes{request{http{`+form+`}}}`))
		agree(t, &rd, message)
		if r, err := rd.read(message); err != nil || r.Fault == nil || r.Fault.Code != "header_count" {
			t.Errorf("%s: %v %v", form, err, r.Fault)
		}
	}
}

// FuzzReadInPlace holds the two ways of reading together.
func FuzzReadInPlace(f *testing.F) {
	f.Add(encoded(httpCheck("GET", "/a?x=1", map[string]string{"a": "b", "cookie": "c"})))
	f.Add(encoded(parse(f, `attributes{source{address{socket_address{address:"1.2.3.4" port_value:5}} principal:"p"} request{time{seconds:5}
		http{method:"GET" path:"/" header_map{headers{key:"x" raw_value:"1"}}}} context_extensions{key:"a" value:"b"} tls_session{sni:"s"}}`)))
	f.Fuzz(func(t *testing.T, message []byte) {
		rd := strictReader()
		agree(t, &rd, message)
		rd.lenient = true
		agree(t, &rd, message)
	})
}

func BenchmarkRead(b *testing.B) {
	headers := map[string]string{"authorization": "Bearer " + string(bytes.Repeat([]byte("e"), 700))}
	for _, name := range []string{"accept", "accept-encoding", "accept-language", "cookie", "user-agent", "x-forwarded-for", "x-forwarded-proto", "x-request-id", "sec-fetch-site", "sec-fetch-mode"} {
		headers[name] = "a value of some thirty characters"
	}
	in := httpCheck("GET", "/orders/3f1e0f2c-6d1c-4b52-9c43-0a4e2f5f3b11?page=2", headers)
	message := encoded(in)
	rd := strictReader()
	b.Run("in place", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := rd.read(message); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("generated", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var in authv3.CheckRequest
			if err := decoding.Unmarshal(message, &in); err != nil {
				b.Fatal(err)
			}
			rd.request(&in)
		}
	})
}
