package policy

import (
	"encoding/binary"
	"slices"

	"authz/internal/check"
)

// scalar is a text that is in the input only where it is not empty; of a token, only
// where its status says so, and every key holds the status.
func scalar(get func(*subject) string) *leaf {
	return &leaf{
		put: func(k *key, _ []hop, _ bool) { k.text(get(&k.subject)) },
		text: func(s *subject, path []hop) (string, bool) {
			v := get(s)
			return v, v != "" && len(path) == 0
		},
	}
}

// ofValid is a text of a token that was verified, there even where it is empty.
func ofValid(get func(*check.Token) string) *leaf {
	return &leaf{
		put: func(k *key, _ []hop, _ bool) { k.text(get(k.subject.token)) },
		text: func(s *subject, path []hop) (string, bool) {
			return get(s.token), tokenKnown(s.token) && len(path) == 0
		},
	}
}

func number64(get func(*subject) int64) *leaf {
	return &leaf{put: func(k *key, _ []hop, _ bool) { k.buf = binary.AppendVarint(k.buf, get(&k.subject)) }}
}

func listLeaf(get func(*subject) []string) *leaf {
	return &leaf{put: func(k *key, _ []hop, _ bool) { k.texts(get(&k.subject)) }}
}

// textsLeaf is a map that is in the input only where it has a name.
func textsLeaf(get func(*subject) map[string]string) *leaf {
	return &leaf{put: func(k *key, path []hop, _ bool) {
		m := get(&k.subject)
		if len(m) == 0 {
			k.undefined(0)
			return
		}
		if len(path) == 0 {
			k.mark(markObject)
			sorted(k, m, func(name, value string) { k.text(name); k.text(value) })
			return
		}
		value, ok := m[path[0].name]
		if !ok || path[0].index >= 0 {
			k.undefined(1)
			return
		}
		k.mark(markText)
		k.text(value)
	}}
}

// document is a JSON-like value with a path into it.
func document(get func(*subject) (any, bool)) *leaf {
	return &leaf{
		put: func(k *key, path []hop, shallow bool) {
			v, ok := get(&k.subject)
			if !ok {
				k.undefined(0)
				return
			}
			for i, s := range path {
				at := v
				if v, ok = inside(at, s); !ok {
					// The mark first: {} is the beginning of what would follow it otherwise.
					k.undefined(i + 1)
					k.value(at, true) // a value of a kind that inside cannot look into makes no key
					return
				}
			}
			k.value(v, shallow)
		},
		text: func(s *subject, path []hop) (string, bool) {
			v, ok := get(s)
			for _, name := range path {
				if ok {
					v, ok = inside(v, name)
				}
			}
			if !ok {
				return "", false
			}
			return documentText(v)
		},
	}
}

func inside(v any, s hop) (any, bool) {
	switch v := v.(type) {
	case map[string]any:
		if s.index >= 0 {
			return nil, false
		}
		item, ok := v[s.name]
		return item, ok
	case []any:
		if s.index < 0 || s.index >= len(v) {
			return nil, false
		}
		return v[s.index], true
	}
	return nil, false
}

func bodyValue(s *subject) (any, bool) {
	b := &s.r.Body
	if !b.Parsed || b.Truncated {
		return nil, !b.Skipped
	}
	return b.Value, !b.Skipped
}

func putTruncated(k *key, _ []hop, _ bool) {
	if k.subject.r.Body.Skipped {
		k.undefined(0)
		return
	}
	k.boolean(k.subject.r.Body.Truncated)
}

func putTLS(k *key, _ []hop, _ bool) {
	tls := k.subject.r.TLS
	if tls == nil {
		k.undefined(0)
		return
	}
	k.mark(markObject)
	k.text(tls.SNI)
}

func putPath(k *key, path []hop, _ bool) {
	segments := k.subject.r.Path
	if len(path) == 0 {
		k.texts(segments)
		return
	}
	if path[0].index < 0 || path[0].index >= len(segments) {
		k.undefined(1)
		return
	}
	k.mark(markText)
	k.text(segments[path[0].index])
}

func putQuery(k *key, path []hop, shallow bool) {
	query := k.subject.r.Query
	if len(path) == 0 {
		if !shallow {
			sorted(k, query, func(name string, values []string) { k.text(name); k.texts(values) })
		}
		return
	}
	values, ok := query[path[0].name]
	if !ok || path[0].index >= 0 {
		k.undefined(1)
		return
	}
	k.mark(markList)
	k.texts(values)
}

func putHeaders(k *key, path []hop, shallow bool) {
	headers := k.subject.r.HTTP.Headers
	if len(headers) == 0 {
		k.undefined(0)
		return
	}
	if len(path) > 0 {
		value, ok := headers.Lookup(path[0].name)
		if !ok || path[0].index >= 0 {
			k.undefined(1)
			return
		}
		k.mark(markText)
		k.text(value)
		return
	}
	k.mark(markObject)
	if shallow {
		return
	}
	k.number(len(headers))
	for i := range headers {
		k.text(headers[i].Name)
		k.text(headers[i].Value)
	}
}

func headerText(s *subject, path []hop) (string, bool) {
	if len(path) != 1 {
		return "", false
	}
	return s.r.HTTP.Headers.Lookup(path[0].name)
}

func putHeaderMap(k *key, _ []hop, _ bool) {
	list := k.subject.r.HTTP.HeaderMap
	k.number(len(list))
	for i := range list {
		k.text(list[i].Key)
		k.text(list[i].Value)
		k.bytes(list[i].RawValue)
	}
}

// putParams: the names belong to the route, which every key begins with.
func putParams(k *key, path []hop, shallow bool) {
	s := &k.subject
	if s.row == nil {
		k.undefined(0)
		return
	}
	if len(path) == 0 {
		if !shallow {
			k.texts(s.params)
		}
		return
	}
	i := slices.Index(s.row.names, path[0].name)
	if i < 0 {
		k.undefined(1)
		return
	}
	k.text(s.params[i])
}

func paramText(s *subject, path []hop) (string, bool) {
	if s.row == nil || len(path) != 1 {
		return "", false
	}
	i := slices.Index(s.row.names, path[0].name)
	if i < 0 {
		return "", false
	}
	return s.params[i], true
}

// tokenKnown says whether what a token holds is in the input.
func tokenKnown(t *check.Token) bool { return t.Status == check.TokenValid }
