package main_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"

	host "github.com/booking-platform/booking-platform/cmd/host"
)

// command runs one command to its end, with nothing on standard input.
func command(t *testing.T, environ map[string]string, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	return run(t, environ, "", args...)
}

// run runs one command to its end.
func run(t *testing.T, environ map[string]string, stdin string, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	status = host.RunWith(t.Context(), args, environ, strings.NewReader(stdin), &out, &err)
	return status, out.String(), err.String()
}

// commands returns all commands by the words that run them.
func commands(cmd *cobra.Command, path ...string) map[string]*cobra.Command {
	all := map[string]*cobra.Command{strings.Join(path, " "): cmd}
	for _, sub := range cmd.Commands() {
		for name, c := range commands(sub, append(path[:len(path):len(path)], sub.Name())...) {
			all[name] = c
		}
	}
	return all
}

// requireUsage requires that a command line is refused with this first line.
func requireUsage(t *testing.T, line string, args ...string) {
	t.Helper()
	status, stdout, stderr := command(t, nil, args...)
	require.Equal(t, 2, status, stderr)
	require.Empty(t, stdout)
	first, rest, _ := strings.Cut(stderr, "\n")
	require.Equal(t, line, first)
	require.Regexp(t, `^Run 'host[a-z -]* --help' for its flags and examples\.\n$`, rest)
}

func TestUsage_EveryCommand(t *testing.T) {
	t.Parallel()
	all := commands(host.RootCommand())
	require.Greater(t, len(all), 30)
	for name, cmd := range all {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			words := strings.Fields(name)
			with := func(args ...string) []string { return append(words[:len(words):len(words)], args...) }
			for _, flag := range []string{"-h", "--help"} {
				status, stdout, stderr := command(t, nil, with(flag)...)
				require.Equal(t, 0, status)
				require.Empty(t, stderr)
				require.Contains(t, stdout, "Usage:\n  host "+strings.TrimSpace(name))
				require.Contains(t, stdout, "print this help")
				if !cmd.HasSubCommands() {
					require.Contains(t, stdout, "Examples:\n  ")
				}
			}
			status, stdout, _ := command(t, nil, append([]string{"help"}, words...)...)
			require.Equal(t, 0, status)
			require.Contains(t, stdout, "Usage:\n  host "+strings.TrimSpace(name))
			prefix := strings.TrimSpace("host: "+name) + ": "
			if name == "" {
				prefix = "host: "
			}
			status, stdout, stderr := command(t, nil, with("--nonsense")...)
			require.Equal(t, 2, status)
			require.Empty(t, stdout)
			require.True(t, strings.HasPrefix(stderr, prefix+"unknown flag --nonsense; the flags are --"), stderr)
			if cmd.Flags().Lookup("json") != nil {
				requireUsage(t, prefix+"unknown flag -json; write --json", with("-json")...)
			}
		})
	}
}

