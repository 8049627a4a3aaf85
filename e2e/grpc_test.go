package e2e

import (
	"bytes"
	"encoding/binary"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/types/descriptorpb"
)

// A gRPC message is read by its descriptor, over HTTP/2 as gRPC comes; without one,
// or cut off, the policy sees none; a broken one is refused. (Envoy tells a gRPC client
// of a refusal by grpc-status under HTTP status 200.)
func TestGRPCBody(t *testing.T) {
	set, err := proto.Marshal(&descriptorpb.FileDescriptorSet{File: []*descriptorpb.FileDescriptorProto{
		protodesc.ToFileDescriptorProto(grpc_health_v1.File_grpc_health_v1_health_proto)}})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "health.pb")
	if err := os.WriteFile(path, set, 0o600); err != nil {
		t.Fatal(err)
	}
	_, envoy := own(t, config("e2e/testdata/policy")+"request: {descriptor_set: "+path+"}\n")
	message, err := proto.Marshal(&grpc_health_v1.HealthCheckRequest{Service: "shop"})
	if err != nil {
		t.Fatal(err)
	}
	framed := binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message)))
	framed = append(framed, message...)

	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	client := &http.Client{Transport: &http.Transport{Protocols: &protocols}}
	defer client.CloseIdleConnections()
	for name, c := range map[string]struct {
		body   []byte
		status int
		want   string // what the policy saw
	}{
		"a message":             {framed, 200, `"parsed_body":{"service":"shop"}`},
		"an empty message":      {[]byte{0, 0, 0, 0, 0}, 200, `"parsed_body":{}`},
		"compressed":            {append([]byte{1}, framed[1:]...), 400, ""},
		"longer than it says":   {append(framed, 0), 400, ""},
		"not of that type":      {append([]byte{0, 0, 0, 0, 2}, 0xff, 0xff), 400, ""},
		"shorter than it says":  {framed[:len(framed)-1], 200, `"parsed_body":null,`},
		"only half of a prefix": {framed[:3], 200, `"truncated_body":true`},
	} {
		t.Run(name, func(t *testing.T) {
			world.app.Forget()
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, envoy.URL+"/grpc.health.v1.Health/Check", bytes.NewReader(c.body))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Content-Type", "application/grpc")
			r.Header.Set("Te", "trailers")
			res, err := client.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			seen := world.app.Seen()
			if c.status == 200 {
				if len(seen) != 1 || !strings.Contains(seen[0].Headers.Get("X-Saw"), c.want) {
					t.Errorf("%s: the app saw %v, want %s", res.Status, seen, c.want)
				}
			} else if len(seen) != 0 {
				t.Errorf("%s: the app was reached: the policy saw %s", res.Status, seen[0].Headers.Get("X-Saw"))
			}
			if refused := res.Header.Get("Grpc-Status"); (refused != "") != (c.status != 200) {
				t.Errorf("grpc-status %q", refused)
			}
		})
	}
}
