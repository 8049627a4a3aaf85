package extauthz

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"authz/internal/check"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/protobuf/encoding/prototext"
)

func parse(t testing.TB, text string) *authv3.CheckRequest {
	t.Helper()
	var in authv3.CheckRequest
	if err := prototext.Unmarshal([]byte(text), &in); err != nil {
		t.Fatalf("the test's own check: %v", err)
	}
	return &in
}

func strictReader() reader { c := Config{}.withDefaults(); return newReader(&c) }

func TestRequestsThatCanBeRead(t *testing.T) {
	for name, row := range map[string]struct {
		in   string
		set  func(*reader)
		want check.Request
	}{
		"everything Envoy tells": {
			in: `attributes{
				source{address{socket_address{address:"2001:db8::7" port_value:4711}} principal:"spiffe://a/b" certificate:"PEM" service:"s" labels{key:"l" value:"1"}}
				destination{address{socket_address{address:"10.0.0.2" port_value:8443}}}
				request{
					time{seconds:1700000000 nanos:5}
					http{id:"9" method:"POST" path:"/a%20b/c?x=1&x=2" host:"app.test" scheme:"https" protocol:"HTTP/2" size:7
						headers{key:"x-request-id" value:"rid"} headers{key:":path" value:"/a%20b/c?x=1&x=2"} headers{key:":method" value:"POST"}
						headers{key:":authority" value:"app.test"} headers{key:":scheme" value:"https"}
						headers{key:"content-type" value:"application/json"} headers{key:"content-length" value:"7"}
						raw_body:'{"a":1}'}}
				context_extensions{key:"tenant" value:"t"}
				metadata_context{filter_metadata{key:"ns" value{fields{key:"k" value{list_value{values{number_value:1} values{null_value:NULL_VALUE} values{bool_value:true} values{struct_value{fields{key:"s" value{string_value:"v"}}}}}}}}}}
				route_metadata_context{filter_metadata{key:"r" value{}}}
				tls_session{sni:"app.test"}}`,
			want: check.Request{
				ID:          "rid",
				Source:      check.Peer{Address: "2001:db8::7", Port: 4711, Principal: "spiffe://a/b", Certificate: "PEM", Service: "s", Labels: map[string]string{"l": "1"}},
				Destination: check.Peer{Address: "10.0.0.2", Port: 8443},
				Time:        time.Unix(1700000000, 5).UTC(),
				HTTP: check.HTTP{
					ID: "9", Method: "POST", Path: "/a%20b/c?x=1&x=2", Host: "app.test", Scheme: "https", Protocol: "HTTP/2", Size: 7,
					Headers: check.Headers{
						{Name: ":authority", Value: "app.test"}, {Name: ":method", Value: "POST"}, {Name: ":path", Value: "/a%20b/c?x=1&x=2"}, {Name: ":scheme", Value: "https"},
						{Name: "content-length", Value: "7"}, {Name: "content-type", Value: "application/json"}, {Name: "x-request-id", Value: "rid"},
					},
					RawBody: []byte(`{"a":1}`),
				},
				ContextExtensions: map[string]string{"tenant": "t"},
				FilterMetadata:    map[string]any{"ns": map[string]any{"k": []any{1.0, nil, true, map[string]any{"s": "v"}}}},
				RouteMetadata:     map[string]any{"r": map[string]any{}},
				TLS:               &check.TLSSession{SNI: "app.test"},
				Path:              []string{"a b", "c"},
				Query:             map[string][]string{"x": {"1", "2"}},
				Body:              check.Body{Value: map[string]any{"a": json.Number("1")}, Parsed: true},
				Client:            check.Client{IP: "2001:db8::7", IPBlock: "2001:db8::/64", Scheme: "https"},
			},
		},
		"a Unix socket as source, no time, no id, no headers": {
			in: `attributes{source{address{pipe{path:"/s"}}} request{http{method:"GET" path:"/" host:"app.test" scheme:"http" size:-1}}}`,
			want: check.Request{
				HTTP:   check.HTTP{Method: "GET", Path: "/", Host: "app.test", Scheme: "http", Size: -1},
				Path:   []string{""},
				Client: check.Client{Scheme: "http"},
			},
		},
		"raw headers are also there to be looked up": {
			in: `attributes{request{http{method:"GET" path:"/" host:"app.test" scheme:"http"
				header_map{headers{key:"x-b" raw_value:"1"} headers{key:"accept" raw_value:"a"} headers{key:"accept" raw_value:"b"}}}}}`,
			want: check.Request{
				HTTP: check.HTTP{
					Method: "GET", Path: "/", Host: "app.test", Scheme: "http",
					Headers: check.Headers{{Name: "accept", Value: "a,b"}, {Name: "x-b", Value: "1"}},
					HeaderMap: []check.RawHeader{
						{Key: "x-b", RawValue: []byte("1")}, {Key: "accept", RawValue: []byte("a")}, {Key: "accept", RawValue: []byte("b")},
					},
					Joined: true,
				},
				Path:   []string{""},
				Client: check.Client{Scheme: "http"},
			},
		},
		"bodies switched off": {
			in:  `attributes{request{http{method:"POST" path:"/" host:"app.test" scheme:"http" body:"{" headers{key:"content-type" value:"application/json"}}}}`,
			set: func(r *reader) { r.skipBody = true },
			want: check.Request{
				HTTP:   check.HTTP{Method: "POST", Path: "/", Host: "app.test", Scheme: "http", Body: "{", Headers: check.Headers{{Name: "content-type", Value: "application/json"}}},
				Path:   []string{""},
				Body:   check.Body{Skipped: true},
				Client: check.Client{Scheme: "http"},
			},
		},
		"an ambiguous path, lenient": {
			in:  `attributes{request{http{method:"GET" path:"/a/../b" host:"app.test" scheme:"http"}}}`,
			set: func(r *reader) { r.lenient = true },
			want: check.Request{
				HTTP:   check.HTTP{Method: "GET", Path: "/a/../b", Host: "app.test", Scheme: "http"},
				Path:   []string{"a", "..", "b"},
				Client: check.Client{Scheme: "http"},
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := strictReader()
			if row.set != nil {
				row.set(&r)
			}
			if got := r.request(parse(t, row.in)); !reflect.DeepEqual(*got, row.want) {
				t.Errorf("fault %v\n got %+v\nwant %+v", got.Fault, *got, row.want)
			}
		})
	}
}

