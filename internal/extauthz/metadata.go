package extauthz

import (
	"math"

	"authz/internal/check"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/protobuf/types/known/structpb"
)

// maxMetadataDepth is how deep objects and lists may be nested in Envoy's metadata.
const maxMetadataDepth = 32

// plainMetadata is filter_metadata as plain values. Typed metadata is left out: its
// messages are unknown here.
func plainMetadata(m *corev3.Metadata) (map[string]any, *check.Fault) {
	if len(m.GetFilterMetadata()) == 0 {
		return nil, nil
	}
	out := make(map[string]any, len(m.FilterMetadata))
	for namespace, s := range m.FilterMetadata {
		value, fault := plainObject(s, maxMetadataDepth)
		if fault != nil {
			return nil, fault
		}
		out[namespace] = value
	}
	return out, nil
}

func plainObject(s *structpb.Struct, depth int) (map[string]any, *check.Fault) {
	if depth == 0 {
		return nil, &check.Fault{Code: "metadata_too_deep", Detail: "Envoy's metadata is nested too deeply"}
	}
	out := make(map[string]any, len(s.GetFields()))
	for name, v := range s.GetFields() {
		value, fault := plainValue(v, depth)
		if fault != nil {
			return nil, fault
		}
		out[name] = value
	}
	return out, nil
}

func plainValue(v *structpb.Value, depth int) (any, *check.Fault) {
	switch kind := v.GetKind().(type) {
	case *structpb.Value_BoolValue:
		return kind.BoolValue, nil
	case *structpb.Value_NumberValue:
		if math.IsNaN(kind.NumberValue) || math.IsInf(kind.NumberValue, 0) {
			return nil, &check.Fault{Code: "metadata_number", Detail: "Envoy's metadata holds a number that JSON has no form for"}
		}
		return kind.NumberValue, nil
	case *structpb.Value_StringValue:
		return kind.StringValue, nil
	case *structpb.Value_StructValue:
		return plainObject(kind.StructValue, depth-1)
	case *structpb.Value_ListValue:
		if depth == 1 {
			return nil, &check.Fault{Code: "metadata_too_deep", Detail: "Envoy's metadata is nested too deeply"}
		}
		out := make([]any, len(kind.ListValue.GetValues()))
		for i, item := range kind.ListValue.GetValues() {
			value, fault := plainValue(item, depth-1)
			if fault != nil {
				return nil, fault
			}
			out[i] = value
		}
		return out, nil
	default: // null, or no kind at all
		return nil, nil
	}
}
