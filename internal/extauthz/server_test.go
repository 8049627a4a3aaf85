package extauthz

import (
	"context"
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"time"

	"authz/internal/authz"
	"authz/internal/check"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

const plainAllow = `status{} ok_response{
	headers_to_remove:"x-http-method-override" headers_to_remove:"x-http-method" headers_to_remove:"x-method-override"}
	dynamic_metadata{fields{key:"decision_id" value{string_value:"d-1"}}}`

func TestACheckIsDecidedAndAnswered(t *testing.T) {
	var seen *check.Request
	var limit time.Duration
	s := start(t, Config{CheckTimeout: time.Second}, func(ctx context.Context, r *check.Request) authz.Decision {
		deadline, _ := ctx.Deadline()
		seen, limit = r, time.Until(deadline)
		return allowed(ctx, r)
	})
	want(t, ask(t, s.dial(t), httpCheck("GET", "/orders/7", nil)), plainAllow)
	if seen == nil || seen.HTTP.Method != "GET" || !reflect.DeepEqual(seen.Path, []string{"orders", "7"}) {
		t.Errorf("decided about %+v", seen)
	}
	if limit <= 0 || limit > time.Second {
		t.Errorf("the decision had %v, want at most a second", limit)
	}
	if got := s.records.all(); len(got) != 0 {
		t.Errorf("the door recorded %v of a check that it did not refuse", got)
	}
}

// What the door refuses by itself is an explicit denial, and on record.
func TestTheDoorsOwnRefusals(t *testing.T) {
	for name, row := range map[string]struct {
		decide Decide
		send   []byte
		want   string
		record string
	}{
		"not a protobuf message": {
			send:   []byte("\xff\xff\xff\xff"),
			want:   generic("BadRequest", "400", "Bad Request", "r-fail", "d-fail"),
			record: "malformed undecodable",
		},
		"a header that is not UTF-8": {
			// attributes{request{http{headers{"a": "\xff"}}}}, CVE-2023-27488
			send:   []byte("\x0a\x0c\x22\x0a\x12\x08\x1a\x06\x0a\x01a\x12\x01\xff"),
			want:   generic("BadRequest", "400", "Bad Request", "r-fail", "d-fail"),
			record: "malformed undecodable",
		},
		"metadata nested 500 deep": {
			send:   nestedMetadata(500),
			want:   generic("BadRequest", "400", "Bad Request", "r-fail", "d-fail"),
			record: "malformed undecodable",
		},
		"over the size limit": {
			send:   make([]byte, 64<<10+1),
			want:   generic("PayloadTooLarge", "413", "Request Entity Too Large", "r-fail", "d-fail"),
			record: "malformed message_too_large",
		},
		"a decision that panics": {
			decide: func(context.Context, *check.Request) authz.Decision { panic("boom") },
			send:   encoded(httpCheck("GET", "/", nil)),
			want:   generic("InternalServerError", "500", "Internal Server Error", "r-fail", "d-fail"),
			record: "failed panic",
		},
		"a decision that would split the answer": {
			decide: func(context.Context, *check.Request) authz.Decision {
				return authz.Decision{Outcome: authz.Allowed, ID: "d", Spent: -1, Headers: []check.Header{{Name: "x-user", Value: "a\r\nx-admin: 1"}}}
			},
			send:   encoded(httpCheck("GET", "/", nil)),
			want:   generic("InternalServerError", "500", "Internal Server Error", "r-fail", "d-fail"),
			record: "failed reply_invalid",
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, Config{MaxMessageBytes: 64 << 10}, row.decide)
			conn := s.dial(t)
			want(t, askBytes(t, conn, row.send), row.want)
			if got := s.records.all(); !reflect.DeepEqual(got, []string{row.record}) {
				t.Errorf("recorded %q, want %q", got, row.record)
			}
			wantPanics := uint64(0)
			if row.record == "failed panic" {
				wantPanics = 1
			}
			if s.Panics() != wantPanics || s.InFlight() != 0 {
				t.Errorf("%d panics, %d in flight", s.Panics(), s.InFlight())
			}
		})
	}
}

func encoded(m proto.Message) []byte {
	raw, err := proto.Marshal(m)
	if err != nil {
		panic(err)
	}
	return raw
}