func TestUsage_MistakeIsNamed(t *testing.T) {
	t.Parallel()
	const (
		outcomes = "want one of processed, ignored, unmatched, parked, failed"
		since    = "want an age such as 24h, a day such as 2026-11-01, or a time such as 2026-11-01T03:00:00Z"
		payment  = "the id of a payment, of its booking, or of its Checkout Session (cs_...) or PaymentIntent (pi_...)"
		roles    = "want one of ADMIN, OPS, READONLY"
		flags    = "this command has only flags"
		surplus  = "unexpected argument "
	)
	for line, want := range map[string]string{
		// Commands.
		"serv":                   `unknown command "serv"; did you mean serve or user?`,
		"frobnicate":             `unknown command "frobnicate"; it is one of booking, completion, customer, doctor, events, healthcheck, maintenance, message, migrate, payment, resource, serve, user, version`,
		"event list":             `unknown command "event"; did you mean events?`,
		"help nothing":           `help: there is no command "nothing"`,
		"migrate":                "migrate: a command is missing; it is one of status, up",
		"migrate down":           `migrate: unknown command "down"; it is one of status, up`,
		"migrate stats":          `migrate: unknown command "stats"; did you mean status?`,
		"resource":               "resource: a command is missing; it is one of apply, list, show",
		"events":                 "events: a command is missing; it is one of fetch, ignore, list, replay, show, waiting",
		"events x":               `events: unknown command "x"; it is one of fetch, ignore, list, replay, show, waiting`,
		"payment":                "payment: a command is missing; it is one of desk-refunded, list, refund, retry, settle, show",
		"payment x":              `payment: unknown command "x"; it is one of desk-refunded, list, refund, retry, settle, show`,
		"booking":                "booking: a command is missing; it is one of add, cancel, renew-links, show",
		"booking x":              `booking: unknown command "x"; it is one of add, cancel, renew-links, show`,
		"user":                   "user: a command is missing; it is one of add, disable, enable, list, passwd, role",
		"user x":                 `user: unknown command "x"; it is one of add, disable, enable, list, passwd, role`,
		"completion tcsh":        `completion: unknown command "tcsh"; it is one of bash, fish, powershell, zsh`,
		"serve x":                `serve: unexpected argument "x"; ` + flags,
		"version x":              `version: unexpected argument "x"; ` + flags,
		"healthcheck x":          `healthcheck: unexpected argument "x"; ` + flags,
		"migrate up x":           `migrate up: unexpected argument "x"; ` + flags,
		"migrate status x":       `migrate status: unexpected argument "x"; ` + flags,
		"migrate up --wait soon": `migrate up: --wait "soon": time: invalid duration "soon"`,
		"man":                    "man: the directory for the man pages is missing",
		// Resources.
		"resource apply":           "resource apply: --file is missing; it is the path of a file in YAML or JSON, or - for standard input",
		"resource apply --dry-run": "resource apply: --file is missing; it is the path of a file in YAML or JSON, or - for standard input",
		"resource apply -f":        "resource apply: --file needs a FILE: the FILE, in YAML or JSON; - is standard input",
		"resource apply file":      `resource apply: unexpected argument "file"; name the file with --file`,
		"resource apply -f x y":    `resource apply: unexpected argument "y"; name the file with --file`,
		"resource apply -f x -q":   "resource apply: unknown flag -q; the flags are --dry-run, --file, --help, --json, --verbose",
		"resource list x":          `resource list: unexpected argument "x"; ` + flags,
		"resource show":            "resource show: the slug of a resource is missing",
		// Events.
		"events list x":                       `events list: unexpected argument "x"; ` + flags,
		"events list --outcome lost":          `events list: --outcome "lost": ` + outcomes,
		"events list --since yesterday":       `events list: --since "yesterday": ` + since,
		"events list --since -1h":             `events list: --since "-1h": ` + since,
		"events list --limit 0":               `events list: --limit "0": want a number from 1 to 500`,
		"events list --limit 501":             `events list: --limit "501": want a number from 1 to 500`,
		"events list --type":                  "events list: --type needs a TYPE: only this TYPE, such as checkout.session.completed",
		"events list -outcome failed":         "events list: unknown flag -outcome; write --outcome",
		"events show":                         "events show: the id of an event (evt_...) is missing",
		"events show -x":                      "events show: unknown flag -x; the flags are --help, --json, --verbose",
		"events ignore":                       "events ignore: the id of an event (evt_...) is missing",
		"events ignore --outcome failed":      "events ignore: unknown flag --outcome; the flags are --help, --json, --verbose",
		"events replay evt_1":                 `events replay: ` + surplus + `"evt_1"; name single events with --id`,
		"events replay --outcome processed":   `events replay: --outcome "processed": want one of ignored, unmatched, parked, failed`,
		"events replay --outcome failed,x":    `events replay: --outcome "failed,x": want one of ignored, unmatched, parked, failed`,
		"events replay --id evt_1 --since 1h": "events replay: --id excludes --type, --since and --limit",
		"events replay --limit 10001":         `events replay: --limit "10001": want a number from 1 to 10000`,
		"events waiting x":                    `events waiting: unexpected argument "x"; ` + flags,
		"events fetch":                        "events fetch: --since is missing; it is an age such as 24h, a day, or a time in RFC 3339",
		"events fetch --since yesterday":      `events fetch: --since "yesterday": ` + since,
		"events fetch --since 1h x":           `events fetch: unexpected argument "x"; name the time with --since`,
		// Payments.
		"payment list x":               `payment list: unexpected argument "x"; ` + flags,
		"payment show":                 "payment show: " + payment + " is missing",
		"payment show -x":              "payment show: unknown flag -x; the flags are --help, --json, --verbose",
		"payment refund id":            "payment refund: --cause is missing; it identifies the refund, such as --cause 'case 42'",
		"payment refund --cause x":     "payment refund: " + payment + " is missing",
		"payment refund --cause x a b": `payment refund: unexpected argument "b"; only ` + payment + " is expected",
		"payment retry":                "payment retry: the id of a refund is missing",
		"payment retry -x":             "payment retry: unknown flag -x; the flags are --help, --json, --verbose",
		"payment retry a b":            `payment retry: unexpected argument "b"; only the id of a refund is expected`,
		// Bookings.
		"booking renew-links --all --secret x": "booking renew-links: --all and --secret exclude each other",
		"booking renew-links --all id":         "booking renew-links: --all, --secret and --after cannot be combined with ids",
		"booking renew-links -x":               "booking renew-links: unknown flag -x; the flags are --after, --all, --help, --json, --links, --mail, --secret, --verbose",
		// Users.
		"user list x":                      `user list: unexpected argument "x"; ` + flags,
		"user add":                         "user add: the e-mail address is missing",
		"user add a@example.com hunter2":   "user add: one argument too many: the password is asked for, or read from standard input",
		"user add --role":                  "user add: --role needs a ROLE: the ROLE: ADMIN, OPS, READONLY (default READONLY)",
		"user add --role ROOT b@x.org":     `user add: --role "ROOT": ` + roles,
		"user role a@example.com":          "user role: the e-mail address or the role (ADMIN, OPS, READONLY) is missing",
		"user role a@example.com ROOT":     `user role: role "ROOT": ` + roles,
		"user passwd":                      "user passwd: the e-mail address is missing",
		"user passwd a@example.com secret": "user passwd: one argument too many: the password is asked for, or read from standard input",
		"user enable":                      "user enable: the e-mail address is missing",
		"user disable a b":                 `user disable: ` + surplus + `"b"; only the e-mail address is expected`,
		"user disable -x":                  "user disable: unknown flag -x; the flags are --help, --json, --verbose",
		// Doctor.
		"doctor x":                               `doctor: unexpected argument "x"; ` + flags,
		"doctor -x":                              "doctor: unknown flag -x; the flags are --base, --help, --hosts, --json, --pay, --resource, --wait",
		"doctor --hosts 0":                       `doctor: --hosts "0": want a number from 1 to 1000`,
		"doctor --base 127.0.0.1:3000":           `doctor: --base "127.0.0.1:3000": want scheme and host alone, such as https://booking.example.com`,
		"doctor --base https://u:p@x.org":        `doctor: --base "https://u:xxxxx@x.org": want scheme and host alone, such as https://booking.example.com`,
		"doctor --base https://x.org/app":        `doctor: --base "https://x.org/app": want scheme and host alone, such as https://booking.example.com`,
		"doctor --pay":                           "doctor: --pay needs --base, the address of the host to pay at",
		"doctor --resource room":                 "doctor: --resource is for --pay",
		"doctor --base http://x --resource r":    "doctor: --resource is for --pay",
		"doctor --base http://x --pay --wait 0s": `doctor: --wait "0s": want more than 0, such as 10m`,
	} {
		t.Run(line, func(t *testing.T) {
			t.Parallel()
			requireUsage(t, "host: "+want, strings.Fields(line)...)
		})
	}
}

func TestCompletion_EachShell(t *testing.T) {
	t.Parallel()
	for _, shell := range []string{"bash", "zsh", "fish"} {
		status, stdout, stderr := command(t, nil, "completion", shell)
		require.Equal(t, 0, status, stderr)
		require.Contains(t, stdout, "completion")
		require.Contains(t, stdout, "host")
	}
	for _, c := range []struct{ args, want string }{
		{"events l", "list\t"}, {"events list --outcome p", "parked\n"}, {"user add --role O", "OPS\n"},
	} {
		_, stdout, _ := command(t, nil, append([]string{"__complete"}, strings.Fields(c.args)...)...)
		require.Contains(t, stdout, c.want)
	}
}
