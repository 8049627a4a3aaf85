package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"authz/internal/authz"

	"github.com/spf13/cobra"
)

var whyFormats = []string{"table", "json", "test"}

func whyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "why [flags] -- curl …",
		Short: "Explain a decision: what held, what did not, and the nearest way to an allow",
		Long: `Explain what the policies say of a request: the decision as a tree of the rules that
were asked, with file, line and values; the verdict with the place of each reason; and,
for a refusal, the nearest way to an allow. A way is one that was tried: the policies
allowed it. Nothing is sent, nothing is fetched.

The request comes from
  a curl line after --        who calls is said by --as, --roles, --scopes, --claims;
                              a token in the line is not verified, and counts as invalid
  --check FILE                a CheckRequest in protobuf's JSON form (- is standard input)
  --log FILE --decision ID    a record of the decision log, by its decision or request id;
                              what the log does not hold (body, headers, roles) is said

-o test writes the case as a Rego test that a stock opa test passes as long as the
decision stays what it is. Credentials in headers are left out of it.

Exit codes: 0 explained, 1 could not run, 2 refused (with --fail only), 3 the policies
do not compile.`,
		Example: `  authz why --config authz.yaml --as alice --roles reader -- curl https://api.example.com/orders
  authz why --policy.paths policies --as alice -- curl -X POST --json '{"item": "pen"}' https://api.example.com/orders
  authz why --config authz.yaml --log decisions.log --decision 1b4e28ba-2fa1-41d2-883f-0016d3cca427 --roles reader
  authz why --config authz.yaml --check check.json -o json
  authz why --config authz.yaml --as alice -o test -- curl https://api.example.com/orders > policy_test/orders_test.rego`,
	}
	curlArgs(cmd)
	ask := &whyRequest{config: offlineFlags(cmd), who: callerFlags(cmd), at: edgeFlags(cmd)}
	flags := cmd.Flags()
	flags.StringVar(&ask.check, "check", "", "read the request from a CheckRequest in JSON; - is standard input")
	flags.StringVar(&ask.log, "log", "", "read the request from this decision log; - is standard input")
	flags.StringVar(&ask.decision, "decision", "", "with --log: the decision's id, or the request's")
	flags.BoolVar(&ask.fail, "fail", false, "exit with code 2 when the request would be refused")
	flags.StringVarP(&ask.format, "output", "o", "table", "table, for people; json, for machines; test, a Rego test of this case")
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(whyFormats, cobra.ShellCompDirectiveNoFileComp))
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if !slices.Contains(whyFormats, ask.format) {
			return fmt.Errorf("--output %q: write %s", ask.format, strings.Join(whyFormats, ", "))
		}
		return ask.run(cmd, args)
	}
	return cmd
}

// whyRequest is what the flags of `authz why` say.
type whyRequest struct {
	config               func() (*Config, faults)
	who                  *caller
	at                   *edge
	check, log, decision string
	fail                 bool
	format               string
}

func (ask *whyRequest) run(cmd *cobra.Command, args []string) error {
	if err := ask.at.check(); err != nil {
		return err
	}
	c, found := ask.config()
	if len(found) > 0 {
		return found
	}
	s, logged, err := ask.specimen(cmd, c, args)
	if err != nil {
		return err
	}
	engine, err := loadEngine(cmd.Context(), c)
	if err != nil {
		return err
	}
	x, err := explain(cmd.Context(), c, engine, s)
	if err != nil {
		return err
	}
	if logged != nil {
		x.compare(logged)
	}
	out := cmd.OutOrStdout()
	switch ask.format {
	case "json":
		err = printJSON(out, x)
	case "test":
		err = writeTest(cmd.Context(), out, engine, s, x)
	default:
		err = x.print(out)
	}
	if ask.format == "test" {
		for _, note := range x.Notes {
			fmt.Fprintln(cmd.ErrOrStderr(), "note: "+note)
		}
	}
	if err == nil && ask.fail && x.Outcome != authz.Allowed.String() {
		err = &exitError{code: exitFindings}
	}
	return err
}

// specimen is the request in question, with the record of it where it is from the log.
func (ask *whyRequest) specimen(cmd *cobra.Command, c *Config, args []string) (*specimen, *logged, error) {
	sources := 0
	for _, given := range []bool{len(args) > 0, ask.check != "", ask.log != ""} {
		if given {
			sources++
		}
	}
	if sources > 1 {
		return nil, nil, errors.New("give one request: a curl line, --check or --log")
	}
	if ask.decision != "" && ask.log == "" {
		return nil, nil, errors.New("--decision is looked up in a log: add --log FILE")
	}
	ctx, stdin := cmd.Context(), cmd.InOrStdin()
	switch {
	case ask.check != "":
		text, err := readFileOr(ask.check, stdin)
		if err != nil {
			return nil, nil, err
		}
		r, err := readCheck(c, text)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", ask.check, err)
		}
		ask.at.apply(r)
		s, err := by(ctx, c, r, ask.who)
		return s, nil, err
	case ask.log != "":
		return ask.fromLog(c, stdin)
	}
	words, err := curlWords(cmd, args)
	if err != nil {
		return nil, nil, err
	}
	r, err := ask.at.fromCurl(c, words, stdin)
	if err != nil {
		return nil, nil, err
	}
	s, err := by(ctx, c, r, ask.who)
	return s, nil, err
}