func TestRequestsThatCannot(t *testing.T) {
	http := func(fields string) string {
		return `attributes{request{http{method:"GET" host:"app.test" scheme:"http" ` + fields + `}}}`
	}
	for name, row := range map[string]struct {
		in   string
		set  func(*reader)
		code string
	}{
		"nothing at all":               {in: ``, code: "no_http"},
		"no request":                   {in: `attributes{}`, code: "no_http"},
		"no HTTP in it":                {in: `attributes{request{}}`, code: "no_http"},
		"no path (CVE-2026-73547)":     {in: http(``), code: "path_missing"},
		"a scheme that is none":        {in: `attributes{request{http{method:"GET" path:"/" host:"app.test" scheme:"ftp"}}}`, code: "scheme"},
		"an ambiguous path":            {in: http(`path:"/a/../b"`), code: "path_dot_segment"},
		"a bad escape in the path":     {in: http(`path:"/%zz"`), code: "path_escape"},
		"a semicolon in the query":     {in: http(`path:"/?a=1;b=2"`), code: "query_semicolon"},
		"lenient does not mend a path": {in: http(`path:"/%zz"`), set: func(r *reader) { r.lenient = true }, code: "path_escape"},
		"a raw header of other bytes": {
			in: http(`path:"/" header_map{headers{key:"a" raw_value:"\377"}}`), code: "header_utf8"},
		"a header in two spellings": {
			in: http(`path:"/" headers{key:"X-A" value:"1"} headers{key:"x-a" value:"2"}`), code: "header_case"},
		"too many headers": {
			in: http(`path:"/" headers{key:"a"} headers{key:"b"}`), set: func(r *reader) { r.maxHeaders = 1 }, code: "header_count"},
		"too many raw headers": {
			in: http(`path:"/" header_map{headers{key:"a"} headers{key:"b"}}`), set: func(r *reader) { r.maxHeaders = 1 }, code: "header_count"},
		"too large headers": {
			in: http(`path:"/" headers{key:"a" value:"12345"}`), set: func(r *reader) { r.maxHeaderBytes = 5 }, code: "header_size"},
		"too large raw headers": {
			in: http(`path:"/" header_map{headers{key:"a" raw_value:"12345"}}`), set: func(r *reader) { r.maxHeaderBytes = 5 }, code: "header_size"},
		"metadata without a JSON form": {
			in:   `attributes{request{http{path:"/"}} metadata_context{filter_metadata{key:"n" value{fields{key:"a" value{number_value:nan}}}}}}`,
			code: "metadata_number"},
		"metadata objects too deep": {
			in:   `attributes{request{http{path:"/"}} metadata_context{filter_metadata{key:"n" value{` + nested(`fields{key:"a" value{struct_value{`, maxMetadataDepth) + `}}}}`,
			code: "metadata_too_deep"},
		"route metadata lists too deep": {
			in:   `attributes{request{http{path:"/"}} route_metadata_context{filter_metadata{key:"n" value{fields{key:"a" value{` + nested(`list_value{values{`, maxMetadataDepth) + `}}}}}}`,
			code: "metadata_too_deep"},
	} {
		t.Run(name, func(t *testing.T) {
			r := strictReader()
			if row.set != nil {
				row.set(&r)
			}
			got := r.request(parse(t, row.in))
			if got.Fault == nil || got.Fault.Code != row.code {
				t.Errorf("fault %v, want %s", got.Fault, row.code)
			}
		})
	}
}

