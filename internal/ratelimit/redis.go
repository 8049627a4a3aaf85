package ratelimit

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	_ "embed"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

//go:embed take.lua
var takeScript string

// RedisMode says how the servers of a Redis stand together.
type RedisMode string

const (
	Single   RedisMode = "single"
	Sentinel RedisMode = "sentinel"
	Cluster  RedisMode = "cluster"
)

// RedisConfig says where the shared store is. Redis 6.2 and later, and Valkey.
type RedisConfig struct {
	Mode      RedisMode
	Addresses []string // host:port; of the sentinels in Sentinel mode, of some nodes in Cluster mode
	Master    string   // Sentinel: the name of the master

	Username, Password                 string
	SentinelUsername, SentinelPassword string
	DB                                 int // not in Cluster mode
	TLS                                *tls.Config

	Prefix   string // of every key; default "authz:"
	PoolSize int    // connections to a server; default 10 a processor
}

// Redis is the store that replicas share. It is exact: every call is a round trip.
//
// A key is PREFIX{H}NAME, where H is a hash of the key's elements: a Redis holds no
// user's name and no address, and what the elements have in common is one slot of a
// Cluster. Its value is the TAT in seconds since 1970 and the limit in words, for
// people. It expires two seconds after its debt.
//
// In Sentinel and single mode the asks of a call are one script: all are taken or
// none, and nobody sees it half done. In a Cluster keys of different elements are on
// different servers; they are taken one group after the other, and given back if a
// later one refuses. Others may meanwhile see a debt that goes away again, which can
// refuse them early and never late.
type Redis struct {
	client redis.UniversalClient
	script *redis.Script
	prefix string
	// clock is set by tests: the caller's times instead of the server's.
	clock bool
}

// NewRedis makes a client. It connects with the first call.
func NewRedis(c RedisConfig) (*Redis, error) {
	if len(c.Addresses) == 0 {
		return nil, errors.New("no addresses")
	}
	r := &Redis{script: redis.NewScript(takeScript), prefix: c.Prefix}
	if r.prefix == "" {
		r.prefix = "authz:"
	}
	if strings.ContainsAny(r.prefix, "{}") {
		return nil, errors.New("a prefix must not hold { or }: they choose the slot in a Cluster")
	}
	o := redis.UniversalOptions{
		Addrs: c.Addresses, MasterName: c.Master, DB: c.DB,
		Username: c.Username, Password: c.Password, SentinelUsername: c.SentinelUsername, SentinelPassword: c.SentinelPassword,
		TLSConfig: c.TLS, PoolSize: c.PoolSize, MinIdleConns: 2,
		// A call is never sent twice: what was given back twice would be granted twice.
		MaxRetries:            -1,
		ContextTimeoutEnabled: true,
		// Longer than any budget: a connection that takes its time is there for the next
		// call. The calls themselves don't wait for it.
		DialTimeout: time.Second, PoolTimeout: time.Second,
		// Nothing that an older server or a proxy would not know.
		DisableIdentity: true, Protocol: 2,
	}
	switch c.Mode {
	case Single, "":
		r.client = redis.NewClient(o.Simple())
	case Sentinel:
		if c.Master == "" {
			return nil, errors.New("sentinel mode needs the master's name")
		}
		r.client = redis.NewFailoverClient(o.Failover())
	case Cluster:
		r.client = redis.NewClusterClient(o.Cluster())
	default:
		return nil, fmt.Errorf("mode %q: want single, sentinel or cluster", c.Mode)
	}
	return r, nil
}

// Close ends the connections.
func (r *Redis) Close() error { return r.client.Close() }

// tag is what decides a key's slot: a hash of its elements.
func tag(key []string) string {
	var space [256]byte
	text := space[:0]
	for _, part := range key {
		text = appendPart(text, part)
	}
	sum := sha256.Sum256(text)
	return base64.RawURLEncoding.EncodeToString(sum[:18])
}

// name is a limit's key in Redis.
func (r *Redis) name(l *Limit) string { return r.prefix + "{" + tag(l.Key) + "}" + l.Name }

// order is what the script shall do, in its terms.
type order struct {
	keys []orderKey
	asks []orderAsk
}

type orderKey struct {
	name string
	back debt
	keep time.Duration // the longest debt that it may have
}

// debt is what units owe that were charged at a time of the server's and not used, in
// nanoseconds.
type debt struct{ owed, since int64 }

// and adds up debts; of the times the earlier one counts, which gives back less.
func (d debt) and(e debt) debt {
	switch {
	case d.owed == 0:
		return e
	case e.owed == 0:
		return d
	}
	return debt{d.owed + e.owed, min(d.since, e.since)}
}

