package extauthz

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"authz/internal/check"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/known/anypb"
)

// descriptorSet is what protoc --include_imports writes for Envoy's own service,
// which the module has at hand with all it imports.
func descriptorSet(t *testing.T) string {
	t.Helper()
	var set descriptorpb.FileDescriptorSet
	seen := map[string]bool{}
	var take func(protoreflect.FileDescriptor)
	take = func(f protoreflect.FileDescriptor) {
		if seen[f.Path()] {
			return
		}
		seen[f.Path()] = true
		for i := range f.Imports().Len() {
			take(f.Imports().Get(i).FileDescriptor)
		}
		set.File = append(set.File, protodesc.ToFileDescriptorProto(f))
	}
	take(authv3.File_envoy_service_auth_v3_external_auth_proto)
	path := filepath.Join(t.TempDir(), "set.pb")
	if err := os.WriteFile(path, encoded(&set), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

const checkMethod = "/envoy.service.auth.v3.Authorization/Check"

func TestGRPCBodies(t *testing.T) {
	d, err := LoadDescriptors(descriptorSet(t))
	if err != nil {
		t.Fatal(err)
	}
	message := encoded(parse(t, `attributes{request{http{path:"/a" size:9007199254740993 raw_body:"\001\002" headers{key:"k" value:"v"}}} tls_session{}
		metadata_context{typed_filter_metadata{key:"t" value{[type.googleapis.com/envoy.service.auth.v3.DeniedHttpResponse]{body:"x" status{code:NotFound}}}}}}`))
	got, err := d.Decode(checkMethod, message)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"attributes": map[string]any{
		"request":    map[string]any{"http": map[string]any{"path": "/a", "size": "9007199254740993", "rawBody": "AQI=", "headers": map[string]any{"k": "v"}}},
		"tlsSession": map[string]any{},
		"metadataContext": map[string]any{"typedFilterMetadata": map[string]any{"t": map[string]any{
			"@type": "type.googleapis.com/envoy.service.auth.v3.DeniedHttpResponse", "body": "x", "status": map[string]any{"code": "NotFound"}}}},
	}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	if got, err := d.Decode(checkMethod, nil); err != nil || !reflect.DeepEqual(got, map[string]any{}) {
		t.Errorf("an empty message: %v, %v", got, err)
	}
	number := encoded(parse(t, `attributes{source{address{socket_address{port_value:80}}}}`))
	got, err = d.Decode(checkMethod, number)
	if want := (map[string]any{"attributes": map[string]any{"source": map[string]any{"address": map[string]any{"socketAddress": map[string]any{"portValue": json.Number("80")}}}}}); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, %v; want %v", got, err, want)
	}
}

func TestGRPCBodiesThatCannotBeRead(t *testing.T) {
	d, err := LoadDescriptors(descriptorSet(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"", "/", checkMethod[1:], checkMethod + "/", "/envoy.service.auth.v3.Authorization/check"} {
		if got, err := d.Decode(path, nil); !errors.Is(err, check.ErrUnknownMethod) {
			t.Errorf("%q: %v, %v; want ErrUnknownMethod", path, got, err)
		}
	}
	for name, message := range map[string][]byte{
		"garbage":          []byte("\xff\xff"),
		"nested 500 deep":  nestedMetadata(500),
		"Any in Any":       nestedAny(maxMessageDepth + 1),
		"an unknown Any":   encodedText(t, `attributes{metadata_context{typed_filter_metadata{key:"t" value{type_url:"x/no.such.Type" value:"a"}}}}`),
		"a number without": encodedText(t, `attributes{metadata_context{filter_metadata{key:"t" value{fields{key:"a" value{number_value:inf}}}}}}`),
	} {
		if got, err := d.Decode(checkMethod, message); err == nil || errors.Is(err, check.ErrUnknownMethod) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

func encodedText(t *testing.T, text string) []byte {
	t.Helper()
	var in authv3.CheckRequest
	if err := prototext.Unmarshal([]byte(text), &in); err != nil {
		t.Fatal(err)
	}
	raw, err := proto.Marshal(&in)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// nestedAny holds that many Any messages, each inside the one before. Each costs a
// sender 30 bytes and a reader a copy of all that is inside it.
func nestedAny(count int) []byte {
	inner := &anypb.Any{}
	for range count {
		inner = &anypb.Any{TypeUrl: "x/google.protobuf.Any", Value: encoded(inner)}
	}
	return encoded(&authv3.CheckRequest{Attributes: &authv3.AttributeContext{
		MetadataContext: &corev3.Metadata{TypedFilterMetadata: map[string]*anypb.Any{"t": inner}}}})
}

// As many as may be are read.
func TestGRPCBodyWithManyAny(t *testing.T) {
	d, err := LoadDescriptors(descriptorSet(t))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // the bound is each message's own
		if _, err := d.Decode(checkMethod, nestedAny(maxMessageDepth)); err != nil {
			t.Error(err)
		}
	}
}

// A gRPC body reaches the request as other bodies do.
func TestAGRPCBodyInARequest(t *testing.T) {
	d, err := LoadDescriptors(descriptorSet(t))
	if err != nil {
		t.Fatal(err)
	}
	message := encodedText(t, `attributes{context_extensions{key:"a" value:"b"}}`)
	in := httpCheck("POST", checkMethod, map[string]string{"content-type": "application/grpc"})
	in.Attributes.Request.Http.RawBody = append([]byte{0, 0, 0, 0, byte(len(message))}, message...)
	c := Config{Descriptors: d}.withDefaults()
	r := newReader(&c)
	got := r.request(in)
	want := check.Body{Parsed: true, Value: map[string]any{"attributes": map[string]any{"contextExtensions": map[string]any{"a": "b"}}}}
	if got.Fault != nil || !reflect.DeepEqual(got.Body, want) {
		t.Errorf("%v, %+v; want %+v", got.Fault, got.Body, want)
	}
}

func TestDescriptorSetsThatAreNone(t *testing.T) {
	dir := t.TempDir()
	garbage, alone := filepath.Join(dir, "garbage"), filepath.Join(dir, "alone")
	file := protodesc.ToFileDescriptorProto(authv3.File_envoy_service_auth_v3_external_auth_proto)
	for path, content := range map[string][]byte{
		garbage: []byte("\xff"),
		alone:   encoded(&descriptorpb.FileDescriptorSet{File: []*descriptorpb.FileDescriptorProto{file}}), // without --include_imports
	} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range []string{garbage, alone, filepath.Join(dir, "none")} {
		if d, err := LoadDescriptors(path); err == nil {
			t.Errorf("%s: %v", path, d)
		}
	}
}
