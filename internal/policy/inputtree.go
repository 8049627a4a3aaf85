package policy

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"authz/internal/check"
)

// The input as a tree of what can be read of it, without building it: the inner
// nodes are the objects that newInput makes, the leaves say how a value gets into a
// key. input.go and attributes.go are the other half; TestCacheDiffers holds the two together.

// hop is one element of a path: a name, or an index into a list.
type hop struct {
	name  string
	index int // -1 for a name
}

// inputNode is an object of the input, or a leaf.
type inputNode struct {
	children map[string]*inputNode
	leaf     *leaf
	// always: the object is there for every request that has a method.
	always bool
}

// leaf is a value, or a document whose inside is known only with a request.
type leaf struct {
	// put writes the value at a path below the leaf, or more than that. Shallow asks
	// for less: whether it is there, and its type.
	put func(k *key, path []hop, shallow bool)
	// text reads the value as a quota's key holds it; nil where none is read.
	text func(s *subject, path []hop) (string, bool)
	// varies: hardly two requests have the same value.
	varies func(r *row, path []hop) bool
}

// read is one thing that a policy reads of the input.
type read struct {
	name    string
	leaf    *leaf
	path    []hop
	shallow bool
}

func (r *read) put(k *key) { r.leaf.put(k, r.path, r.shallow) }

func (r *read) varies(row *row) bool {
	return !r.shallow && r.leaf.varies != nil && r.leaf.varies(row, r.path)
}

func object(always bool, children map[string]*inputNode) *inputNode {
	return &inputNode{children: children, always: always}
}

func (l *leaf) often(varies func(*row, []hop) bool) *inputNode {
	l.varies = varies
	return &inputNode{leaf: l}
}

func (l *leaf) node() *inputNode { return &inputNode{leaf: l} }

func anyRequest(*row, []hop) bool     { return true }
func withParams(r *row, _ []hop) bool { return r == nil || len(r.names) > 0 }
func perRequestHeader(_ *row, p []hop) bool {
	return len(p) == 0 || slices.Contains([]string{"x-request-id", "traceparent", "x-b3-traceid", "x-b3-spanid"}, p[0].name)
}

var inputTree = object(true, map[string]*inputNode{
	"attributes": object(true, map[string]*inputNode{
		"source":      peerNode(func(r *check.Request) *check.Peer { return &r.Source }),
		"destination": peerNode(func(r *check.Request) *check.Peer { return &r.Destination }),
		"request": object(true, map[string]*inputNode{
			"time": (&leaf{put: putTime}).often(anyRequest),
			"http": httpNode(),
		}),
		"contextExtensions":    textsLeaf(func(s *subject) map[string]string { return s.r.ContextExtensions }).node(),
		"metadataContext":      metadataNode(func(s *subject) map[string]any { return s.r.FilterMetadata }),
		"routeMetadataContext": metadataNode(func(s *subject) map[string]any { return s.r.RouteMetadata }),
		"tlsSession":           (&leaf{put: putTLS}).node(),
	}),
	"version":          object(true, nil), // a constant
	"parsed_path":      (&leaf{put: putPath}).often(withParams),
	"parsed_query":     (&leaf{put: putQuery}).node(),
	"parsed_body":      document(bodyValue).often(anyRequest),
	"truncated_body":   (&leaf{put: putTruncated}).node(),
	"source_principal": scalar(func(s *subject) string { return s.r.Source.Principal }).node(),
	"token": object(true, map[string]*inputNode{
		"status":  scalar(func(s *subject) string { return string(s.token.Status) }).node(),
		"via":     scalar(func(s *subject) string { return s.token.Via }).node(),
		"error":   scalar(func(s *subject) string { return s.token.Error }).node(),
		"issuer":  ofValid(func(t *check.Token) string { return t.Issuer }).node(),
		"subject": ofValid(func(t *check.Token) string { return t.Subject }).node(),
		"scopes":  listLeaf(func(s *subject) []string { return s.token.Scopes }).node(),
		"roles":   listLeaf(func(s *subject) []string { return s.token.Roles }).node(),
		"claims":  document(func(s *subject) (any, bool) { return s.token.Claims, tokenKnown(s.token) }).node(),
		"header":  document(func(s *subject) (any, bool) { return s.token.Header, tokenKnown(s.token) }).node(),
	}),
	"route": object(true, map[string]*inputNode{
		"id":     object(true, nil), // every key begins with it
		"params": (&leaf{put: putParams, text: paramText}).often(withParams),
	}),
	"client": object(true, map[string]*inputNode{
		"ip":       scalar(func(s *subject) string { return s.r.Client.IP }).node(),
		"ip_block": scalar(func(s *subject) string { return s.r.Client.IPBlock }).node(),
		"scheme":   scalar(func(s *subject) string { return s.r.Client.Scheme }).node(),
	}),
})

