package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"slices"
	"strings"
	"time"

	"authz/internal/ratelimit"

	"github.com/spf13/cobra"
)

// storePatience is how long a person waits for the store, which a request never would.
const storePatience = 5 * time.Second

func quotaCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "quota",
		Short: "Look at a quota in the shared store, or give its allowance back",
		Long: `Look at what the replicas have counted together in the shared store (quotas.redis), or
give a caller the whole allowance back. Without quotas.redis each sidecar counts in its
own memory, which nobody else sees.

A quota is counted for each key apart. NAME is its name in the decision: with the policy
library the limit's name in authz.config.quotas.limits, or ROUTE.NAME for a route's own.
The elements of the key are those of the decision with references resolved, each a --key.
With the library they are, by what the limit says:

  by: address     --key address --key 203.0.113.7      (IPv6: its /64, 2001:db8:1:2::/64)
  by: user        --key user --key https://id.example.com --key alice
  by: everybody   --key everybody

The store knows a key by a hash of its elements: it can be looked up, not listed.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(quotaShowCommand(), quotaResetCommand())
	return cmd
}

// quotaShown is what is told of a quota. Without Found only name and key are known.
type quotaShown struct {
	Name      string     `json:"name"`
	Key       []string   `json:"key"`
	Found     bool       `json:"found"`
	Limit     int64      `json:"limit,omitempty"`
	Window    string     `json:"window,omitempty"`
	Burst     int64      `json:"burst,omitempty"`
	Used      int64      `json:"used"`
	Remaining *int64     `json:"remaining,omitempty"`
	FullAgain *time.Time `json:"full_again_at,omitempty"`

	full time.Duration // from now
}

func quotaShowCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show --name NAME --key ELEMENT [--key ELEMENT…]",
		Short: "What is used and left of a quota, and when it is full again",
		Long: `Show what the shared store has counted of a quota for one key: the limit as it was when
it was last charged, what is used (units that replicas hold ahead for a moment included),
what would pass now, and when the whole allowance is back. Nothing is charged.

A key whose whole allowance is there is not in the store. A name or key that is mistaken
looks the same; "authz quota --help" says how keys are written.`,
		Example: `  authz quota show --config authz.yaml --name login.attempts --key address --key 203.0.113.7
  authz quota show --config authz.yaml --name user --key user --key https://id.example.com --key alice -o json`,
		Args: cobra.NoArgs,
	}
	subject := quotaFlags(cmd)
	asJSON := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		machine, err := asJSON()
		if err != nil {
			return err
		}
		return subject(cmd.Context(), func(ctx context.Context, s *quotaSubject) error {
			account, found, err := s.store.Look(ctx, s.name, s.key)
			if err != nil {
				return s.explained(err)
			}
			shown := quotaShown{Name: s.name, Key: s.key, Found: found}
			if found {
				l := account.Limit
				shown.Limit, shown.Window, shown.Burst = l.Limit, l.Window.String(), l.Burst
				full := account.Full.UTC()
				shown.Used, shown.Remaining, shown.FullAgain = account.Used, &account.Remaining, &full
				shown.full = account.Full.Sub(account.At)
			}
			if machine {
				return printJSON(cmd.OutOrStdout(), shown)
			}
			shown.print(cmd.OutOrStdout())
			if !found {
				s.hint(ctx, cmd.ErrOrStderr())
			}
			return nil
		})
	}
	return cmd
}

func (q *quotaShown) print(w io.Writer) {
	row := func(name, format string, args ...any) {
		fmt.Fprintf(w, "%-11s %s\n", name, printable(fmt.Sprintf(format, args...)))
	}
	row("quota", "%s", q.Name)
	row("key", "%s", strings.Join(q.Key, ", "))
	if !q.Found {
		row("used", "nothing: the store holds no such key")
		return
	}
	row("limit", "%d in %s, at most %d at once", q.Limit, q.Window, q.Burst)
	row("used", "%d", q.Used)
	row("remaining", "%d", *q.Remaining)
	row("full again", "%s (in %s)", q.FullAgain.Format(time.RFC3339), q.full.Round(time.Second))
}

func quotaResetCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "reset --name NAME --key ELEMENT [--key ELEMENT…]",
		Short: "Give one key of a quota its whole allowance back",
		Long: `Remove one key of a quota from the shared store, so that its whole allowance is back. Other
keys and other quotas stay as they are; a reset of what is not there is no error.

A replica that refused the caller a moment ago, or holds units ahead, goes on with that
until its lease ends (quotas.redis.lease, 200ms unless configured). What a replica has
counted by itself while the store was away stays with it. Nobody is asked for
confirmation. The store's user needs the command DEL for this.`,
		Example: `  authz quota reset --config authz.yaml --name login.attempts --key address --key 203.0.113.7`,
		Args:    cobra.NoArgs,
	}
	subject := quotaFlags(cmd)
	asJSON := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		machine, err := asJSON()
		if err != nil {
			return err
		}
		return subject(cmd.Context(), func(ctx context.Context, s *quotaSubject) error {
			found, err := s.store.Forget(ctx, s.name, s.key)
			switch {
			case err != nil:
				return s.explained(err)
			case machine:
				return printJSON(cmd.OutOrStdout(), map[string]any{"name": s.name, "key": s.key, "found": found})
			case found:
				fmt.Fprintf(cmd.OutOrStdout(), "%s: the whole allowance is back\n", s)
			default:
				fmt.Fprintf(cmd.OutOrStdout(), "%s: nothing was used: the store holds no such key\n", s)
				s.hint(ctx, cmd.ErrOrStderr())
			}
			return nil
		})
	}
	return cmd
}

// quotaSubject is what a quota command is about, and where it is.
type quotaSubject struct {
	config *Config
	store  *ratelimit.Redis
	name   string
	key    []string
}

func (s *quotaSubject) String() string {
	return printable(fmt.Sprintf("quota %s, key %s", s.name, strings.Join(s.key, ", ")))
}

// quotaFlags adds the flags of a quota command, and returns the function that opens
// the store that they speak of, for as long as f takes.
func quotaFlags(cmd *cobra.Command) func(context.Context, func(context.Context, *quotaSubject) error) error {
	given := givenFlags(cmd)
	for _, f := range leaves(reflect.ValueOf(new(Config)).Elem(), "") {
		if !strings.HasPrefix(f.key, "quotas.redis.") {
			_ = cmd.Flags().MarkHidden(f.key)
		}
	}
	name := cmd.Flags().String("name", "", "the quota's name in the decision")
	key := cmd.Flags().StringArray("key", nil, "one element of the quota's key; repeat it, in the decision's order")
	_ = cmd.RegisterFlagCompletionFunc("key", cobra.NoFileCompletions)
	_ = cmd.RegisterFlagCompletionFunc("name", func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
		c, _ := quotaConfig(given())
		return knownQuotas(cmd.Context(), c).completions(), cobra.ShellCompDirectiveNoFileComp
	})
	return func(ctx context.Context, f func(context.Context, *quotaSubject) error) error {
		c, found := quotaConfig(given())
		switch {
		case len(found) > 0:
			return found
		case *name == "":
			return errors.New("--name is missing: give the quota's name in the decision, such as login.attempts")
		case len(*key) == 0:
			return errors.New("--key is missing: give each element of the quota's key, such as --key address --key 203.0.113.7 (authz quota --help)")
		case len(c.Quotas.Redis.Addresses) == 0:
			return errors.New("quotas.redis is not configured: each sidecar counts in its own memory, which only its metrics show; " +
				"give the configuration that the sidecars have (--config), or --quotas.redis.addresses HOST:PORT")
		}
		store, err := c.Quotas.Redis.open()
		if err != nil {
			return err
		}
		defer store.Close()
		ctx, stop := context.WithTimeout(ctx, storePatience)
		defer stop()
		return f(ctx, &quotaSubject{c, store, *name, *key})
	}
}

// quotaConfig reads the configuration for its store: what else it says need not be true
// on this machine.
func quotaConfig(path string, flags map[string]string) (*Config, faults) {
	c, found := gatherConfig(path, os.Environ(), flags)
	return c, slices.DeleteFunc(found, func(f fault) bool {
		key := strings.TrimPrefix(f.Key, "--")
		return key != "" && !strings.HasPrefix(key, "quotas.") && !strings.HasPrefix(key, "AUTHZ_QUOTAS")
	})
}

// explained is a failure of the store with the way out.
func (s *quotaSubject) explained(err error) error {
	text := err.Error()
	refused := func(words ...string) bool {
		return slices.ContainsFunc(words, func(word string) bool { return strings.Contains(text, word) })
	}
	switch {
	case errors.Is(err, ratelimit.ErrForeign):
		return fmt.Errorf("%s: %w; authz quota reset removes it", s, err)
	case refused("NOAUTH", "WRONGPASS"):
		return fmt.Errorf("the quota store wants another user or password (quotas.redis.username, quotas.redis.password): %w", err)
	case refused("NOPERM"):
		return fmt.Errorf("the quota store does not let this user (quotas.redis.username): %w", err)
	}
	return fmt.Errorf("the quota store at %s (quotas.redis.addresses): %w", strings.Join(s.config.Quotas.Redis.Addresses, ", "), err)
}
