package inject

import (
	"encoding/json"
	"math"
	"strings"
)

// object is v as a mapping, nil if it is none. A nil mapping reads as empty.
func object(v any) Object {
	o, _ := v.(Object)
	return o
}

// objects are the mappings in the list v.
func objects(v any) []Object {
	items, _ := v.([]any)
	var out []Object
	for _, item := range items {
		if o := object(item); o != nil {
			out = append(out, o)
		}
	}
	return out
}

// child is the mapping at key, made if it is not there.
func child(o Object, key string) Object {
	if c := object(o[key]); c != nil {
		return c
	}
	c := Object{}
	o[key] = c
	return c
}

func textAt(o Object, key string) string {
	s, _ := o[key].(string)
	return s
}

// integer reads the number types that YAML and JSON decoders make.
func integer(v any) (int, bool) {
	switch n := v.(type) {
	case int:
		return n, true
	case int64:
		return int(n), true
	case uint64:
		return int(n), n <= math.MaxInt32
	case float64:
		return int(n), n == math.Trunc(n) && math.Abs(n) <= math.MaxInt32
	case json.Number:
		i, err := n.Int64()
		return int(i), err == nil
	}
	return 0, false
}

// integers turns the float64s of a JSON decoder that are whole into ints.
func integers(v any) any {
	switch v := v.(type) {
	case Object:
		for k := range v {
			v[k] = integers(v[k])
		}
	case []any:
		for i := range v {
			v[i] = integers(v[i])
		}
	case float64:
		if n, ok := integer(v); ok {
			return n
		}
	}
	return v
}

// clone copies a tree.
func clone(v any) any {
	switch v := v.(type) {
	case Object:
		out := make(Object, len(v))
		for k := range v {
			out[k] = clone(v[k])
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = clone(v[i])
		}
		return out
	}
	return v
}

// setPath sets the field at a dotted path below o.
func setPath(o Object, path string, v any) {
	head, rest, deeper := strings.Cut(path, ".")
	if !deeper {
		o[head] = v
		return
	}
	setPath(child(o, head), rest, v)
}
