package e2e

import (
	"errors"
	"io"
	"os"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
)

// The sidecar that is tested has the transport that the environment asks for: the tests
// are run once with each (make test-lean), and a run with the wrong one proves nothing.
// They differ in what they answer to Health/Watch.
func TestTransport(t *testing.T) {
	lean := os.Getenv("AUTHZ_LISTEN_TRANSPORT") == "lean"
	cc, err := grpc.NewClient("unix:"+world.sidecar.Socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer cc.Close()
	stream, err := healthpb.NewHealthClient(cc).Watch(t.Context(), &healthpb.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = stream.Recv()
	if got := status.Code(err) == codes.Unimplemented; got != lean || (err != nil && !got && !errors.Is(err, io.EOF)) {
		t.Errorf("Health/Watch: %v; the environment asks for lean: %v", err, lean)
	}
}
