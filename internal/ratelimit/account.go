package ratelimit

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// Account is what the shared store holds of one key, for people who look after it.
type Account struct {
	// Limit has the numbers of the last request that was charged, and a cost of one.
	Limit Limit
	// At is the server's time, Full when the whole allowance is back.
	At, Full time.Time
	// Used are the units that are owed, those that replicas hold ahead included.
	// Remaining are those that would pass now.
	Used, Remaining int64
}

// ErrForeign is a key in the store whose value no limit wrote.
var ErrForeign = errPoisoned

// lookScript reads a key and the clock of the server that has it, which is the one that
// its debt is counted by.
var lookScript = redis.NewScript(`local t = redis.call('TIME')
return {redis.call('GET', KEYS[1]), t[1], t[2]}`)

// Look tells what is held of a limit's key and changes nothing. Not found: nothing is
// owed, or nothing was ever counted there; the store does not tell the two apart.
func (r *Redis) Look(ctx context.Context, name string, key []string) (account Account, found bool, err error) {
	l := Limit{Name: name, Key: key, Cost: 1}
	keys := []string{r.name(&l)}
	server, err := r.server(ctx, keys)
	if err != nil {
		return Account{}, false, err
	}
	reply, err := lookScript.Run(ctx, server, keys).Slice()
	switch {
	case redis.HasErrorPrefix(err, "WRONGTYPE"):
		return Account{}, false, ErrForeign
	case err != nil:
		return Account{}, false, fmt.Errorf("reading %s: %w", keys[0], err)
	case len(reply) != 3:
		return Account{}, false, fmt.Errorf("reading %s: the store answers with %d values", keys[0], len(reply))
	case reply[0] == nil:
		return Account{}, false, nil
	}
	now, err := serverTime(reply[1], reply[2])
	if err != nil {
		return Account{}, false, fmt.Errorf("reading the store's clock: %w", err)
	}
	text, _ := reply[0].(string)
	tat, err := readAccount(text, &l)
	if err != nil {
		return Account{}, false, err
	}
	rate, err := l.rate()
	if err != nil {
		return Account{}, false, ErrForeign
	}
	state := rate.state(tat, now, 1, true)
	if state.Reset == 0 { // paid off, and about to expire
		return Account{}, false, nil
	}
	return Account{
		Limit: l, At: time.Unix(0, now), Full: time.Unix(0, tat),
		Used: (int64(state.Reset)-1)/rate.interval + 1, Remaining: state.Remaining,
	}, true, nil
}

// Forget removes a limit's key, so that its whole allowance is back. Units that
// replicas hold ahead, and what they remember of a refusal, last until their leases
// end.
func (r *Redis) Forget(ctx context.Context, name string, key []string) (found bool, err error) {
	at := r.name(&Limit{Name: name, Key: key})
	n, err := r.client.Del(ctx, at).Result()
	if err != nil {
		return false, fmt.Errorf("removing %s: %w", at, err)
	}
	return n > 0, nil
}

// readAccount reads a value as take.lua writes it: the TAT, and the limit in words
// (about).
func readAccount(text string, l *Limit) (tat int64, err error) {
	words := strings.Split(text, " ")
	if len(words) != 4 {
		return 0, ErrForeign
	}
	seconds, nanoseconds, _ := strings.Cut(words[0], ".")
	var errs [5]error
	var s, n int64
	s, errs[0] = strconv.ParseInt(seconds, 10, 64)
	n, errs[1] = strconv.ParseInt(nanoseconds, 10, 64)
	l.Limit, errs[2] = strconv.ParseInt(words[1], 10, 64)
	l.Window, errs[3] = time.ParseDuration(words[2])
	l.Burst, errs[4] = strconv.ParseInt(words[3], 10, 64)
	const latest = (maxTime + maxOwed) / second
	if errors.Join(errs[:]...) != nil || s < 0 || s > latest || n < 0 || n >= second {
		return 0, ErrForeign
	}
	return s*second + n, nil
}

// serverTime is what TIME says, in nanoseconds since 1970.
func serverTime(seconds, microseconds any) (int64, error) {
	s, err := strconv.ParseInt(fmt.Sprint(seconds), 10, 64)
	if err != nil {
		return 0, err
	}
	us, err := strconv.ParseInt(fmt.Sprint(microseconds), 10, 64)
	return s*second + us*1000, err
}
