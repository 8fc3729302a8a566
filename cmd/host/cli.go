package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/booking-platform/booking-platform/cmd/host/internal/config"
	"github.com/booking-platform/booking-platform/cmd/host/internal/output"
)

// Supervisors send a signal to the process and to its group: two this close are one.
const sameSignal = time.Second

// cli is what commands share.
type cli struct {
	environ       map[string]string
	in            io.Reader
	out, err      io.Writer
	verbose, json bool
	// started is set when the command line was accepted.
	started bool
}

// run executes one command and returns the exit status: 0 done, 1 failed, 2 a mistake in
// the command line. The context, SIGINT, SIGTERM or SIGHUP end it in order; a second
// signal ends the process at once.
func run(ctx context.Context, args []string, environ map[string]string, stdin io.Reader,
	stdout, stderr io.Writer) int {
	signals := []os.Signal{os.Interrupt, syscall.SIGTERM}
	// The end of a terminal session is a signal too, unless nohup ignores it.
	if !signal.Ignored(syscall.SIGHUP) {
		signals = append(signals, syscall.SIGHUP)
	}
	ctx, restore := signal.NotifyContext(ctx, signals...)
	defer restore()
	context.AfterFunc(ctx, func() { time.AfterFunc(sameSignal, restore) })

	c := &cli{environ: environ, in: stdin, out: stdout, err: stderr}
	root := c.rootCommand()
	// Nil would stand for os.Args.
	root.SetArgs(append([]string{}, args...))
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return 0
	}
	var usage *usageError
	if !c.started || errors.As(err, &usage) {
		_, path, _ := strings.Cut(cmd.CommandPath()+": ", " ")
		fmt.Fprintf(stderr, "host: %s%v\nRun '%s --help' for its flags and examples.\n", path, err, cmd.CommandPath())
		return 2
	}
	var problems config.Problems
	if errors.As(err, &problems) && len(problems) == 1 {
		p := problems[0]
		err = fmt.Errorf("configuration: %s %s: %s", p.Name, p.Wrong, p.Remedy)
	}
	fmt.Fprintf(stderr, "host: %v\n", err)
	return 1
}

const rootLong = `host runs booking-platform: the booking page, the JSON API and Stripe's webhook.

The configuration comes from the environment; .env.example in the repository lists the variables.
Without any, host serves http://127.0.0.1:3000 with an embedded Postgres and a Stripe stand-in.

Exit status: 0 success, 1 failure, 2 a mistake in the command line.`

const usageTemplate = `Usage:
  {{.UseLine}}
{{- if .HasExample}}

Examples:
{{.Example}}
{{- end}}
{{- if .HasAvailableSubCommands}}

Commands:
{{- range .Commands}}{{if or .IsAvailableCommand (eq .Name "help")}}
  {{rpad .Name .NamePadding}}  {{.Short}}{{end}}{{end}}
{{- end}}
{{- if .HasAvailableLocalFlags}}

Flags:
{{.LocalFlags.FlagUsagesWrapped 100 | trimTrailingWhitespaces}}
{{- end}}
{{- if .HasAvailableInheritedFlags}}

Flags of all '{{.Parent.CommandPath}}' commands:
{{.InheritedFlags.FlagUsagesWrapped 100 | trimTrailingWhitespaces}}
{{- end}}
`

func (c *cli) rootCommand() *cobra.Command {
	serving := c.action(func(ctx context.Context, _ []string) error { return serve(ctx, c.environ, c.out, c.err) })
	root := &cobra.Command{
		Use:     "host [COMMAND]",
		Short:   "Run and operate booking-platform",
		Long:    rootLong,
		Version: versionOf(c.environ["APP_VERSION"]),
		Example: `  host                                    # serve
  host migrate status
  host events list --outcome failed --since 24h
  host doctor`,
		Args: unknownCommand,
		RunE: serving,
		// run prints errors.
		SilenceErrors: true, SilenceUsage: true,
		SuggestionsMinimumDistance: 2,
		DisableFlagsInUseLine:      true,
	}
	root.SetIn(c.in)
	root.SetOut(c.out)
	root.SetErr(c.err)
	root.Flags().Bool("version", false, "print the version")
	root.SetUsageTemplate(usageTemplate)
	root.SetVersionTemplate("{{.Version}}\n")
	root.SetFlagErrorFunc(flagError)
	help := helpCommand()
	root.SetHelpCommand(help)
	root.AddCommand(
		&cobra.Command{
			Use:     "serve",
			Short:   "Serve the booking page, the API and the webhook; the default",
			Long:    "Serve the booking page, the API and the webhook. Pending migrations are applied first.",
			Example: "  host serve\n  PORT=8080 host serve",
			Args:    noArguments,
			RunE:    serving,
		},
		c.migrateCommand(), c.resourceCommand(), c.eventsCommand(), c.paymentCommand(), c.bookingCommand(),
		c.messageCommand(), c.customerCommand(), c.userCommand(), c.maintenanceCommand(), c.doctorCommand(),
		c.healthcheckCommand(), c.versionCommand(), c.manCommand(), help,
	)
	addCompletion(root)
	eachCommand(root, func(cmd *cobra.Command) {
		cmd.DisableFlagsInUseLine = cmd.HasSubCommands()
		cmd.InitDefaultHelpFlag()
		cmd.Flags().Lookup("help").Usage = "print this help"
	})
	return root
}

