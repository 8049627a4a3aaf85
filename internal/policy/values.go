package policy

import (
	"errors"
	"fmt"
	"math"

	"github.com/open-policy-agent/opa/v1/ast"
)

// Readers of OPA values. A set is as good as a list everywhere: a rule written
// with `contains` makes one, and its order is OPA's own, which is stable.

func boolean(v ast.Value) (bool, error) {
	b, ok := v.(ast.Boolean)
	if !ok {
		return false, wrongType(v, "a boolean")
	}
	return bool(b), nil
}

func text(v ast.Value) (string, error) {
	s, ok := v.(ast.String)
	if !ok {
		return "", wrongType(v, "a string")
	}
	return string(s), nil
}

func integer(v ast.Value, low, high int64) (int64, error) {
	n, err := number(v)
	if err != nil {
		return 0, err
	}
	if n != math.Trunc(n) || n < float64(low) || n > float64(high) {
		return 0, fmt.Errorf("%v is not an integer from %d to %d", v, low, high)
	}
	return int64(n), nil
}

func number(v ast.Value) (float64, error) {
	n, ok := v.(ast.Number)
	if !ok {
		return 0, wrongType(v, "a number")
	}
	f, ok := n.Float64()
	if !ok || math.IsInf(f, 0) || math.IsNaN(f) {
		return 0, fmt.Errorf("%v is out of range", v)
	}
	return f, nil
}

// elements lists the members of an array or a set.
func elements(v ast.Value) ([]*ast.Term, bool) {
	switch v := v.(type) {
	case *ast.Array:
		out := make([]*ast.Term, 0, v.Len())
		v.Foreach(func(t *ast.Term) { out = append(out, t) })
		return out, true
	case ast.Set:
		return elements(v.Sorted())
	}
	return nil, false
}

func textsOf(v ast.Value) ([]string, error) {
	list, ok := elements(v)
	if !ok {
		return nil, wrongType(v, "a list of strings")
	}
	out := make([]string, len(list))
	for i, item := range list {
		s, err := text(item.Value)
		if err != nil {
			return nil, fmt.Errorf("[%d]: %w", i, err)
		}
		out[i] = s
	}
	return out, nil
}

// eachField visits an object in the order of its keys.
func eachField(o ast.Object, f func(name string, value ast.Value) error) error {
	return o.Iter(func(k, v *ast.Term) error {
		name, ok := k.Value.(ast.String)
		if !ok {
			return fmt.Errorf("key %v: %w", k, wrongType(k.Value, "a string"))
		}
		return f(string(name), v.Value)
	})
}

// eachValue visits an object of name to string or list of strings.
func eachValue(v ast.Value, f func(name, value string) error) error {
	object, ok := v.(ast.Object)
	if !ok {
		return wrongType(v, "an object")
	}
	return eachField(object, func(name string, value ast.Value) error {
		if s, ok := value.(ast.String); ok {
			return f(name, string(s))
		}
		list, err := textsOf(value)
		if err != nil {
			return fmt.Errorf("%q: %w", name, wrongType(value, "a string or a list of strings"))
		}
		for _, s := range list {
			if err := f(name, s); err != nil {
				return err
			}
		}
		return nil
	})
}

// plainValue converts to nil, bool, float64, string, []any and map[string]any,
// which is what protobuf's Struct can hold.
func plainValue(v ast.Value) (any, error) {
	switch v := v.(type) {
	case ast.Null:
		return nil, nil
	case ast.Boolean:
		return bool(v), nil
	case ast.String:
		return string(v), nil
	case ast.Number:
		return number(v)
	case ast.Object:
		out := make(map[string]any, v.Len())
		err := eachField(v, func(name string, value ast.Value) (err error) {
			out[name], err = plainValue(value)
			return err
		})
		return out, err
	}
	list, ok := elements(v)
	if !ok {
		return nil, errors.New("a value that JSON cannot hold")
	}
	out := make([]any, len(list))
	for i, item := range list {
		var err error
		if out[i], err = plainValue(item.Value); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// wrongType never shows the value itself: it may be a secret.
func wrongType(v ast.Value, want string) error {
	return fmt.Errorf("is %s, not %s", ast.ValueName(v), want)
}

// typeName names the JSON type of a decoded document.
func typeName(x any) string {
	switch x.(type) {
	case nil:
		return "null"
	case bool:
		return "a boolean"
	case string:
		return "a string"
	case []any:
		return "a list"
	case map[string]any:
		return "an object"
	}
	return "a number"
}
