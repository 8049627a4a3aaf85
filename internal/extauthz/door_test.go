package extauthz

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"authz/internal/authz"
	"authz/internal/check"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
)

// records is what the door had recorded of its own refusals.
type records struct {
	mu   sync.Mutex
	list []string
}

func (r *records) fail(_ *check.Request, outcome authz.Outcome, reason, _ string) authz.Decision {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = append(r.list, outcome.String()+" "+reason)
	return authz.Decision{Outcome: outcome, ID: "d-fail", RequestID: "r-fail", Reasons: []string{reason}, Spent: -1}
}

func (r *records) all() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string{}, r.list...)
}

var silent = slog.New(slog.NewTextHandler(io.Discard, nil))

func allowed(context.Context, *check.Request) authz.Decision {
	return authz.Decision{Outcome: authz.Allowed, ID: "d-1", RequestID: "r-1", Spent: -1}
}

// running is a server that serves on a Unix socket until end is called.
type running struct {
	*Server
	path    string
	records *records
	end     context.CancelFunc
	ended   chan error
}

// start serves; decide may be nil for one that allows.
// carrying is the transport of this run of the suite: it is run over each.
var carrying = TransportGRPC

func TestMain(m *testing.M) {
	flag.Parse()
	code := m.Run()
	once := flag.Lookup("test.fuzz").Value.String() + flag.Lookup("test.bench").Value.String()
	for _, carrying = range Transports[1:] {
		if code == 0 && once == "" {
			fmt.Println("again over", carrying)
			code = m.Run()
		}
	}
	os.Exit(code)
}

func start(t *testing.T, config Config, decide Decide) *running {
	t.Helper()
	out := &running{records: &records{}, ended: make(chan error, 1)}
	if decide == nil {
		decide = allowed
	}
	if config.Fail == nil {
		config.Fail = out.records.fail
	}
	if config.Socket == "" && config.Address == "" {
		config.Socket = filepath.Join(t.TempDir(), "s")
	}
	if config.Linger == 0 {
		config.Linger = -1
	}
	if config.Transport == "" {
		config.Transport = carrying
	}
	out.path = config.Socket
	server, err := NewServer(config, decide, silent)
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Listen(); err != nil {
		t.Fatal(err)
	}
	out.Server = server
	ctx, cancel := context.WithCancel(context.Background())
	out.end = cancel
	go func() { out.ended <- server.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		server.Stop()
	})
	return out
}

// wait returns what Serve returned.
func (r *running) wait(t *testing.T) error {
	t.Helper()
	select {
	case err := <-r.ended:
		return err
	case <-time.After(20 * time.Second):
		t.Fatal("Serve does not return")
		return nil
	}
}

func dial(t *testing.T, target string, options ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	options = append([]grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials())}, options...)
	conn, err := grpc.NewClient(target, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func (r *running) dial(t *testing.T) *grpc.ClientConn {
	t.Helper()
	return dial(t, "unix:"+r.path)
}

func ask(t *testing.T, conn *grpc.ClientConn, in *authv3.CheckRequest) *authv3.CheckResponse {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	out, err := authv3.NewAuthorizationClient(conn).Check(ctx, in)
	if err != nil {
		t.Fatalf("a check was answered with a gRPC error: %v", err)
	}
	return out
}

// bytesCodec lets a client send what no CheckRequest is.
type bytesCodec struct{}

func (bytesCodec) Name() string { return "proto" }
func (bytesCodec) Marshal(v any) ([]byte, error) {
	if m, ok := v.(proto.Message); ok {
		return proto.Marshal(m)
	}
	return v.([]byte), nil
}
func (bytesCodec) Unmarshal(data []byte, v any) error {
	m, ok := v.(proto.Message)
	if !ok {
		return errors.New("not a message")
	}
	return proto.Unmarshal(data, m)
}

func askBytes(t *testing.T, conn *grpc.ClientConn, in []byte) *authv3.CheckResponse {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	var out authv3.CheckResponse
	err := conn.Invoke(ctx, authv3.Authorization_Check_FullMethodName, in, &out, grpc.ForceCodec(bytesCodec{}))
	if err != nil {
		t.Fatalf("a check was answered with a gRPC error: %v", err)
	}
	return &out
}

// want compares a whole answer with its text form.
func want(t *testing.T, got *authv3.CheckResponse, text string) {
	t.Helper()
	var expected authv3.CheckResponse
	if err := prototext.Unmarshal([]byte(text), &expected); err != nil {
		t.Fatalf("the test's own answer: %v", err)
	}
	if !proto.Equal(got, &expected) {
		format := prototext.MarshalOptions{Multiline: true}
		t.Errorf("answer:\n%s\nwant:\n%s", format.Format(got), format.Format(&expected))
	}
}

// generic is the text form of a generic refusal.
func generic(status, code, title, id, decision string) string {
	return `status{code:7} denied_response{status{code:` + status + `}` +
		` headers{header{key:"content-type" value:"application/problem+json"} append_action:OVERWRITE_IF_EXISTS_OR_ADD}` +
		` headers{header{key:"cache-control" value:"no-store"} append_action:OVERWRITE_IF_EXISTS_OR_ADD}` +
		` headers{header{key:"x-content-type-options" value:"nosniff"} append_action:OVERWRITE_IF_EXISTS_OR_ADD}` +
		` body:'{"type":"about:blank","title":"` + title + `","status":` + code + `,"request_id":"` + id + `"}\n'}` +
		` dynamic_metadata{fields{key:"decision_id" value{string_value:"` + decision + `"}}}`
}

func httpCheck(method, path string, headers map[string]string) *authv3.CheckRequest {
	all := map[string]string{":authority": "app.test", ":method": method, ":path": path, ":scheme": "https"}
	for name, value := range headers {
		all[name] = value
	}
	return &authv3.CheckRequest{Attributes: &authv3.AttributeContext{
		Request: &authv3.AttributeContext_Request{Http: &authv3.AttributeContext_HttpRequest{
			Id: "1", Method: method, Path: path, Host: "app.test", Scheme: "https", Protocol: "HTTP/1.1", Size: -1, Headers: all,
		}},
	}}
}

// tcp is the address of the TCP listener, which is opened first.
func (r *running) tcp() string { return r.Addresses()[0].String() }