func peerNode(get func(*check.Request) *check.Peer) *inputNode {
	return object(false, map[string]*inputNode{
		"address": object(false, map[string]*inputNode{"socketAddress": object(false, map[string]*inputNode{
			"address":   scalar(func(s *subject) string { return get(s.r).Address }).node(),
			"portValue": number64(func(s *subject) int64 { return int64(get(s.r).Port) }).often(anyRequest),
		})}),
		"service":     scalar(func(s *subject) string { return get(s.r).Service }).node(),
		"labels":      textsLeaf(func(s *subject) map[string]string { return get(s.r).Labels }).node(),
		"principal":   scalar(func(s *subject) string { return get(s.r).Principal }).node(),
		"certificate": scalar(func(s *subject) string { return get(s.r).Certificate }).node(),
	})
}

func httpNode() *inputNode {
	return object(true, map[string]*inputNode{
		"id":        scalar(func(s *subject) string { return s.r.HTTP.ID }).often(anyRequest),
		"method":    scalar(func(s *subject) string { return s.r.HTTP.Method }).node(),
		"headers":   (&leaf{put: putHeaders, text: headerText}).often(perRequestHeader),
		"path":      scalar(func(s *subject) string { return s.r.HTTP.Path }).often(withParams),
		"host":      scalar(func(s *subject) string { return s.r.HTTP.Host }).node(),
		"scheme":    scalar(func(s *subject) string { return s.r.HTTP.Scheme }).node(),
		"query":     scalar(func(s *subject) string { return s.r.HTTP.Query }).node(),
		"fragment":  scalar(func(s *subject) string { return s.r.HTTP.Fragment }).node(),
		"size":      number64(func(s *subject) int64 { return s.r.HTTP.Size }).node(),
		"protocol":  scalar(func(s *subject) string { return s.r.HTTP.Protocol }).node(),
		"body":      scalar(func(s *subject) string { return s.r.HTTP.Body }).often(anyRequest),
		"rawBody":   (&leaf{put: func(k *key, _ []hop, _ bool) { k.bytes(k.subject.r.HTTP.RawBody) }}).often(anyRequest),
		"headerMap": (&leaf{put: putHeaderMap}).often(anyRequest),
	})
}

func metadataNode(get func(*subject) map[string]any) *inputNode {
	return object(false, map[string]*inputNode{"filterMetadata": document(func(s *subject) (any, bool) {
		m := get(s)
		return m, len(m) > 0
	}).node()})
}

// inputReads lists what has to be known for the value at a path: a leaf, a part of one,
// or every leaf of an object. What the input never has is nothing to know.
func inputReads(path []hop) []read {
	at := inputTree
	for i, s := range path {
		if at.leaf != nil {
			return []read{{name: dotted(path), leaf: at.leaf, path: path[i:]}}
		}
		if at = at.children[s.name]; at == nil {
			return nil
		}
	}
	return at.leaves(dotted(path))
}

func (n *inputNode) leaves(name string) []read {
	if n.leaf != nil {
		return []read{{name: name, leaf: n.leaf}}
	}
	var all []read
	for _, child := range slices.Sorted(maps.Keys(n.children)) {
		all = append(all, n.children[child].leaves(strings.TrimPrefix(name+"."+child, "."))...)
	}
	return all
}

// typeReads is inputReads for who asks only whether a value is there and of which
// type. Not ok: only the whole value tells.
func typeReads(path []hop) (reads []read, ok bool) {
	at := inputTree
	for i, s := range path {
		if at.leaf != nil {
			return []read{{name: dotted(path), leaf: at.leaf, path: path[i:], shallow: true}}, true
		}
		if at = at.children[s.name]; at == nil {
			return nil, true
		}
	}
	if at.leaf != nil {
		return []read{{name: dotted(path), leaf: at.leaf, shallow: true}}, true
	}
	return nil, at.always
}

// dotted writes a path as a policy does, token.claims["app.role"][0]. No two paths
// have the same name: a claim may have any name, one with dots among them.
func dotted(path []hop) string {
	var b strings.Builder
	for i, s := range path {
		switch {
		case s.index >= 0:
			fmt.Fprintf(&b, "[%d]", s.index)
		case s.name == "" || strings.ContainsFunc(s.name, needsQuotes):
			fmt.Fprintf(&b, "[%q]", s.name)
		case i > 0:
			b.WriteString("." + s.name)
		default:
			b.WriteString(s.name)
		}
	}
	return b.String()
}

func needsQuotes(r rune) bool {
	return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '-')
}

func putTime(k *key, _ []hop, _ bool) {
	k.buf = binary.AppendVarint(k.buf, k.subject.r.Time.Unix())
	k.number(k.subject.r.Time.Nanosecond())
}

// documentText reads a claim as resolve does.
func documentText(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case bool:
		return strconv.FormatBool(v), true
	case json.Number:
		text, err := numberKey(string(v))
		return text, err == nil
	}
	return "", false
}
