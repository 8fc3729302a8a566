package main

import (
	"context"
	"runtime/debug"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

func (c *cli) versionCommand() *cobra.Command {
	return c.jsonFlag(&cobra.Command{
		Use:     "version",
		Short:   "Print the version",
		Example: "  host version\n  host --version",
		Args:    noArguments,
		RunE: c.action(func(context.Context, []string) error {
			v := versionOf(c.environ["APP_VERSION"])
			return c.printer().Line(v, map[string]string{"version": v})
		}),
	})
}

// versionOf is given, else the version of the build, else its VCS revision.
func versionOf(given string) string {
	if given != "" {
		return given
	}
	if version != "" {
		return version
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	revision, dirty := "", ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			revision = s.Value
		case s.Key == "vcs.modified" && s.Value == "true":
			dirty = "-dirty"
		}
	}
	if revision == "" {
		return "unknown"
	}
	return revision[:min(12, len(revision))] + dirty
}

// manCommand is for packagers.
func (c *cli) manCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "man DIR",
		Short:   "Write the man pages into a directory",
		Example: "  host man ./man1",
		Hidden:  true,
		Args:    arguments(1, 1, "the directory for the man pages"),
	}
	cmd.RunE = c.action(func(_ context.Context, args []string) error {
		root := cmd.Root()
		root.DisableAutoGenTag = true
		return doc.GenManTree(root, &doc.GenManHeader{Section: "1", Source: "booking-platform", Manual: " "}, args[0])
	})
	return cmd
}
