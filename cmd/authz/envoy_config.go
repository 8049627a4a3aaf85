package main

import (
	"fmt"
	"os"
	"path/filepath"

	"authz/envoy"
	"authz/internal/bootstrap"

	"github.com/spf13/cobra"
)

func envoyConfigCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "envoy-config",
		Short: "Write Envoy's configuration for this place",
		Long: `Write the Envoy configuration that authz ships, fitted to its place: the port and the
addresses to serve, where the app is, how much memory Envoy may use. In a pod that
authz inject or the webhook made, the init container authz-setup runs it.

--probe-port adds a listener for those who can't send a token. It answers /ready and
/stats/prometheus, passes the requests of --probe to the app, and nothing else.

--base takes a configuration of your own. It needs a listener named ingress and a
cluster named app.`,
		Example: `  authz envoy-config --serve 8080=127.0.0.1:3000 > envoy.yaml
  authz envoy-config --listen 10.0.0.7 --serve 8080=127.0.0.1:8080 --serve 9000=127.0.0.1:9000/h2c \
    --probe-port 9903 --probe /app/liveness=8080/healthz`,
		Args: cobra.NoArgs,
	}
	flags := cmd.Flags()
	var p bootstrap.Place
	flags.StringSliceVar(&p.Addresses, "listen", []string{"0.0.0.0"}, "IP addresses to serve on, with commas")
	serves := flags.StringArray("serve", []string{"8080=127.0.0.1:3000"}, "PORT=IP:PORT: a port to serve and the app behind it; with /h2c behind it for HTTP/2 without TLS")
	flags.Int64Var(&p.Memory, "memory", 0, "limit of Envoy's memory in bytes; four fifths of it are for its heap")
	flags.IntVar(&p.ProbePort, "probe-port", 0, "port for probes and figures; 0: none")
	flags.BoolVar(&p.Drainable, "drainable", false, "let authz envoy-drain drain it through the admin interface")
	probes := flags.StringArray("probe", nil, "a request that passes to the app without a decision: /path=PORT/path-of-the-app, /path=PORT for whether it accepts connections, or grpc=PORT for gRPC's health check")
	base := flags.String("base", "", "a configuration to fit instead of the built-in one")
	output := flags.String("output", "", "file to write; default: standard output")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		for _, s := range *serves {
			serve, err := bootstrap.ParseServe(s)
			if err != nil {
				return fmt.Errorf("--serve: %w", err)
			}
			p.Serves = append(p.Serves, serve)
		}
		for _, s := range *probes {
			probe, err := bootstrap.ParseProbe(s)
			if err != nil {
				return fmt.Errorf("--probe: %w", err)
			}
			p.Probes = append(p.Probes, probe)
		}
		config := envoy.Config
		if *base != "" {
			var err error
			if config, err = os.ReadFile(*base); err != nil {
				return fmt.Errorf("--base: %w", err)
			}
		}
		text, err := bootstrap.Fit(config, p)
		if err != nil {
			return err
		}
		if *output == "" {
			_, err = cmd.OutOrStdout().Write(text)
			return err
		}
		return writeWhole(*output, text)
	}
	return cmd
}

// writeWhole writes a file that others read: they see all of it or none.
func writeWhole(name string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(name), ".authz-*")
	if err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	defer os.Remove(f.Name()) // gone already when all went well
	_, err = f.Write(text)
	if err2 := f.Close(); err == nil {
		err = err2
	}
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	return nil
}