type orderAsk struct {
	key       int // index
	owes      int64
	tolerance int64 // -1: refuse
	interval  int64
	peek      bool
	want      int64 // units ahead
	about     string
}

// receipt is what became of an order. Times are nanoseconds since 1970 on the
// server's clock.
type receipt struct {
	passed bool
	now    int64
	had    []int64 // each key's TAT before the asks
	ahead  []int64 // the units that each ask got ahead
}

// errPoisoned is a key whose value is none of ours. The script has seen to it that it
// goes within the window of its limit.
var errPoisoned = errors.New("a key holds what no limit wrote there")

// run gives the script an order, all of whose keys are in one slot.
func (r *Redis) run(ctx context.Context, at time.Time, o *order) (receipt, error) {
	names, args := make([]string, len(o.keys)), make([]any, 0, 3+5*len(o.keys)+10*len(o.asks))
	if r.clock {
		args = appendPair(args, at.UnixNano())
	} else {
		args = append(args, "", "")
	}
	for i := range o.keys {
		names[i] = o.keys[i].name
		args = appendPair(appendPair(args, o.keys[i].back.owed), o.keys[i].back.since)
		args = append(args, max(o.keys[i].keep.Milliseconds(), 1000))
	}
	args = append(args, len(o.asks))
	for i := range o.asks {
		a := &o.asks[i]
		args = appendPair(append(args, a.key+1), a.owes)
		if a.tolerance < 0 {
			args = append(args, -1, 0)
		} else {
			args = appendPair(args, a.tolerance)
		}
		args = append(appendPair(append(args, a.peek, a.want), a.interval), a.about)
	}
	server, err := r.server(ctx, names)
	if err != nil {
		return receipt{}, err
	}
	list, err := r.script.Run(ctx, server, names, args...).Int64Slice()
	if c, ok := r.client.(*redis.ClusterClient); ok && err != nil {
		c.ReloadState(ctx) // a slot may have a new master
		if elsewhere(err) {
			// The client for the whole Cluster finds the slot wherever it is going. It
			// may send an order twice: what it charges twice is stricter, so nothing may
			// be given back by it.
			for i := range o.keys {
				copy(args[2+5*i:], []any{0, 0, 0, 0})
			}
			list, err = r.script.Run(ctx, c, names, args...).Int64Slice()
		}
	}
	if err != nil {
		return receipt{}, err
	}
	return readReceipt(list, o)
}

// elsewhere says that a slot has moved or is moving to another server.
func elsewhere(err error) bool {
	_, moved := redis.IsMovedError(err)
	_, moving := redis.IsAskError(err)
	return moved || moving
}

// server is who is asked: in a Cluster the master of the slot, directly. The client
// for the whole Cluster would send a call again whose answer got lost.
func (r *Redis) server(ctx context.Context, names []string) (redis.Scripter, error) {
	c, ok := r.client.(*redis.ClusterClient)
	if !ok {
		return r.client, nil
	}
	node, err := c.MasterForKey(ctx, names[0])
	if err != nil {
		return nil, fmt.Errorf("finding the server of a slot: %w", err)
	}
	return node, nil
}

// apart says that keys of different elements can't be asked in one order.
func (r *Redis) apart() bool {
	_, cluster := r.client.(*redis.ClusterClient)
	return cluster
}

func readReceipt(list []int64, o *order) (receipt, error) {
	if len(list) == 4 && list[0] == -1 {
		if k := list[3]; k >= 1 && k <= int64(len(o.keys)) {
			return receipt{}, fmt.Errorf("%w: %s", errPoisoned, o.keys[k-1].name)
		}
		return receipt{}, errPoisoned
	}
	if len(list) != 3+2*len(o.keys)+len(o.asks) {
		return receipt{}, fmt.Errorf("the script answers with %d numbers for %d keys and %d asks", len(list), len(o.keys), len(o.asks))
	}
	t := receipt{passed: list[0] == 1, now: pair(list[1:])}
	list = list[3:]
	for range o.keys {
		t.had = append(t.had, pair(list))
		list = list[2:]
	}
	t.ahead = list
	return t, nil
}

const second = int64(time.Second)

func appendPair(args []any, nanoseconds int64) []any {
	return append(args, nanoseconds/second, nanoseconds%second)
}

func pair(list []int64) int64 { return list[0]*second + list[1] }

// about is a limit in words: 100 in 15m0s, at most 100 at once.
func about(l *Limit) string {
	return strconv.FormatInt(l.Limit, 10) + " " + l.Window.String() + " " + strconv.FormatInt(l.Burst, 10)
}