func addCompletion(root *cobra.Command) {
	root.InitDefaultCompletionCmd()
	completion, _, _ := root.Find([]string{"completion"})
	completion.Use, completion.Short = "completion SHELL", "Print a completion script for a shell"
	completion.Args, completion.RunE = nil, subcommandMissing
	for _, shell := range completion.Commands() {
		shell.Args = noArguments
		shell.Example = "  host completion " + shell.Name()
	}
}

func eachCommand(cmd *cobra.Command, do func(*cobra.Command)) {
	do(cmd)
	for _, sub := range cmd.Commands() {
		eachCommand(sub, do)
	}
}

func (c *cli) action(do func(context.Context, []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		c.started = true
		return do(cmd.Context(), args)
	}
}

// group makes a command that only has subcommands.
func (c *cli) group(name, short string, commands ...*cobra.Command) *cobra.Command {
	group := &cobra.Command{
		Use:                        name + " COMMAND",
		Short:                      short,
		SuggestionsMinimumDistance: 2,
		RunE:                       subcommandMissing,
	}
	group.PersistentFlags().BoolVarP(&c.verbose, "verbose", "v", false, "log to standard error")
	group.AddCommand(commands...)
	return group
}

func subcommandMissing(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return unknownCommand(cmd, args)
	}
	return usagef("a command is missing; it is one of %s", strings.Join(commandNames(cmd), ", "))
}

func (c *cli) jsonFlag(cmd *cobra.Command) *cobra.Command {
	cmd.Flags().BoolVar(&c.json, "json", false, "print JSON, one object per line")
	return cmd
}

func (c *cli) printer() output.Printer { return output.Printer{Out: c.out, JSON: c.json} }

func (c *cli) logger() *slog.Logger {
	if c.verbose {
		return slog.New(slog.NewTextHandler(c.err, nil))
	}
	return slog.New(slog.DiscardHandler)
}

// usageError is a mistake in the command line: exit status 2.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

func usagef(format string, args ...any) error { return &usageError{fmt.Sprintf(format, args...)} }

func unknownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		return usagef("unknown command %q; did you mean %s?", args[0], strings.Join(near, " or "))
	}
	return usagef("unknown command %q; it is one of %s", args[0], strings.Join(commandNames(cmd), ", "))
}

func commandNames(cmd *cobra.Command) (names []string) {
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() {
			names = append(names, sub.Name())
		}
	}
	return names
}

// arguments checks the number of arguments; most < 0 is no limit. what names them in
// errors.
func arguments(least, most int, what string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		switch {
		case len(args) < least:
			return usagef("%s is missing", what)
		case most == 0 && len(args) > 0:
			return usagef("unexpected argument %q; %s", args[0], what)
		case most >= 0 && len(args) > most:
			return usagef("unexpected argument %q; only %s is expected", args[most], what)
		}
		return nil
	}
}

var noArguments = arguments(0, 0, "this command has only flags")

// flagError says what is wrong with a flag and what would be right.
func flagError(cmd *cobra.Command, err error) error {
	var (
		unknown *pflag.NotExistError
		missing *pflag.ValueRequiredError
		invalid *pflag.InvalidValueError
	)
	switch {
	case errors.As(err, &unknown):
		return unknownFlag(cmd, unknown)
	case errors.As(err, &missing):
		name, usage := pflag.UnquoteUsage(missing.GetFlag())
		return usagef("--%s needs a %s: %s", missing.GetFlag().Name, name, usage)
	case errors.As(err, &invalid):
		value := invalid.GetValue()
		if u, err := url.Parse(value); err == nil && u.User != nil {
			value = u.Redacted()
		}
		return usagef("--%s %q: %v", invalid.GetFlag().Name, value, errors.Unwrap(invalid))
	}
	return usagef("%v", err)
}

func unknownFlag(cmd *cobra.Command, unknown *pflag.NotExistError) error {
	given := "--" + unknown.GetSpecifiedName()
	if short := unknown.GetSpecifiedShortnames(); short != "" {
		given = "-" + short
		name, _, _ := strings.Cut(short, "=")
		if cmd.Flags().Lookup(name) != nil {
			return usagef("unknown flag %s; write --%s", given, name)
		}
	}
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, "--"+f.Name) })
	return usagef("unknown flag %s; the flags are %s", given, strings.Join(names, ", "))
}

func helpCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "help [COMMAND...]",
		Short:   "Print the help of a command",
		Example: "  host help\n  host help events list",
		RunE: func(cmd *cobra.Command, args []string) error {
			about, rest, err := cmd.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return usagef("there is no command %q", strings.Join(args, " "))
			}
			return about.Help()
		},
	}
}
