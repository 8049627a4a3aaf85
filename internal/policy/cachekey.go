package policy

import (
	"encoding/binary"
	"encoding/json"
	"hash/maphash"
	"math"
	"slices"
	"sync"

	"authz/internal/check"
)

// key is the bytes under which a decision is remembered: what the policy read of
// the input, one value after the other. Every value says its length or its type
// first, so that no two lists of values have the same bytes, and a value that is
// not there is unlike every value that is.
type key struct {
	buf     []byte
	names   []string // scratch for sorted names
	params  []string // scratch for the values of the route's parameters
	subject subject
	// opaque: a value of a kind the key cannot hold was met; the key is no key.
	opaque bool
}

// subject is what a request and its caller are to a key.
type subject struct {
	r     *check.Request
	token *check.Token
	row   *row // nil where no row matches
	// params are the values of the row's parameters, in the order of their names.
	params []string
}

var (
	keys    = sync.Pool{New: func() any { return &key{buf: make([]byte, 0, 1024)} }}
	keySeed = maphash.MakeSeed()
)

// refusedToken is what newInput makes of a missing verdict.
var refusedToken = &check.Token{Status: check.TokenInvalid, Error: "malformed"}

// take is a key from the pool, for one request.
func takeKey(r *check.Request, token *check.Token, routes *RouteTable) *key {
	if token == nil || token.Status == "" {
		token = refusedToken
	}
	k := keys.Get().(*key)
	k.subject = subject{r: r, token: token}
	if routes != nil {
		k.subject.row, k.params = routes.root.find(r.HTTP.Method, r.Path, k.params[:0])
		k.subject.params = k.params
	}
	return k
}

// release gives the key back; what it knew of the request goes.
func (k *key) release() {
	clear(k.names[:cap(k.names)])
	clear(k.params[:cap(k.params)])
	k.subject = subject{}
	if cap(k.buf) <= maxKey {
		keys.Put(k)
	}
}

func (s *subject) routeID() string {
	if s.row == nil {
		return ""
	}
	return s.row.id
}

func (k *key) hash() uint64 { return maphash.Bytes(keySeed, k.buf) }

// Marks of the values; a depth says at which step of a path nothing was found.
const (
	markUndefined = iota
	markNull
	markFalse
	markTrue
	markNumber
	markFloat
	markText
	markList
	markObject
)

func (k *key) mark(m byte)    { k.buf = append(k.buf, m) }
func (k *key) number(n int)   { k.buf = binary.AppendVarint(k.buf, int64(n)) }
func (k *key) bytes(b []byte) { k.number(len(b)); k.buf = append(k.buf, b...) }

func (k *key) undefined(depth int) {
	k.mark(markUndefined)
	k.number(depth)
}

func (k *key) text(s string) {
	k.number(len(s))
	k.buf = append(k.buf, s...)
}

func (k *key) texts(list []string) {
	k.number(len(list))
	for _, s := range list {
		k.text(s)
	}
}

func (k *key) boolean(b bool) {
	if b {
		k.mark(markTrue)
	} else {
		k.mark(markFalse)
	}
}

// sorted visits the names of a map in order, without allocating once the scratch
// has grown.
func sorted[V any](k *key, m map[string]V, visit func(name string, value V)) {
	start := len(k.names)
	for name := range m {
		k.names = append(k.names, name)
	}
	end := len(k.names)
	slices.Sort(k.names[start:end])
	k.number(len(m))
	for i := start; i < end; i++ {
		visit(k.names[i], m[k.names[i]])
	}
	k.names = k.names[:start]
}

// value writes a JSON-like value, or only what type it has.
func (k *key) value(v any, shallow bool) {
	switch v := v.(type) {
	case nil:
		k.mark(markNull)
	case bool:
		k.boolean(v)
	case json.Number:
		k.mark(markNumber)
		if !shallow {
			k.text(string(v))
		}
	case float64:
		k.mark(markFloat)
		k.buf = binary.BigEndian.AppendUint64(k.buf, math.Float64bits(v))
	case string:
		k.mark(markText)
		if !shallow {
			k.text(v)
		}
	case []any:
		k.mark(markList)
		if shallow {
			return
		}
		k.number(len(v))
		for _, item := range v {
			k.value(item, false)
		}
	case map[string]any:
		k.mark(markObject)
		if shallow {
			return
		}
		sorted(k, v, func(name string, value any) {
			k.text(name)
			k.value(value, false)
		})
	default:
		k.opaque = true
	}
}
