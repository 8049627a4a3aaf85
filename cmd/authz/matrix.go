package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"authz/internal/matrix"
	"authz/internal/policy"

	"github.com/spf13/cobra"
)

// matrixPatience is how long one cell may take: a golden file must not depend on
// how busy the machine is.
const matrixPatience = Duration(10 * time.Second)

func matrixCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "matrix",
		Short: "Who may do what: every caller and every route, decided by the policies",
		Long: `Show who may do what: callers × operations of the route table, each cell decided by
the policies for a whole sample request. Nothing listens and nothing is fetched.

Without --callers the columns are what the route table tells apart: anonymous,
signed in (a valid token and nothing else), each scope, each role (with every scope),
and an invalid token. A route with an owner has two rows: the caller's own, and
somebody else's.

A callers file names whom you care about; what is said of them is optional:

  ann:      {subject: ann, roles: [clerk], claims: {tenant: "7"}}
  browser:  {subject: bob, roles: [customer], via: cookie}
  visitor:  {status: absent}        # or invalid, expired, unavailable

--against compares with a saved matrix (the output of -o json), or with other
policies: a directory or bundle in the place of policy.paths; repeat the flag for
several. Only cells that differ are shown.

Exit codes: 0 fine, or no difference; 1 could not run; 2 there are differences;
3 the policies do not compile.`,
		Example: `  authz matrix --config authz.yaml
  authz matrix --config authz.yaml --callers callers.yaml -o markdown
  authz matrix --config authz.yaml -o json > matrix.json         # commit it
  authz matrix --config authz.yaml --against matrix.json         # then in CI
  authz matrix --config authz.yaml --against ../main/policies    # what a branch opens`,
		Args: cobra.NoArgs,
	}
	config := offlineFlags(cmd)
	flags := cmd.Flags()
	callers := flags.String("callers", "", "YAML file of callers: name to subject, roles, scopes, claims, via, status")
	against := flags.StringArray("against", nil, "saved matrix (JSON), or policies to compare with (directory or bundle; repeatable)")
	format := flags.StringP("output", "o", "table", "table or markdown, for people; json or csv, for machines")
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(matrixFormats, cobra.ShellCompDirectiveNoFileComp))
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if !slices.Contains(matrixFormats, *format) {
			return fmt.Errorf("--output %q: write %s", *format, strings.Join(matrixFormats, ", "))
		}
		if len(*against) > 0 && *format != "table" && *format != "json" {
			return fmt.Errorf("--output %s: a difference is written as table or json", *format)
		}
		c, found := config()
		if len(found) > 0 {
			return found
		}
		return showMatrix(cmd.Context(), cmd.OutOrStdout(), c, matrixRequest{*callers, *against, *format})
	}
	return cmd
}

var matrixFormats = []string{"table", "json", "markdown", "csv"}

// matrixRequest is what the flags of `authz matrix` say.
type matrixRequest struct {
	callers string
	against []string
	format  string
}

func showMatrix(ctx context.Context, w io.Writer, c *Config, ask matrixRequest) error {
	now, err := loadPolicies(ctx, c, c.Policy.Paths)
	if err != nil {
		return err
	}
	var saved *matrix.Matrix
	var before *policyVersion
	if len(ask.against) > 0 {
		if saved, err = savedMatrix(ask.against); err != nil {
			return err
		}
		if saved == nil {
			if before, err = loadPolicies(ctx, c, ask.against); err != nil {
				return fmt.Errorf("--against: %w", err)
			}
		}
	}
	// Both versions are asked the same questions, those about what only one of them
	// knows too.
	versions := []*policyVersion{now}
	if before != nil {
		versions = append(versions, before)
	}
	callers, operations, err := questions(versions, ask.callers)
	if err != nil {
		return err
	}
	is, err := matrix.Evaluate(ctx, now.engine, callers, operations)
	if err != nil {
		return err
	}
	was := saved
	if before != nil {
		if was, err = matrix.Evaluate(ctx, before.engine, callers, operations); err != nil {
			return err
		}
	}
	if was == nil {
		return writeMatrix(w, is, ask.format)
	}
	changes := matrix.Diff(was, is)
	if ask.format == "json" {
		err = printJSON(w, map[string]any{"changes": changes})
	} else {
		err = matrix.WriteChanges(w, changes)
	}
	if err == nil && len(changes) > 0 {
		err = &exitError{code: exitFindings}
	}
	return err
}

// policyVersion is one set of policies, loaded.
type policyVersion struct {
	engine *policy.Engine
	api    *matrix.API
}

func loadPolicies(ctx context.Context, c *Config, paths []string) (*policyVersion, error) {
	mine := *c
	mine.Policy.Paths = paths
	mine.Policy.Timeout = max(c.Policy.Timeout, matrixPatience)
	engine, err := newEngine(&mine, slog.New(slog.DiscardHandler))
	if err == nil {
		err = engine.Load(ctx)
	}
	if err != nil {
		return nil, &exitError{code: exitCompile, err: err}
	}
	api, err := matrix.Describe(ctx, engine, c.Policy.Routes)
	return &policyVersion{engine, api}, err
}

func questions(versions []*policyVersion, callersFile string) ([]matrix.Caller, []matrix.Operation, error) {
	var apis []*matrix.API
	for _, v := range versions {
		apis = append(apis, v.api)
	}
	operations, err := matrix.Operations(apis...)
	if err != nil {
		return nil, nil, err
	}
	if callersFile == "" {
		return matrix.Callers(apis...), operations, nil
	}
	text, err := os.ReadFile(callersFile)
	if err != nil {
		return nil, nil, err
	}
	callers, err := matrix.ReadCallers(text)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", callersFile, err)
	}
	return callers, operations, nil
}

// savedMatrix reads what --against names if it is a saved matrix; nil if it is
// policies.
func savedMatrix(paths []string) (*matrix.Matrix, error) {
	for _, path := range paths {
		info, err := os.Stat(path)
		switch {
		case err != nil:
			return nil, fmt.Errorf("--against: %w", err)
		case info.IsDir() || strings.HasSuffix(path, ".tar.gz"):
			continue
		case len(paths) > 1:
			return nil, fmt.Errorf("--against %s: a saved matrix is compared with alone", path)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("--against: %w", err)
		}
		saved, err := matrix.ReadJSON(text)
		if err != nil {
			return nil, fmt.Errorf("--against %s: %w", path, err)
		}
		return saved, nil
	}
	return nil, nil
}

func writeMatrix(w io.Writer, m *matrix.Matrix, format string) error {
	switch format {
	case "json":
		return m.WriteJSON(w)
	case "markdown":
		return m.WriteMarkdown(w)
	case "csv":
		return m.WriteCSV(w)
	}
	return m.WriteTable(w)
}
