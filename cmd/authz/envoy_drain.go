package main

import (
	"context"
	"time"

	"authz/internal/bootstrap"

	"github.com/spf13/cobra"
)

func envoyDrainCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "envoy-drain",
		Short: "Have Envoy end its connections, politely",
		Long: `Have Envoy end its connections, politely: each after the answer under way (Connection:
close, GOAWAY), while it goes on accepting new ones. In a pod it is the preStop hook:
clients with long connections leave before the pod does.

The configuration must allow it: authz envoy-config --drainable.`,
		Example: "  authz envoy-drain --admin 127.0.0.1:9902",
		Args:    cobra.NoArgs,
	}
	admin := cmd.Flags().String("admin", "127.0.0.1:9902", "host:port of Envoy's admin interface")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		ctx, cancel := context.WithTimeout(cmd.Context(), 5*time.Second)
		defer cancel()
		return bootstrap.Drain(ctx, *admin)
	}
	return cmd
}
