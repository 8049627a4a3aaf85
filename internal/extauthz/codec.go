package extauthz

import (
	"context"
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/proto" // registers the codec "proto" and names it
	"google.golang.org/grpc/mem"
)

// A check is decoded in the handler and not by gRPC, because gRPC answers a message
// that cannot be decoded with an error of its own, and under failure_mode_allow
// Envoy takes that for an allow. So Check receives and sends bytes; every other
// method (health) keeps its messages.

// frame is one message as it was on the wire, or is to be.
type frame struct{ buffer mem.Buffer }

func (f *frame) bytes() []byte {
	if f.buffer == nil {
		return nil
	}
	return f.buffer.ReadOnlyData()
}

func (f *frame) free() {
	if f.buffer != nil {
		f.buffer.Free()
		f.buffer = nil
	}
}

type frameCodec struct{ encoding.CodecV2 }

func newFrameCodec() frameCodec { return frameCodec{encoding.GetCodecV2(proto.Name)} }

func (c frameCodec) Marshal(v any) (mem.BufferSlice, error) {
	if f, ok := v.(*frame); ok {
		return mem.BufferSlice{f.buffer}, nil
	}
	return c.CodecV2.Marshal(v)
}

func (c frameCodec) Unmarshal(data mem.BufferSlice, v any) error {
	f, ok := v.(*frame)
	if !ok {
		return c.CodecV2.Unmarshal(data, v)
	}
	f.free() // a second message in one call, which gRPC refuses after this
	f.buffer = data.MaterializeToBuffer(mem.DefaultBufferPool())
	return nil
}

// checker is what the service below is served by.
type checker interface {
	check(ctx context.Context, receive func(*frame) error) (*frame, error)
}

// serviceName is the gRPC service that Envoy calls.
const serviceName = "envoy.service.auth.v3.Authorization"

// service is authv3.Authorization_ServiceDesc with bytes for messages.
var service = grpc.ServiceDesc{
	ServiceName: serviceName,
	HandlerType: (*checker)(nil),
	Methods: []grpc.MethodDesc{{
		MethodName: "Check",
		Handler: func(srv any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			c, ok := srv.(checker)
			if !ok {
				return nil, fmt.Errorf("%T cannot answer checks", srv)
			}
			out, err := c.check(ctx, func(f *frame) error { return decode(f) })
			if err != nil {
				return nil, err
			}
			return out, nil
		},
	}},
	Metadata: "envoy/service/auth/v3/external_auth.proto",
}