// The record of a refusal says who asked for what, also where little can be read.
func TestWhatARefusedRequestStillSays(t *testing.T) {
	r := strictReader()
	r.maxHeaders = 0
	got := r.request(parse(t, `attributes{source{address{socket_address{address:"::ffff:192.0.2.1"}}}
		request{http{id:"7" method:"GET" path:"/%zz" host:"app.test" scheme:"https" headers{key:"a"}}}}`))
	got.Fault = nil
	if want := (check.Request{
		ID:     "7",
		Source: check.Peer{Address: "::ffff:192.0.2.1"},
		HTTP:   check.HTTP{ID: "7", Method: "GET", Path: "/%zz", Host: "app.test", Scheme: "https"},
		Client: check.Client{IP: "192.0.2.1", IPBlock: "192.0.2.1", Scheme: "https"},
	}); !reflect.DeepEqual(*got, want) {
		t.Errorf("got  %+v\nwant %+v", *got, want)
	}
}

// The deepest metadata that is read.
func TestMetadataDepth(t *testing.T) {
	r := strictReader()
	deep := parse(t, `attributes{request{http{method:"GET" path:"/" host:"app.test" scheme:"http"}} metadata_context{filter_metadata{key:"n" value{`+
		nested(`fields{key:"a" value{struct_value{`, maxMetadataDepth-1)+`}}}}`)
	if got := r.request(deep); got.Fault != nil {
		t.Errorf("fault %v at depth %d", got.Fault, maxMetadataDepth)
	}
}

func nested(open string, n int) string {
	return strings.Repeat(open, n) + strings.Repeat("}", strings.Count(open, "{")*n)
}

func nestedMetadata(n int) []byte {
	var in authv3.CheckRequest
	text := `attributes{metadata_context{filter_metadata{key:"n" value{` + nested(`fields{key:"a" value{struct_value{`, n) + `}}}}`
	if err := prototext.Unmarshal([]byte(text), &in); err != nil {
		panic(err)
	}
	return encoded(&in)
}
