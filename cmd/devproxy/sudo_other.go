//go:build !unix

package main

import (
	"context"
	"io"

	"github.com/spf13/cobra"
)

func (a *app) asCaller(context.Context, *cobra.Command, []string, io.Writer, io.Writer) (code int, done bool) {
	return 0, false
}

func (a *app) joinRoot(ctx context.Context) (context.Context, func()) { return ctx, func() {} }
