package extauthz

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"authz/internal/check"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
)

// maxMessageDepth bounds the nesting of a gRPC body; protobuf's own default is 10,000.
// It bounds the Any messages of a body as well, nested or not: what is inside an Any
// is decoded apart, out of sight of the other bound and copied each time, so that a
// megabyte of them would take many seconds.
const maxMessageDepth = 100

// Descriptors know the request messages of gRPC methods, so that a policy can read
// a gRPC body as it reads a JSON one. The zero value knows none.
type Descriptors struct {
	inputs map[string]protoreflect.MessageType // by "/package.Service/Method"
	types  *dynamicpb.Types
}

// LoadDescriptors reads a file that holds a FileDescriptorSet, as
// `protoc --include_imports --descriptor_set_out` writes it.
func LoadDescriptors(path string) (*Descriptors, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("opening the descriptor set: %w", err)
	}
	d, err := parseDescriptors(raw)
	if err != nil {
		return nil, fmt.Errorf("reading the descriptor set %s: %w", path, err)
	}
	return d, nil
}

func parseDescriptors(raw []byte) (*Descriptors, error) {
	var set descriptorpb.FileDescriptorSet
	if err := proto.Unmarshal(raw, &set); err != nil {
		return nil, err
	}
	files, err := protodesc.NewFiles(&set)
	if err != nil {
		return nil, err
	}
	d := &Descriptors{inputs: map[string]protoreflect.MessageType{}, types: dynamicpb.NewTypes(files)}
	files.RangeFiles(func(file protoreflect.FileDescriptor) bool {
		for i := range file.Services().Len() {
			service := file.Services().Get(i)
			for j := range service.Methods().Len() {
				method := service.Methods().Get(j)
				path := "/" + string(service.FullName()) + "/" + string(method.Name())
				d.inputs[path] = dynamicpb.NewMessageType(method.Input())
			}
		}
		return true
	})
	return d, nil
}

// Decode reads one message sent to the method at path, with the meaning that
// protojson gives it: lowerCamelCase names, 64-bit integers as strings, bytes as
// base64, default values left out. Numbers are json.Number.
func (d *Descriptors) Decode(path string, message []byte) (any, error) {
	input, ok := d.inputs[path]
	if !ok {
		return nil, check.ErrUnknownMethod
	}
	m := input.New().Interface()
	options := proto.UnmarshalOptions{Resolver: d.types, RecursionLimit: maxMessageDepth}
	if err := options.Unmarshal(message, m); err != nil {
		return nil, fmt.Errorf("not a %s: %w", input.Descriptor().FullName(), err)
	}
	text, err := protojson.MarshalOptions{Resolver: &boundedTypes{d.types, maxMessageDepth}}.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("a %s that has no JSON form: %w", input.Descriptor().FullName(), err)
	}
	return plainJSON(text)
}

// boundedTypes resolve as many Any messages as are left.
type boundedTypes struct {
	*dynamicpb.Types
	left int
}

func (b *boundedTypes) FindMessageByURL(url string) (protoreflect.MessageType, error) {
	if b.left--; b.left < 0 {
		return nil, errors.New("too many Any messages")
	}
	return b.Types.FindMessageByURL(url)
}

func plainJSON(text []byte) (any, error) {
	in := json.NewDecoder(bytes.NewReader(text))
	in.UseNumber()
	var value any
	if err := in.Decode(&value); err != nil {
		return nil, err
	}
	if _, err := in.Token(); err != io.EOF {
		return nil, fmt.Errorf("more than one JSON value")
	}
	return value, nil
}
