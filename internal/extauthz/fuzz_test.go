package extauthz

import (
	"context"
	"testing"

	"authz/internal/authz"
	"authz/internal/check"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/protobuf/proto"
)

// FuzzRequest sends what a stranger may: whatever the bytes, there is no panic, and
// the answer is one of the two explicit ones.
func FuzzRequest(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{0xff})
	f.Add(encoded(httpCheck("GET", "/a/../b?x=1;y", map[string]string{"X_User": "a"})))
	f.Add(encoded(parse(f, `attributes{source{address{socket_address{address:"::ffff:1.2.3.4%eth0"}}} request{time{nanos:-1}
		http{method:"POST" path:"/" host:"a" scheme:"http" raw_body:'{"a":' header_map{headers{key:"X" raw_value:"\377"}}}}
		metadata_context{filter_metadata{key:"n" value{fields{key:"a" value{list_value{values{}}}}}}}}`)))
	f.Add(encoded(parse(f, `attributes{request{http{method:"POST" path:"/s/m" host:"a" scheme:"http" raw_body:"\000\000\000\000\001a"
		headers{key:"content-type" value:"application/grpc"}}}}`)))
	f.Add(nestedMetadata(40))

	// The decision throws back at the caller what it can, as a careless policy does.
	echo := func(_ context.Context, r *check.Request) authz.Decision {
		d := authz.Decision{Outcome: authz.Allowed, ID: "d", RequestID: r.ID, Spent: -1, Metadata: map[string]any{"path": r.HTTP.Path}}
		if r.Fault != nil {
			d.Outcome = authz.Malformed
		}
		for _, h := range r.HTTP.Headers {
			d.Headers = append(d.Headers, h)
			d.ResponseHeaders = append(d.ResponseHeaders, h)
			d.RemoveHeaders = append(d.RemoveHeaders, h.Name)
		}
		for name, values := range r.Query {
			d.RemoveQuery = append(d.RemoveQuery, name)
			for _, v := range values {
				d.SetQuery = append(d.SetQuery, check.Header{Name: name, Value: v})
			}
		}
		return d
	}
	strict := fuzzed(f, echo, Config{})
	lenient := fuzzed(f, echo, Config{Lenient: true})
	f.Fuzz(func(t *testing.T, message []byte) {
		for _, s := range []*Server{strict, lenient} {
			out := s.answer(context.Background(), message, address{})
			var reply authv3.CheckResponse
			if err := proto.Unmarshal(out.bytes(), &reply); err != nil {
				t.Fatal(err)
			}
			ok, denied := reply.GetOkResponse() != nil, reply.GetDeniedResponse() != nil
			if ok == denied || ok != (reply.GetStatus().GetCode() == 0) || reply.Status == nil {
				t.Fatalf("not explicit: %v", &reply)
			}
			if s.Panics() != 0 {
				t.Fatal("a panic")
			}
		}
	})
}

func fuzzed(f *testing.F, decide Decide, config Config) *Server {
	f.Helper()
	config.Fail = (&records{}).fail
	s, err := NewServer(config, decide, silent)
	if err != nil {
		f.Fatal(err)
	}
	return s
}