// A message of exactly the limit is read.
func TestTheLargestMessage(t *testing.T) {
	in := httpCheck("POST", "/", map[string]string{"content-type": "application/octet-stream"})
	const limit = 64 << 10
	in.Attributes.Request.Http.RawBody = make([]byte, limit)
	in.Attributes.Request.Http.RawBody = make([]byte, 2*limit-proto.Size(in))
	if proto.Size(in) != limit {
		t.Fatalf("the test's message has %d bytes", proto.Size(in))
	}
	s := start(t, Config{MaxMessageBytes: limit, Lenient: true}, nil)
	want(t, ask(t, s.dial(t), in), plainAllow)
}

func TestARecorderThatPanics(t *testing.T) {
	s := start(t, Config{Fail: func(*check.Request, authz.Outcome, string, string) authz.Decision { panic("again") }},
		func(context.Context, *check.Request) authz.Decision { panic("boom") })
	got := ask(t, s.dial(t), httpCheck("GET", "/", map[string]string{"x-request-id": "abc"}))
	want(t, got, generic("InternalServerError", "500", "Internal Server Error", "abc", ""))
	if s.Panics() != 2 {
		t.Errorf("%d panics counted, want 2", s.Panics())
	}
}

// A recorder can't turn a refusal into an allow.
func TestARecorderThatAllows(t *testing.T) {
	s := start(t, Config{Fail: func(*check.Request, authz.Outcome, string, string) authz.Decision {
		return authz.Decision{Outcome: authz.Allowed, ID: "d", RequestID: "r"}
	}}, nil)
	want(t, askBytes(t, s.dial(t), []byte{0xff}), generic("BadRequest", "400", "Bad Request", "r", "d"))
}

// A recorder whose names can't be sent: a refusal all the same.
func TestARecorderWithBadNames(t *testing.T) {
	s := start(t, Config{Fail: func(*check.Request, authz.Outcome, string, string) authz.Decision {
		return authz.Decision{ID: "\xff", RequestID: "r"}
	}}, nil)
	want(t, askBytes(t, s.dial(t), []byte{0xff}), generic("InternalServerError", "500", "Internal Server Error", "", ""))
}

// brokenLog panics instead of writing.
type brokenLog struct{ slog.Handler }

func (brokenLog) Handle(context.Context, slog.Record) error { panic("disk on fire") }

