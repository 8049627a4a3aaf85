package main

import (
	"encoding"
	"fmt"
	"reflect"
	"strconv"
	"strings"
)

// field is one place in the configuration, found by reflection over Config. Every
// reader of the configuration (YAML, flags, environment, schema, reference) walks
// these, so that none of them can know a key that the others don't.
type field struct {
	key   string // "listen.socket"
	name  string // "socket"
	doc   string
	def   string // default, as text
	value reflect.Value
}

// fields lists the direct fields of a struct.
func fields(v reflect.Value, prefix string) []field {
	out := make([]field, 0, v.NumField())
	for i := range v.NumField() {
		tag := v.Type().Field(i).Tag
		out = append(out, field{
			key:   prefix + tag.Get("key"),
			name:  tag.Get("key"),
			doc:   tag.Get("doc"),
			def:   tag.Get("default"),
			value: v.Field(i),
		})
	}
	return out
}

// leaves lists every field that holds a value of its own (scalars and lists of
// scalars) below v, in order. Lists of structs (issuers) are not entered.
func leaves(v reflect.Value, prefix string) []field {
	var out []field
	for _, f := range fields(v, prefix) {
		switch {
		case isLeaf(f.value.Type()):
			out = append(out, f)
		case f.value.Kind() == reflect.Struct:
			out = append(out, leaves(f.value, f.key+".")...)
		}
	}
	return out
}

var textType = reflect.TypeFor[encoding.TextUnmarshaler]()

func isText(t reflect.Type) bool { return reflect.PointerTo(t).Implements(textType) }

func isLeaf(t reflect.Type) bool {
	if isText(t) {
		return true
	}
	switch t.Kind() {
	case reflect.String, reflect.Bool, reflect.Int:
		return true
	case reflect.Slice:
		return t.Elem().Kind() == reflect.String
	}
	return false
}

// set stores a value written as text: a flag, an environment variable, a default or
// a YAML scalar. A list is separated by commas.
func set(v reflect.Value, text string) error {
	if isText(v.Type()) {
		return v.Addr().Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(text))
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Bool:
		b, err := strconv.ParseBool(text)
		if err != nil {
			return fmt.Errorf("%q is not true or false", text)
		}
		v.SetBool(b)
	case reflect.Int:
		n, err := strconv.Atoi(text)
		if err != nil {
			return fmt.Errorf("%q is not a whole number", text)
		}
		v.SetInt(int64(n))
	case reflect.Slice:
		list := []string{}
		for part := range strings.SplitSeq(text, ",") {
			if part = strings.TrimSpace(part); part != "" {
				list = append(list, part)
			}
		}
		v.Set(reflect.ValueOf(list))
	default:
		return fmt.Errorf("cannot be written as text")
	}
	return nil
}

// setDefaults fills in every default below v. A default that can't be read is a
// mistake in this file's struct tags, which a test finds.
func setDefaults(v reflect.Value) {
	for _, f := range leaves(v, "") {
		if f.def == "" {
			continue
		}
		if err := set(f.value, f.def); err != nil {
			panic(fmt.Sprintf("default of %s: %v", f.key, err))
		}
	}
}

// environmentName of a key: listen.socket is AUTHZ_LISTEN_SOCKET.
func environmentName(key string) string {
	return "AUTHZ_" + strings.ToUpper(strings.ReplaceAll(key, ".", "_"))
}
