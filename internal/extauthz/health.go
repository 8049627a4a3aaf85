package extauthz

import (
	"context"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
)

// health answers grpc.health.v1. It says "serving" as long as the process answers
// checks, policy or none: an Envoy that checks health would otherwise take its only
// endpoint out, and what was an explicit 503 would be up to failure_mode_allow.
// Readiness for humans and orchestrators is the side door's business.
type health struct {
	grpc_health_v1.UnimplementedHealthServer
	ending  chan struct{} // closed by end
	endOnce sync.Once
}

func newHealth() *health { return &health{ending: make(chan struct{})} }

func (h *health) register(s *grpc.Server) { grpc_health_v1.RegisterHealthServer(s, h) }

// end tells watchers that the server goes away and sends them off: a stream that
// stays open would hold up the drain.
func (h *health) end() { h.endOnce.Do(func() { close(h.ending) }) }

func known(service string) bool { return service == "" || service == serviceName }

// Check answers one question about a service.
func (h *health) Check(_ context.Context, in *grpc_health_v1.HealthCheckRequest) (*grpc_health_v1.HealthCheckResponse, error) {
	if !known(in.GetService()) {
		return nil, status.Error(codes.NotFound, "unknown service")
	}
	return &grpc_health_v1.HealthCheckResponse{Status: grpc_health_v1.HealthCheckResponse_SERVING}, nil
}

// Watch sends the state now, and once more when the server ends.
func (h *health) Watch(in *grpc_health_v1.HealthCheckRequest, out grpc.ServerStreamingServer[grpc_health_v1.HealthCheckResponse]) error {
	send := func(s grpc_health_v1.HealthCheckResponse_ServingStatus) error {
		return out.Send(&grpc_health_v1.HealthCheckResponse{Status: s})
	}
	if !known(in.GetService()) {
		// The protocol wants the stream kept open, in case the service appears.
		if err := send(grpc_health_v1.HealthCheckResponse_SERVICE_UNKNOWN); err != nil {
			return err
		}
	} else if err := send(grpc_health_v1.HealthCheckResponse_SERVING); err != nil {
		return err
	}
	select {
	case <-out.Context().Done():
		return status.FromContextError(out.Context().Err()).Err()
	case <-h.ending:
		if known(in.GetService()) {
			if err := send(grpc_health_v1.HealthCheckResponse_NOT_SERVING); err != nil {
				return err
			}
		}
		return status.Error(codes.Unavailable, "the server is going away")
	}
}