func TestAPanicWhileAPanicIsAnswered(t *testing.T) {
	s, err := NewServer(Config{Fail: (&records{}).fail}, func(context.Context, *check.Request) authz.Decision { panic("boom") },
		slog.New(brokenLog{silent.Handler()}))
	if err != nil {
		t.Fatal(err)
	}
	out, err := s.check(context.Background(), func(f *frame) error {
		f.buffer = mem.SliceBuffer(encoded(httpCheck("GET", "/", nil)))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var got authv3.CheckResponse
	if err := proto.Unmarshal(out.bytes(), &got); err != nil {
		t.Fatal(err)
	}
	want(t, &got, generic("InternalServerError", "500", "Internal Server Error", "", ""))
	if s.Panics() != 2 || s.InFlight() != 0 {
		t.Errorf("%d panics, %d in flight", s.Panics(), s.InFlight())
	}
}

func TestTooManyChecksUnderWay(t *testing.T) {
	busy, release := make(chan struct{}), make(chan struct{})
	s := start(t, Config{MaxInFlight: 1}, func(ctx context.Context, r *check.Request) authz.Decision {
		if r.HTTP.Path == "/slow" {
			close(busy)
			<-release
		}
		return allowed(ctx, r)
	})
	conn := s.dial(t)
	first := make(chan *authv3.CheckResponse, 1)
	go func() {
		out, _ := authv3.NewAuthorizationClient(conn).Check(context.Background(), httpCheck("GET", "/slow", nil))
		first <- out
	}()
	<-busy
	// A large one as well: its answer comes before it has been read.
	large := httpCheck("POST", "/", nil)
	large.Attributes.Request.Http.RawBody = make([]byte, 3<<20)
	for _, in := range []*authv3.CheckRequest{httpCheck("GET", "/", nil), large} {
		want(t, ask(t, conn, in), generic("ServiceUnavailable", "503", "Service Unavailable", "r-fail", "d-fail"))
	}
	close(release)
	want(t, <-first, plainAllow)
	want(t, ask(t, conn, httpCheck("GET", "/", nil)), plainAllow)
	if got := s.records.all(); s.Overloads() != 2 || !reflect.DeepEqual(got, []string{"unavailable overload", "unavailable overload"}) {
		t.Errorf("%d overloads, recorded %q", s.Overloads(), got)
	}
}

// CVE-2026-33186: a path without its slash must not reach a method.
func TestCallsThatAreNoChecks(t *testing.T) {
	s := start(t, Config{}, nil)
	conn := s.dial(t)
	for _, method := range []string{
		"envoy.service.auth.v3.Authorization/Check",
		"//envoy.service.auth.v3.Authorization/Check",
		"/envoy.service.auth.v3.Authorization/check",
		"/envoy.service.auth.v2.Authorization/Check",
		"/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
	} {
		err := conn.Invoke(context.Background(), method, httpCheck("GET", "/", nil), &authv3.CheckResponse{})
		if status.Code(err) != codes.Unimplemented {
			t.Errorf("%s: %v, want Unimplemented", method, err)
		}
	}
}

func TestHealth(t *testing.T) {
	s := start(t, Config{}, nil)
	client := grpc_health_v1.NewHealthClient(s.dial(t))
	for _, name := range []string{"", "envoy.service.auth.v3.Authorization"} {
		out, err := client.Check(context.Background(), &grpc_health_v1.HealthCheckRequest{Service: name})
		if err != nil || out.Status != grpc_health_v1.HealthCheckResponse_SERVING {
			t.Errorf("%q: %v, %v", name, out, err)
		}
	}
	if _, err := client.Check(context.Background(), &grpc_health_v1.HealthCheckRequest{Service: "x"}); status.Code(err) != codes.NotFound {
		t.Errorf("an unknown service: %v, want NotFound", err)
	}
}

// needsStreams: over the lean transport a watcher is told that there is no watching,
// which the protocol takes for "healthy, do not ask again".
func needsStreams(t *testing.T) {
	t.Helper()
	if carrying != TransportLean {
		return
	}
	s := start(t, Config{}, nil)
	watch, err := grpc_health_v1.NewHealthClient(s.dial(t)).Watch(context.Background(), &grpc_health_v1.HealthCheckRequest{})
	if err == nil {
		_, err = watch.Recv()
	}
	if status.Code(err) != codes.Unimplemented {
		t.Errorf("watching: %v", err)
	}
	t.Skip("the lean transport carries no streams")
}

// A watcher hears of the end and does not hold it up.
func TestHealthWatchersAreSentOff(t *testing.T) {
	needsStreams(t)
	for service, want := range map[string][]string{
		"":  {"SERVING", "NOT_SERVING", "Unavailable"},
		"x": {"SERVICE_UNKNOWN", "Unavailable"},
	} {
		s := start(t, Config{Grace: time.Minute}, nil)
		watch, err := grpc_health_v1.NewHealthClient(s.dial(t)).Watch(context.Background(), &grpc_health_v1.HealthCheckRequest{Service: service})
		if err != nil {
			t.Fatal(err)
		}
		var heard []string
		for {
			out, err := watch.Recv()
			if err != nil {
				heard = append(heard, status.Code(err).String())
				break
			}
			heard = append(heard, out.Status.String())
			s.end()
		}
		if !reflect.DeepEqual(heard, want) {
			t.Errorf("%q: heard %q, want %q", service, heard, want)
		}
		if err := s.wait(t); err != nil {
			t.Error(err)
		}
	}
}

// A watcher that leaves first keeps nobody.
func TestHealthWatchersMayLeave(t *testing.T) {
	needsStreams(t)
	s := start(t, Config{Linger: time.Minute, Grace: time.Minute}, nil)
	conn := s.dial(t)
	watch, err := grpc_health_v1.NewHealthClient(conn).Watch(context.Background(), &grpc_health_v1.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := watch.Recv(); err != nil {
		t.Fatal(err)
	}
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	s.end()
	if err := s.wait(t); err != nil {
		t.Error(err)
	}
}

func TestConfigurationFaultsAreToldTogether(t *testing.T) {
	_, err := NewServer(Config{
		MaxInFlight:     -1,
		CheckTimeout:    -1,
		IdentityHeaders: []string{"x-user", "x user", ":path", "Host"},
		TLS:             TLS{KeyFile: "k"},
	}, allowed, silent)
	for _, part := range []string{"nobody records", "MaxInFlight", "CheckTimeout", `"x user"`, `":path"`, `"host"`, "TLS needs"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%v does not speak of %s", err, part)
		}
	}
	if _, err := NewServer(Config{Fail: (&records{}).fail}, nil, silent); err == nil {
		t.Error("a server that nobody decides for")
	}
}
